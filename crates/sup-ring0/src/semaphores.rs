//! The semaphore functions that modules import: `SUPSemEvent*` and `SUPSemEventMulti*`.
//!
//! A handle is a 32-bit number in a pointer-sized type. The functions of the two kinds differ in the
//! kind alone, so each pair is made from one body.

use core::ffi::c_void;

use sup_abi::request::SemaphoreKind;
use sup_abi::{SUPDRVSESSION, Status};
use sup_core::host::{Interruption, Wait};
use sup_core::{Deadline, Driver};

use crate::Ring0;
use crate::exports::{is_plausible, raw, resolve};

/// A handle as the driver knows it.
///
/// # Errors
/// `VERR_INVALID_HANDLE` if it is wider than 32 bits.
fn narrow(semaphore: *mut c_void) -> Result<u32, Status> {
    u32::try_from(semaphore.addr()).map_err(|_| Status::VERR_INVALID_HANDLE)
}

unsafe fn create<R: Ring0>(
    kind: SemaphoreKind,
    session: *mut SUPDRVSESSION,
    semaphore: *mut *mut c_void,
) -> i32 {
    raw(resolve::<R>(session).and_then(|(driver, session)| {
        if !is_plausible::<R, _>(semaphore) {
            return Err(Status::VERR_INVALID_POINTER);
        }
        let handle = driver.semaphore_create(&session, kind)?;
        // SAFETY: the caller passed a plausible pointer to a handle variable of its own, as the
        // header demands.
        unsafe { semaphore.write(handle as usize as *mut c_void) };
        Ok(Status::VINF_SUCCESS)
    }))
}

fn close<R: Ring0>(
    kind: SemaphoreKind,
    session: *mut SUPDRVSESSION,
    semaphore: *mut c_void,
) -> i32 {
    raw(resolve::<R>(session)
        .and_then(|(driver, session)| driver.semaphore_close(&session, kind, narrow(semaphore)?)))
}

fn signal<R: Ring0>(
    kind: SemaphoreKind,
    session: *mut SUPDRVSESSION,
    semaphore: *mut c_void,
) -> i32 {
    raw(resolve::<R>(session).and_then(|(driver, session)| {
        driver.semaphore_signal(&session, kind, narrow(semaphore)?)?;
        Ok(Status::VINF_SUCCESS)
    }))
}

fn wait<R: Ring0>(
    kind: SemaphoreKind,
    session: *mut SUPDRVSESSION,
    semaphore: *mut c_void,
    interruption: Interruption,
    deadline: impl FnOnce(&Driver<R>) -> Deadline,
) -> i32 {
    raw(resolve::<R>(session).and_then(|(driver, session)| {
        let wait = Wait { deadline: deadline(&driver), interruption };
        driver.semaphore_wait(&session, kind, narrow(semaphore)?, wait)?;
        Ok(Status::VINF_SUCCESS)
    }))
}

/// Corresponds to `SUPSemEventMultiReset`.
pub(crate) unsafe extern "C" fn multi_reset<R: Ring0>(
    session: *mut SUPDRVSESSION,
    semaphore: *mut c_void,
) -> i32 {
    raw(resolve::<R>(session).and_then(|(driver, session)| {
        let handle = narrow(semaphore)?;
        driver.semaphore_reset(&session, SemaphoreKind::EventMulti, handle)?;
        Ok(Status::VINF_SUCCESS)
    }))
}

/// Corresponds to `SUPSemEventGetResolution` and `SUPSemEventMultiGetResolution`.
pub(crate) unsafe extern "C" fn resolution<R: Ring0>(_session: *mut SUPDRVSESSION) -> u32 {
    R::driver().map_or(0, |driver| driver.host().wait_resolution_ns())
}

macro_rules! both_kinds {
    ($($kind:ident: $create:ident $close:ident $signal:ident
        $wait:ident $no_resume:ident $absolute:ident $relative:ident;)*) => {$(
        #[doc = concat!("Corresponds to `SUPSem", stringify!($kind), "Create`.")]
        pub(crate) unsafe extern "C" fn $create<R: Ring0>(
            session: *mut SUPDRVSESSION,
            semaphore: *mut *mut c_void,
        ) -> i32 {
            // SAFETY: the pointer is what the caller passed, under the header's contract.
            unsafe { create::<R>(SemaphoreKind::$kind, session, semaphore) }
        }

        #[doc = concat!("Corresponds to `SUPSem", stringify!($kind), "Close`.")]
        pub(crate) unsafe extern "C" fn $close<R: Ring0>(
            session: *mut SUPDRVSESSION,
            semaphore: *mut c_void,
        ) -> i32 {
            close::<R>(SemaphoreKind::$kind, session, semaphore)
        }

        #[doc = concat!("Corresponds to `SUPSem", stringify!($kind), "Signal`.")]
        pub(crate) unsafe extern "C" fn $signal<R: Ring0>(
            session: *mut SUPDRVSESSION,
            semaphore: *mut c_void,
        ) -> i32 {
            signal::<R>(SemaphoreKind::$kind, session, semaphore)
        }

        #[doc = concat!("Corresponds to `SUPSem", stringify!($kind), "Wait`; in ring 0 only.")]
        pub(crate) unsafe extern "C" fn $wait<R: Ring0>(
            session: *mut SUPDRVSESSION,
            semaphore: *mut c_void,
            millis: u32,
        ) -> i32 {
            wait::<R>(SemaphoreKind::$kind, session, semaphore, Interruption::Ignored, |driver| {
                Deadline::after_millis(driver.host().now(), millis)
            })
        }

        #[doc = concat!("Corresponds to `SUPSem", stringify!($kind), "WaitNoResume`.")]
        pub(crate) unsafe extern "C" fn $no_resume<R: Ring0>(
            session: *mut SUPDRVSESSION,
            semaphore: *mut c_void,
            millis: u32,
        ) -> i32 {
            wait::<R>(SemaphoreKind::$kind, session, semaphore, Interruption::Allowed, |driver| {
                Deadline::after_millis(driver.host().now(), millis)
            })
        }

        #[doc = concat!("Corresponds to `SUPSem", stringify!($kind), "WaitNsAbsIntr`.")]
        pub(crate) unsafe extern "C" fn $absolute<R: Ring0>(
            session: *mut SUPDRVSESSION,
            semaphore: *mut c_void,
            deadline_ns: u64,
        ) -> i32 {
            wait::<R>(SemaphoreKind::$kind, session, semaphore, Interruption::Allowed, |_| {
                Deadline::at_nanos(deadline_ns)
            })
        }

        #[doc = concat!("Corresponds to `SUPSem", stringify!($kind), "WaitNsRelIntr`.")]
        pub(crate) unsafe extern "C" fn $relative<R: Ring0>(
            session: *mut SUPDRVSESSION,
            semaphore: *mut c_void,
            timeout_ns: u64,
        ) -> i32 {
            wait::<R>(SemaphoreKind::$kind, session, semaphore, Interruption::Allowed, |driver| {
                Deadline::after_nanos(driver.host().now(), timeout_ns)
            })
        }
    )*};
}

both_kinds! {
    Event: event_create event_close event_signal
        event_wait event_wait_no_resume event_wait_ns_abs event_wait_ns_rel;
    EventMulti: multi_create multi_close multi_signal
        multi_wait multi_wait_no_resume multi_wait_ns_abs multi_wait_ns_rel;
}
