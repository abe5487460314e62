//! The packets of the requests, each the part behind the [`Header`](super::Header).
//!
//! Neighbours: `table.rs` pairs them with numbers; `logger.rs`, `memory.rs`, `module.rs`, `tracer.rs` and `vmm.rs` hold those of
//! their subsystems. Fields that the receiver must find zero are named
//! `reserved`. Addresses in ring 0 are values for ring-0 modules; ring 3 cannot use them.

#![expect(
    missing_debug_implementations,
    reason = "zerocopy makes hidden marker types of fields that come from a macro"
)]

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{PhysAddr, R3Ptr};

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

mod logger;
mod memory;
mod module;
mod tracer;
mod vmm;

pub use logger::*;
pub use memory::*;
pub use module::*;
pub use tracer::*;
pub use vmm::*;

/// The random name of a session: nonzero, and meaningless to anybody but its driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(transparent)]
pub struct SessionId(pub u64);

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
