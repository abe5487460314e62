//! [`Pages`] and [`KernelMapping`]: pages of the machine, and where ring 0 sees them.

use core::ffi::c_void;
use core::ops::Range;
use core::ptr::NonNull;

use sup_abi::{PAGE_SIZE, PhysAddr, R3Ptr, Status};
use sup_alloc::{Arc, Vec};
use sup_core::host::Placement;

use crate::shim::page::{KernelAccess, placement};
use crate::shim::{Errno, raw};

/// Pages of the driver or of a process. Dropping it gives up this owner's reference of each; mappings in
/// ring 3 have their own.
pub(crate) struct Pages {
    /// Not null, and used by the shim alone.
    pages: Vec<*mut raw::Page>,
    origin: Origin,
}

/// How the references came about, and so how they go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    Allocated,
    Pinned,
}

// SAFETY: the pointers are names of pages, which the kernel takes from any processor; the pages' contents
// are not reachable through them.
unsafe impl Send for Pages {}
// SAFETY: a shared `Pages` only hands the names to the shim.
unsafe impl Sync for Pages {}

impl Pages {
    /// Allocates zeroed pages.
    ///
    /// # Errors
    /// `VERR_NO_MEMORY`; `VERR_INTERRUPTED` if the caller is being killed.
    ///
    /// # Context
    /// May sleep.
    pub(crate) fn allocate(count: u32, place: Placement) -> Result<Self, Status> {
        let mut pages: Vec<*mut raw::Page> = Vec::new();
        pages.try_resize(count as usize, core::ptr::null_mut())?;
        // SAFETY: there is room for `count` pointers, and the caller may sleep.
        let result =
            unsafe { raw::supdrv_pages_alloc(pages.as_mut_ptr(), count, placement(place)) };
        match Errno::check(result) {
            Ok(()) => Ok(Self { pages, origin: Origin::Allocated }),
            Err(Errno::EINTR) => Err(Status::VERR_INTERRUPTED),
            Err(_) => Err(Status::VERR_NO_MEMORY),
        }
    }

    /// Pins writable pages of the current process.
    ///
    /// # Errors
    /// `VERR_LOCK_FAILED` if not all are mapped and writable, or the caller is being killed;
    /// `VERR_NO_MEMORY`.
    ///
    /// # Context
    /// May sleep.
    pub(crate) fn pin(start: R3Ptr, count: u32) -> Result<Self, Status> {
        let mut pages: Vec<*mut raw::Page> = Vec::new();
        pages.try_resize(count as usize, core::ptr::null_mut())?;
        // SAFETY: there is room for `count` pointers, and the caller may sleep; the kernel checks the
        // address as one of ring 3.
        let result = unsafe { raw::supdrv_pin(start.get(), pages.as_mut_ptr(), count) };
        match Errno::check(result) {
            Ok(()) => Ok(Self { pages, origin: Origin::Pinned }),
            Err(Errno::ENOMEM) => Err(Status::VERR_NO_MEMORY),
            Err(_) => Err(Status::VERR_LOCK_FAILED),
        }
    }

    pub(crate) fn count(&self) -> u32 {
        u32::try_from(self.pages.len()).unwrap_or(u32::MAX)
    }

    /// The array for the shim, which does not change it where it takes pages that exist.
    pub(crate) fn as_ptr(&self) -> *mut *mut raw::Page {
        self.pages.as_ptr().cast_mut()
    }

    pub(crate) fn physical_address(&self, page: u32) -> PhysAddr {
        match self.pages.get(page as usize) {
            // SAFETY: the page is one that this owner has a reference of.
            Some(page) => PhysAddr::new(unsafe { raw::supdrv_page_phys(*page) }),
            None => PhysAddr::NIL,
        }
    }

    /// The first page in the kernel's linear mapping, readable and writable, for as long as `self` lives;
    /// pages that are contiguous in memory follow it there.
    pub(crate) fn linear_address(&self) -> Option<NonNull<c_void>> {
        let first = self.pages.first()?;
        // SAFETY: the page is one that this owner has a reference of.
        NonNull::new(unsafe { raw::supdrv_page_address(*first) })
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        let (pages, count) = (self.as_ptr(), self.count());
        match self.origin {
            // SAFETY: the array is what `supdrv_pages_alloc` filled, whose references this owner has.
            Origin::Allocated => unsafe { raw::supdrv_pages_free(pages, count) },
            // SAFETY: the array holds `count` pages, each of which this owner has pinned once.
            Origin::Pinned => unsafe { raw::supdrv_unpin(pages, count) },
        }
    }
}

/// A mapping in ring 0, page behind page, never writable and executable. Dropping it unmaps it.
pub(crate) struct KernelMapping {
    address: NonNull<c_void>,
    pages: Arc<Pages>,
    /// The first of the pages that is mapped.
    first: u32,
    /// How many are.
    count: u32,
    /// True once a page was made executable: translations must be forgotten before the pages are.
    was_executable: bool,
}

// SAFETY: the mapping is memory of the kernel, there for every processor; who may access it when is the
// business of the types that own one.
unsafe impl Send for KernelMapping {}
// SAFETY: a shared `KernelMapping` gives out only its address and length.
unsafe impl Sync for KernelMapping {}

impl KernelMapping {
    /// Maps pages readable or readable and writable.
    ///
    /// # Errors
    /// `VERR_NO_MEMORY`.
    pub(crate) fn new(pages: &Arc<Pages>, access: KernelAccess) -> Result<Self, Status> {
        Self::of_part(pages, 0..pages.count(), access)
    }

    /// Maps some of the pages.
    ///
    /// # Errors
    /// `VERR_NO_MEMORY`; `VERR_INVALID_PARAMETER` if there are no such pages.
    pub(crate) fn of_part(
        pages: &Arc<Pages>,
        range: Range<u32>,
        access: KernelAccess,
    ) -> Result<Self, Status> {
        let (first, count) = (range.start, range.end.saturating_sub(range.start));
        if count == 0 || range.end > pages.count() {
            return Err(Status::VERR_INVALID_PARAMETER);
        }
        let array = pages.as_ptr().wrapping_add(first as usize);
        // SAFETY: from the first one on the array holds `count` pages, as just checked, which this
        // mapping keeps alive by its own `Arc`.
        let address = unsafe { raw::supdrv_vmap(array, count, access as u32) };
        let address = NonNull::new(address).ok_or(Status::VERR_NO_MEMORY)?;
        Ok(Self { address, pages: pages.clone(), first, count, was_executable: false })
    }

    pub(crate) fn start(&self) -> NonNull<u8> {
        self.address.cast()
    }

    pub(crate) fn address(&self) -> u64 {
        self.address.addr().get() as u64
    }

    pub(crate) fn pages(&self) -> &Pages {
        &self.pages
    }

    /// Changes the protection of some pages; [`flush`] makes it effective.
    ///
    /// # Errors
    /// `VERR_INTERNAL_ERROR` if the kernel does not map them as it was told to.
    ///
    /// # Safety
    /// No reference into these pages exists that the new protection forbids to use.
    pub(crate) unsafe fn protect(
        &mut self,
        range: Range<u32>,
        access: KernelAccess,
    ) -> Result<(), Status> {
        let count = range.end.saturating_sub(range.start);
        if range.end > self.count || count == 0 {
            return if count == 0 { Ok(()) } else { Err(Status::VERR_INTERNAL_ERROR) };
        }
        self.was_executable |= access == KernelAccess::ReadExecute;
        let first = self.address.as_ptr().wrapping_byte_add((range.start as usize) << 12);
        let page = self.first.saturating_add(range.start);
        let pages = self.pages.as_ptr().wrapping_add(page as usize);
        // SAFETY: the range lies in this mapping, whose pages the array names; by this function's
        // contract nobody uses them in a way that the new protection forbids.
        let result = unsafe { raw::supdrv_protect(first, pages, count, access as u32) };
        Errno::check(result).map_err(|_| Status::VERR_INTERNAL_ERROR)
    }
}

/// Makes every processor use the protections that were set last.
pub(crate) fn flush() {
    // SAFETY: the function has no precondition but that it may sleep, as every caller here may.
    unsafe { raw::supdrv_flush() };
}

impl Drop for KernelMapping {
    fn drop(&mut self) {
        if self.was_executable {
            // The kernel forgets translations of an unmapped range late; by then the pages would be
            // somebody else's, and executable here.
            let all = 0..self.count;
            // SAFETY: the owner is going, so nobody uses the mapping any more.
            if unsafe { self.protect(all, KernelAccess::Nothing) }.is_ok() {
                flush();
            }
        }
        // SAFETY: the address came from `supdrv_vmap`, and nobody uses the mapping any more.
        unsafe { raw::supdrv_vunmap(self.address.as_ptr()) };
    }
}

const _: () = assert!(PAGE_SIZE == 1 << 12);
