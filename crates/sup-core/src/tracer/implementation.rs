//! The tracer of the system: registered by a module or by another kernel driver, one at a time.
//!
//! Corresponds to `SUPR0TracerRegisterImpl` and `SUPR0TracerDeregisterImpl`. States and lock order are at
//! the top of [`tracer`](super).
//!
//! A thread that wants to call the tracer takes a reference to it under a lock, from where the end of the
//! tracer has taken it before it looks at the number of references. So when it is the only one, nobody is
//! inside, and nobody will be. Hits of kernel probes take no reference: the host waits for them
//! ([`Host::aim_probes`]).

use sup_abi::{R0Ptr, Status};
use sup_alloc::Arc;

use crate::host::{Host, Interruption, Wait, WaitEnd, WaitQueue};
use crate::logger::groups::{Group, LEVEL_1};
use crate::{Deadline, Driver, Session, SessionHandle};

/// How often the tracer of a module that goes is asked to let go of its providers.
pub(super) const ROUNDS_MAX: u32 = 10;

/// Between two rounds in which the tracer is asked, and between two looks at who is inside.
const ROUND_MS: u32 = 1_000;
const LOOK_MS: u32 = 1;

/// Who registered a tracer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TracerOwner {
    /// A module, by its handle.
    Module(R0Ptr),
    /// Another kernel driver, by its session.
    Session(SessionHandle),
}

/// A registered tracer.
pub(super) struct Registered<H: Host> {
    pub(super) tracer: Arc<H::Tracer>,
    pub(super) owner: TracerOwner,
    pub(super) number: u64,
    pub(super) is_going: bool,
    /// Sessions that have it open, and calls that count as such.
    pub(super) opens: u64,
}

/// How the end of a tracer deals with those who keep it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Waits for them, until a signal comes.
    Asked,
    /// Closes it for its clients, and forgets what it does not give back.
    Forced,
}

/// What a round of the end found.
enum Round {
    /// The tracer is gone.
    Over,
    /// It keeps providers, or is open.
    Kept,
    /// Only some thread is inside.
    Entered,
}

impl<H: Host> Driver<H> {
    /// Registers the tracer, and tells it of every provider. Corresponds to `SUPR0TracerRegisterImpl`.
    ///
    /// # Errors
    /// `VERR_INVALID_HANDLE` if the owner is no module, `VERR_WRONG_ORDER` if its `ModuleInit` does not
    /// run in this thread; `VERR_INVALID_PARAMETER` if it is no kernel session;
    /// `VERR_SUPDRV_TRACER_ALREADY_REGISTERED`, `VERR_NO_MEMORY`.
    ///
    /// # Context
    /// May sleep; calls the tracer.
    pub fn tracer_register(&self, owner: TracerOwner, tracer: H::Tracer) -> Result<(), Status> {
        self.check_tracer_owner(owner)?;
        let tracer = Arc::try_new(tracer)?;
        let mut registry = self.tracing().registry.lock();
        if registry.tracer.is_some() {
            return Err(Status::VERR_SUPDRV_TRACER_ALREADY_REGISTERED);
        }
        let number = registry.next_tracer;
        registry.next_tracer = number.saturating_add(1);
        registry.tracer =
            Some(Registered { tracer: tracer.clone(), owner, number, is_going: false, opens: 0 });
        self.own_probes().switch_all_off();
        *self.tracing().current.lock() = Some(tracer.clone());
        self.host().aim_probes(Some(&tracer));
        let refused = registry.introduce_all(&tracer);
        drop(registry);
        self.debug(Group::SupDrv, LEVEL_1, format_args!("a tracer is registered"));
        self.log_tracer(refused, "did not want all providers");
        Ok(())
    }

    /// Whether that module or session may register a tracer here and now.
    ///
    /// # Errors
    /// The first three of [`tracer_register`](Self::tracer_register).
    ///
    /// # Context
    /// May sleep.
    pub fn check_tracer_owner(&self, owner: TracerOwner) -> Result<(), Status> {
        match owner {
            TracerOwner::Module(module) => self.initialising_here(module).map(|_| ()),
            TracerOwner::Session(session) => self.require_kernel_session(session),
        }
    }

    fn require_kernel_session(&self, handle: SessionHandle) -> Result<(), Status> {
        let session = self.session(handle)?;
        session.require_kernel().map_err(|_| Status::VERR_INVALID_PARAMETER)
    }

    /// Ends the tracer when nobody has it open, nobody is inside, and it knows no provider any more.
    /// Corresponds to `SUPR0TracerDeregisterImpl`.
    ///
    /// # Errors
    /// `VERR_INVALID_HANDLE` if the owner is no module, `VERR_INVALID_PARAMETER` if it is no kernel
    /// session, `VERR_SUPDRV_TRACER_NOT_REGISTERED` if the tracer is not the owner's;
    /// `VERR_INTERRUPTED`: the tracer is going, and the call can be made again.
    ///
    /// # Context
    /// May sleep for as long as a session has the tracer open; not to be called by the tracer.
    pub fn tracer_deregister(&self, owner: TracerOwner) -> Result<(), Status> {
        match owner {
            TracerOwner::Module(module) => self.require_module(module)?,
            TracerOwner::Session(session) => self.require_kernel_session(session)?,
        }
        self.end_tracer(owner, End::Asked)
    }

    /// Ends the tracer of a module or session that goes.
    pub(super) fn force_tracer_out(&self, owner: TracerOwner) {
        // That it has none is no error here, and nothing interrupts this.
        let _ = self.end_tracer(owner, End::Forced);
    }

    #[inline(never)]
    fn end_tracer(&self, owner: TracerOwner, end: End) -> Result<(), Status> {
        let number = {
            let mut registry = self.tracing().registry.lock();
            let registered =
                registry.tracer.as_mut().filter(|registered| registered.owner == owner);
            let registered = registered.ok_or(Status::VERR_SUPDRV_TRACER_NOT_REGISTERED)?;
            registered.is_going = true;
            // Nobody enters from here on.
            self.tracing().current.lock().take();
            let number = registered.number;
            // Under the lock: later, the probes could be another tracer's.
            self.host().aim_probes(None);
            number
        };
        let mut rounds = 0_u32;
        loop {
            if end == End::Forced {
                self.close_tracer_for_all(number);
            }
            let last = end == End::Forced && rounds >= ROUNDS_MAX;
            let pause = match self.tracer_round(number, last) {
                Round::Over => return Ok(()),
                Round::Kept => ROUND_MS,
                Round::Entered => LOOK_MS,
            };
            if pause == ROUND_MS {
                rounds = rounds.saturating_add(1);
            }
            self.pause(pause, end)?;
        }
    }

    /// One round of the end of a tracer.
    fn tracer_round(&self, number: u64, is_last: bool) -> Round {
        let mut registry = self.tracing().registry.lock();
        let is_it = |registered: &&mut Registered<H>| registered.number == number;
        if registry.tracer.as_mut().filter(is_it).is_none() {
            // Somebody else has ended it.
            return Round::Over;
        }
        let mut has_left = registry.take_leave();
        if is_last && !has_left {
            let forgotten = registry.forget_all();
            self.log_tracer(forgotten, "is gone without having let go of all that it knew");
            has_left = true;
        }
        let Some(registered) = registry.tracer.as_mut() else { return Round::Over };
        if !has_left || registered.opens != 0 {
            return Round::Kept;
        }
        if Arc::get_mut(&mut registered.tracer).is_none() {
            return Round::Entered;
        }
        registry.tracer = None;
        drop(registry);
        self.debug(Group::SupDrv, LEVEL_1, format_args!("the tracer is gone"));
        Round::Over
    }

    /// # Errors
    /// `VERR_INTERRUPTED`.
    fn pause(&self, milliseconds: u32, end: End) -> Result<(), Status> {
        let interruption = match end {
            End::Asked => Interruption::Allowed,
            End::Forced => Interruption::Ignored,
        };
        self.sleep(milliseconds, interruption)
    }

    /// Lets time pass.
    ///
    /// # Errors
    /// `VERR_INTERRUPTED` if a signal ended it.
    pub(super) fn sleep(
        &self,
        milliseconds: u32,
        interruption: Interruption,
    ) -> Result<(), Status> {
        let deadline = Deadline::after_millis(self.host().now(), milliseconds);
        let queue = H::WaitQueue::default();
        match queue.wait(Wait { deadline, interruption }, || None::<()>) {
            Err(WaitEnd::Interrupted) => Err(Status::VERR_INTERRUPTED),
            Ok(()) | Err(WaitEnd::TimedOut) => Ok(()),
        }
    }

    /// Ends what a module left: its providers, and its tracer.
    pub(crate) fn end_tracing_of_module(&self, module: R0Ptr) {
        use super::providers::{Owner, Zombies};
        self.remove_providers(|owner| owner == Owner::Module(module), Zombies::Leave);
        self.force_tracer_out(TracerOwner::Module(module));
        self.tracing().registry.lock().retry_zombies();
    }

    /// Ends what a session left: its providers, its use of the tracer, its tracer, its user modules.
    pub(crate) fn end_tracing_of_session(&self, session: &Session<H>) {
        use super::providers::{Owner, Zombies};
        let handle = session.handle();
        let is_its = |owner: Owner| owner.session() == Some(handle);
        self.remove_providers(is_its, Zombies::Leave);
        self.close_tracer_at_end(session);
        self.force_tracer_out(TracerOwner::Session(handle));
        self.drop_user_modules(session);
    }
}
