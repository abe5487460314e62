//! The memory of ring 3, as claims: an address that a client named, checked by each copy.

use core::ffi::c_void;
use core::mem::MaybeUninit;

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

    /// Copies the three words of a packet's header from there, and returns them initialised.
    ///
    /// # Errors
    /// `EFAULT`.
    ///
    /// # Context
    /// May sleep.
    #[inline]
    pub(crate) fn read_header(self, to: &mut [MaybeUninit<u64>; 3]) -> Result<&[u64; 3], Errno> {
        // SAFETY: the array is three writable words; the shim checks the address.
        Errno::check(unsafe { raw::supdrv_copy_header_in(to.as_mut_ptr().cast::<u64>(), self.0) })?;
        // SAFETY: the call succeeded, so it wrote all three words, as shim.h says.
        Ok(unsafe { &*to.as_ptr().cast::<[u64; 3]>() })
    }

    /// Copies `bytes` from there into the words that hold them, and zeroes the rest of the last one: the
    /// quick way for a few words. They are initialised if it succeeds.
    ///
    /// # Errors
    /// `EFAULT`, also if the words do not hold so many bytes.
    ///
    /// # Context
    /// May sleep.
    #[inline]
    pub(crate) fn read_words(self, to: &mut [MaybeUninit<u64>], bytes: u32) -> Result<(), Errno> {
        if bytes as usize > size_of_val(to) {
            return Err(Errno::EFAULT);
        }
        // SAFETY: the slice is writable words that hold so many bytes; the shim checks the address.
        Errno::check(unsafe {
            raw::supdrv_copy_words_in(to.as_mut_ptr().cast::<u64>(), self.0, bytes)
        })
    }

    /// Copies `bytes` out of the words that hold them.
    ///
    /// # Errors
    /// `EFAULT`, also if the words do not hold so many bytes; a part may have been written.
    ///
    /// # Context
    /// May sleep.
    #[inline(always)]
    pub(crate) fn write_words(self, from: &[u64], bytes: u32) -> Result<(), Errno> {
        if bytes as usize > size_of_val(from) {
            return Err(Errno::EFAULT);
        }
        // SAFETY: the slice is initialised words that hold so many bytes; the shim checks the address.
        Errno::check(unsafe { raw::supdrv_copy_words_out(self.0, from.as_ptr(), bytes) })
    }

    /// The address so many bytes further on, which may wrap; the copy refuses it then.
    pub(crate) fn offset(self, bytes: usize) -> Self {
        Self(self.0.wrapping_add(bytes as u64))
    }
}
