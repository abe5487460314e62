//! The memory functions that modules import: `SUPR0LockMem` to `SUPR0PageFree`.
//!
//! Each works in the session that it is given and in the process that runs. Pointers that are missing
//! or implausible are refused before anything is done, and written only on success.
//!
//! Neighbours: `exports.rs` lists the functions; the calls are `sup_core::memory`'s.

use sup_abi::{MEM_ALLOC_BYTES_MAX, Pages, PhysAddr, R0Ptr, R3Ptr, SUPDRVSESSION, SUPPAGE, Status};
use sup_alloc::Arc;
use sup_core::host::{Host, Memory, Views};
use sup_core::memory::{Block, Range, Service};

use crate::Ring0;
use crate::exports::{is_plausible, raw, resolve};

/// A status without a value.
pub(crate) const DONE: Result<Status, Status> = Ok(Status::VINF_SUCCESS);

/// `status` unless the pointer could be one in ring 0.
fn plausible<R: Ring0, T>(pointer: *const T, status: Status) -> Result<(), Status> {
    if is_plausible::<R, _>(pointer) { Ok(()) } else { Err(status) }
}

/// The same for a pointer that may be missing.
pub(crate) fn plausible_or_null<R: Ring0, T>(pointer: *const T) -> Result<(), Status> {
    if pointer.is_null() {
        Ok(())
    } else {
        plausible::<R, _>(pointer, Status::VERR_INVALID_POINTER)
    }
}

/// Writes the physical address of each page of `block`, as `make` puts it.
///
/// # Safety
/// `to` is null or has room for one `T` a page.
unsafe fn write_pages<H: Host, T>(block: &Block<H>, to: *mut T, make: impl Fn(PhysAddr) -> T) {
    if to.is_null() {
        return;
    }
    for page in 0..block.memory().pages().get() {
        let value = make(block.memory().physical_address(page));
        // SAFETY: the index is below the number of pages, for which the caller has room.
        unsafe { to.wrapping_add(page as usize).write_unaligned(value) };
    }
}

/// Writes a value if somebody wants it.
///
/// # Safety
/// `to` is null or a place for a `T`.
pub(crate) unsafe fn write<T>(to: *mut T, value: T) {
    if !to.is_null() {
        // SAFETY: it is not null, so by this function's contract it is a place for a `T`.
        unsafe { to.write(value) };
    }
}

/// Writes where a block is in each ring, as far as somebody wants it.
///
/// # Safety
/// Each is null or a place for an address.
unsafe fn write_both<H: Host>(block: &Block<H>, r0: *mut R0Ptr, r3: *mut R3Ptr) {
    // SAFETY: by this function's contract it is null or a place for the address.
    unsafe { write(r0, block.memory().kernel_address()) };
    // SAFETY: by this function's contract it is null or a place for the address.
    unsafe { write(r3, block.memory().user_address()) };
}

fn free<R: Ring0>(service: Service, session: *mut SUPDRVSESSION, address: u64) -> i32 {
    raw(resolve::<R>(session).and_then(|(driver, session)| {
        driver.memory_free(&session, service, address)?;
        DONE
    }))
}

/// Allocates in both rings for the functions whose outputs are all wanted.
fn allocate<R: Ring0>(
    session: *mut SUPDRVSESSION,
    service: Service,
    pages: u32,
) -> Result<Arc<Block<R>>, Status> {
    let (driver, session) = resolve::<R>(session)?;
    driver.memory_allocate(&session, service, Pages::new(pages), Views::UserAndKernel)
}

/// Corresponds to `SUPR0LockMem`.
pub(crate) unsafe extern "C" fn lock_mem<R: Ring0>(
    session: *mut SUPDRVSESSION,
    start: R3Ptr,
    pages: u32,
    addresses: *mut PhysAddr,
) -> i32 {
    raw(resolve::<R>(session).and_then(|(driver, session)| {
        plausible::<R, _>(addresses, Status::VERR_INVALID_PARAMETER)?;
        let block = driver.memory_lock(&session, start, Pages::new(pages))?;
        // SAFETY: the caller passed a plausible array of as many addresses as it locks pages, as the
        // header demands.
        unsafe { write_pages(&block, addresses, |address| address) };
        DONE
    }))
}

/// Corresponds to `SUPR0UnlockMem`.
pub(crate) unsafe extern "C" fn unlock_mem<R: Ring0>(
    session: *mut SUPDRVSESSION,
    start: R3Ptr,
) -> i32 {
    free::<R>(Service::Lock, session, start.get())
}

/// Corresponds to `SUPR0ContAlloc`.
pub(crate) unsafe extern "C" fn cont_alloc<R: Ring0>(
    session: *mut SUPDRVSESSION,
    pages: u32,
    r0: *mut R0Ptr,
    r3: *mut R3Ptr,
    address: *mut PhysAddr,
) -> i32 {
    let run = || {
        resolve::<R>(session)?;
        plausible::<R, _>(r0, Status::VERR_INVALID_PARAMETER)?;
        plausible::<R, _>(r3, Status::VERR_INVALID_PARAMETER)?;
        plausible::<R, _>(address, Status::VERR_INVALID_PARAMETER)?;
        let block = allocate::<R>(session, Service::Cont, pages)?;
        // SAFETY: both are plausible and places of the caller's own, as the header demands.
        unsafe { write_both(&block, r0, r3) };
        // SAFETY: `address` is plausible and a place of the caller's own, as the header demands.
        unsafe { address.write(block.memory().physical_address(0)) };
        DONE
    };
    raw(run())
}

/// Corresponds to `SUPR0ContFree`.
pub(crate) unsafe extern "C" fn cont_free<R: Ring0>(
    session: *mut SUPDRVSESSION,
    address: u64,
) -> i32 {
    free::<R>(Service::Cont, session, address)
}

/// Corresponds to `SUPR0LowAlloc`.
pub(crate) unsafe extern "C" fn low_alloc<R: Ring0>(
    session: *mut SUPDRVSESSION,
    pages: u32,
    r0: *mut R0Ptr,
    r3: *mut R3Ptr,
    addresses: *mut PhysAddr,
) -> i32 {
    let run = || {
        resolve::<R>(session)?;
        plausible::<R, _>(r0, Status::VERR_INVALID_PARAMETER)?;
        plausible::<R, _>(r3, Status::VERR_INVALID_PARAMETER)?;
        plausible::<R, _>(addresses, Status::VERR_INVALID_PARAMETER)?;
        let block = allocate::<R>(session, Service::Low, pages)?;
        // SAFETY: both are plausible and places of the caller's own, as the header demands.
        unsafe { write_both(&block, r0, r3) };
        // SAFETY: `addresses` is a plausible array of the caller's with an entry a page, as the header
        // demands.
        unsafe { write_pages(&block, addresses, |address| address) };
        DONE
    };
    raw(run())
}

/// Corresponds to `SUPR0LowFree`.
pub(crate) unsafe extern "C" fn low_free<R: Ring0>(
    session: *mut SUPDRVSESSION,
    address: u64,
) -> i32 {
    free::<R>(Service::Low, session, address)
}

/// Corresponds to `SUPR0MemAlloc`.
pub(crate) unsafe extern "C" fn mem_alloc<R: Ring0>(
    session: *mut SUPDRVSESSION,
    bytes: u32,
    r0: *mut R0Ptr,
    r3: *mut R3Ptr,
) -> i32 {
    let run = || {
        resolve::<R>(session)?;
        plausible::<R, _>(r0, Status::VERR_INVALID_POINTER)?;
        plausible::<R, _>(r3, Status::VERR_INVALID_POINTER)?;
        if !(1..=MEM_ALLOC_BYTES_MAX).contains(&bytes) {
            return Err(Status::VERR_INVALID_PARAMETER);
        }
        let pages = Pages::covering(bytes.into()).ok_or(Status::VERR_INVALID_PARAMETER)?;
        let block = allocate::<R>(session, Service::Mem, pages.get())?;
        // SAFETY: both are plausible and places of the caller's own, as the header demands.
        unsafe { write_both(&block, r0, r3) };
        DONE
    };
    raw(run())
}

/// Corresponds to `SUPR0MemGetPhys`. Fills one entry for every page of the block.
pub(crate) unsafe extern "C" fn mem_get_phys<R: Ring0>(
    session: *mut SUPDRVSESSION,
    address: u64,
    pages: *mut SUPPAGE,
) -> i32 {
    raw(resolve::<R>(session).and_then(|(driver, session)| {
        plausible::<R, _>(pages, Status::VERR_INVALID_POINTER)?;
        let block = driver.memory_block(&session, Service::Mem, address)?;
        // SAFETY: the caller passed a plausible array with an entry for every page of the block, as the
        // header demands.
        unsafe { write_pages(&block, pages, SUPPAGE::new) };
        DONE
    }))
}

/// Corresponds to `SUPR0MemFree`.
pub(crate) unsafe extern "C" fn mem_free<R: Ring0>(
    session: *mut SUPDRVSESSION,
    address: u64,
) -> i32 {
    free::<R>(Service::Mem, session, address)
}

/// Corresponds to `SUPR0PageAllocEx`. Without a place for ring 3's address the pages are ring 0's alone.
pub(crate) unsafe extern "C" fn page_alloc_ex<R: Ring0>(
    session: *mut SUPDRVSESSION,
    pages: u32,
    flags: u32,
    r3: *mut R3Ptr,
    r0: *mut R0Ptr,
    addresses: *mut PhysAddr,
) -> i32 {
    raw(resolve::<R>(session).and_then(|(driver, session)| {
        plausible_or_null::<R, _>(r3)?;
        plausible_or_null::<R, _>(r0)?;
        let views = match (r3.is_null(), r0.is_null()) {
            (true, true) => return Err(Status::VERR_INVALID_PARAMETER),
            (false, true) => Views::User,
            (false, false) => Views::UserAndKernel,
            (true, false) => Views::Kernel,
        };
        plausible_or_null::<R, _>(addresses)?;
        if flags != 0 {
            return Err(Status::VERR_INVALID_PARAMETER);
        }
        let block = driver.memory_allocate(&session, Service::Page, Pages::new(pages), views)?;
        // SAFETY: each is null, or plausible and the caller's own, as the header demands.
        unsafe { write_both(&block, r0, r3) };
        // SAFETY: `addresses` is null, or a plausible array of the caller's with an entry a page.
        unsafe { write_pages(&block, addresses, |address| address) };
        DONE
    }))
}

/// Corresponds to `SUPR0PageMapKernel`.
pub(crate) unsafe extern "C" fn page_map_kernel<R: Ring0>(
    session: *mut SUPDRVSESSION,
    start: R3Ptr,
    offset: u32,
    bytes: u32,
    flags: u32,
    r0: *mut R0Ptr,
) -> i32 {
    raw(resolve::<R>(session).and_then(|(driver, session)| {
        plausible::<R, _>(r0, Status::VERR_INVALID_POINTER)?;
        if flags != 0 {
            return Err(Status::VERR_INVALID_PARAMETER);
        }
        let address = driver.memory_map_kernel(&session, start, Range { offset, bytes })?;
        // SAFETY: the caller passed a plausible place of its own, as the header demands.
        unsafe { r0.write(address) };
        DONE
    }))
}

/// Corresponds to `SUPR0PageProtect`.
pub(crate) unsafe extern "C" fn page_protect<R: Ring0>(
    session: *mut SUPDRVSESSION,
    r3: R3Ptr,
    r0: R0Ptr,
    offset: u32,
    bytes: u32,
    protection: u32,
) -> i32 {
    raw(resolve::<R>(session).and_then(|(driver, session)| {
        driver.memory_protect(&session, r3, r0, Range { offset, bytes }, protection)?;
        DONE
    }))
}

/// Corresponds to `SUPR0PageFree`.
pub(crate) unsafe extern "C" fn page_free<R: Ring0>(
    session: *mut SUPDRVSESSION,
    start: R3Ptr,
) -> i32 {
    free::<R>(Service::Page, session, start.get())
}
