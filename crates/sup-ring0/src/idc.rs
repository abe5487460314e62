//! The functions by which a module gets a session of its own: `SUPR0Idc*`.
//!
//! [`packets`] has the same requests in the form that kernel modules outside this driver use.
//!
//! The handle is the module's memory, and holds nothing but the session's name, which is resolved like
//! every other. A module keeps it in its own image, so that the session can end with the image if the
//! module forgets to close it.

use sup_abi::{R0Ptr, SUPDRV_IDC_VERSION, SUPDRVFACTORY, SUPDRVIDCHANDLE, SUPDRVSESSION, Status};
use sup_core::host::Host;
use sup_core::negotiate_idc;

use crate::Ring0;
use crate::components::{NativeFactory, deregister, register};
use crate::exports::{Resolved, is_plausible, raw, resolve};
use crate::mapper::session_pointer;

pub mod packets;

/// Corresponds to `SUPR0IdcOpen`.
pub(crate) unsafe extern "C" fn open<R: Ring0>(
    handle: *mut SUPDRVIDCHANDLE,
    requested: u32,
    minimum: u32,
    session_version: *mut u32,
    driver_version: *mut u32,
    driver_revision: *mut u32,
) -> i32 {
    let open = || {
        if !is_plausible::<R, _>(handle) {
            return Err(Status::VERR_INVALID_POINTER);
        }
        // SAFETY: the module passed a plausible pointer to a handle of its own, as the header demands.
        unsafe { handle.write(SUPDRVIDCHANDLE::CLOSED) };
        let outputs = [session_version, driver_version, driver_revision];
        for output in outputs.iter().filter(|output| !output.is_null()) {
            if !is_plausible::<R, _>(*output) {
                return Err(Status::VERR_INVALID_POINTER);
            }
            // SAFETY: the module passed a plausible pointer to a variable of its own.
            unsafe { output.write(0) };
        }
        negotiate_idc(requested, minimum)?;
        let driver = R::driver().ok_or(Status::VERR_INVALID_HANDLE)?;
        let kept_at = R0Ptr::new(handle.addr() as u64);
        let session = driver.open_kernel_session(R::kernel_client(), kept_at)?;
        let mut opened = SUPDRVIDCHANDLE::CLOSED;
        if let Some(first) = opened.apvPadding.first_mut() {
            *first = session_pointer(session.handle()).cast();
        }
        // SAFETY: the handle that was written above.
        unsafe { handle.write(opened) };
        // There is no number for the driver's revision, which stays 0.
        for output in [session_version, driver_version] {
            if !output.is_null() {
                // SAFETY: the variable that was written above.
                unsafe { output.write(SUPDRV_IDC_VERSION) };
            }
        }
        Ok(Status::VINF_SUCCESS)
    };
    raw(open())
}

/// The session's name in a handle; null if it is closed.
///
/// # Safety
/// A plausible pointer leads to a handle.
unsafe fn name_in<R: Ring0>(handle: *const SUPDRVIDCHANDLE) -> *mut SUPDRVSESSION {
    if !is_plausible::<R, _>(handle) {
        return core::ptr::null_mut();
    }
    // SAFETY: by this function's contract the pointer leads to a handle.
    let SUPDRVIDCHANDLE { apvPadding: [session, ..] } = unsafe { handle.read() };
    session.cast()
}

/// The session of an open handle.
///
/// # Errors
/// `VERR_INVALID_HANDLE`.
///
/// # Safety
/// A plausible pointer leads to a handle.
unsafe fn session_in<R: Ring0>(handle: *const SUPDRVIDCHANDLE) -> Result<Resolved<R>, Status> {
    // SAFETY: by this function's contract.
    let session = unsafe { name_in::<R>(handle) };
    let (driver, session) = resolve(session).map_err(|_| Status::VERR_INVALID_HANDLE)?;
    session.require_kernel().map_err(|_| Status::VERR_INVALID_HANDLE)?;
    Ok((driver, session))
}

/// Corresponds to `SUPR0IdcClose`.
pub(crate) unsafe extern "C" fn close<R: Ring0>(handle: *mut SUPDRVIDCHANDLE) -> i32 {
    let close = || {
        if !is_plausible::<R, _>(handle) {
            return Err(Status::VERR_INVALID_POINTER);
        }
        // SAFETY: the module passed a plausible pointer to a handle of its own, as the header demands.
        let (driver, session) = unsafe { session_in::<R>(handle) }?;
        driver.close_kernel_session(session)?;
        // SAFETY: the same handle.
        unsafe { handle.write(SUPDRVIDCHANDLE::CLOSED) };
        Ok(Status::VINF_SUCCESS)
    };
    raw(close())
}

/// Corresponds to `SUPR0IdcGetSession`.
pub(crate) unsafe extern "C" fn get_session<R: Ring0>(
    handle: *mut SUPDRVIDCHANDLE,
) -> *mut SUPDRVSESSION {
    // SAFETY: the module passes a handle of its own, as the header demands.
    let session = unsafe { session_in::<R>(handle) };
    session.map_or(core::ptr::null_mut(), |(_, session)| session_pointer(session.handle()))
}

/// Corresponds to `SUPR0IdcComponentRegisterFactory`.
pub(crate) unsafe extern "C" fn component_register<R: Ring0 + Host<Factory = NativeFactory>>(
    handle: *mut SUPDRVIDCHANDLE,
    factory: *const SUPDRVFACTORY,
) -> i32 {
    // SAFETY: the module passes a handle of its own, as the header demands.
    match unsafe { session_in::<R>(handle) } {
        // SAFETY: the factory is what the module passed, under the header's contract.
        Ok((_, session)) => unsafe { register::<R>(session_pointer(session.handle()), factory) },
        Err(status) => status.raw(),
    }
}

/// Corresponds to `SUPR0IdcComponentDeregisterFactory`.
pub(crate) unsafe extern "C" fn component_deregister<R: Ring0>(
    handle: *mut SUPDRVIDCHANDLE,
    factory: *const SUPDRVFACTORY,
) -> i32 {
    // SAFETY: the module passes a handle of its own, as the header demands.
    match unsafe { session_in::<R>(handle) } {
        // SAFETY: the factory is what the module passed, under the header's contract.
        Ok((_, session)) => unsafe { deregister::<R>(session_pointer(session.handle()), factory) },
        Err(status) => status.raw(),
    }
}
