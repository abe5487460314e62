//! The packets of the requests for memory.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{PhysAddr, R0Ptr, R3Ptr};

packets! {
    /// Input of [`LowAlloc`](super::LowAlloc) and [`ContAlloc`](super::ContAlloc).
    PageCountIn (8) {
        /// Number of pages.
        pages: u32,
        /// Zero.
        reserved: u32,
    }

    /// Input of [`PageAllocEx`](super::PageAllocEx).
    PageAllocExIn (8) {
        /// Number of pages.
        pages: u32,
        /// 1 if ring 0 gets a mapping too, else 0.
        kernel_mapping: u8,
        /// 1: ring 3 always gets a mapping.
        user_mapping: u8,
        /// Zero.
        reserved: [u8; 2],
    }

    /// Output of [`LowAlloc`](super::LowAlloc) and [`PageAllocEx`](super::PageAllocEx); the physical
    /// address of each page follows.
    MemoryOut (24) {
        /// The mapping in the calling process.
        r3: R3Ptr,
        /// The mapping in ring 0, NIL if there is none.
        r0: R0Ptr,
        /// See [`MEMORY_SYNTHETIC_PHYS`].
        flags: u32,
        /// Zero.
        reserved: u32,
    }

    /// Output of [`ContAlloc`](super::ContAlloc).
    ContAllocOut (32) {
        /// The mapping in ring 0.
        r0: R0Ptr,
        /// The mapping in the calling process.
        r3: R3Ptr,
        /// Physical address of the first page.
        phys: PhysAddr,
        /// See [`MEMORY_SYNTHETIC_PHYS`].
        flags: u32,
        /// Zero.
        reserved: u32,
    }

    /// Input of the requests that free memory.
    AddressIn (8) {
        /// The address in ring 3 that the allocation returned.
        r3: R3Ptr,
    }
}

/// The physical addresses are numbers of this driver's own, not the machine's: unique, stable for the
/// life of the block, and within the limits that the service promises.
pub const MEMORY_SYNTHETIC_PHYS: u32 = 1;
