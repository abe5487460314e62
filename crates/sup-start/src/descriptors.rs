//! Descriptors 0 to 2 are open, and the programs that this process starts inherit no others.
//!
//! Who starts a program may have closed them: then the next file that is opened would be the one that
//! messages go to. Invariant: after [`settle`] a file that is opened is none of the three.

use std::os::fd::{AsRawFd, IntoRawFd};

use rustix::fs::{Mode, OFlags};

use crate::fatal::Failure;

/// Opens what is closed of the first three, and has all others closed when a program is started.
///
/// # Errors
/// Plain: there is no `/dev/null`, no descriptor is left, or the kernel is older than the call that marks them.
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
    close_on_exec(3)
}

/// Marks all descriptors from `first` on.
fn close_on_exec(first: libc::c_uint) -> Result<(), Failure> {
    // SAFETY: no descriptor is closed, only marked, and no memory is passed.
    let done = unsafe {
        libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC)
    };
    match done {
        0 => Ok(()),
        _ => Err(Failure::plain(format!(
            "descriptors cannot be kept from other programs: {}; it takes Linux 5.11",
            std::io::Error::last_os_error()
        ))),
    }
}
