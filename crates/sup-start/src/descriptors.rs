//! Descriptors 0 to 2 are open, and the programs that this process starts inherit no others.
//!
//! Who starts a program may have closed them: then the next file that is opened would be the one that
//! messages go to. Invariant: after [`settle`] a file that is opened is none of the three.

use std::os::fd::{AsRawFd, BorrowedFd, IntoRawFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::fatal::Failure;

/// Opens what is closed of the first three, and has all others closed when a program is started.
///
/// # Errors
/// Plain: there is no `/dev/null`, or no descriptor is left.
pub(crate) fn settle() -> Result<(), Failure> {
    // The lowest free descriptor is taken, so these fill up from 0.
    loop {
        let null = rustix::fs::open("/dev/null", OFlags::RDWR, Mode::empty())
            .map_err(|error| Failure::plain(format!("'/dev/null' cannot be opened: {error}")))?;
        if null.as_raw_fd() > 2 {
            break;
        }
        // One of the three, and stays.
        let _ = null.into_raw_fd();
    }
    close_on_exec(3);
    Ok(())
}

/// Marks all descriptors from `first` on.
fn close_on_exec(first: libc::c_uint) {
    // SAFETY: no descriptor is closed, only marked, and no memory is passed.
    let done = unsafe {
        libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC)
    };
    if done == 0 {
        return;
    }
    // Kernels before 5.11: one by one, as many as there can be.
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    for number in first..limit.and_then(|limit| u32::try_from(limit).ok()).unwrap_or(1 << 16) {
        // SAFETY: the number is only asked and marked; one that is not open is answered with an error.
        let descriptor = unsafe { BorrowedFd::borrow_raw(number as i32) };
        if let Err(Errno::BADF) = rustix::io::fcntl_setfd(descriptor, rustix::io::FdFlags::CLOEXEC)
        {
            continue;
        }
    }
}
