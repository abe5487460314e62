//! Memory of both rings: what the driver allocates, locks and maps. A block is known by where it starts.
//!
//! The driver keeps the books, by address and service: what ring 0 allocated may be freed here, and
//! everything that is no block of that service is `VERR_INVALID_PARAMETER`.
//!
//! Results are cleared before the first check that follows the pointers', in the specification's order.

#![expect(non_snake_case, reason = "the header's names")]

use std::ffi::c_void;
use std::ptr;

use sup::raw::{self, Block};
use sup::{RingZeroView, Session};
use sup_abi::{LOW_CONT_ALLOC_MAX, PAGE_ALLOC_MAX, PhysAddr, R0Ptr, R3Ptr, SUPPAGE, Status};

use crate::calls::Call;
use crate::entry::c_functions;
use crate::pointer::{Out, check};

/// The bits of a protection: `RTMEM_PROT_READ`, `_WRITE` and `_EXEC`.
const PROTECTIONS: u32 = 7;

fn address(pointer: *mut c_void) -> R3Ptr {
    R3Ptr::new(pointer.addr() as u64)
}

fn pointer(address: R3Ptr) -> *mut c_void {
    address.get() as usize as *mut c_void
}

fn supages(pages: &[PhysAddr]) -> impl Iterator<Item = SUPPAGE> {
    pages.iter().map(|phys| SUPPAGE { Phys: *phys, uReserved: 0 })
}

/// A number of pages that a service has.
fn count(pages: usize, most: u32) -> Result<u32, Status> {
    match u32::try_from(pages) {
        Ok(pages @ 1..) if pages <= most => Ok(pages),
        _ => Err(Status::VERR_PAGE_COUNT_OUT_OF_RANGE),
    }
}

/// Checks what every free checks. The number of pages is not compared with the block's.
fn check_free(pages: usize) -> Result<(), Status> {
    if pages == 0 { Err(Status::VERR_PAGE_COUNT_OUT_OF_RANGE) } else { Ok(()) }
}

/// The common part of `SUPR3ContFree` and `SUPR3LowFree`.
fn free(
    start: *mut c_void,
    pages: usize,
    give_back: impl FnOnce(&Session, R3Ptr) -> sup::Result<()>,
) -> Result<Status, Status> {
    if start.is_null() {
        return Ok(Status::VINF_SUCCESS);
    }
    check(start)?;
    check_free(pages)?;
    give_back(&Call::begin()?.session, address(start))?;
    Ok(Status::VINF_SUCCESS)
}

c_functions! {
    /// Allocates pages, mapped here and if asked for in ring 0.
    status fn SUPR3PageAllocEx(cPages: usize, fFlags: u32, ppvPages: *mut *mut c_void, pR0Ptr: *mut R0Ptr, paPages: *mut SUPPAGE) {
        // SAFETY: the caller has room for an address there.
        let start = unsafe { Out::required(ppvPages) }?;
        start.put(ptr::null_mut());
        // SAFETY: the caller has room for an address there, if it gives one.
        let r0 = unsafe { Out::optional(pR0Ptr) }?;
        if let Some(r0) = &r0 {
            r0.put(R0Ptr::NIL);
        }
        // SAFETY: the caller has room for as many pages as it wants, if it gives an address.
        let addresses = unsafe { Out::optional(paPages) }?;
        let pages = count(cPages, PAGE_ALLOC_MAX.get())?;
        if fFlags != 0 {
            return Err(Status::VERR_INVALID_PARAMETER);
        }
        let view = if r0.is_some() { RingZeroView::Mapped } else { RingZeroView::None };
        let block = raw::page_alloc(&Call::begin()?.session, pages, view)?;
        if let Some(r0) = &r0 {
            r0.put(block.r0);
        }
        if let Some(addresses) = &addresses {
            addresses.put_all(supages(&block.pages));
        }
        start.put(pointer(block.r3));
        Ok(Status::VINF_SUCCESS)
    }

    /// Frees pages of `SUPR3PageAllocEx`.
    status fn SUPR3PageFreeEx(pvPages: *mut c_void, cPages: usize) {
        check(pvPages)?;
        check_free(cPages)?;
        // SAFETY: the caller has done with them; this library makes no references into them.
        unsafe { raw::page_free(&Call::begin()?.session, address(pvPages)) }?;
        Ok(Status::VINF_SUCCESS)
    }

    /// Maps a part of a block into ring 0 once more.
    status fn SUPR3PageMapKernel(pvR3: *mut c_void, off: u32, cb: u32, fFlags: u32, pR0Ptr: *mut R0Ptr) {
        check(pvR3)?;
        // SAFETY: the caller has room for an address there.
        let r0 = unsafe { Out::required(pR0Ptr) }?;
        r0.put(R0Ptr::NIL);
        if fFlags != 0 {
            return Err(Status::VERR_INVALID_PARAMETER);
        }
        r0.put(raw::map_kernel(&Call::begin()?.session, address(pvR3), off, cb)?);
        Ok(Status::VINF_SUCCESS)
    }

    /// Changes what both rings may do with a part of a block of `SUPR3PageAllocEx`.
    status fn SUPR3PageProtect(pvR3: *mut c_void, R0Ptr: R0Ptr, off: u32, cb: u32, fProt: u32) {
        check(pvR3)?;
        if fProt & !PROTECTIONS != 0 {
            return Err(Status::VERR_INVALID_PARAMETER);
        }
        let call = Call::begin()?;
        // SAFETY: the caller knows who uses the pages; this library makes no references into them.
        unsafe { raw::page_protect(&call.session, address(pvR3), R0Ptr, off, cb, fProt) }?;
        Ok(Status::VINF_SUCCESS)
    }

    /// Allocates one physically contiguous run of pages below 4 GiB.
    value fn SUPR3ContAlloc(cPages: usize, pR0Ptr: *mut R0Ptr, pHCPhys: *mut PhysAddr) -> *mut c_void, or ptr::null_mut(); {
        // SAFETY: the caller has room for an address in both places.
        let allocated = unsafe { cont_alloc(cPages, pR0Ptr, pHCPhys) };
        allocated.unwrap_or(ptr::null_mut())
    }

    /// Frees memory of `SUPR3ContAlloc`; NULL is free already.
    status fn SUPR3ContFree(pv: *mut c_void, cPages: usize) {
        // SAFETY: the caller has done with it; this library makes no references into it.
        free(pv, cPages, |session, start| unsafe { raw::cont_free(session, start) })
    }

    /// Allocates pages below 4 GiB.
    status fn SUPR3LowAlloc(cPages: usize, ppvPages: *mut *mut c_void, ppvPagesR0: *mut R0Ptr, paPages: *mut SUPPAGE) {
        // SAFETY: the caller has room for an address there.
        let start = unsafe { Out::required(ppvPages) }?;
        start.put(ptr::null_mut());
        // SAFETY: the caller has room for as many pages as it wants.
        let addresses = unsafe { Out::required(paPages) }?;
        // SAFETY: the caller has room for an address there, if it gives one.
        let r0 = unsafe { Out::optional(ppvPagesR0) }?;
        let pages = count(cPages, LOW_CONT_ALLOC_MAX.get())?;
        let block = raw::low_alloc(&Call::begin()?.session, pages)?;
        if let Some(r0) = &r0 {
            r0.put(block.r0);
        }
        addresses.put_all(supages(&block.pages));
        start.put(pointer(block.r3));
        Ok(Status::VINF_SUCCESS)
    }

    /// Frees memory of `SUPR3LowAlloc`; NULL is free already.
    status fn SUPR3LowFree(pv: *mut c_void, cPages: usize) {
        // SAFETY: the caller has done with it; this library makes no references into it.
        free(pv, cPages, |session, start| unsafe { raw::low_free(session, start) })
    }

    /// Locks pages of the process where they are.
    status fn supR3PageLock(pvStart: *mut c_void, cPages: usize, paPages: *mut SUPPAGE) {
        check(pvStart)?;
        // SAFETY: the caller has room for as many pages as it locks.
        let addresses = unsafe { Out::required(paPages) }?;
        let pages = u32::try_from(cPages).map_err(|_| Status::VERR_OUT_OF_RANGE)?;
        let locked = raw::lock_pages(&Call::begin()?.session, address(pvStart), pages)?;
        addresses.put_all(supages(&locked));
        Ok(Status::VINF_SUCCESS)
    }

    /// Unlocks what `supR3PageLock` locked.
    status fn supR3PageUnlock(pvStart: *mut c_void) {
        check(pvStart)?;
        // SAFETY: ring 0 has done with them, as the caller knows; the pages stay the process's.
        unsafe { raw::unlock_pages(&Call::begin()?.session, address(pvStart)) }?;
        Ok(Status::VINF_SUCCESS)
    }
}

/// # Safety
/// Where a pointer is plausible, the caller has room for an address.
unsafe fn cont_alloc(
    pages: usize,
    r0: *mut R0Ptr,
    phys: *mut PhysAddr,
) -> Result<*mut c_void, Status> {
    // SAFETY: the caller's promise.
    let phys = unsafe { Out::required(phys) }?;
    phys.put(PhysAddr::NIL);
    // SAFETY: the caller's promise.
    let r0 = unsafe { Out::optional(r0) }?;
    if let Some(r0) = &r0 {
        r0.put(R0Ptr::NIL);
    }
    let pages = count(pages, LOW_CONT_ALLOC_MAX.get())?;
    let block: Block = raw::cont_alloc(&Call::begin()?.session, pages)?;
    let first = block.pages.first().ok_or(Status::VERR_INTERNAL_ERROR)?;
    if let Some(r0) = &r0 {
        r0.put(block.r0);
    }
    phys.put(*first);
    Ok(pointer(block.r3))
}
