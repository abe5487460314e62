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
//! goes after that. A factory that did so to itself would wait for its own end, and so would several that
//! do it to each other: the table notes who is inside which factory and who waits for which, and whoever
//! would close such a ring is refused (`components/queries.rs`).
//!
//! Invariant: a listed record's session is open, and its factory is in place; an address is listed once.

mod queries;

use core::ffi::CStr;

use sup_abi::{FACTORY_NAME_BYTES, R0Ptr, Status};
use sup_alloc::{Arc, Vec};

use self::queries::{Inside, Place, Queries, Target};
use crate::host::{Factory, Host, ThreadId};
use crate::{Driver, Session};

/// A factory's name with its terminator, and zeros behind it.
pub type FactoryName = [u8; FACTORY_NAME_BYTES];

/// A registered factory.
struct Component<H: Host> {
    /// Its number grows, so that a query goes on behind the last that it called.
    place: Place,
    name: FactoryName,
    factory: H::Factory,
    inside: Inside<H::WaitQueue>,
}

/// A query that runs in a factory, and keeps it in place.
struct Running<'a, H: Host> {
    driver: &'a Driver<H>,
    component: Arc<Component<H>>,
    thread: ThreadId,
}

impl<H: Host> Drop for Running<'_, H> {
    fn drop(&mut self) {
        let Self { driver, component, thread } = self;
        driver.components().lock().queries.forget(*thread, component.place.number);
        component.inside.leave();
    }
}

/// All factories, oldest first. The driver guards it with a sleeping lock.
pub(crate) struct ComponentTable<H: Host> {
    components: Vec<Arc<Component<H>>>,
    next: u64,
    queries: Queries,
}

impl<H: Host> ComponentTable<H> {
    pub(crate) const fn new() -> Self {
        Self { components: Vec::new(), next: 0, queries: Queries::new() }
    }

    /// The next factory of that name, counted as running and noted as asked.
    fn begin(
        &mut self,
        name: &FactoryName,
        from: u64,
        thread: ThreadId,
    ) -> Result<Option<Arc<Component<H>>>, Status> {
        let of_name = |component: &&Arc<Component<H>>| {
            component.place.number >= from && component.name == *name
        };
        let Some(component) = self.components.iter().find(of_name) else { return Ok(None) };
        self.queries.begin(thread, component.place)?;
        component.inside.enter();
        Ok(Some(component.clone()))
    }

    /// Takes the first record of a target out.
    fn take(&mut self, target: Target) -> Option<Arc<Component<H>>> {
        let index = self.components.iter().position(|component| target.is(&component.place))?;
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
        let place =
            Place { number: table.next, owner: session.handle(), address, entry: factory.entry() };
        let component =
            Arc::try_new(Component { place, name, factory, inside: Inside::default() })?;
        table.components.try_reserve(1)?;
        if table.components.iter().any(|other| other.place.address == address) {
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
    /// a factory with that address, `VERR_WRONG_ORDER` if the caller would wait for itself: it is inside the
    /// factory, or somebody inside waits for it, be it by way of others.
    ///
    /// # Context
    /// Sleeps while the factory runs.
    pub fn component_deregister(&self, session: &Session<H>, address: R0Ptr) -> Result<(), Status> {
        session.require_kernel()?;
        let thread = self.host().thread();
        let is_it = |component: &&Arc<Component<H>>| {
            component.place.owner == session.handle() && component.place.address == address
        };
        let mut table = self.components().lock();
        let found = table.components.iter().find(is_it).ok_or(Status::VERR_NOT_FOUND)?;
        let target = Target::Record(found.place.number);
        table.queries.start_wait(thread, target)?;
        let taken = table.take(target);
        drop(table);
        if let Some(component) = taken {
            component.inside.drain();
        }
        self.components().lock().queries.end_wait(thread);
        Ok(())
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
            let Some(component) = begun else { return Err(answer) };
            let running = Running { driver: self, component, thread };
            let component = &running.component;
            let interface = component.factory.query(session.handle(), uuid);
            if !interface.is_nil() {
                return Ok(interface);
            }
            answer = Status::VERR_SUPDRV_INTERFACE_NOT_SUPPORTED;
            from = component.place.number.saturating_add(1);
        }
    }

    /// Closes a session of ring 0 by its name and takes its factories back, unless the caller would wait for
    /// itself. Answers whether it was this call that closed it.
    ///
    /// # Errors
    /// `VERR_WRONG_ORDER`, and nothing is done.
    pub(crate) fn retire_with_components(&self, session: &Session<H>) -> Result<bool, Status> {
        let target = Target::Owner(session.handle());
        let mut table = self.components().lock();
        table.queries.start_wait(self.host().thread(), target)?;
        // Under the table's lock, so that nothing is registered behind the judgement.
        let is_first = self.sessions().lock().remove(session.handle().into()).is_some();
        drop(table);
        self.end_factories(session);
        Ok(is_first)
    }

    /// Takes every factory back that a session registered. For the session's end.
    pub(crate) fn remove_components_of(&self, session: &Session<H>) {
        self.remove_components(Target::Owner(session.handle()));
    }

    /// Takes every factory back that lies in an image, or runs there. For the image's end.
    pub(crate) fn remove_components_in(&self, base: R0Ptr, bytes: usize) {
        self.remove_components(Target::Image { base, bytes });
    }

    fn remove_components(&self, target: Target) {
        let thread = self.host().thread();
        self.components().lock().queries.force_wait(thread, target);
        while let Some(component) = { self.components().lock().take(target) } {
            component.inside.drain();
        }
        self.components().lock().queries.end_wait(thread);
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests;
