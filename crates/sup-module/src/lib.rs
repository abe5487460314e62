//! The kit for ring-0 modules in Rust.
//!
//! A module is a `no_std` library that says with [`ring0_module!`] which functions begin and end it and
//! serve its requests; they are safe Rust:
//!
//! ```
//! // First in the module's crate: #![no_std]
//! use sup_module::{Call, Module, Result, Status, log, ring0_module};
//!
//! ring0_module! {
//!     init: start,
//!     service: counterServiceReqHandler => serve,
//! }
//!
//! fn start(module: Module) -> Result<()> {
//!     log!("counter: loaded as {module}");
//!     Ok(())
//! }
//!
//! fn serve(call: Call<'_>) -> Result<Status> {
//!     match call.operation {
//!         0 => Ok(Status::VINF_SUCCESS),
//!         _ => Err(Status::VERR_NOT_SUPPORTED),
//!     }
//! }
//! # fn main() {}
//! ```
//!
//! * [`Call`] is a request: the session that asks, the operation, its argument, and the packet with its
//!   checked views.
//! * [`Session`] makes [objects](Object), [events](Event) that reset themselves or [not](ManualResetEvent),
//!   and [memory](Memory) of both rings; they belong to the caller's session.
//! * [`tracer`] makes a module the tracer: it is told of probes and their hits,
//!   [`provider`](mod@provider) describes and switches them, and [`shelf`] has memory of a client's that hits write in any context.
//! * [`log!`] writes to the driver's log.
//! * [`provider!`] and [`probe!`] make probes, [`Module::register_provider`] tells the driver of them.
//! * A panic ends the call with `VERR_INTERNAL_ERROR` and a line in the log; nothing unwinds, so what the
//!   call made stays with the session.
//!
//! `supctl module new` writes such a crate, `supctl module build` compiles it for ring 0. The same crate
//! compiles for the host, where its tests run; there the driver's functions answer that there is none.
//!
//! This is one of the crates that contain `unsafe`: here values from C become types. Neighbours:
//! `sup-abi` has the statuses and the header's types, `sup-ring0` is the other side of each import.
//! Invariant: what a module can do with this crate in safe Rust is answered with a status at worst.

#![cfg_attr(not(test), no_std)]
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

#[doc(hidden)]
pub mod entry;
mod event;
mod log;
mod manual;
mod memory;
pub mod nap;
mod object;
#[cfg(target_os = "none")]
mod panic;
pub mod provider;
mod raw;
mod request;
mod session;
pub mod shelf;
pub mod time;
pub mod tracer;

pub use entry::Module;
pub use event::{Event, Timeout};
#[doc(hidden)]
pub use log::write;
pub use manual::ManualResetEvent;
pub use memory::Memory;
pub use object::{Destructor, Object, Release};
pub use request::{Call, Packet};
pub use session::Session;
pub use sup_abi::{
    R3Ptr, SUPDRVOBJTYPE, SUPDRVSESSION, SUPPAGINGMODE, SUPR0SERVICEREQHDR,
    SUPR0SERVICEREQHDR_MAGIC, Status,
};
pub use sup_probe::{
    Attribute, Attributes, Class, ProbeArgument, Provider, Stability, probe, probe_enabled,
    provider,
};

/// What a function of a module or of the driver comes to. The error is a status that is a failure.
pub type Result<T> = core::result::Result<T, Status>;

/// How the host runs: its paging mode. Corresponds to `SUPR0GetPagingMode`.
///
/// # Context
/// Never sleeps.
pub fn paging_mode() -> SUPPAGINGMODE {
    // SAFETY: the driver's function has no precondition.
    let mode = unsafe { raw::SUPR0GetPagingMode() };
    SUPPAGINGMODE::try_from(mode).unwrap_or(SUPPAGINGMODE::Invalid)
}
