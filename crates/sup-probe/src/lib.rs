//! Probes in Rust: places in code of which a tracer can be told, and which cost a test while nobody asks.
//!
//! ```
//! sup_probe::provider! {
//!     /// What becomes of files.
//!     pub mod files;
//!     probe open(fd: i32, size: u64);
//!     probe close(fd: i32);
//! }
//! use sup_probe::probe;
//!
//! fn open(fd: i32, size: u64) {
//!     probe!(files, open, fd, size);
//! }
//! # fn main() { open(3, 4096) }
//! ```
//!
//! * [`provider!`] makes the description of the probes, a VTG object as the driver wants it, in the image.
//! * [`probe!`] is a place where one fires; [`probe_enabled!`] asks whether anybody would be told.
//! * Who registers the object (`Session::register_provider` of `sup`, `Module::register_provider` of
//!   `sup-module`) connects it with the driver's tracer. In ring 3 every place is at the same time one that
//!   the system's own tracers find, with or without the driver: a note of the `stapsdt` kind.
//!
//! This is one of the crates that contain `unsafe`: its macros write assembly, for x86-64. They may be used
//! where unsafe code is forbidden. Neighbours: `sup-abi` has the object's layout, `sup-core/src/vtg` judges it,
//! `include/supdrv/probe.h` is the same for C. Invariant: what the macros take without an error makes an
//! object that the driver's validator accepts.

#![no_std]

mod argument;
mod attributes;
mod fire;
mod handle;
mod name;
mod object;

pub use argument::ProbeArgument;
#[doc(hidden)]
pub use argument::{TYPE_NAMES, is_large};
pub use attributes::{Attribute, Attributes, Class, Stability};
#[doc(hidden)]
pub use handle::FIRE;
pub use handle::Provider;
#[cfg(not(target_os = "none"))]
pub use handle::set_fire;
#[doc(hidden)]
pub use name::{NAME_WORDS, is_same, probe_name, provider_name, uuid_half};
#[doc(hidden)]
pub use sup_abi::VTGOBJHDR;

/// What makes the UUIDs of one build differ from those of another: `SUPDRV_PROBE_SEED` of its environment.
#[doc(hidden)]
pub const SEED: &str = match option_env!("SUPDRV_PROBE_SEED") {
    Some(seed) => seed,
    None => "",
};
