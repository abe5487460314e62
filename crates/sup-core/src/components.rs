//! Component factories: how one module offers interfaces to others, by name.
//!
//! A module registers a factory in a session of its own, which `SUPR0IdcOpen` gives it ([`idc`](crate::idc)).
//! Whoever asks for the name has the factories of that name called, oldest first, until one has the
//! interface.
//!
//! ```text
//! register ──▶ listed ── deregister, session's end, image's end ──▶ unlisted ── last query left ──▶ gone
//!                │ ▲
//!          query │ │ counted as running: listed or not, the factory stays
//! ```
//! The table's lock (sleeping) is held while a record is looked for, and never while a factory runs, so
//! that a factory may register, query and wait. What keeps it alive meanwhile is the count in its record:
//! whoever takes the record out of the list returns only when nobody runs in it any more, and the module
//! goes after that. A factory that did so to itself would wait for its own end, so the table notes which
//! thread asks which, and such a thread is refused.
//!
//! Invariant: a listed record's session is open, and its factory is in place; an address is listed once.

use core::ffi::CStr;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use sup_abi::{FACTORY_NAME_BYTES, R0Ptr, Status};
use sup_alloc::{Arc, Vec};

use crate::host::{Factory, Host, Interruption, ThreadId, Wait, WaitQueue};
use crate::{Deadline, Driver, Session, SessionHandle};

/// A factory's name with its terminator, and zeros behind it.
pub type FactoryName = [u8; FACTORY_NAME_BYTES];

/// A registered factory.
struct Component<H: Host> {
    /// Grows from record to record, so that a query goes on behind the last that it called.
    number: u64,
    name: FactoryName,
    owner: SessionHandle,
    factory: H::Factory,
    /// Queries that run in it.
    running: AtomicU64,
    /// Set when somebody waits for `running` to become zero.
    is_draining: AtomicBool,
    drained: H::WaitQueue,
}

impl<H: Host> Component<H> {
    /// Waits until no query runs in it. It is in the list no more, so that none can begin.
    fn drain(&self) {
        // SeqCst: pairs with the two operations in `Running::drop`. Either this thread sees that nothing
        // runs, or the last query sees that somebody waits.
        self.is_draining.store(true, Ordering::SeqCst);
        let wait = Wait { deadline: Deadline::Never, interruption: Interruption::Ignored };
        let is_idle = || (self.running.load(Ordering::SeqCst) == 0).then_some(());
        // An uninterruptible wait without a deadline ends only with what it waits for.
        let _ = self.drained.wait(wait, is_idle);
    }
}

/// A thread that asks a factory.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Asking {
    thread: ThreadId,
    /// The record's.
    number: u64,
}

/// What a query has when it begins.
type Begun<H> = (Arc<Component<H>>, Asking);

/// A query that runs in a factory, and keeps it in place.
struct Running<'a, H: Host> {
    driver: &'a Driver<H>,
    component: Arc<Component<H>>,
    asking: Asking,
}

impl<H: Host> Drop for Running<'_, H> {
    fn drop(&mut self) {
        let Self { driver, component, asking } = self;
        driver.components().lock().forget(*asking);
        // SeqCst: see `Component::drain`.
        let was_last = component.running.fetch_sub(1, Ordering::SeqCst) == 1;
        if was_last && component.is_draining.load(Ordering::SeqCst) {
            component.drained.wake_all();
        }
    }
}

/// All factories, oldest first. The driver guards it with a sleeping lock.
pub(crate) struct ComponentTable<H: Host> {
    components: Vec<Arc<Component<H>>>,
    next: u64,
    /// The queries that run.
    asking: Vec<Asking>,
}

impl<H: Host> ComponentTable<H> {
    pub(crate) const fn new() -> Self {
        Self { components: Vec::new(), next: 0, asking: Vec::new() }
    }

    /// The next factory of that name, counted as running and noted as asked.
    fn begin(
        &mut self,
        name: &FactoryName,
        from: u64,
        thread: ThreadId,
    ) -> Result<Option<Begun<H>>, Status> {
        let of_name =
            |component: &&Arc<Component<H>>| component.number >= from && component.name == *name;
        let Some(component) = self.components.iter().find(of_name) else { return Ok(None) };
        let asking = Asking { thread, number: component.number };
        self.asking.try_push(asking)?;
        // Relaxed: the lock that the caller holds orders it before the record is taken out.
        component.running.fetch_add(1, Ordering::Relaxed);
        Ok(Some((component.clone(), asking)))
    }

    /// Takes one note of a query back.
    fn forget(&mut self, asking: Asking) {
        if let Some(index) = self.asking.iter().position(|noted| *noted == asking) {
            self.asking.remove(index);
        }
    }

    /// Whether a thread is inside a listed factory for which `is_it` holds.
    fn is_inside(&self, thread: ThreadId, is_it: impl Fn(&Component<H>) -> bool) -> bool {
        let is_asked = |component: &Component<H>| {
            let asking = Asking { thread, number: component.number };
            self.asking.contains(&asking)
        };
        self.components.iter().any(|component| is_it(component) && is_asked(component))
    }

    /// Takes the first record out for which `is_it` holds.
    fn take(&mut self, is_it: impl Fn(&Component<H>) -> bool) -> Option<Arc<Component<H>>> {
        let index = self.components.iter().position(|component| is_it(component))?;
        self.components.remove(index)
    }
}

impl<H: Host> Driver<H> {
    /// Registers a factory. Corresponds to `SUPR0ComponentRegisterFactory`.
    ///
    /// # Errors
    /// `VERR_ACCESS_DENIED` if the session is not the kernel's, `VERR_NO_MEMORY`, `VERR_ALREADY_EXISTS` if
    /// a factory with that address is registered, `VERR_INVALID_PARAMETER` if the session was closed
    /// meanwhile.
    ///
    /// # Context
    /// May sleep.
    #[inline(never)]
    pub fn component_register(
        &self,
        session: &Session<H>,
        name: FactoryName,
        factory: H::Factory,
    ) -> Result<(), Status> {
        session.require_kernel()?;
        let address = factory.address();
        let mut table = self.components().lock();
        let component = Arc::try_new(Component {
            number: table.next,
            name,
            owner: session.handle(),
            factory,
            running: AtomicU64::new(0),
            is_draining: AtomicBool::new(false),
            drained: H::WaitQueue::default(),
        })?;
        table.components.try_reserve(1)?;
        if table.components.iter().any(|other| other.factory.address() == address) {
            return Err(Status::VERR_ALREADY_EXISTS);
        }
        // The end of a session takes its name away before it takes its factories, under this lock: what
        // is registered while the name is there is found.
        self.session(session.handle())?;
        table.components.try_push(component)?;
        table.next = table.next.saturating_add(1);
        Ok(())
    }

    /// Takes a factory of the session's back, and returns when no query runs in it. Corresponds to
    /// `SUPR0ComponentDeregisterFactory`.
    ///
    /// # Errors
    /// `VERR_ACCESS_DENIED` if the session is not the kernel's, `VERR_NOT_FOUND` if it has not registered
    /// a factory with that address, `VERR_WRONG_ORDER` if the factory itself asks.
    ///
    /// # Context
    /// Sleeps while the factory runs.
    pub fn component_deregister(&self, session: &Session<H>, address: R0Ptr) -> Result<(), Status> {
        session.require_kernel()?;
        let owner = session.handle();
        let is_it = |component: &Component<H>| {
            component.owner == owner && component.factory.address() == address
        };
        let mut table = self.components().lock();
        if table.is_inside(self.host().thread(), is_it) {
            return Err(Status::VERR_WRONG_ORDER);
        }
        let taken = table.take(is_it);
        drop(table);
        taken.ok_or(Status::VERR_NOT_FOUND)?.drain();
        Ok(())
    }

    /// Whether the current thread is inside a factory of the session's, and would wait for itself if it
    /// took that away.
    pub(crate) fn is_inside_component_of(&self, session: &Session<H>) -> bool {
        let owner = session.handle();
        let thread = self.host().thread();
        self.components().lock().is_inside(thread, |component| component.owner == owner)
    }

    /// Asks the factories of a name for an interface, oldest first. Corresponds to
    /// `SUPR0ComponentQueryFactory`.
    ///
    /// # Errors
    /// `VERR_SUPDRV_COMPONENT_NOT_FOUND` if no factory has the name,
    /// `VERR_SUPDRV_INTERFACE_NOT_SUPPORTED` if none of those has the interface, `VERR_NO_MEMORY`.
    ///
    /// # Context
    /// May sleep; runs factories, with no lock held.
    pub fn component_query(
        &self,
        session: &Session<H>,
        name: &FactoryName,
        uuid: &CStr,
    ) -> Result<R0Ptr, Status> {
        let mut answer = Status::VERR_SUPDRV_COMPONENT_NOT_FOUND;
        let mut from = 0;
        let thread = self.host().thread();
        loop {
            let begun = self.components().lock().begin(name, from, thread)?;
            let Some((component, asking)) = begun else { return Err(answer) };
            let running = Running { driver: self, component, asking };
            let component = &running.component;
            let interface = component.factory.query(session.handle(), uuid);
            if !interface.is_nil() {
                return Ok(interface);
            }
            answer = Status::VERR_SUPDRV_INTERFACE_NOT_SUPPORTED;
            from = component.number.saturating_add(1);
        }
    }

    /// Takes every factory back that a session registered. For the session's end.
    pub(crate) fn remove_components_of(&self, session: &Session<H>) {
        let owner = session.handle();
        self.remove_components(|component| component.owner == owner);
    }

    /// Takes every factory back that lies in an image, or runs there. For the image's end.
    pub(crate) fn remove_components_in(&self, base: R0Ptr, bytes: usize) {
        let is_inside = |address: R0Ptr| {
            let offset = address.get().checked_sub(base.get());
            offset.is_some_and(|offset| offset < bytes as u64)
        };
        self.remove_components(|component| {
            is_inside(component.factory.address()) || is_inside(component.factory.entry())
        });
    }

    fn remove_components(&self, is_it: impl Fn(&Component<H>) -> bool) {
        while let Some(component) = { self.components().lock().take(&is_it) } {
            component.drain();
        }
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests;
