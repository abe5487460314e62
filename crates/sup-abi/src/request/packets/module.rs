//! The packets of the requests on module images and of the calls into them.

use num_enum::{IntoPrimitive, TryFromPrimitive};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::R0Ptr;

/// Bytes of text in [`LoadModuleOut::message`], the terminator included.
pub const MESSAGE_BYTES: usize = 240;

/// The most keys that a driver can trust.
pub const TRUSTED_KEYS_MAX: usize = 8;

/// By whom a module is signed, in [`LoadModuleOut::trust`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoPrimitive, TryFromPrimitive)]
#[repr(u32)]
pub enum Trust {
    /// By nobody.
    Unsigned = 0,
    /// By a key that the driver does not trust.
    Unknown = 1,
    /// By a key that the driver trusts.
    Trusted = 2,
}

/// What a driver demands of modules, in [`ModulePolicyOut::demand`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoPrimitive, TryFromPrimitive)]
#[repr(u32)]
pub enum ModuleDemand {
    /// Nothing: modules may be unsigned.
    Nothing = 0,
    /// A signature by a trusted key.
    Signature = 1,
    /// A signature by a trusted key, whose owner declares the code kernel-grade.
    KernelGrade = 2,
}

packets! {
    /// Input of [`LoadModule`](crate::request::LoadModule); the image file follows.
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

    /// Output of [`LoadModule`](crate::request::LoadModule), also when the request fails.
    LoadModuleOut (296) {
        /// Where the image is, in ring 0; the module's name in later requests.
        base: R0Ptr,
        /// Bytes of the image in memory.
        image_bytes: u32,
        /// 1 if the module was loaded already and got one more reference, else 0.
        was_loaded: u32,
        /// Why the request failed, NUL-terminated; empty if the status says it all.
        message: [u8; MESSAGE_BYTES],
        /// A [`Trust`].
        trust: u32,
        /// Zero.
        reserved: u32,
        /// The public key that the file is signed with; zero if it is not signed.
        signer: [u8; 32],
    }

    /// Input of requests on a loaded module.
    ImageIn (8) {
        /// [`LoadModuleOut::base`].
        base: R0Ptr,
    }

    /// Output of [`FreeModule`](crate::request::FreeModule), also when the request fails.
    FreeModuleOut (240) {
        /// Why the request failed, NUL-terminated; empty if the status says it all.
        message: [u8; MESSAGE_BYTES],
    }

    /// Input of [`GetSymbol`](crate::request::GetSymbol).
    GetSymbolIn (72) {
        /// [`LoadModuleOut::base`].
        base: R0Ptr,
        /// Name of the symbol, NUL-terminated.
        name: [u8; 64],
    }

    /// Output of [`GetSymbol`](crate::request::GetSymbol).
    GetSymbolOut (8) {
        /// The symbol's address in ring 0.
        address: R0Ptr,
    }

    /// Output of [`ModulePolicy`](crate::request::ModulePolicy).
    ModulePolicyOut (264) {
        /// A [`ModuleDemand`].
        demand: u32,
        /// Keys that are trusted.
        key_count: u32,
        /// So many public keys, and then zeros.
        keys: [[u8; 32]; TRUSTED_KEYS_MAX],
    }

    /// Input of [`ListModules`](crate::request::ListModules).
    ListModulesIn (40) {
        /// A name, NUL-terminated: the next one in the order of their bytes is told of. Empty for the first.
        after: [u8; 32],
        /// How many [`ModuleUse`]s there is room for behind the output.
        use_room: u32,
        /// Zero.
        reserved: u32,
    }

    /// Output of [`ListModules`](crate::request::ListModules); the sessions that use the module follow, as far as the
    /// caller may know of them and there is room, and then zeros.
    ListModulesOut (144) {
        /// The module's name, NUL-terminated.
        name: [u8; 32],
        /// The SHA-256 of its file without the signature.
        hash: [u8; 32],
        /// The public key that the file is signed with; zero if it is not signed.
        signer: [u8; 32],
        /// A [`Trust`].
        trust: u32,
        /// Bytes of the image in memory.
        image_bytes: u32,
        /// Where the image is, in ring 0. 0 for who may not know: a session that has not loaded it, of a
        /// caller that may not bring code into ring 0.
        base: R0Ptr,
        /// References of all sessions.
        references: u64,
        /// References of the calling session.
        own_references: u64,
        /// Modules that import from it and sessions whose VM is set: of VMMR0.r0 alone.
        dependents: u64,
        /// Sessions that the caller may know of, also those that there is no room for.
        use_count: u32,
        /// Calls that run in it, besides `ModuleInit` and `ModuleTerm`.
        running: u32,
    }

    /// A session that uses a module, in the answer to [`ListModules`](crate::request::ListModules).
    ModuleUse (16) {
        /// The process that opened the session.
        process: u32,
        /// Its real user.
        user: u32,
        /// References of the session.
        references: u64,
    }

    /// Input of [`CallService`](crate::request::CallService); the request packet, if any, follows.
    CallServiceIn (40) {
        /// Name of the service, NUL-terminated.
        name: [u8; 28],
        /// The operation, for the service to interpret.
        operation: u32,
        /// The argument, for the service to interpret.
        argument: u64,
    }

    /// Output of [`CallService`](crate::request::CallService); the request packet as the service left it follows.
    CallServiceOut (40) {
        /// Zero.
        reserved: [u64; 5],
    }
}
