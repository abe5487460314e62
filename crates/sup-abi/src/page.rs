//! [`SUPPAGE`]: how the memory functions tell the physical address of a page.
//!
//! The allocation functions fill arrays of it, one entry per page. The page size and the address
//! type are in `units`.
//!
//! Invariant: entries are packed to four bytes, so an array of them may start at any such address;
//! copy a field before borrowing it.

#![expect(non_snake_case, reason = "members keep the names they have in sup.h")]

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::PhysAddr;

/// One page of host memory. Corresponds to `SUPPAGE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, packed(4))]
pub struct SUPPAGE {
    /// Where the page starts in physical memory.
    pub Phys: PhysAddr,
    /// Free for the owner of the array. The driver always writes zero.
    pub uReserved: u64,
}

impl SUPPAGE {
    /// Describes the page at `phys`, with the reserved member cleared.
    #[must_use]
    pub const fn new(phys: PhysAddr) -> Self {
        Self { Phys: phys, uReserved: 0 }
    }
}
