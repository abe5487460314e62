//! [`Event`]: an event semaphore of a session, which resets itself when a wait succeeds.
//!
//! Neighbours: `session` makes them; ring 3 can wait on the same handle. Invariant: an event that was
//! made here is closed when it is dropped, unless it was given away.

use core::ffi::c_void;
use core::mem::ManuallyDrop;

use crate::object::check;
use crate::{Result, Session, raw};

/// How long a wait may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timeout {
    /// Looks, and does not wait.
    Poll,
    /// At most so long.
    Nanoseconds(u64),
    /// Until it is signalled, or the thread gets a signal.
    Never,
}

/// An event semaphore. Dropping it closes it.
#[derive(Debug)]
pub struct Event<'a> {
    session: Session<'a>,
    handle: *mut c_void,
}

impl<'a> Session<'a> {
    /// Makes an event. Corresponds to `SUPSemEventCreate`.
    ///
    /// # Errors
    /// `VERR_NO_MEMORY`, `VERR_INVALID_PARAMETER` outside of a call.
    pub fn event(self) -> Result<Event<'a>> {
        let mut handle = core::ptr::null_mut();
        // SAFETY: the place is a local variable; the driver looks the session up in its table.
        check(unsafe { raw::SUPSemEventCreate(self.as_raw(), &raw mut handle) }).map(|_| ())?;
        Ok(Event { session: self, handle })
    }
}

impl Event<'_> {
    /// Lets one wait succeed. Corresponds to `SUPSemEventSignal`.
    ///
    /// # Errors
    /// `VERR_INVALID_HANDLE` if somebody closed it.
    pub fn signal(&self) -> Result<()> {
        // SAFETY: the driver looks both values up in its tables, and refuses what is not there.
        check(unsafe { raw::SUPSemEventSignal(self.session.as_raw(), self.handle) }).map(|_| ())
    }

    /// Waits until it is signalled. Corresponds to `SUPSemEventWaitNoResume` and
    /// `SUPSemEventWaitNsRelIntr`.
    ///
    /// # Errors
    /// `VERR_TIMEOUT`, `VERR_INTERRUPTED`, `VERR_SEM_DESTROYED`, `VERR_INVALID_HANDLE`.
    ///
    /// # Context
    /// May sleep.
    pub fn wait(&self, timeout: Timeout) -> Result<()> {
        let (session, event) = (self.session.as_raw(), self.handle);
        let status = match timeout {
            // SAFETY: the driver looks both values up in its tables, and refuses what is not there.
            Timeout::Poll => unsafe { raw::SUPSemEventWaitNoResume(session, event, 0) },
            // SAFETY: the driver looks both values up in its tables, and refuses what is not there.
            Timeout::Never => unsafe { raw::SUPSemEventWaitNoResume(session, event, u32::MAX) },
            // SAFETY: the driver looks both values up in its tables, and refuses what is not there.
            Timeout::Nanoseconds(time) => unsafe {
                raw::SUPSemEventWaitNsRelIntr(session, event, time)
            },
        };
        check(status).map(|_| ())
    }

    /// Gives the event away: its handle, as ring 3 knows it. The session closes it, or somebody else.
    pub fn into_handle(self) -> u32 {
        // Handles have 32 bits.
        ManuallyDrop::new(self).handle.addr() as u32
    }
}

impl Drop for Event<'_> {
    fn drop(&mut self) {
        // Somebody else may have closed it: then there is nothing to do.
        // SAFETY: the driver looks both values up in its tables, and refuses what is not there.
        let _ = unsafe { raw::SUPSemEventClose(self.session.as_raw(), self.handle) };
    }
}

#[cfg(test)]
mod tests {
    use sup_abi::Status;

    use super::*;

    #[test]
    fn cannot_make_an_event_without_a_driver() {
        let session = Session::new(core::ptr::null_mut());
        assert_eq!(session.event().err(), Some(Status::VERR_INVALID_PARAMETER));
    }
}
