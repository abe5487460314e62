//! [`RTERRINFO`]: a caller's buffer for an explanation in words.
//!
//! Optional in every function that takes one. The caller prepares it with
//! [`RTERRINFO_FLAGS_MAGIC`] and a buffer; a failing function fills in status and text. Writing
//! through the pointer is left to the ring-3 library.
//!
//! Invariant: without the magic nothing may be written; [`RTERRINFO_FLAGS_SET`] is set exactly while
//! status and text are filled in.

#![expect(non_snake_case, reason = "members keep the names they have in sup.h")]

#[cfg(test)]
mod tests;

use core::ffi::{c_char, c_void};

use crate::Status;

/// The buffer is the caller's own. Corresponds to `RTERRINFO_FLAGS_T_CUSTOM`.
pub const RTERRINFO_FLAGS_T_CUSTOM: u32 = 0;

/// Structure and buffer are one variable. Corresponds to `RTERRINFO_FLAGS_T_STATIC`.
pub const RTERRINFO_FLAGS_T_STATIC: u32 = 1;

/// Structure and buffer are one allocation. Corresponds to `RTERRINFO_FLAGS_T_ALLOC`.
pub const RTERRINFO_FLAGS_T_ALLOC: u32 = 2;

/// The bits that tell where the buffer lives. Corresponds to `RTERRINFO_FLAGS_T_MASK`.
pub const RTERRINFO_FLAGS_T_MASK: u32 = 3;

/// Status and text are filled in. Corresponds to `RTERRINFO_FLAGS_SET`.
pub const RTERRINFO_FLAGS_SET: u32 = 4;

/// What the upper half of a prepared structure's flags holds. Corresponds to
/// `RTERRINFO_FLAGS_MAGIC`.
pub const RTERRINFO_FLAGS_MAGIC: u32 = 0xbabe_0000;

/// The bits that hold the magic. Corresponds to `RTERRINFO_FLAGS_MAGIC_MASK`.
pub const RTERRINFO_FLAGS_MAGIC_MASK: u32 = 0xffff_0000;

/// Room for an explanation. Corresponds to `RTERRINFO`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct RTERRINFO {
    /// `RTERRINFO_FLAGS_*`.
    pub fFlags: u32,
    /// The status that the text explains.
    pub rc: Status,
    /// Bytes in the buffer.
    pub cbMsg: usize,
    /// The buffer, always terminated.
    pub pszMsg: *mut c_char,
    /// NULL.
    pub apvReserved: [*mut c_void; 2],
}

impl RTERRINFO {
    /// Tells whether the caller has prepared the structure, so that it may be written.
    #[must_use]
    pub const fn is_prepared(&self) -> bool {
        self.fFlags & RTERRINFO_FLAGS_MAGIC_MASK == RTERRINFO_FLAGS_MAGIC
    }

    /// Tells whether it holds a status and a text.
    #[must_use]
    pub const fn is_set(&self) -> bool {
        self.is_prepared() && self.fFlags & RTERRINFO_FLAGS_SET != 0
    }
}
