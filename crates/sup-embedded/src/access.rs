//! Reads and writes of addresses that somebody named: done by the kernel, which answers an error where
//! the process would get a fault.
//!
//! Both rings are memory of this process. Where the kernel has no calls for that, or a filter of system calls
//! forbids them, as in some containers, a pipe does it. Invariant: nothing here touches memory that is not mapped with
//! the right that it takes.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use libc::{c_void, iovec};
use rustix::pipe::{PipeFlags, pipe_with};
use sup_abi::Status;

/// Bytes that an empty pipe takes at once.
const PIPE_BYTES: usize = 4096;

fn vector(address: usize, bytes: usize) -> iovec {
    iovec { iov_base: address as *mut c_void, iov_len: bytes }
}

fn check(moved: isize, bytes: usize) -> Result<(), Status> {
    if usize::try_from(moved) == Ok(bytes) { Ok(()) } else { Err(Status::VERR_INVALID_POINTER) }
}

/// Whether the call that failed just now cannot be had.
fn is_missing() -> bool {
    matches!(io::Error::last_os_error().raw_os_error(), Some(libc::ENOSYS | libc::EPERM))
}

/// Copies through a pipe.
///
/// # Errors
/// `VERR_INVALID_POINTER` if not all of it can be read, or written; `VERR_NO_MEMORY` if there is no pipe.
///
/// # Safety
/// What is at `to` may be written, as far as it is mapped: no Rust reference but the caller's covers it.
unsafe fn through_pipe(from: usize, to: usize, bytes: usize) -> Result<(), Status> {
    let (reader, writer): (OwnedFd, OwnedFd) =
        pipe_with(PipeFlags::CLOEXEC).map_err(|_| Status::VERR_NO_MEMORY)?;
    for offset in (0..bytes).step_by(PIPE_BYTES) {
        let piece = PIPE_BYTES.min(bytes - offset);
        let (from, to) =
            (from.wrapping_add(offset) as *const c_void, to.wrapping_add(offset) as *mut c_void);
        // SAFETY: the kernel checks the address, and only reads what is there; the pipe is empty, so it does not wait.
        check(unsafe { libc::write(writer.as_raw_fd(), from, piece) }, piece)?;
        // SAFETY: the kernel checks the address; by this function's contract what is there may be written.
        check(unsafe { libc::read(reader.as_raw_fd(), to, piece) }, piece)?;
    }
    Ok(())
}

/// Copies from an address into `into`, of which nothing is promised if that fails.
///
/// # Errors
/// `VERR_INVALID_POINTER` if not all of it can be read; `VERR_NO_MEMORY`, where it takes a pipe, if there is none.
pub(crate) fn read(from: u64, into: &mut [u8]) -> Result<(), Status> {
    if into.is_empty() {
        return Ok(());
    }
    let local = vector(into.as_mut_ptr().expose_provenance(), into.len());
    let remote = vector(from as usize, into.len());
    // SAFETY: the call has no precondition.
    let process = unsafe { libc::getpid() };
    // SAFETY: the local part is exclusively borrowed; the kernel checks the other, and only reads it.
    let moved =
        unsafe { libc::process_vm_readv(process, &raw const local, 1, &raw const remote, 1, 0) };
    if moved < 0 && is_missing() {
        // SAFETY: `into` is exclusively borrowed.
        return unsafe { through_pipe(from as usize, local.iov_base.addr(), into.len()) };
    }
    check(moved, into.len())
}

/// Copies `bytes` to an address.
///
/// # Errors
/// `VERR_INVALID_POINTER` if not all of it can be written, of which a part may be; `VERR_NO_MEMORY` as above.
///
/// # Safety
/// No Rust reference covers what is there: it belongs to a client or a module, which wants it written.
pub(crate) unsafe fn write(to: u64, bytes: &[u8]) -> Result<(), Status> {
    if bytes.is_empty() {
        return Ok(());
    }
    let local = vector(bytes.as_ptr().expose_provenance(), bytes.len());
    let remote = vector(to as usize, bytes.len());
    // SAFETY: the call has no precondition.
    let process = unsafe { libc::getpid() };
    // SAFETY: the local part is borrowed and only read; the kernel checks the other, and by this function's
    // contract its owner wants it written.
    let moved =
        unsafe { libc::process_vm_writev(process, &raw const local, 1, &raw const remote, 1, 0) };
    if moved < 0 && is_missing() {
        // SAFETY: by this function's contract.
        return unsafe { through_pipe(local.iov_base.addr(), to as usize, bytes.len()) };
    }
    check(moved, bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_there_is_read_and_written() {
        let mut place = *b"before";
        let address = place.as_mut_ptr().expose_provenance() as u64;
        // SAFETY: the array is this test's own, and read again only afterwards.
        unsafe { write(address, b"after!") }.unwrap();
        let mut copy = [0; 6];
        read(address, &mut copy).unwrap();
        assert_eq!(&copy, b"after!");
    }

    #[test]
    fn other_addresses_are_refused() {
        let bad = Err(Status::VERR_INVALID_POINTER);
        assert_eq!(read(0, &mut [0; 4]), bad);
        assert_eq!(read(u64::MAX - 3, &mut [0; 8]), bad);
        // SAFETY: nothing is there.
        assert_eq!(unsafe { write(8, &[1]) }, bad);
        static CONSTANT: [u8; 4] = *b"keep";
        // SAFETY: what is there cannot be written, which is what this test wants to see.
        assert_eq!(unsafe { write(CONSTANT.as_ptr().expose_provenance() as u64, b"lose") }, bad);
        assert_eq!(&CONSTANT, b"keep");
    }

    /// As where `process_vm_readv` cannot be had.
    #[test]
    fn a_pipe_does_it_too() {
        let from: Vec<u8> = (0..3 * PIPE_BYTES + 5).map(|index| (index % 251) as u8).collect();
        let mut to = vec![0; from.len()];
        let (source, target) =
            (from.as_ptr().expose_provenance(), to.as_mut_ptr().expose_provenance());
        // SAFETY: the vector is this test's own, and read again only afterwards.
        assert_eq!(unsafe { through_pipe(source, target, from.len()) }, Ok(()));
        assert_eq!(to, from);
        let bad = Err(Status::VERR_INVALID_POINTER);
        static CONSTANT: [u8; 4] = *b"keep";
        let constant = CONSTANT.as_ptr().expose_provenance();
        for (source, target) in
            [(8, target), (source, 8), (source, constant), (usize::MAX - 3, target)]
        {
            // SAFETY: as above; else nothing is there that could be written.
            assert_eq!(unsafe { through_pipe(source, target, 4) }, bad);
        }
        assert_eq!(CONSTANT, *b"keep");
    }
}
