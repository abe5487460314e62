//! The functions that a module imports from the driver, under their names in the header.
//!
//! In ring 0 the loader binds them. On the host, where a module's tests run, there is no driver: each
//! answers what the driver answers to a session that it does not know.
//!
//! Neighbours: `sup-ring0/src/exports.rs` is the other side. Invariant: a signature here is the header's.

use core::ffi::{c_char, c_void};

use sup_abi::{
    PFNSUPDRVDESTRUCTOR, SUPDRVIDCHANDLE, SUPDRVSESSION, SUPDRVTRACERHLP, SUPDRVTRACERREG,
    VTGOBJHDR,
};

/// Declares imports, with what the host answers in place of each.
macro_rules! imports {
    ($(fn $name:ident($($argument:ident: $type:ty),*) -> $result:ty = $host:expr;)*) => {
        #[cfg(target_os = "none")]
        unsafe extern "C" {
            $(pub(crate) fn $name($($argument: $type),*) -> $result;)*
        }

        $(
            #[cfg(not(target_os = "none"))]
            #[expect(non_snake_case, reason = "the names are the header's")]
            pub(crate) unsafe fn $name($(_: $type),*) -> $result {
                $host
            }
        )*
    };
}

#[cfg(not(target_os = "none"))]
const NO_DRIVER: i32 = sup_abi::Status::VERR_INVALID_PARAMETER.raw();

imports! {
    fn SUPR0ObjRegister(session: *mut SUPDRVSESSION, kind: u32, destructor: PFNSUPDRVDESTRUCTOR, user1: *mut c_void, user2: *mut c_void) -> *mut c_void = core::ptr::null_mut();
    fn SUPR0ObjAddRefEx(object: *mut c_void, session: *mut SUPDRVSESSION, no_blocking: bool) -> i32 = NO_DRIVER;
    fn SUPR0ObjRelease(object: *mut c_void, session: *mut SUPDRVSESSION) -> i32 = NO_DRIVER;
    fn SUPR0ObjVerifyAccess(object: *mut c_void, session: *mut SUPDRVSESSION, name: *const c_char) -> i32 = NO_DRIVER;
    fn SUPR0TracerRegisterModule(module: *mut c_void, header: *mut VTGOBJHDR) -> i32 = NO_DRIVER;
    fn SUPR0GetPagingMode() -> u32 = 0;
    fn SUPR0MemAlloc(session: *mut SUPDRVSESSION, bytes: u32, r0: *mut *mut c_void, r3: *mut *mut c_void) -> i32 = NO_DRIVER;
    fn SUPR0MemFree(session: *mut SUPDRVSESSION, address: usize) -> i32 = NO_DRIVER;
    fn SUPSemEventMultiCreate(session: *mut SUPDRVSESSION, event: *mut *mut c_void) -> i32 = NO_DRIVER;
    fn SUPSemEventMultiClose(session: *mut SUPDRVSESSION, event: *mut c_void) -> i32 = NO_DRIVER;
    fn SUPSemEventMultiSignal(session: *mut SUPDRVSESSION, event: *mut c_void) -> i32 = NO_DRIVER;
    fn SUPSemEventMultiReset(session: *mut SUPDRVSESSION, event: *mut c_void) -> i32 = NO_DRIVER;
    fn SUPSemEventMultiWaitNoResume(session: *mut SUPDRVSESSION, event: *mut c_void, timeout_ms: u32) -> i32 = NO_DRIVER;
    fn SUPSemEventMultiWaitNsRelIntr(session: *mut SUPDRVSESSION, event: *mut c_void, timeout_ns: u64) -> i32 = NO_DRIVER;
    fn SUPSemEventCreate(session: *mut SUPDRVSESSION, event: *mut *mut c_void) -> i32 = NO_DRIVER;
    fn SUPSemEventClose(session: *mut SUPDRVSESSION, event: *mut c_void) -> i32 = NO_DRIVER;
    fn SUPSemEventSignal(session: *mut SUPDRVSESSION, event: *mut c_void) -> i32 = NO_DRIVER;
    fn SUPSemEventWaitNoResume(session: *mut SUPDRVSESSION, event: *mut c_void, timeout_ms: u32) -> i32 = NO_DRIVER;
    fn SUPR0IdcOpen(handle: *mut SUPDRVIDCHANDLE, requested: u32, minimum: u32, session_version: *mut u32, driver_version: *mut u32, driver_revision: *mut u32) -> i32 = NO_DRIVER;
    fn SUPR0IdcGetSession(handle: *mut SUPDRVIDCHANDLE) -> *mut SUPDRVSESSION = core::ptr::null_mut();
    fn SUPR0TracerRegisterImpl(module: *mut c_void, session: *mut SUPDRVSESSION, registration: *const SUPDRVTRACERREG, helpers: *mut *const SUPDRVTRACERHLP) -> i32 = NO_DRIVER;
    fn SUPSemEventWaitNsRelIntr(session: *mut SUPDRVSESSION, event: *mut c_void, timeout_ns: u64) -> i32 = NO_DRIVER;
}

#[cfg(target_os = "none")]
unsafe extern "C" {
    pub(crate) fn SUPR0Printf(format: *const c_char, ...) -> i32;
    pub(crate) fn SUPR0ModulePanic(text: *const u8, bytes: usize, module: *const c_void) -> !;
}
