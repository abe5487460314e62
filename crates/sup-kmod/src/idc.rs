//! `SUPDrvLinuxIDC`: the requests of other kernel modules.
//!
//! The shim exports that symbol, with the prototype that the kernel's loader compares. A module that uses it
//! keeps this one in the kernel, so that there is a driver whenever it calls.
//!
//! Neighbours: `sup_ring0::idc` carries the requests out, `kmod/supdrv_idc.h` is what a client includes.
//! Invariant: nothing is decided here.

use core::ffi::c_int;

use sup_abi::IdcHeader;
use sup_ring0::idc::packets;

use crate::host::KernelHost;

/// A request of another kernel module. The status is the transport's.
///
/// # Safety
/// That of [`packets::request`].
#[unsafe(no_mangle)]
unsafe extern "C" fn supdrv_idc(code: u32, packet: *mut IdcHeader) -> c_int {
    // SAFETY: by this function's contract.
    unsafe { packets::request::<KernelHost>(code, packet) }.raw()
}
