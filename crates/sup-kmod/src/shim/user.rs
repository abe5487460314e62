//! The memory of ring 3, as claims: an address that a client named, checked by each copy.

use core::ffi::c_void;

use super::{Errno, raw};

/// An address in ring 3 that nobody has checked.
#[derive(Clone, Copy)]
pub(crate) struct UserAddress(pub(crate) u64);

impl UserAddress {
    /// Copies from there into `to`; nothing is promised of `to` if that fails.
    ///
    /// # Errors
    /// `EFAULT`.
    ///
    /// # Context
    /// May sleep.
    #[inline]
    pub(crate) fn read(self, to: &mut [u8]) -> Result<(), Errno> {
        // SAFETY: the slice is writable memory of that length; the shim checks the address.
        Errno::check(unsafe {
            raw::supdrv_copy_in(to.as_mut_ptr().cast::<c_void>(), self.0, to.len())
        })
    }

    /// Copies `from` there.
    ///
    /// # Errors
    /// `EFAULT`; a part may have been written.
    ///
    /// # Context
    /// May sleep.
    #[inline]
    pub(crate) fn write(self, from: &[u8]) -> Result<(), Errno> {
        // SAFETY: the slice is initialised memory of that length; the shim checks the address.
        Errno::check(unsafe {
            raw::supdrv_copy_out(self.0, from.as_ptr().cast::<c_void>(), from.len())
        })
    }

    /// The address so many bytes further on, which may wrap; the copy refuses it then.
    pub(crate) fn offset(self, bytes: usize) -> Self {
        Self(self.0.wrapping_add(bytes as u64))
    }
}
