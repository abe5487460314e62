//! [`Arena`]: where the packets of one thread lie while the driver reads and writes them.
//!
//! The last page is followed by one that nobody can touch, so a packet at the end shows every access
//! behind it. Invariant: no reference into an arena exists; bytes are copied in and out.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use rustix::io::Errno;
use rustix::mm::MprotectFlags;

use crate::check::Verdict;
use crate::region::Region;

/// Memory of one thread, writable to its end.
#[derive(Debug)]
pub(super) struct Arena(Region);

impl Arena {
    pub(super) fn new(pages: usize) -> Verdict<Self> {
        Ok(Self(Region::new(pages)?))
    }

    pub(super) fn bytes(&self) -> usize {
        self.0.bytes()
    }

    /// The address of a place in it.
    pub(super) fn address_of(&self, offset: usize) -> u64 {
        self.0.address() + offset as u64
    }

    /// Writes bytes, as many as there is room for.
    pub(super) fn put(&self, offset: usize, bytes: &[u8]) {
        let count = bytes.len().min(self.bytes().saturating_sub(offset));
        // SAFETY: `count` bytes from the place on are inside the region, which is mapped and writable, and
        // belong to no Rust object: an overlap with `bytes` would need one.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), self.pointer(offset), count) };
    }

    /// Reads bytes, as many as there are.
    pub(super) fn get(&self, offset: usize, bytes: &mut [u8]) {
        let count = bytes.len().min(self.bytes().saturating_sub(offset));
        // SAFETY: `count` bytes from the place on are inside the region, which is mapped and readable in
        // its every state, and no Rust object, so that they do not overlap with `bytes`.
        unsafe { ptr::copy_nonoverlapping(self.pointer(offset), bytes.as_mut_ptr(), count) };
    }

    /// Sends under any number what lies at an address: of an arena, or where nothing is.
    pub(super) fn send(
        &self,
        file: BorrowedFd<'_>,
        number: u32,
        address: u64,
    ) -> Result<(), Errno> {
        // SAFETY: the driver writes from the address on and no further than the guard page of an arena,
        // where no Rust object is; `Shot` makes no other addresses but those that nothing can be at.
        match unsafe { libc::ioctl(file.as_raw_fd(), number.into(), address) } {
            0 => Ok(()),
            _ => Err(Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO)),
        }
    }

    /// Forbids the driver to answer while `work` runs.
    pub(super) fn while_read_only<T>(&self, work: impl FnOnce() -> T) -> Verdict<T> {
        self.0.protect(MprotectFlags::READ)?;
        let result = work();
        self.0.protect(MprotectFlags::READ | MprotectFlags::WRITE)?;
        Ok(result)
    }

    fn pointer(&self, offset: usize) -> *mut u8 {
        self.address_of(offset) as usize as *mut u8
    }
}
