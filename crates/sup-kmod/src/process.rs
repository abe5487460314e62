//! [`Client`] and [`UserMapping`]: the way into the processes of a session.
//!
//! What ring 3 sees is mapped from a file of the session that no process can open: its inode lets the
//! driver find a mapping again wherever it is, and its references keep the module in memory. It is not
//! the device's file, whose last close has to end the session whatever is still mapped. Most sessions
//! map something; the file is made when the first one does.
//!
//! Every mapping has page offsets of its own in that file, never used again. A change of protection maps
//! the same offsets anew in the same place, so that what a process may do is written in its mapping alone,
//! and the kernel keeps the process from widening it.
//!
//! Invariant: pages that ring 3 can reach are alive, by the references that the mapping itself holds;
//! after a [`UserMapping`] is dropped no process reaches them through it.

use core::ops::Range;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU64, Ordering};

use sup_abi::{R3Ptr, Status};
use sup_alloc::Arc;
use sup_core::host::View;

use crate::Lock;
use crate::lock::Mutex;
use crate::pages::Pages;
use crate::shim::page::UserAccess;
use crate::shim::{Errno, raw};

/// The file that a session's mappings belong to.
struct ViewFile {
    file: NonNull<raw::File>,
    /// The first page offset that no mapping had yet.
    next_offset: AtomicU64,
}

// SAFETY: the file is the kernel's and made to be used from any processor at once.
unsafe impl Send for ViewFile {}
// SAFETY: every use through a shared reference is a call of the kernel's, which locks the file itself.
unsafe impl Sync for ViewFile {}

impl Drop for ViewFile {
    fn drop(&mut self) {
        // SAFETY: the file is this owner's reference of it, given up once.
        unsafe { raw::supdrv_view_file_put(self.file.as_ptr()) };
    }
}

/// The way into the processes of a session.
pub(crate) struct Client {
    file: Lock<Mutex, Option<Arc<ViewFile>>>,
}

impl Client {
    pub(crate) fn new() -> Self {
        Self { file: Lock::new(None) }
    }

    fn file(&self) -> Result<Arc<ViewFile>, Status> {
        let mut file = self.file.lock();
        if let Some(file) = &*file {
            return Ok(file.clone());
        }
        // SAFETY: the caller may sleep, since it holds a sleeping lock.
        let raw_file = unsafe { raw::supdrv_view_file() };
        let raw_file = NonNull::new(raw_file).ok_or(Status::VERR_NO_MEMORY)?;
        let new = ViewFile { file: raw_file, next_offset: AtomicU64::new(0) };
        let new = Arc::try_new(new)?;
        *file = Some(new.clone());
        Ok(new)
    }
}

/// A reference of an address space, so that no other one gets its name.
struct Space(NonNull<raw::Mm>);

// SAFETY: the reference is the kernel's and may be given up from any task.
unsafe impl Send for Space {}
// SAFETY: nothing can be done through a shared `Space`.
unsafe impl Sync for Space {}

impl Space {
    /// That of the current task; `None` for a kernel thread.
    fn current() -> Option<Self> {
        // SAFETY: the function has no precondition; the reference is this owner's.
        NonNull::new(unsafe { raw::supdrv_space_get() }).map(Self)
    }

    fn is_current(&self) -> bool {
        // SAFETY: the function has no precondition; the pointer is used as a name only, which is nobody
        // else's while this reference is held.
        core::ptr::eq(unsafe { raw::supdrv_space() }, self.0.as_ptr())
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        // SAFETY: the reference is this owner's, given up once.
        unsafe { raw::supdrv_space_put(self.0.as_ptr()) };
    }
}

/// Pages mapped into the process that asked for it. Dropping it takes them out of every process.
pub(crate) struct UserMapping {
    file: Arc<ViewFile>,
    offset: u64,
    count: u32,
    address: u64,
    space: Space,
}

impl UserMapping {
    /// Maps all of `pages` into the current process.
    ///
    /// # Errors
    /// `VERR_NO_MEMORY`, `VERR_MAP_FAILED`.
    ///
    /// # Context
    /// May sleep.
    pub(crate) fn new(client: &Client, pages: &Pages, access: UserAccess) -> Result<Self, Status> {
        let file = client.file()?;
        let space = Space::current().ok_or(Status::VERR_MAP_FAILED)?;
        let count = pages.count();
        // Relaxed: the number need only be unique. 2^52 offsets are never used up.
        let offset = file.next_offset.fetch_add(u64::from(count), Ordering::Relaxed);
        // SAFETY: the file is a view file, alive by its `Arc`; the array holds `count` pages; nobody
        // else has these offsets.
        let address = unsafe {
            raw::supdrv_view_map(file.file.as_ptr(), offset, pages.as_ptr(), count, access as u32)
        };
        // An address of ring 3 is positive.
        let address = u64::try_from(address).map_err(|_| Status::VERR_MAP_FAILED)?;
        Ok(Self { file, offset, count, address, space })
    }

    /// Changes what the process may do with some of the pages, which are `pages` of this mapping.
    ///
    /// # Errors
    /// `VERR_INVALID_PARAMETER` if the current process is another one, or has no longer mapped all of the
    /// range; `VERR_NO_MEMORY`, after which the range may be mapped no longer.
    ///
    /// # Context
    /// May sleep.
    pub(crate) fn protect(
        &self,
        pages: &Pages,
        range: Range<u32>,
        access: UserAccess,
    ) -> Result<(), Status> {
        let count = range.end.saturating_sub(range.start);
        if count == 0 || range.end > self.count.min(pages.count()) || !self.space.is_current() {
            return Err(Status::VERR_INVALID_PARAMETER);
        }
        let first = u64::from(range.start);
        let offset = self.offset.saturating_add(first);
        let address = self.address.saturating_add(first << 12);
        let array = pages.as_ptr().wrapping_add(range.start as usize);
        // SAFETY: the file is a view file, alive by its `Arc`; from the first one on the array holds `count`
        // pages, as just checked, and the offsets and addresses are this mapping's own.
        let result = unsafe {
            let file = self.file.file.as_ptr();
            raw::supdrv_view_protect(file, offset, array, count, access as u32, address)
        };
        Errno::check(result).map_err(|errno| match errno {
            Errno::EFAULT => Status::VERR_INVALID_PARAMETER,
            _ => Status::VERR_NO_MEMORY,
        })
    }
}

impl View for UserMapping {
    fn address(&self) -> R3Ptr {
        R3Ptr::new(self.address)
    }
}

impl Drop for UserMapping {
    fn drop(&mut self) {
        let Self { file, offset, count, address, .. } = self;
        // SAFETY: the file is a view file, alive by its `Arc`, and the offsets are this mapping's own.
        unsafe { raw::supdrv_view_unmap(file.file.as_ptr(), *offset, *count, *address) };
    }
}
