//! [`ManualResetEvent`]: an event semaphore of a session that stays signalled until it is reset.
//!
//! Neighbours: `event` has the kind that resets itself; `session` makes both. Invariant: an event that was
//! made here is closed when it is dropped, unless it was given away.

use core::ffi::c_void;
use core::mem::ManuallyDrop;

use crate::object::check;
use crate::{Result, Session, Timeout, raw};

/// An event semaphore that lets every wait succeed from a signal to the next reset. Dropping it closes it.
#[derive(Debug)]
pub struct ManualResetEvent<'a> {
    session: Session<'a>,
    handle: *mut c_void,
}

impl<'a> Session<'a> {
    /// Makes an event that is not signalled. Corresponds to `SUPSemEventMultiCreate`.
    ///
    /// # Errors
    /// `VERR_NO_MEMORY`, `VERR_INVALID_PARAMETER` outside of a call.
    pub fn manual_reset_event(self) -> Result<ManualResetEvent<'a>> {
        let mut handle = core::ptr::null_mut();
        // SAFETY: the place is a local variable; the driver looks the session up in its table.
        let status = unsafe { raw::SUPSemEventMultiCreate(self.as_raw(), &raw mut handle) };
        check(status).map(|_| ())?;
        Ok(ManualResetEvent { session: self, handle })
    }
}

impl ManualResetEvent<'_> {
    /// Lets every wait succeed from now on. Corresponds to `SUPSemEventMultiSignal`.
    ///
    /// # Errors
    /// `VERR_INVALID_HANDLE` if somebody closed it.
    pub fn signal(&self) -> Result<()> {
        // SAFETY: the driver looks both values up in its tables, and refuses what is not there.
        let status = unsafe { raw::SUPSemEventMultiSignal(self.session.as_raw(), self.handle) };
        check(status).map(|_| ())
    }

    /// Lets waits sleep again. Corresponds to `SUPSemEventMultiReset`.
    ///
    /// # Errors
    /// `VERR_INVALID_HANDLE` if somebody closed it.
    pub fn reset(&self) -> Result<()> {
        // SAFETY: the driver looks both values up in its tables, and refuses what is not there.
        let status = unsafe { raw::SUPSemEventMultiReset(self.session.as_raw(), self.handle) };
        check(status).map(|_| ())
    }

    /// Waits until it is signalled. Corresponds to `SUPSemEventMultiWaitNoResume` and
    /// `SUPSemEventMultiWaitNsRelIntr`.
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
            Timeout::Poll => unsafe { raw::SUPSemEventMultiWaitNoResume(session, event, 0) },
            // SAFETY: the driver looks both values up in its tables, and refuses what is not there.
            Timeout::Never => unsafe {
                raw::SUPSemEventMultiWaitNoResume(session, event, u32::MAX)
            },
            // SAFETY: the driver looks both values up in its tables, and refuses what is not there.
            Timeout::Nanoseconds(time) => unsafe {
                raw::SUPSemEventMultiWaitNsRelIntr(session, event, time)
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

impl Drop for ManualResetEvent<'_> {
    fn drop(&mut self) {
        // Somebody else may have closed it: then there is nothing to do.
        // SAFETY: the driver looks both values up in its tables, and refuses what is not there.
        let _ = unsafe { raw::SUPSemEventMultiClose(self.session.as_raw(), self.handle) };
    }
}

#[cfg(test)]
mod tests {
    use sup_abi::Status;

    use super::*;

    #[test]
    fn cannot_make_an_event_without_a_driver() {
        let session = Session::new(core::ptr::null_mut());
        assert_eq!(session.manual_reset_event().err(), Some(Status::VERR_INVALID_PARAMETER));
    }
}
