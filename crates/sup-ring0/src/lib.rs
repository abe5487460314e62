//! The ring-0 face of the driver: the functions that modules import, and the loader of module images.
//!
//! * [`elf`] checks an image file and relocates it; safe code, hostile input.
//! * [`mapper`] puts a checked image into executable memory, writable or executable but never both.
//! * [`calls`] lets a module abandon the call that it is in, which is what a panic does.
//! * [`crash`] names the modules, and the functions in them, that a fault has to do with.
//! * [`exports`] is the table of functions that modules may import: the C face of the driver's
//!   services, under the header's names.
//! * [`absolute`] has the symbols whose addresses are values.
//! * [`tracer`] has tracers and providers, and [`fire`] the way of a probe's hit to the tracer.
//! * [`idc`] has the sessions of modules, and of kernel modules that are not loaded by this driver.
//! * [`printf`] is the entry of the one function with variable arguments.
//!
//! Everything is generic over the backend's host ([`Ring0`]), so that a backend gets the C functions
//! for its own driver.
//!
//! This is one of the crates that contain `unsafe`: here values from C become types, and addresses in
//! images become calls. Invariant: a module's mistake in a handle, a session or a size is answered with
//! a status; only what C itself cannot promise (a pointer to memory that is not there) is its own.

#![no_std]
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

#[cfg(test)]
extern crate std;

pub mod absolute;
pub mod calls;
pub mod components;
pub mod crash;
pub mod destructor;
pub mod elf;
pub mod exports;
pub mod fire;
mod gip;
pub mod idc;
pub mod mapper;
mod memory;
mod naked;
mod names;
pub mod own_probes;
mod panic;
pub mod printf;
mod semaphores;
pub mod tracer;

use sup_alloc::Arc;
use sup_core::Driver;
use sup_core::host::Host;

use crate::components::NativeFactory;
use crate::destructor::NativeDestructor;
use crate::tracer::NativeTracer;

use self::absolute::Segments;

/// A host whose driver ring-0 modules can reach.
pub trait Ring0: Host {
    /// Where the calls into modules are noted.
    type Calls: calls::Calls;

    /// The running driver; `None` if there is none.
    ///
    /// # Context
    /// Never sleeps.
    fn driver() -> Option<Arc<Driver<Self>>>;

    /// The way into processes for a session that none opened.
    fn kernel_client() -> Self::Client;

    /// The selectors that the absolute symbols are made of.
    ///
    /// # Context
    /// Never sleeps.
    fn segments(&self) -> Segments;

    /// How many bits an address has in ring 0: 48 with four levels of page tables, 57 with five.
    ///
    /// # Context
    /// Never sleeps.
    fn address_bits() -> u32;
}

/// A host whose things in modules are this crate's.
pub trait Native:
    Ring0
    + Host<
        Destructor = NativeDestructor,
        Factory = NativeFactory,
        Tracer = NativeTracer<<Self as Ring0>::Calls>,
    >
{
}

impl<R> Native for R where
    R: Ring0
        + Host<
            Destructor = NativeDestructor,
            Factory = NativeFactory,
            Tracer = NativeTracer<<R as Ring0>::Calls>,
        >
{
}
