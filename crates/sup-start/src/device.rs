//! The device, opened while the process may.
//!
//! Neighbour: `sup-abi` has its path and the statuses of a failed open. Invariant: programs that this process
//! starts do not inherit it.

use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};
use rustix::io::retry_on_intr;
use sup_abi::request::ioctl;
use sup_abi::{SUPINITOP, Status};

use crate::fatal::Failure;

/// Opens it.
///
/// # Errors
/// `Driver`, with `VERR_VM_DRIVER_NOT_INSTALLED`, `VERR_VM_DRIVER_NOT_ACCESSIBLE`, `VERR_VM_DRIVER_LOAD_ERROR`
/// or `VERR_VM_DRIVER_OPEN_ERROR`.
pub(crate) fn open() -> Result<OwnedFd, Failure> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOCTTY;
    retry_on_intr(|| rustix::fs::open(ioctl::DEVICE, flags, Mode::empty())).map_err(|error| {
        let status = ioctl::open_status(error.raw_os_error());
        let why = match status {
            Status::VERR_VM_DRIVER_NOT_INSTALLED => "does not exist",
            Status::VERR_VM_DRIVER_NOT_ACCESSIBLE => "may not be opened, not even by root",
            Status::VERR_VM_DRIVER_LOAD_ERROR => "has no driver behind it",
            _ => "cannot be opened",
        };
        let sentence = format!("{} {why} ({error})", ioctl::DEVICE);
        Failure::fatal(c"suplibOsInit", SUPINITOP::Driver, status, sentence)
    })
}
