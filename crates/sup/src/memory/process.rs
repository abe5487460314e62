//! [`PageMemory`]: pages of the process alone.
//!
//! Neighbours: `block.rs` has the pages that the driver gives. Invariant: the mapping is the owner's
//! alone and no other side writes to it, so it is seen as a slice.

use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use rustix::mm::{self, Advice, MapFlags, ProtFlags};
use sup_abi::{PAGE_SIZE, Status};
use sup_embedded::kept::{self, Keep};

use crate::Session;
use crate::error::{Error, Result};

/// Zeroed pages of the process alone, not inherited by children. Corresponds to `SUPR3PageAlloc`; needs
/// no session.
///
/// ```
/// let mut pages = sup::PageMemory::new(2)?;
/// pages[0] = 1;
/// assert_eq!(pages.len(), 2 * sup::PAGE_SIZE);
/// # Ok::<(), sup::Error>(())
/// ```
#[derive(Debug)]
pub struct PageMemory {
    start: NonNull<u8>,
    bytes: usize,
}

// SAFETY: ordinary memory with one owner, borrowed by the rules of `&` and `&mut`.
unsafe impl Send for PageMemory {}
// SAFETY: ordinary memory with one owner, borrowed by the rules of `&` and `&mut`.
unsafe impl Sync for PageMemory {}

impl PageMemory {
    /// Allocates `pages` pages.
    ///
    /// # Errors
    /// `VERR_PAGE_COUNT_OUT_OF_RANGE` for none, `VERR_NO_MEMORY`.
    pub fn new(pages: usize) -> Result<Self> {
        const CALL: &str = "PageAlloc";
        let no_memory = |_| Error::new(CALL, Status::VERR_NO_MEMORY, "");
        let bytes = match pages.checked_mul(PAGE_SIZE) {
            Some(0) => return Session::refuse(CALL, Status::VERR_PAGE_COUNT_OUT_OF_RANGE, ""),
            Some(bytes) => bytes,
            None => return Session::refuse(CALL, Status::VERR_NO_MEMORY, ""),
        };
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: without an address and without MAP_FIXED the kernel chooses unused address space.
        let start =
            unsafe { mm::mmap_anonymous(std::ptr::null_mut(), bytes, access, MapFlags::PRIVATE) }
                .map_err(no_memory)?;
        let Some(start) = NonNull::new(start.cast::<u8>()) else {
            return Session::refuse(CALL, Status::VERR_NO_MEMORY, "");
        };
        let memory = Self { start, bytes };
        let address = start.addr().get() as u64;
        kept::note(address..address + bytes as u64, Keep::FromChildren);
        // SAFETY: the range is exactly the mapping made just above.
        unsafe { mm::madvise(start.as_ptr().cast(), bytes, Advice::LinuxDontFork) }
            .map_err(no_memory)?;
        Ok(memory)
    }
}

impl Deref for PageMemory {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the mapping is readable, zeroed at first, and lives as long as `self`; it changes
        // only through `&mut self`.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.bytes) }
    }
}

impl DerefMut for PageMemory {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: the mapping is readable and writable and lives as long as `self`, which is borrowed
        // exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.bytes) }
    }
}

impl Drop for PageMemory {
    fn drop(&mut self) {
        // Before the place can be another mapping's.
        kept::forget(self.start.addr().get() as u64);
        // SAFETY: the range is the one that `mmap` returned, unmapped once; borrows of it have ended.
        let result = unsafe { mm::munmap(self.start.as_ptr().cast(), self.bytes) };
        debug_assert!(result.is_ok(), "munmap of an existing mapping: {result:?}");
    }
}
