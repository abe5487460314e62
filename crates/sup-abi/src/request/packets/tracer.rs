//! Packets of the requests on the tracer and on modules of processes that have probes.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::R3Ptr;

/// Bytes of the name of a user module, with its terminator.
pub const USER_MODULE_NAME_BYTES: usize = 64;

packets! {
    /// Input of [`TracerOpen`](crate::request::TracerOpen).
    TracerOpenIn (16) {
        /// For the tracer to interpret.
        cookie: u32,
        /// Zero.
        reserved: u32,
        /// For the tracer to interpret.
        argument: u64,
    }

    /// Input of [`TracerIoCtl`](crate::request::TracerIoCtl).
    TracerIoCtlIn (16) {
        /// For the tracer to interpret.
        command: u64,
        /// For the tracer to interpret.
        argument: u64,
    }
    /// Output of [`TracerIoCtl`](crate::request::TracerIoCtl).
    TracerIoCtlOut (4) {
        /// What the tracer answers besides the status; 0 if it was not asked.
        value: i32,
    }

    /// Input of [`TracerRegisterUserModule`](crate::request::TracerRegisterUserModule).
    TracerRegisterUserModuleIn (96) {
        /// The address that the module believes its header to have.
        believed_header: u64,
        /// The header.
        header: R3Ptr,
        /// The names of functions, each terminated.
        names: R3Ptr,
        /// Bytes of names.
        name_bytes: u32,
        /// `SUP_TRACER_UMOD_FLAGS_`.
        flags: u32,
        /// The module's name, terminated.
        name: [u8; USER_MODULE_NAME_BYTES],
    }

    /// Input of [`TracerDeregisterUserModule`](crate::request::TracerDeregisterUserModule).
    TracerDeregisterUserModuleIn (8) {
        /// The header.
        header: R3Ptr,
    }
}
