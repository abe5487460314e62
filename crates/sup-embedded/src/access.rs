//! Reads and writes of addresses that somebody named: done by the kernel, which answers an error where
//! the process would get a fault.
//!
//! Both rings are memory of this process. Invariant: nothing here touches memory that is not mapped with
//! the right that it takes.

use libc::{c_void, iovec};
use sup_abi::Status;

fn vector(address: usize, bytes: usize) -> iovec {
    iovec { iov_base: address as *mut c_void, iov_len: bytes }
}

fn check(moved: isize, bytes: usize) -> Result<(), Status> {
    if usize::try_from(moved) == Ok(bytes) { Ok(()) } else { Err(Status::VERR_INVALID_POINTER) }
}

/// Copies from an address into `into`, of which nothing is promised if that fails.
///
/// # Errors
/// `VERR_INVALID_POINTER` if not all of it can be read.
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
    check(moved, into.len())
}

/// Copies `bytes` to an address.
///
/// # Errors
/// `VERR_INVALID_POINTER` if not all of it can be written; a part may be.
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
}
