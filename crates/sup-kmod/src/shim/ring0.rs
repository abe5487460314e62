//! Memory of ring 0 that somebody else named, and waiting until nobody is in a tracer.

use core::ffi::c_void;

use sup_abi::R0Ptr;

use super::{Errno, raw};

/// Copies from there into `into`; nothing is promised of it if that fails.
///
/// # Errors
/// `EFAULT` if not all of it can be read.
pub(crate) fn read(from: R0Ptr, into: &mut [u8]) -> Result<(), Errno> {
    // SAFETY: the slice is writable memory of that length; the shim takes any other address.
    Errno::check(unsafe {
        raw::supdrv_read_ring0(into.as_mut_ptr().cast::<c_void>(), from.get(), into.len())
    })
}

/// Copies `bytes` there.
///
/// # Errors
/// `EFAULT` if not all of it can be written; a part may be.
///
/// # Safety
/// No Rust reference covers what is there: it belongs to somebody who wants it written.
pub(crate) unsafe fn write(to: R0Ptr, bytes: &[u8]) -> Result<(), Errno> {
    // SAFETY: the slice is initialised memory of that length; the shim takes any address, and by this
    // function's contract its owner wants it written.
    Errno::check(unsafe {
        raw::supdrv_write_ring0(to.get(), bytes.as_ptr().cast::<c_void>(), bytes.len())
    })
}

/// Returns when every task and every interrupt has left what it was in, if that cannot sleep.
///
/// # Context
/// May sleep, for long.
pub(crate) fn wait_for_probes() {
    // SAFETY: the callers may sleep.
    unsafe { raw::supdrv_wait_for_probes() }
}
