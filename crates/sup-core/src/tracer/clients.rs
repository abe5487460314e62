//! Sessions that use the tracer, and hits of probes in processes.
//!
//! Corresponds to `SUPR3TracerOpen`, `SUPR3TracerIoCtl`, `SUPR3TracerClose` and
//! `SUPR0TracerUmodProbeFire`. Source: specification 8.6 and 8.7.
//!
//! ```text
//! closed ── open ──▶ busy ── callback succeeded ──▶ open ── close ──▶ busy ──▶ closed
//!                      └── failed ──▶ closed          │ ▲
//!                                             command └─┴ busy
//! ```
//! Invariant: `opens` of the tracer is the number of sessions that have it open and are not orphans, and
//! of commands that run.

use core::sync::atomic::Ordering;

use sup_abi::{R0Ptr, SUPDRVTRACERUSRCTX, Status};
use sup_alloc::Arc;

use super::implementation::{Registered, TracerOwner};
use crate::host::{Host, Interruption, Tracer};
use crate::{Driver, Session};

/// What a session has to do with the tracer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Client {
    open: Option<Open>,
    /// A call of the tracer's on behalf of the session runs.
    is_busy: bool,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    /// The tracer's word for the session.
    word: u64,
    /// The tracer that was opened.
    number: u64,
    /// The driver has closed it, because the tracer went.
    is_orphan: bool,
}

impl Client {
    pub(super) const CLOSED: Self = Self { open: None, is_busy: false };

    /// The open of a tracer that is still there.
    fn open_of(&self, number: u64) -> Option<Open> {
        self.open.filter(|open| open.number == number && !open.is_orphan)
    }
}

impl<H: Host> Registered<H> {
    fn count(&mut self) {
        self.opens = self.opens.saturating_add(1);
    }

    fn discount(&mut self) {
        self.opens = self.opens.saturating_sub(1);
    }
}

impl<H: Host> Driver<H> {
    /// Changes a session's client with the tracer under the registry's lock.
    fn with_client<R>(
        &self,
        session: &Session<H>,
        change: impl FnOnce(&mut Client, Option<&mut Registered<H>>) -> R,
    ) -> R {
        let mut registry = self.tracing().registry.lock();
        let mut own = session.tracing().lock();
        change(&mut own.client, registry.tracer.as_mut())
    }

    /// Opens the tracer for a session. Corresponds to `SUPR3TracerOpen`.
    ///
    /// # Errors
    /// `VERR_SUPDRV_TRACER_ALREADY_OPENED`, `VERR_SUPDRV_TRACER_NOT_PRESENT`,
    /// `VERR_SUPDRV_TRACER_CANNOT_OPEN_SELF`, `VERR_SUPDRV_TRACER_UNLOADING`,
    /// `VERR_SUPDRV_TRACER_SESSION_BUSY`; what the tracer says.
    ///
    /// # Context
    /// May sleep; calls the tracer.
    pub fn tracer_open(
        &self,
        session: &Session<H>,
        cookie: u32,
        argument: u64,
    ) -> Result<(), Status> {
        let own = TracerOwner::Session(session.handle());
        let (tracer, number) = self.with_client(session, |client, registered| {
            if client.open.is_some() {
                return Err(Status::VERR_SUPDRV_TRACER_ALREADY_OPENED);
            }
            let registered = registered.ok_or(Status::VERR_SUPDRV_TRACER_NOT_PRESENT)?;
            if registered.owner == own {
                return Err(Status::VERR_SUPDRV_TRACER_CANNOT_OPEN_SELF);
            }
            if registered.is_going {
                return Err(Status::VERR_SUPDRV_TRACER_UNLOADING);
            }
            if client.is_busy {
                return Err(Status::VERR_SUPDRV_TRACER_SESSION_BUSY);
            }
            registered.count();
            let open = Open { word: u64::MAX, number: registered.number, is_orphan: false };
            *client = Client { open: Some(open), is_busy: true };
            Ok((registered.tracer.clone(), registered.number))
        })?;
        let result = tracer.open(session.handle(), cookie, argument);
        // Before the state: whoever then finds nobody inside is right.
        drop(tracer);
        self.with_client(session, |client, registered| {
            client.is_busy = false;
            client.open = result.ok().map(|word| Open { word, number, is_orphan: false });
            if let (Err(_), Some(registered)) = (result, registered) {
                registered.discount();
            }
        });
        result.map(|_| ())
    }

    /// Closes the tracer for a session. Corresponds to `SUPR3TracerClose`.
    ///
    /// # Errors
    /// `VERR_SUPDRV_TRACER_NOT_OPENED`; `VERR_SUPDRV_TRACER_NOT_PRESENT` if it is gone, and from then on
    /// it is closed; `VERR_SUPDRV_TRACER_SESSION_BUSY`.
    ///
    /// # Context
    /// May sleep; calls the tracer.
    pub fn tracer_close(&self, session: &Session<H>) -> Result<(), Status> {
        let (tracer, word) = self.with_client(session, |client, registered| {
            let open = client.open.ok_or(Status::VERR_SUPDRV_TRACER_NOT_OPENED)?;
            let is_its = |registered: &&mut Registered<H>| registered.number == open.number;
            let Some(registered) = registered.filter(is_its).filter(|_| !open.is_orphan) else {
                client.open = None;
                return Err(Status::VERR_SUPDRV_TRACER_NOT_PRESENT);
            };
            if client.is_busy {
                return Err(Status::VERR_SUPDRV_TRACER_SESSION_BUSY);
            }
            *client = Client { open: None, is_busy: true };
            Ok((registered.tracer.clone(), open.word))
        })?;
        self.finish_close(session, tracer, word);
        Ok(())
    }

    /// Calls the tracer's close. The client is busy.
    fn finish_close(&self, session: &Session<H>, tracer: Arc<H::Tracer>, word: u64) {
        tracer.close(session.handle(), word);
        drop(tracer);
        self.with_client(session, |client, registered| {
            client.is_busy = false;
            if let Some(registered) = registered {
                registered.discount();
            }
        });
    }

    /// Has the tracer carry out a command of its client's, and returns its status and its number.
    /// Corresponds to `SUPR3TracerIoCtl`.
    ///
    /// # Errors
    /// If the tracer was not asked: `VERR_SUPDRV_TRACER_NOT_OPENED`, `VERR_SUPDRV_TRACER_NOT_PRESENT`,
    /// `VERR_SUPDRV_TRACER_UNLOADING`, `VERR_SUPDRV_TRACER_SESSION_BUSY`.
    ///
    /// # Context
    /// May sleep; calls the tracer.
    pub fn tracer_io_ctl(
        &self,
        session: &Session<H>,
        command: u64,
        argument: u64,
    ) -> Result<(Status, i32), Status> {
        let (tracer, word) = self.with_client(session, |client, registered| {
            let open = client.open.ok_or(Status::VERR_SUPDRV_TRACER_NOT_OPENED)?;
            let registered = registered.filter(|tracer| client.open_of(tracer.number).is_some());
            let registered = registered.ok_or(Status::VERR_SUPDRV_TRACER_NOT_PRESENT)?;
            if registered.is_going {
                return Err(Status::VERR_SUPDRV_TRACER_UNLOADING);
            }
            if client.is_busy {
                return Err(Status::VERR_SUPDRV_TRACER_SESSION_BUSY);
            }
            client.is_busy = true;
            registered.count();
            Ok((registered.tracer.clone(), open.word))
        })?;
        let answer = tracer.io_ctl(session.handle(), word, command, argument);
        drop(tracer);
        self.with_client(session, |client, registered| {
            client.is_busy = false;
            if let Some(registered) = registered {
                registered.discount();
            }
        });
        Ok(answer)
    }

    /// Closes the tracer at the end of a session, in which no request runs.
    pub(super) fn close_tracer_at_end(&self, session: &Session<H>) {
        // That it is not open is the usual case. Busy is a close by the tracer's end, which is waited for.
        while self.tracer_close(session) == Err(Status::VERR_SUPDRV_TRACER_SESSION_BUSY) {
            let _ = self.sleep(1, Interruption::Ignored);
        }
    }

    /// Closes a tracer that goes for every session that has it open and is not inside. To its client it
    /// is not there any more.
    pub(super) fn close_tracer_for_all(&self, number: u64) {
        let mut after = None;
        while let Some((handle, session)) = self.session_after(after) {
            after = Some(handle);
            let taken = self.with_client(&session, |client, registered| {
                let registered = registered.filter(|registered| registered.number == number)?;
                let open = client.open_of(number).filter(|_| !client.is_busy)?;
                let orphan = Open { is_orphan: true, ..open };
                *client = Client { open: Some(orphan), is_busy: true };
                Some((registered.tracer.clone(), open.word))
            });
            if let Some((tracer, word)) = taken {
                self.finish_close(&session, tracer, word);
            }
        }
    }

    /// A probe in a process was hit. What does not fit together is ignored. Corresponds to
    /// `SUPR0TracerUmodProbeFire`.
    ///
    /// # Context
    /// Never sleeps, as far as the tracer does not.
    pub fn tracer_fire_user(&self, session: &Session<H>, context: &mut SUPDRVTRACERUSRCTX) {
        let Some(tracer) = ({ self.tracing().current.lock().clone() }) else { return };
        let Some(module) = ({ session.tracing().lock().modules.at(context.idProbe) }) else {
            return;
        };
        if context.cBits != module.bits() {
            return;
        }
        let Some((index, own)) = module.location(context.idProbe) else { return };
        // Acquire: pairs with the tracer's store, before which it wrote the number.
        if own.fEnabled.load(Ordering::Acquire) == 0 {
            return;
        }
        // Relaxed: ordered by the load above.
        context.idProbe = own.idProbe.load(Ordering::Relaxed);
        let (header, location): (R0Ptr, R0Ptr) = module.shared().location(index);
        tracer.fire_user(session.handle(), context, header, location);
    }
}
