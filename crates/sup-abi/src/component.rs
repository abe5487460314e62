//! [`SUPDRVFACTORY`]: how one kernel driver offers interfaces to another.
//!
//! A driver registers a factory under a name; whoever asks for that name and an interface UUID gets
//! what the factory's callback returns. Registration goes through a kernel session (`idc`).
//!
//! Invariant: the owner keeps a registered factory in place until it is deregistered.

#![expect(non_snake_case, reason = "members keep the names they have in sup.h")]

use core::ffi::{c_char, c_void};

use crate::SUPDRVSESSION;

/// Bytes in [`SUPDRVFACTORY::szName`], the terminator included.
pub const FACTORY_NAME_BYTES: usize = 56;

/// Returns the interface with the given UUID, in text form, or NULL if the factory has none.
///
/// Corresponds to the type of `SUPDRVFACTORY::pfnQueryFactoryInterface`. The driver calls it while
/// it holds the factory lock, so it must not call the factory functions itself.
pub type PFNQUERYFACTORYINTERFACE = Option<
    unsafe extern "C" fn(
        pSupDrvFactory: *const SUPDRVFACTORY,
        pSession: *mut SUPDRVSESSION,
        pszInterfaceUuid: *const c_char,
    ) -> *mut c_void,
>;

/// A named source of interfaces. Corresponds to `SUPDRVFACTORY`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct SUPDRVFACTORY {
    /// The name, which is unique in the system, and a terminator.
    pub szName: [u8; FACTORY_NAME_BYTES],
    /// The function that hands out the interfaces.
    pub pfnQueryFactoryInterface: PFNQUERYFACTORYINTERFACE,
}
