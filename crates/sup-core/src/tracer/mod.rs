//! Static tracing: who has probes, who is told of them, and how a hit gets there.
//!
//! A *provider* describes probes in a VTG object ([`vtg`](crate::vtg)) of a module, of another kernel
//! driver or of a process. The one *tracer* of the system is told of every provider. Source:
//! specification 8.3 to 8.9.
//!
//! | what | file |
//! |---|---|
//! | the tracer: registers, goes | `implementation.rs` |
//! | providers, and those that a tracer will not let go | `providers.rs` |
//! | objects of modules and of other kernel drivers | `kernel_objects.rs` |
//! | the driver's own probes | `own.rs` |
//! | objects of processes | `user_modules.rs`, `shared.rs` |
//! | sessions that use the tracer, and hits in processes | `clients.rs` |
//!
//! ```text
//! tracer:   none ── register ──▶ there ── deregister ──▶ going ── no provider known, no zombie, ──▶ none
//!                                                                 nobody has it open or is inside
//! provider: unknown ◀── tracer goes ─── known ── object goes, tracer refuses ──▶ zombie ──▶ gone
//!               └───── register ──────────▲
//! ```
//! A tracer that is going takes no hits and no opens any more. Who deregisters it waits, in rounds of a
//! second as the specification has it, and a signal ends that wait: the tracer stays going, and the call
//! can be made again. When its module or session ends, nobody can be asked to wait, or to close what he
//! has open: the driver closes the tracer for its clients, and forgets a tracer that has kept a provider
//! for [`ROUNDS_MAX`](implementation::ROUNDS_MAX) rounds.
//!
//! Lock order: the registry (sleeping), then a session's own part or the tracer in use (spinning). The
//! three provider callbacks run with the registry locked, as the header says; they must not register or
//! deregister anything. All other code of a tracer runs with no lock held, and with a reference to the
//! tracer, which is not gone while there is one.
//!
//! Invariant: a provider that the tracer knows has its object in place, or is a zombie, which points at
//! nothing but its names. No decision rests on memory that a process can write.

mod clients;
mod implementation;
mod kernel_objects;
pub(crate) mod own;
mod providers;
mod shared;
#[cfg(test)]
#[cfg(not(loom))]
mod tests;
mod user_modules;

pub use implementation::TracerOwner;
pub use user_modules::UserModuleRequest;

use sup_abi::{R0Ptr, Status};
use sup_alloc::{Arc, Vec};

use self::clients::Client;
use self::implementation::Registered;
use self::providers::{Entry, ProviderOf};
use self::shared::SharedObject;
use self::user_modules::Slots;
use crate::host::{Host, ThreadId};
use crate::image::ModuleName;
use crate::{Driver, Lock};

/// The driver's part of tracing.
pub(crate) struct Tracing<H: Host> {
    registry: Lock<H::Mutex, Registry<H>>,
    /// The tracer that takes hits: for those who must not sleep.
    current: Lock<H::SpinLock, Option<Arc<H::Tracer>>>,
    /// The modules whose `ModuleInit` runs.
    initialising: Lock<H::Mutex, Vec<Initialising>>,
}

/// Tracer, providers and shared objects.
struct Registry<H: Host> {
    tracer: Option<Registered<H>>,
    /// In the order in which they were registered.
    providers: Vec<Entry<H>>,
    /// Has room for every provider.
    zombies: Vec<ProviderOf<H>>,
    shared: Vec<Arc<SharedObject>>,
    /// Numbers tracers, so that a session knows whether it has opened this one.
    next_tracer: u64,
}

/// A session's part of tracing.
pub(crate) struct SessionTracing<H: Host> {
    client: Client,
    modules: Slots<H>,
}

impl<H: Host> SessionTracing<H> {
    pub(crate) const fn new() -> Self {
        Self { client: Client::CLOSED, modules: Slots::new() }
    }
}

/// A module whose `ModuleInit` runs.
#[derive(Debug, Clone, Copy)]
struct Initialising {
    module: R0Ptr,
    thread: ThreadId,
    name: ModuleName,
    base: R0Ptr,
    bytes: u64,
}

impl<H: Host> Tracing<H> {
    pub(crate) const fn new() -> Self {
        Self {
            registry: Lock::new(Registry {
                tracer: None,
                providers: Vec::new(),
                zombies: Vec::new(),
                shared: Vec::new(),
                next_tracer: 1,
            }),
            current: Lock::new(None),
            initialising: Lock::new(Vec::new()),
        }
    }
}

impl<H: Host> Driver<H> {
    /// Runs a module's `ModuleInit`, which may register what only it may.
    ///
    /// # Errors
    /// `VERR_NO_MEMORY`, and what `init` says.
    pub(crate) fn initialising<E: From<Status>>(
        &self,
        module: R0Ptr,
        name: ModuleName,
        (base, bytes): (R0Ptr, usize),
        init: impl FnOnce() -> Result<(), E>,
    ) -> Result<(), E> {
        let thread = self.host().thread();
        let entry = Initialising { module, thread, name, base, bytes: bytes as u64 };
        let list = &self.tracing().initialising;
        let pushed = list.lock().try_push(entry);
        pushed.map_err(|_| E::from(Status::VERR_NO_MEMORY))?;
        let result = init();
        list.lock().retain(|entry| entry.module != module);
        result
    }

    /// The module of that handle, whose `ModuleInit` this thread runs.
    ///
    /// # Errors
    /// `VERR_INVALID_HANDLE` if there is no such module, `VERR_WRONG_ORDER`.
    fn initialising_here(&self, module: R0Ptr) -> Result<Initialising, Status> {
        self.require_module(module)?;
        let thread = self.host().thread();
        let list = self.tracing().initialising.lock();
        let mut entries = list.iter();
        let entry = entries.find(|entry| entry.module == module && entry.thread == thread);
        entry.copied().ok_or(Status::VERR_WRONG_ORDER)
    }

    /// # Errors
    /// `VERR_INVALID_HANDLE` if no module has that handle.
    fn require_module(&self, module: R0Ptr) -> Result<(), Status> {
        let modules = self.modules().lock();
        let known = modules.get(crate::slots::Handle::from_raw(module.get()));
        known.map(|&()| ()).ok_or(Status::VERR_INVALID_HANDLE)
    }
}
