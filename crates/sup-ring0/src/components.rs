//! The component functions that modules import, and [`NativeFactory`]: a factory in a module.

use core::ffi::{CStr, c_char, c_void};

use sup_abi::{FACTORY_NAME_BYTES, R0Ptr, SUPDRVFACTORY, SUPDRVSESSION, Status};
use sup_core::host::{Factory, Host};
use sup_core::{FactoryName, SessionHandle};

use crate::Ring0;
use crate::calls::{self, Calls};
use crate::exports::{is_plausible, raw, resolve};
use crate::mapper::session_pointer;

/// Bytes of an interface's UUID in text form, with its terminator.
const UUID_BYTES: usize = 37;

type Query =
    unsafe extern "C" fn(*const SUPDRVFACTORY, *mut SUPDRVSESSION, *const c_char) -> *mut c_void;

/// A factory as a module registered it.
#[derive(Debug)]
pub struct NativeFactory {
    factory: *const SUPDRVFACTORY,
    function: Query,
    /// Calls `function` where the host notes calls.
    call: fn(&Self, SessionHandle, &CStr) -> R0Ptr,
}

// SAFETY: the pointer is never followed here, only handed back to the module that registered it, which the
// header tells that any session's thread may ask its factory.
unsafe impl Send for NativeFactory {}
// SAFETY: nothing here changes; the factory may be called from several threads at once, as the header has
// one lock for registering, and none that its queries could rely on for data of their own.
unsafe impl Sync for NativeFactory {}

impl NativeFactory {
    fn call<C: Calls>(&self, session: SessionHandle, uuid: &CStr) -> R0Ptr {
        let (factory, function) = (self.factory, self.function);
        let (session, uuid) = (session_pointer(session), uuid.as_ptr());
        let interface = calls::call::<C, _>(function as *const (), || {
            // SAFETY: the module promised the prototype by registering; the driver keeps a factory from
            // going while a query runs in it, and the text is terminated.
            unsafe { function(factory, session, uuid) }
        });
        // A factory that panics has told so, and has no interface.
        interface.map_or(R0Ptr::NIL, |interface| R0Ptr::new(interface.addr() as u64))
    }
}

impl Factory for NativeFactory {
    fn address(&self) -> R0Ptr {
        R0Ptr::new(self.factory.addr() as u64)
    }

    fn entry(&self) -> R0Ptr {
        R0Ptr::new(self.function as usize as u64)
    }

    fn query(&self, session: SessionHandle, uuid: &CStr) -> R0Ptr {
        (self.call)(self, session, uuid)
    }
}

/// A terminated text of at most `N` bytes with its terminator, and zeros behind it.
///
/// # Errors
/// `VERR_INVALID_POINTER` if the pointer is not plausible, `VERR_INVALID_PARAMETER` if the text is longer.
///
/// # Safety
/// A plausible pointer leads to a terminated text, or to `N` readable bytes.
pub(crate) unsafe fn text<R: Ring0, const N: usize>(
    start: *const c_char,
) -> Result<[u8; N], Status> {
    if !is_plausible::<R, _>(start) {
        return Err(Status::VERR_INVALID_POINTER);
    }
    let mut bytes = [0; N];
    for (index, place) in bytes.iter_mut().enumerate() {
        // SAFETY: no terminator came before, so by this function's contract the byte is readable.
        *place = unsafe { start.wrapping_add(index).cast::<u8>().read() };
        if *place == 0 {
            return Ok(bytes);
        }
    }
    Err(Status::VERR_INVALID_PARAMETER)
}

/// What is behind a factory that a module names.
///
/// # Errors
/// `VERR_INVALID_POINTER`, `VERR_INVALID_PARAMETER` if the name is not terminated.
///
/// # Safety
/// A plausible pointer leads to a factory, which stays as it is until it is deregistered.
unsafe fn factory<R: Ring0>(
    factory: *const SUPDRVFACTORY,
) -> Result<(FactoryName, NativeFactory), Status> {
    if !is_plausible::<R, _>(factory) {
        return Err(Status::VERR_INVALID_POINTER);
    }
    // SAFETY: by this function's contract the pointer leads to a factory.
    let function = unsafe { (*factory).pfnQueryFactoryInterface };
    let function = function.filter(|function| is_plausible::<R, _>(*function as *const ()));
    let function = function.ok_or(Status::VERR_INVALID_POINTER)?;
    let name = factory.cast::<c_char>();
    // SAFETY: the name is the first member, and has as many bytes.
    let name = unsafe { text::<R, FACTORY_NAME_BYTES>(name) }?;
    Ok((name, NativeFactory { factory, function, call: NativeFactory::call::<R::Calls> }))
}

/// Corresponds to `SUPR0ComponentRegisterFactory`.
pub(crate) unsafe extern "C" fn register<R: Ring0 + Host<Factory = NativeFactory>>(
    session: *mut SUPDRVSESSION,
    pointer: *const SUPDRVFACTORY,
) -> i32 {
    raw(resolve::<R>(session).and_then(|(driver, session)| {
        session.require_kernel()?;
        // SAFETY: the module passes a factory that stays until it is deregistered, as the header demands.
        let (name, factory) = unsafe { factory::<R>(pointer) }?;
        driver.component_register(&session, name, factory)?;
        Ok(Status::VINF_SUCCESS)
    }))
}

/// Corresponds to `SUPR0ComponentDeregisterFactory`.
pub(crate) unsafe extern "C" fn deregister<R: Ring0>(
    session: *mut SUPDRVSESSION,
    factory: *const SUPDRVFACTORY,
) -> i32 {
    raw(resolve::<R>(session).and_then(|(driver, session)| {
        session.require_kernel()?;
        if !is_plausible::<R, _>(factory) {
            return Err(Status::VERR_INVALID_POINTER);
        }
        driver.component_deregister(&session, R0Ptr::new(factory.addr() as u64))?;
        Ok(Status::VINF_SUCCESS)
    }))
}

/// Corresponds to `SUPR0ComponentQueryFactory`.
pub(crate) unsafe extern "C" fn query<R: Ring0>(
    session: *mut SUPDRVSESSION,
    name: *const c_char,
    uuid: *const c_char,
    interface: *mut *mut c_void,
) -> i32 {
    raw(resolve::<R>(session).and_then(|(driver, session)| {
        // SAFETY: the module passes terminated texts, as the header demands.
        let name = unsafe { text::<R, FACTORY_NAME_BYTES>(name) }?;
        // SAFETY: the same of the second.
        let uuid = unsafe { text::<R, UUID_BYTES>(uuid) }?;
        if !is_plausible::<R, _>(interface) {
            return Err(Status::VERR_INVALID_POINTER);
        }
        // SAFETY: the module passed a plausible pointer to a variable of its own, as the header demands.
        unsafe { interface.write(core::ptr::null_mut()) };
        let uuid = CStr::from_bytes_until_nul(&uuid).map_err(|_| Status::VERR_INVALID_PARAMETER)?;
        let found = driver.component_query(&session, &name, uuid)?;
        // SAFETY: the same variable, which the module keeps for the call.
        unsafe { interface.write(found.get() as usize as *mut c_void) };
        Ok(Status::VINF_SUCCESS)
    }))
}
