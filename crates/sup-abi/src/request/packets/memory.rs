//! The packets of the requests for memory.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{PhysAddr, R0Ptr, R3Ptr};

packets! {
    /// Input of [`LowAlloc`](crate::request::LowAlloc) and [`ContAlloc`](crate::request::ContAlloc).
    PageCountIn (8) {
        /// Number of pages.
        pages: u32,
        /// Zero.
        reserved: u32,
    }

    /// Input of [`PageAllocEx`](crate::request::PageAllocEx).
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

    /// Output of [`LowAlloc`](crate::request::LowAlloc) and [`PageAllocEx`](crate::request::PageAllocEx); the physical
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

    /// Input of [`LockPages`](crate::request::LockPages).
    LockPagesIn (16) {
        /// Where the pages start in the calling process.
        r3: R3Ptr,
        /// Number of pages.
        pages: u32,
        /// Zero.
        reserved: u32,
    }

    /// Output of [`LockPages`](crate::request::LockPages); the physical address of each page follows.
    LockPagesOut (8) {
        /// See [`MEMORY_SYNTHETIC_PHYS`].
        flags: u32,
        /// Zero.
        reserved: u32,
    }

    /// Input of [`PageMapKernel`](crate::request::PageMapKernel).
    PageMapKernelIn (24) {
        /// Where the block starts in ring 3: from [`PageAllocEx`](crate::request::PageAllocEx), or locked.
        r3: R3Ptr,
        /// Bytes from the start of the block to what shall be mapped: whole pages.
        offset: u32,
        /// Bytes to map: whole pages, and not none.
        bytes: u32,
        /// Zero.
        flags: u32,
        /// Zero.
        reserved: u32,
    }

    /// Output of [`PageMapKernel`](crate::request::PageMapKernel).
    PageMapKernelOut (8) {
        /// The new mapping in ring 0; it goes with the block.
        r0: R0Ptr,
    }

    /// Input of [`PageProtect`](crate::request::PageProtect).
    PageProtectIn (32) {
        /// Where the block starts in ring 3, NIL if that mapping stays as it is.
        r3: R3Ptr,
        /// Where the block starts in ring 0, NIL if that mapping stays as it is.
        r0: R0Ptr,
        /// Bytes from the start of the block to what shall change: whole pages.
        offset: u32,
        /// Bytes to change: whole pages, and not none.
        bytes: u32,
        /// `RTMEM_PROT_*`.
        protection: u32,
        /// Zero.
        reserved: u32,
    }

    /// Output of [`ContAlloc`](crate::request::ContAlloc).
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
