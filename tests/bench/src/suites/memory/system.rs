//! What the system has by itself: [`Region`], a mapping made by its own calls, to compare ours with.

use std::num::NonZeroUsize;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, Ordering};

use anyhow::{Context, Result};
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use rustix::mm::{MapFlags, ProtFlags, mlock, mmap, mmap_anonymous, munlock, munmap};
use sup::PAGE_SIZE;

/// A mapping. Dropping it unmaps it.
#[derive(Debug)]
pub(super) struct Region {
    start: NonNull<u8>,
    bytes: NonZeroUsize,
}

/// The size of the pages behind a file of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PageKind {
    Ordinary,
    /// 2 MiB each, of those that an administrator set aside.
    Huge,
}

const ACCESS: ProtFlags = ProtFlags::READ.union(ProtFlags::WRITE);

impl Region {
    /// Private memory, which comes page by page as it is touched.
    pub(super) fn anonymous(pages: usize) -> Result<Self> {
        let bytes = length(pages)?;
        // SAFETY: without an address and without MAP_FIXED the kernel chooses unused address space.
        let start = unsafe {
            mmap_anonymous(std::ptr::null_mut(), bytes.get(), ACCESS, MapFlags::PRIVATE)
        }?;
        Self::adopt(start, bytes)
    }

    /// All of a file of memory, with its pages; the file lives as long as the mapping.
    pub(super) fn of_new_file(pages: usize, kind: PageKind) -> Result<Self> {
        let bytes = length(pages)?;
        let flags = match kind {
            PageKind::Ordinary => MemfdFlags::CLOEXEC,
            PageKind::Huge => MemfdFlags::CLOEXEC | MemfdFlags::HUGETLB,
        };
        let file = memfd_create("bench", flags)?;
        ftruncate(&file, bytes.get() as u64)?;
        let flags = MapFlags::SHARED | MapFlags::POPULATE;
        // SAFETY: without an address and without MAP_FIXED the kernel chooses unused address space.
        let start = unsafe { mmap(std::ptr::null_mut(), bytes.get(), ACCESS, flags, &file, 0) }?;
        Self::adopt(start, bytes)
    }

    fn adopt(start: *mut std::ffi::c_void, bytes: NonZeroUsize) -> Result<Self> {
        let start = NonNull::new(start.cast::<u8>()).context("a mapping at address 0")?;
        Ok(Self { start, bytes })
    }

    /// Makes every page present and keeps it so.
    pub(super) fn lock(&self) -> Result<()> {
        // SAFETY: the range is this mapping; locking changes nothing that a program can see.
        Ok(unsafe { mlock(self.start.as_ptr().cast(), self.bytes.get()) }?)
    }

    /// Undoes [`lock`](Self::lock).
    pub(super) fn unlock(&self) -> Result<()> {
        // SAFETY: the range is this mapping; unlocking changes nothing that a program can see.
        Ok(unsafe { munlock(self.start.as_ptr().cast(), self.bytes.get()) }?)
    }

    /// Writes to every page.
    pub(super) fn touch(&self) {
        // SAFETY: the mapping is readable and writable, and lives as long as `self`; atomics allow for
        // other writers, of which there are none.
        let bytes = unsafe {
            std::slice::from_raw_parts(self.start.as_ptr().cast::<AtomicU8>(), self.bytes.get())
        };
        // Relaxed: no other thread looks.
        bytes.iter().step_by(PAGE_SIZE).for_each(|byte| byte.store(1, Ordering::Relaxed));
    }
}

fn length(pages: usize) -> Result<NonZeroUsize> {
    NonZeroUsize::new(pages * PAGE_SIZE).context("no pages")
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: the range is the one that `mmap` returned, unmapped once; borrows of it have ended.
        let result = unsafe { munmap(self.start.as_ptr().cast(), self.bytes.get()) };
        debug_assert!(result.is_ok(), "munmap of an existing mapping: {result:?}");
    }
}
