//! The signature block of ring-0 modules: what it says, where it stands, and whether it holds.
//!
//! A signer states in a [`Statement`] which content it is about, under which name the module loads, how
//! its code was made and which driver it needs, and signs that with an ed25519 key. Statement and
//! signature are a [`Block`] of [`BLOCK_BYTES`] bytes, which stands behind the image in the same file:
//!
//! ```text
//! hello.r0 = content ‖ statement ‖ signature        hello.r0.sig = statement ‖ signature
//! ```
//! The driver gets one file, whole; the library puts a block that stands beside the image behind it.
//!
//! [`split`](mod@split) takes a file apart, [`statement`] is the block's layout, [`refusal`] has the
//! sentences, [`mod@ed25519`] the arithmetic. Who is trusted is not decided here: the driver's policy does
//! (`sup-core/src/image/policy.rs`), and `supctl module verify` shows it before.
//!
//! Invariant: nothing here panics or allocates, and no function has a frame over a kilobyte: all of it
//! but `sign` runs in ring 0, on bytes of anybody's.

#![no_std]
#![forbid(unsafe_code)]
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]
#![cfg_attr(test, expect(clippy::arithmetic_side_effects, reason = "a test may fail by panicking"))]

pub mod ed25519;
mod key;
pub mod refusal;
#[cfg(feature = "sign")]
pub mod sign;
pub mod split;
pub mod statement;

pub use key::PublicKey;
pub use refusal::Refusal;
pub use split::{Signed, split};
pub use statement::{
    BLOCK_BYTES, Block, ContentHash, ContentHasher, DriverVersion, FLAGS_KNOWN, KERNEL_GRADE,
    LANDING_PADS, Statement,
};

/// What a file beside an image is called that holds its block: the image's name, and this.
pub const DETACHED_SUFFIX: &str = ".sig";
