//! The packets of the requests on module images and of the calls into them.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::R0Ptr;

/// Bytes of text in [`LoadModuleOut::message`], the terminator included.
pub const MESSAGE_BYTES: usize = 240;

packets! {
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
}
