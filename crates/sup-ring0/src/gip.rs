//! The Global Information Page for modules: `SUPGetGIP`, `SUPR0GipMap`, `SUPR0GipUnmap`, and the data
//! `g_SUPGlobalInfoPage` and `g_pSUPGlobalInfoPage`.
//!
//! A module has the page itself by `SUPGetGIP`, or by the header's `g_pSUPGlobalInfoPage`, which in ring 0
//! is the address of `g_SUPGlobalInfoPage`. A map is for the process of a session, and for the
//! updates, which come while a session has asked for them. A session counts once, however often it asks.
//!
//! Neighbours: `exports.rs` lists the functions; the counting is in `sup_core`'s `views.rs`.
//! Invariant: once the arguments are found to be in order, both outputs are written: NIL for what was
//! not reached.

use core::sync::atomic::{AtomicPtr, Ordering};

use sup_abi::{PhysAddr, R3Ptr, SUPDRVSESSION, SUPGLOBALINFOPAGE};

use crate::Ring0;
use crate::exports::{raw, resolve};
use crate::memory::{DONE, plausible_or_null, write};

/// Corresponds to `SUPGetGIP`. The page lives as long as the driver, which outlives every module.
pub(crate) unsafe extern "C" fn get_gip<R: Ring0>() -> *const SUPGLOBALINFOPAGE {
    page::<R>()
}

/// What `g_pSUPGlobalInfoPage` is in ring 0's table: a variable of this address. Nothing here reads it, so
/// a module that writes there harms modules alone.
static POINTER: AtomicPtr<SUPGLOBALINFOPAGE> = AtomicPtr::new(core::ptr::null_mut());

fn page<R: Ring0>() -> *const SUPGLOBALINFOPAGE {
    R::driver().map_or(core::ptr::null(), |driver| core::ptr::from_ref(driver.gip_page()))
}

/// Where the page lies. Corresponds to `g_SUPGlobalInfoPage`.
pub(crate) fn page_place<R: Ring0>() -> u64 {
    page::<R>().addr() as u64
}

/// Where a pointer to the page lies. Corresponds to ring 0's `g_pSUPGlobalInfoPage`, which the header leaves to
/// the driver itself: modules ask for its address by name.
pub(crate) fn pointer_place<R: Ring0>() -> u64 {
    // Release: whoever reads the pointer sees the page as it was made.
    POINTER.store(page::<R>().cast_mut(), Ordering::Release);
    (&raw const POINTER).addr() as u64
}

/// Corresponds to `SUPR0GipMap`. Without a place for ring 3's address nothing is mapped, and the page is
/// updated for the session all the same.
pub(crate) unsafe extern "C" fn gip_map<R: Ring0>(
    session: *mut SUPDRVSESSION,
    r3: *mut R3Ptr,
    address: *mut PhysAddr,
) -> i32 {
    raw(resolve::<R>(session).and_then(|(driver, session)| {
        plausible_or_null::<R, _>(r3)?;
        plausible_or_null::<R, _>(address)?;
        let mapped = match r3.is_null() {
            true => driver.want_gip_updates(&session).map(|()| R3Ptr::NIL),
            false => driver.map_gip(&session),
        };
        let found = mapped.map_or(PhysAddr::NIL, |_| driver.gip_physical_address());
        // SAFETY: it is null, or a plausible place of the caller's own, as the header demands.
        unsafe { write(r3, mapped.unwrap_or(R3Ptr::NIL)) };
        // SAFETY: it is null, or a plausible place of the caller's own, as the header demands.
        unsafe { write(address, found) };
        mapped.and(DONE)
    }))
}

/// Corresponds to `SUPR0GipUnmap`. Undoes any number of maps; without one there is nothing to do.
pub(crate) unsafe extern "C" fn gip_unmap<R: Ring0>(session: *mut SUPDRVSESSION) -> i32 {
    raw(resolve::<R>(session).and_then(|(driver, session)| {
        driver.unmap_gip(&session);
        DONE
    }))
}
