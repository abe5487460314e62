//! What the tracer `ringtrace` and its clients in ring 3 share.
//!
//! * [`Record`] is a hit of a probe: 64 bytes.
//! * [`Ring`] is where the hits of one processor go, in memory of both rings; [`Head`] is the part of it that
//!   only ring 0 has, [`Reader`] the one that only the reader has.
//! * [`packets`] are the requests to the module's service.
//!
//! Neighbours: `modules/ringtrace` writes, `sup::ringtrace` reads, `sup-trace` keeps records in files. Invariant: whatever a process writes into
//! the shared memory, a writer stays in it and comes back after a bounded number of steps.

#![cfg_attr(not(any(test, loom)), no_std)]
#![forbid(unsafe_code)]
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]
#![cfg_attr(
    test,
    expect(
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        reason = "tests say so by failing"
    )
)]

#[cfg(not(loom))]
pub mod packets;
mod record;
mod ring;
mod sync;

pub use record::{Kind, RECORD_WORDS, Record};
pub use ring::{Head, Policy, Reader, Ring, SLOTS_MIN, WORDS_PER_SLOT};
