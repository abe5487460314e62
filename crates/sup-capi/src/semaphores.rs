//! The event semaphores of ring 3. A handle is the driver's number, as wide as a pointer.
//!
//! A session that a caller names is not looked at: there is one. Signal, reset, a poll and a wait that
//! succeeds at once are one atomic operation, see `docs/semaphores.md`.

#![expect(non_snake_case, reason = "the header's names")]

use std::time::Duration;

use sup::Timeout;
use sup::raw::{Semaphore, SemaphoreKind};
use sup_abi::{SUPDRVSESSION, Status};

use crate::calls::Call;
use crate::entry::c_functions;
use crate::pointer::Out;

use SemaphoreKind::{Event, EventMulti};

/// What a semaphore's resolution is when the driver cannot be asked, in nanoseconds.
const RESOLUTION_UNKNOWN_NS: u32 = 10;

type Session = *mut SUPDRVSESSION;
type Outcome = Result<Status, Status>;

/// # Safety
/// If `handle` is plausible, the caller has room for a handle there.
unsafe fn create(kind: SemaphoreKind, handle: *mut usize) -> Outcome {
    // SAFETY: the caller's promise.
    let out = unsafe { Out::required(handle) }?;
    out.put(Semaphore::create(&Call::begin()?.session, kind)? as usize);
    Ok(Status::VINF_SUCCESS)
}

#[inline(always)]
fn number(handle: usize) -> Result<u32, Status> {
    u32::try_from(handle).map_err(|_| Status::VERR_INVALID_HANDLE)
}

fn close(kind: SemaphoreKind, handle: usize) -> Outcome {
    if handle == 0 {
        return Ok(Status::VINF_SUCCESS);
    }
    let number = number(handle)?;
    Ok(Semaphore::at(&Call::begin()?.session, kind, number)?.close()?)
}

#[inline(always)]
fn signal(kind: SemaphoreKind, handle: usize) -> Outcome {
    let number = number(handle)?;
    Semaphore::at(&Call::begin()?.session, kind, number)?.signal()?;
    Ok(Status::VINF_SUCCESS)
}

#[inline(always)]
fn wait(kind: SemaphoreKind, handle: usize, timeout: Timeout) -> Outcome {
    let number = number(handle)?;
    let call = Call::begin()?;
    match Semaphore::at(&call.session, kind, number)?.wait(timeout) {
        Ok(()) => Ok(Status::VINF_SUCCESS),
        Err(error) => Err(error.status()),
    }
}

#[inline(always)]
fn millis(millis: u32) -> Timeout {
    if millis == 0 { Timeout::Poll } else { Timeout::Millis(millis) }
}

#[inline(always)]
fn nanos(nanos: u64) -> Timeout {
    match nanos {
        0 => Timeout::Poll,
        u64::MAX => Timeout::Never,
        _ => Timeout::After(Duration::from_nanos(nanos)),
    }
}

fn resolution() -> u32 {
    let asked = Call::begin().and_then(|call| Ok(call.session.wait_resolution_ns()?));
    asked.unwrap_or(RESOLUTION_UNKNOWN_NS)
}

c_functions! {
    /// Creates an event that resets itself.
    status fn SUPSemEventCreate(_pSession: Session, phEvent: *mut usize) {
        // SAFETY: the caller has room for a handle there.
        unsafe { create(Event, phEvent) }
    }

    /// Closes it; NIL is closed already.
    status fn SUPSemEventClose(_pSession: Session, hEvent: usize) {
        close(Event, hEvent)
    }

    /// Signals it.
    status fn SUPSemEventSignal(_pSession: Session, hEvent: usize) {
        signal(Event, hEvent)
    }

    /// Waits so many milliseconds, or until a POSIX signal comes.
    status fn SUPSemEventWaitNoResume(_pSession: Session, hEvent: usize, cMillies: u32) {
        wait(Event, hEvent, millis(cMillies))
    }

    /// Waits until then on the monotonic clock, or until a POSIX signal comes.
    status fn SUPSemEventWaitNsAbsIntr(_pSession: Session, hEvent: usize, uNsTimeout: u64) {
        wait(Event, hEvent, Timeout::Deadline(uNsTimeout))
    }

    /// Waits so many nanoseconds, or until a POSIX signal comes.
    status fn SUPSemEventWaitNsRelIntr(_pSession: Session, hEvent: usize, cNsTimeout: u64) {
        wait(Event, hEvent, nanos(cNsTimeout))
    }

    /// The resolution of waits in nanoseconds.
    value fn SUPSemEventGetResolution(_pSession: Session) -> u32, or RESOLUTION_UNKNOWN_NS; {
        resolution()
    }

    /// Creates an event that stays signalled until it is reset.
    status fn SUPSemEventMultiCreate(_pSession: Session, phEventMulti: *mut usize) {
        // SAFETY: the caller has room for a handle there.
        unsafe { create(EventMulti, phEventMulti) }
    }

    /// Closes it; NIL is closed already.
    status fn SUPSemEventMultiClose(_pSession: Session, hEventMulti: usize) {
        close(EventMulti, hEventMulti)
    }

    /// Signals it.
    status fn SUPSemEventMultiSignal(_pSession: Session, hEventMulti: usize) {
        signal(EventMulti, hEventMulti)
    }

    /// Resets it.
    status fn SUPSemEventMultiReset(_pSession: Session, hEventMulti: usize) {
        let number = number(hEventMulti)?;
        Semaphore::at(&Call::begin()?.session, EventMulti, number)?.reset()?;
        Ok(Status::VINF_SUCCESS)
    }

    /// Waits so many milliseconds, or until a POSIX signal comes.
    status fn SUPSemEventMultiWaitNoResume(_pSession: Session, hEventMulti: usize, cMillies: u32) {
        wait(EventMulti, hEventMulti, millis(cMillies))
    }

    /// Waits until then on the monotonic clock, or until a POSIX signal comes.
    status fn SUPSemEventMultiWaitNsAbsIntr(_pSession: Session, hEventMulti: usize, uNsTimeout: u64) {
        wait(EventMulti, hEventMulti, Timeout::Deadline(uNsTimeout))
    }

    /// Waits so many nanoseconds, or until a POSIX signal comes.
    status fn SUPSemEventMultiWaitNsRelIntr(_pSession: Session, hEventMulti: usize, cNsTimeout: u64) {
        wait(EventMulti, hEventMulti, nanos(cNsTimeout))
    }

    /// The resolution of waits in nanoseconds.
    value fn SUPSemEventMultiGetResolution(_pSession: Session) -> u32, or RESOLUTION_UNKNOWN_NS; {
        resolution()
    }
}
