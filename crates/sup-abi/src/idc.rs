//! [`SUPDRVIDCHANDLE`]: another kernel driver's connection to this one.
//!
//! The handle is the client's memory; the driver keeps its session there.
//!
//! Invariant: a handle of zeros is closed.

#![expect(non_snake_case, reason = "members keep the names they have in sup.h")]

use core::ffi::c_void;
use core::ptr;

/// The version of the interface between kernel drivers. The upper half is the major number: a
/// change of it is incompatible. Corresponds to `SUPDRV_IDC_VERSION`.
pub const SUPDRV_IDC_VERSION: u32 = 0x0001_0000;

/// A connection between kernel drivers. Corresponds to `SUPDRVIDCHANDLE`.
///
/// A union in the header, whose other member is private to the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct SUPDRVIDCHANDLE {
    /// The session in the first word, NULLs in the others.
    pub apvPadding: [*mut c_void; 4],
}

impl SUPDRVIDCHANDLE {
    /// A handle that is not connected.
    pub const CLOSED: Self = Self { apvPadding: [ptr::null_mut(); 4] };
}
