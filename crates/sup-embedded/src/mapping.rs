//! [`Mapping`]: a piece of the address space with one owner.

use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;

use rustix::io::Errno;
use rustix::mm::{self, MapFlags, MprotectFlags, ProtFlags};

use crate::kept::{self, Keep};

/// A mapped range; dropping it unmaps it. Children of a fork do not inherit it.
#[derive(Debug)]
pub(crate) struct Mapping {
    start: NonNull<u8>,
    bytes: usize,
}

// SAFETY: a mapping is plain memory of the process, usable from any thread; who may access it when is
// the business of the types that own one.
unsafe impl Send for Mapping {}
// SAFETY: a shared `Mapping` gives out only its address and length.
unsafe impl Sync for Mapping {}

/// What may be done with the pages of a mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    ReadWrite,
}

impl From<Access> for ProtFlags {
    fn from(access: Access) -> Self {
        match access {
            Access::Read => ProtFlags::READ,
            Access::ReadWrite => ProtFlags::READ | ProtFlags::WRITE,
        }
    }
}

impl Mapping {
    /// Zeroed private memory, readable and writable, and present at once: it is written from end to end, and
    /// a page fault costs more than a page.
    ///
    /// # Errors
    /// That of `mmap` or `madvise`.
    pub(crate) fn anonymous(bytes: usize) -> Result<Self, Errno> {
        // SAFETY: without an address and without MAP_FIXED the kernel chooses unused address space, so
        // no existing mapping is touched.
        let start = unsafe {
            mm::mmap_anonymous(
                std::ptr::null_mut(),
                bytes,
                Access::ReadWrite.into(),
                MapFlags::PRIVATE | MapFlags::POPULATE,
            )
        }?;
        Self::adopt(start, bytes)
    }

    /// `bytes` bytes of a file from `offset` on, shared with every other mapping of them.
    ///
    /// # Errors
    /// That of `mmap` or `madvise`.
    pub(crate) fn shared(
        file: BorrowedFd<'_>,
        offset: u64,
        bytes: usize,
        access: Access,
    ) -> Result<Self, Errno> {
        // SAFETY: without an address and without MAP_FIXED the kernel chooses unused address space, so
        // no existing mapping is touched.
        let start = unsafe {
            mm::mmap(std::ptr::null_mut(), bytes, access.into(), MapFlags::SHARED, file, offset)
        }?;
        Self::adopt(start, bytes)
    }

    /// `bytes` bytes of a file from `offset` on, readable and writable, at an address that is a multiple
    /// of `bytes`, which is a power of two.
    ///
    /// # Errors
    /// That of `mmap` or `madvise`.
    pub(crate) fn shared_aligned(
        file: BorrowedFd<'_>,
        offset: u64,
        bytes: usize,
    ) -> Result<Self, Errno> {
        // Twice as much address space has an aligned half in it.
        let none = (ProtFlags::empty(), MapFlags::PRIVATE | MapFlags::NORESERVE);
        // SAFETY: without an address and without MAP_FIXED the kernel chooses unused address space, so
        // no existing mapping is touched.
        let start = unsafe { mm::mmap_anonymous(std::ptr::null_mut(), 2 * bytes, none.0, none.1) }?;
        let reserved = Self::adopt(start, 2 * bytes)?;
        let before = start.addr().next_multiple_of(bytes) - start.addr();
        let aligned = start.wrapping_byte_add(before);
        let flags = MapFlags::SHARED | MapFlags::FIXED;
        // SAFETY: it replaces a part of the mapping made just above, which nobody else knows of.
        let mapped =
            unsafe { mm::mmap(aligned, bytes, Access::ReadWrite.into(), flags, file, offset) }?;
        let reserved = std::mem::ManuallyDrop::new(reserved);
        kept::forget(reserved.address());
        let mapping = Self::adopt(mapped, bytes)?;
        let end = before + bytes;
        for (from, to) in [(0, before), (end, reserved.bytes)] {
            if from < to {
                // SAFETY: what was reserved on either side of the new mapping has no owner but this
                // function any more.
                unsafe { mm::munmap(start.wrapping_byte_add(from), to - from) }?;
            }
        }
        Ok(mapping)
    }

    fn adopt(start: *mut std::ffi::c_void, bytes: usize) -> Result<Self, Errno> {
        let mapping = Self { start: NonNull::new(start.cast::<u8>()).ok_or(Errno::NOMEM)?, bytes };
        // Before the advice, which an unlock of what was here before may have to be undone by.
        let address = mapping.address();
        kept::note(address..address + bytes as u64, Keep::Everything);
        // SAFETY: the range is exactly the mapping made just above.
        unsafe { mm::madvise(start, bytes, mm::Advice::LinuxDontFork) }?;
        Ok(mapping)
    }

    pub(crate) fn start(&self) -> NonNull<u8> {
        self.start
    }

    pub(crate) fn address(&self) -> u64 {
        self.start.addr().get() as u64
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Makes every page present and keeps it so.
    ///
    /// # Errors
    /// `ENOMEM` or `EAGAIN` if there is no memory or `RLIMIT_MEMLOCK` is exceeded, `EPERM` if that is
    /// zero.
    pub(crate) fn lock(&self) -> Result<(), Errno> {
        // SAFETY: the range is this mapping; locking changes nothing that a program can see.
        unsafe { mm::mlock(self.start.as_ptr().cast(), self.bytes) }
    }

    /// Lets the kernel use huge pages for it, if the administrator leaves that to programs. Whether it
    /// does shows in the time that locking takes, and nowhere else.
    pub(crate) fn prefer_huge_pages(&self) {
        // SAFETY: the range is this mapping, and the advice changes nothing that a program can see. A
        // kernel without huge pages refuses it.
        let _ = unsafe {
            mm::madvise(self.start.as_ptr().cast(), self.bytes, mm::Advice::LinuxHugepage)
        };
    }

    /// Puts a huge page behind a writable mapping of 2 MiB, aligned in memory and in its file.
    ///
    /// # Errors
    /// `EINVAL` if the kernel has no such thing, `ENOMEM` or `EAGAIN` if it finds no huge page.
    pub(crate) fn collapse(&self) -> Result<(), Errno> {
        // A file without any page has nothing to collapse.
        // SAFETY: the byte lies in this mapping, which is writable, and is 0 as it was.
        unsafe { self.start.as_ptr().write_volatile(0) };
        // SAFETY: the range is this mapping; contents stay.
        let result =
            unsafe { libc::madvise(self.start.as_ptr().cast(), self.bytes, libc::MADV_COLLAPSE) };
        if result == 0 {
            return Ok(());
        }
        let error = std::io::Error::last_os_error();
        Err(Errno::from_io_error(&error).unwrap_or(Errno::INVAL))
    }

    /// Writes zeros.
    ///
    /// # Safety
    /// The range lies within the mapping, which is writable, and nobody else has a use for the bytes.
    pub(crate) unsafe fn wipe(&self, range: Range<usize>) {
        debug_assert!(range.start <= range.end && range.end <= self.bytes);
        // SAFETY: the offset lies within the mapping, by the caller's promise.
        let start = unsafe { self.start.add(range.start) };
        // SAFETY: the bytes are mapped and writable, and nobody else uses them, by the caller's promise.
        unsafe { start.write_bytes(0, range.len()) };
    }

    /// Changes what may be done with a part of the mapping.
    ///
    /// # Safety
    /// Nothing in the process accesses the range in a way that the new protection forbids, as long as
    /// it lasts.
    ///
    /// # Errors
    /// `EINVAL` if the range is not within the mapping; that of `mprotect`.
    pub(crate) unsafe fn protect(
        &self,
        range: Range<usize>,
        protection: MprotectFlags,
    ) -> Result<(), Errno> {
        if range.start > range.end || range.end > self.bytes {
            return Err(Errno::INVAL);
        }
        // SAFETY: the offset lies within the mapping, as just checked.
        let start = unsafe { self.start.add(range.start) };
        // SAFETY: the range lies within this mapping; its accesses are the caller's promise.
        unsafe { mm::mprotect(start.as_ptr().cast(), range.len(), protection) }
    }

    /// Unmaps, once; the range is empty afterwards.
    ///
    /// # Errors
    /// `ENOMEM`: the process has as many mappings as it may have, and this is the middle of what the
    /// kernel joined to one. It is still mapped.
    pub(crate) fn unmap(&mut self) -> Result<(), Errno> {
        if self.bytes == 0 {
            return Ok(());
        }
        // Before the place can be another mapping's.
        kept::forget(self.address());
        // SAFETY: the range is the one that `mmap` returned, and the length says that it was not
        // unmapped yet; the owner guarantees that no reference into it outlives it.
        let result = unsafe { mm::munmap(self.start.as_ptr().cast(), self.bytes) };
        if let Err(error) = result {
            kept::note(self.address()..self.address() + self.bytes as u64, Keep::Everything);
            return Err(error);
        }
        self.bytes = 0;
        Ok(())
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if let Err(error) = self.unmap() {
            tracing::error!(target: "supdrv", %error, "cannot unmap memory");
        }
    }
}
