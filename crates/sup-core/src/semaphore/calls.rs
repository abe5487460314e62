//! The semaphore calls of a session, the same from both rings: `SUPSemEvent*` and `SUPSemEventMulti*`.
//!
//! Every call resolves the handle under the table's lock, keeps the semaphore by its own reference and
//! works on it with no lock held. So a handle can be closed while threads wait on it.

use sup_abi::Status;
use sup_abi::request::SemaphoreKind;

use super::table::Room;
use crate::host::{Host, Wait};
use crate::tracer::own::{Probe, signed};
use crate::{Driver, Session};

impl<H: Host> Driver<H> {
    /// Creates an unsignalled semaphore. Corresponds to `SUPSemEventCreate`, `SUPSemEventMultiCreate`.
    ///
    /// # Errors
    /// `VERR_NO_MEMORY`, `VERR_NO_MORE_HANDLES`.
    ///
    /// # Context
    /// May sleep.
    pub fn semaphore_create(
        &self,
        session: &Session<H>,
        kind: SemaphoreKind,
    ) -> Result<u32, Status> {
        let table = session.semaphores();
        let place = loop {
            let mut locked = table.lock();
            if !locked.needs_block() {
                if let Some(created) = locked.create_in_spare(kind) {
                    return created;
                }
                break locked.take_place()?;
            }
            drop(locked);
            let room = Room::try_new(self.host().word_page()?)?;
            let surplus = table.lock().add_block(room);
            drop(surplus);
        };
        match place.make(kind) {
            Ok(semaphore) => Ok(table.lock().fill(place, semaphore)),
            Err(error) => {
                table.lock().give_back(place);
                Err(error)
            }
        }
    }

    /// Closes a handle and wakes who waits on it. Corresponds to `SUPSemEventClose`,
    /// `SUPSemEventMultiClose`.
    ///
    /// Returns `VINF_OBJECT_DESTROYED`, or `VINF_SUCCESS` if nil was closed or another thread was
    /// inside a call on the semaphore.
    ///
    /// # Errors
    /// `VERR_INVALID_HANDLE`.
    ///
    /// # Context
    /// Does not wait.
    pub fn semaphore_close(
        &self,
        session: &Session<H>,
        kind: SemaphoreKind,
        handle: u32,
    ) -> Result<Status, Status> {
        if handle == 0 {
            return Ok(Status::VINF_SUCCESS);
        }
        let mut table = session.semaphores().lock();
        let (semaphore, status) = table.remove(handle, kind)?;
        let surplus = table.keep(semaphore);
        drop(table);
        drop(surplus);
        Ok(status)
    }

    /// Signals. Corresponds to `SUPSemEventSignal`, `SUPSemEventMultiSignal`.
    ///
    /// # Errors
    /// `VERR_INVALID_HANDLE`.
    ///
    /// # Context
    /// Never sleeps.
    pub fn semaphore_signal(
        &self,
        session: &Session<H>,
        kind: SemaphoreKind,
        handle: u32,
    ) -> Result<(), Status> {
        let semaphore = session.semaphores().lock().get(handle, kind)?;
        semaphore.signal();
        Ok(())
    }

    /// Wakes who sleeps, after a signal that ring 3 made in the state word itself.
    ///
    /// # Errors
    /// `VERR_INVALID_HANDLE`.
    ///
    /// # Context
    /// Never sleeps.
    pub(crate) fn semaphore_wake(
        &self,
        session: &Session<H>,
        kind: SemaphoreKind,
        handle: u32,
    ) -> Result<(), Status> {
        let semaphore = session.semaphores().lock().get(handle, kind)?;
        semaphore.wake();
        Ok(())
    }

    /// Resets a manual-reset event. Corresponds to `SUPSemEventMultiReset`.
    ///
    /// # Errors
    /// `VERR_INVALID_HANDLE`; `VERR_INVALID_FUNCTION` for an event that resets itself.
    ///
    /// # Context
    /// Never sleeps.
    pub fn semaphore_reset(
        &self,
        session: &Session<H>,
        kind: SemaphoreKind,
        handle: u32,
    ) -> Result<(), Status> {
        if kind == SemaphoreKind::Event {
            return Err(Status::VERR_INVALID_FUNCTION);
        }
        let semaphore = session.semaphores().lock().get(handle, kind)?;
        semaphore.reset();
        Ok(())
    }

    /// Waits. Corresponds to `SUPSemEventWait*`, `SUPSemEventMultiWait*`.
    ///
    /// # Errors
    /// `VERR_INVALID_HANDLE`, `VERR_TIMEOUT`, `VERR_INTERRUPTED` if the wait allows that,
    /// `VERR_SEM_DESTROYED` if the handle is closed meanwhile.
    ///
    /// # Context
    /// Sleeps, unless the semaphore is signalled or the deadline is over.
    pub fn semaphore_wait(
        &self,
        session: &Session<H>,
        kind: SemaphoreKind,
        handle: u32,
        wait: Wait,
    ) -> Result<(), Status> {
        let semaphore = session.semaphores().lock().get(handle, kind)?;
        let (owner, number) = (session.handle().0.get(), u64::from(handle));
        self.probe(Probe::WaitBegin, || [owner, kind as u64, number]);
        let result = semaphore.wait(wait);
        self.probe(Probe::WaitEnd, || {
            let status = result.err().unwrap_or(Status::VINF_SUCCESS);
            [owner, kind as u64, number, signed(status.raw())]
        });
        result
    }
}
