//! What both sides of a ring boundary share: statuses, structures, constants, request packets.
//!
//! Data only: nothing here allocates, locks or calls out, so the kernel module, the embedded host
//! and the ring-3 library all build on it. Names that the C header defines stay as they are there;
//! each item says which one it corresponds to. Everything is usable by its plain name,
//! `sup_abi::Status`; the modules are for reading.
//!
//! Invariant: each structure has the size and the member offsets that a C compiler gives it on
//! x86-64 Linux. [`layout`] proves it while the crate compiles.

#![no_std]
#![forbid(unsafe_code)]

pub mod calls;
pub mod component;
pub mod cpuset;
pub mod error_info;
pub mod gip;
pub mod hardened;
pub mod idc;
pub mod layout;
pub mod limits;
pub mod object;
pub mod opaque;
pub mod page;
pub mod platform;
pub mod request;
pub mod status;
pub mod tracer;
pub mod tracer_context;
pub mod units;
pub mod vtg;

pub use calls::*;
pub use component::*;
pub use cpuset::*;
pub use error_info::*;
pub use gip::*;
pub use hardened::*;
pub use idc::*;
pub use limits::*;
pub use object::*;
pub use opaque::*;
pub use page::*;
pub use platform::*;
pub use status::Status;
pub use tracer::*;
pub use tracer_context::*;
pub use units::*;
pub use vtg::*;
