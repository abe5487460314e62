//! The packets of the requests, each the part behind the [`Header`](super::Header).
//!
//! Neighbours: `table.rs` pairs them with numbers. Fields that the receiver must find zero are named
//! `reserved`. Addresses in ring 0 are values for ring-0 modules; ring 3 cannot use them.

#![expect(
    missing_debug_implementations,
    reason = "zerocopy makes hidden marker types of fields that come from a macro"
)]

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{PhysAddr, R0Ptr, R3Ptr};

macro_rules! packets {
    ($($(#[$about:meta])* $name:ident ($size:literal) { $($(#[$field_about:meta])* $field:ident: $type:ty,)* })*) => {$(
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
        #[repr(C)]
        pub struct $name {
            $($(#[$field_about])* pub $field: $type,)*
        }
        const _: () = assert!(size_of::<$name>() == $size);
    )*};
}

/// The random name of a session: nonzero, and meaningless to anybody but its driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(transparent)]
pub struct SessionId(pub u64);

/// Bytes of text in [`LoadModuleOut::message`], the terminator included.
pub const MESSAGE_BYTES: usize = 240;

packets! {
    /// Nothing behind the header.
    Empty (0) {}

    /// Input of [`Connect`](super::Connect).
    ConnectIn (24) {
        /// [`CONNECT_MAGIC`](super::CONNECT_MAGIC).
        magic: [u8; 16],
        /// The version that the library was written for.
        requested_version: u32,
        /// The lowest version that it can work with.
        minimum_version: u32,
    }
    /// Output of [`Connect`](super::Connect).
    ConnectOut (32) {
        /// For [`Header::cookie`](super::Header::cookie) from now on.
        cookie: u32,
        /// For [`Header::session_cookie`](super::Header::session_cookie) from now on.
        session_cookie: u32,
        /// The version agreed on, all ones if none.
        session_version: u32,
        /// The driver's own version, also when the versions do not fit.
        driver_version: u32,
        /// The number of functions that modules can import.
        export_count: u32,
        /// Zero.
        reserved: u32,
        /// The name of the session.
        session: SessionId,
    }

    /// Input of [`LoadModule`](super::LoadModule); the image file follows.
    LoadModuleIn (112) {
        /// Name of the module, NUL-terminated.
        name: [u8; 32],
        /// Name of the service request handler, NUL-terminated; empty for none.
        handler: [u8; 64],
        /// Bytes of the image file behind this.
        image_bytes: u32,
        /// Zero.
        reserved: u32,
        /// Zero.
        reserved2: u64,
    }
    /// Output of [`LoadModule`](super::LoadModule), also when the request fails.
    LoadModuleOut (256) {
        /// Where the image is, in ring 0; the module's name in later requests.
        base: R0Ptr,
        /// Bytes of the image in memory.
        image_bytes: u32,
        /// 1 if the module was loaded already and got one more reference, else 0.
        was_loaded: u32,
        /// Why the request failed, NUL-terminated; empty if the status says it all.
        message: [u8; MESSAGE_BYTES],
    }
    /// Input of requests on a loaded module.
    ImageIn (8) {
        /// [`LoadModuleOut::base`].
        base: R0Ptr,
    }
    /// Input of [`GetSymbol`](super::GetSymbol).
    GetSymbolIn (72) {
        /// [`LoadModuleOut::base`].
        base: R0Ptr,
        /// Name of the symbol, NUL-terminated.
        name: [u8; 64],
    }
    /// Output of [`GetSymbol`](super::GetSymbol).
    GetSymbolOut (8) {
        /// The symbol's address in ring 0.
        address: R0Ptr,
    }

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

    /// Output of [`GetPagingMode`](super::GetPagingMode).
    PagingModeOut (4) {
        /// A `SUPPAGINGMODE`.
        mode: u32,
    }
    /// Output of [`VtCaps`](super::VtCaps).
    VtCapsOut (4) {
        /// `SUPVTCAPS_*`.
        caps: u32,
    }

    /// Output of [`GipMap`](super::GipMap).
    GipMapOut (24) {
        /// Physical address of the page.
        phys: PhysAddr,
        /// The read-only mapping in the calling process.
        r3: R3Ptr,
        /// See [`MEMORY_SYNTHETIC_PHYS`].
        flags: u32,
        /// Zero.
        reserved: u32,
    }

    /// Input of [`CallService`](super::CallService); the request packet, if any, follows.
    CallServiceIn (40) {
        /// Name of the service, NUL-terminated.
        name: [u8; 28],
        /// The operation, for the service to interpret.
        operation: u32,
        /// The argument, for the service to interpret.
        argument: u64,
    }
    /// Output of [`CallService`](super::CallService); the request packet as the service left it follows.
    CallServiceOut (40) {
        /// Zero.
        reserved: [u64; 5],
    }

    /// Input of [`SemaphoreOp`](super::SemaphoreOp).
    SemaphoreOpIn (24) {
        /// A [`SemaphoreKind`](crate::request::SemaphoreKind).
        kind: u32,
        /// The handle.
        handle: u32,
        /// A [`SemaphoreOperation`](crate::request::SemaphoreOperation).
        operation: u32,
        /// Zero.
        reserved: u32,
        /// Milliseconds or nanoseconds, as the operation says; zero where it waits for nothing.
        timeout: u64,
    }
    /// Input of [`SemaphoreCreate`](super::SemaphoreCreate).
    SemaphoreCreateIn (24) {
        /// A [`SemaphoreKind`](crate::request::SemaphoreKind).
        kind: u32,
        /// Zero.
        handle: u32,
        /// A [`SemaphoreQuery`](crate::request::SemaphoreQuery).
        operation: u32,
        /// Zero.
        reserved: u32,
        /// Zero.
        reserved2: u64,
    }
    /// Output of [`SemaphoreCreate`](super::SemaphoreCreate).
    SemaphoreCreateOut (8) {
        /// The new handle, or the resolution in nanoseconds.
        value: u32,
        /// Zero.
        reserved: u32,
    }

    /// Input of [`SemaphoreWords`](super::SemaphoreWords).
    SemaphoreWordsIn (8) {
        /// The page's number: the word of handle `h` is word `(h - 1) % 512` of page `(h - 1) / 512`.
        page: u32,
        /// Zero.
        reserved: u32,
    }
    /// Output of [`SemaphoreWords`](super::SemaphoreWords).
    SemaphoreWordsOut (8) {
        /// The mapping in the calling process; it stays until the session is closed.
        r3: R3Ptr,
    }

    /// Output of [`Statistics`](super::Statistics). The counts of the session follow those of all.
    StatisticsOut (96) {
        /// The whole driver.
        driver: Counts,
        /// The calling session alone; `sessions` is 1.
        session: Counts,
    }
    /// How many of each thing exist.
    Counts (48) {
        /// Open sessions.
        sessions: u64,
        /// Registered objects.
        objects: u64,
        /// Open semaphore handles.
        handles: u64,
        /// Memory blocks.
        memory_blocks: u64,
        /// Pages in them.
        memory_pages: u64,
        /// References to module images.
        image_references: u64,
    }
}

/// The physical addresses are numbers of this driver's own, not the machine's: unique, stable for the
/// life of the block, and within the limits that the service promises.
pub const MEMORY_SYNTHETIC_PHYS: u32 = 1;
