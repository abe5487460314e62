//! Owners whose constructors can fail: what ring 0 uses instead of `Arc` and `Vec` of the standard library.
//!
//! In ring 0 an allocation may fail and nothing may panic. The standard library's `Arc::new` and
//! `Vec::push` abort on failure, and the kernel build compiles `alloc` without them. The two owners
//! here are the same ideas with a constructor that returns [`OutOfMemory`]:
//!
//! * [`Arc`]: shared ownership, without weak references; its count saturates instead of wrapping.
//! * [`Vec`]: a growable array; everything that only reads or shrinks is the slice's own.
//!
//! This is one of the crates that contain `unsafe`. Invariant: every `unsafe` block concerns memory
//! that the owner allocated itself; no pointer enters or leaves through the public interface.

#![no_std]
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

extern crate alloc;

mod arc;
#[cfg(feature = "faults")]
pub mod faults;
#[cfg(feature = "locks")]
pub mod locks;
mod vec;

pub use arc::Arc;
pub use vec::Vec;

use sup_abi::Status;

/// Fails where a test wants an allocation to fail.
#[inline]
fn may_allocate() -> Result<(), OutOfMemory> {
    #[cfg(feature = "locks")]
    locks::may_sleep();
    #[cfg(feature = "faults")]
    return faults::may_allocate();
    #[cfg(not(feature = "faults"))]
    return Ok(());
}

/// The allocator had no memory to give. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfMemory;

impl core::fmt::Display for OutOfMemory {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("out of memory")
    }
}

impl core::error::Error for OutOfMemory {}

/// Every out-of-memory of the driver is `VERR_NO_MEMORY` unless the service names its own status.
impl From<OutOfMemory> for Status {
    fn from(_: OutOfMemory) -> Self {
        Status::VERR_NO_MEMORY
    }
}
