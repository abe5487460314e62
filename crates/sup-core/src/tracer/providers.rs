//! Providers: those that are registered, and zombies.
//!
//! A tracer may refuse to let go of a provider whose object goes. What is left then is a zombie: it has
//! its names and the tracer's own words, and points at nothing that is gone. Zombies are tried again when
//! kernel objects come and go, and when their tracer goes, after which nobody knows them.
//!
//! Invariant: `zombies` has room for every provider, so that turning one into a zombie cannot fail.

use sup_abi::{ProcessId, R0Ptr, Status, VTGDESCPROVIDER};
use sup_alloc::OutOfMemory;

use super::Registry;
use crate::host::{Host, LogLevel, Provider, ProviderDescription, Tracer};
use crate::vtg::Object;
use crate::{Driver, SessionHandle};

/// The block by which a host's tracers know a provider.
pub(super) type ProviderOf<H> = <<H as Host>::Tracer as Tracer>::Provider;

/// Whose object it is that a provider is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// This driver's own.
    Itself,
    /// A module's, by its handle.
    Module(R0Ptr),
    /// Of another kernel driver, by its session.
    Driver(SessionHandle),
    /// A process': its session, and the slot of the user module.
    User(SessionHandle, u32),
}

impl Owner {
    /// The session that has to be there.
    pub(super) fn session(self) -> Option<SessionHandle> {
        match self {
            Self::Itself | Self::Module(_) => None,
            Self::Driver(session) | Self::User(session, _) => Some(session),
        }
    }
}

/// What the tracer has been told of a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// Nothing, or it did not want it.
    No,
    Yes,
    /// It was asked to let go, and refused.
    Reluctantly,
}

/// A provider whose object is in place.
pub(super) struct Entry<H: Host> {
    provider: ProviderOf<H>,
    pub(super) owner: Owner,
    /// The address of the object's header, which is its identity.
    pub(super) header: R0Ptr,
    pub(super) known: Known,
}

/// Where an object's parts are, for the tracer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) module: &'a str,
    pub(super) header: R0Ptr,
    /// The process whose module it is.
    pub(super) process: Option<ProcessId>,
    /// The location records that describe.
    pub(super) locations: R0Ptr,
    /// Those that have the bit which the probe looks at, the bytes of each, and the module's word width.
    pub(super) enabled_locations: R0Ptr,
    pub(super) bytes_per_location: u8,
    pub(super) bits: u8,
    /// The counts that the probe looks at.
    pub(super) enabled_counts: R0Ptr,
    /// The driver's own records and counts; NIL for objects in ring 0.
    pub(super) own_locations: R0Ptr,
    pub(super) own_counts: R0Ptr,
}

impl<H: Host> Registry<H> {
    /// The tracer, unless it is going.
    fn willing(&self) -> Option<&H::Tracer> {
        let registered = self.tracer.as_ref().filter(|registered| !registered.is_going);
        registered.map(|registered| &*registered.tracer)
    }

    /// Registers all providers of an object, last to first, or none.
    ///
    /// # Errors
    /// `VERR_NO_MEMORY`, or what the tracer says.
    #[inline(never)]
    pub(super) fn add(
        &mut self,
        owner: Owner,
        object: &Object<'_>,
        place: &Place<'_>,
    ) -> Result<(), Status> {
        let before = self.providers.len();
        let result = self.try_add(owner, object, place);
        if result.is_err() {
            while self.providers.len() > before {
                self.remove_at(before);
            }
        }
        result
    }

    fn try_add(
        &mut self,
        owner: Owner,
        object: &Object<'_>,
        place: &Place<'_>,
    ) -> Result<(), Status> {
        let records = object.providers();
        self.reserve(records.len())?;
        for (index, record) in records.iter().enumerate().rev() {
            let offset = index.saturating_mul(size_of::<VTGDESCPROVIDER>()) as u64;
            let area = u64::from(object.header().Providers.off);
            let record_at = place.header.checked_add(area.saturating_add(offset));
            let description = ProviderDescription {
                name: object.name(record.offName),
                module: place.module,
                process: place.process,
                header: place.header,
                record: record_at.ok_or(Status::VERR_INTERNAL_ERROR)?,
                locations: place.locations,
                enabled_locations: place.enabled_locations,
                bytes_per_location: place.bytes_per_location,
                bits: place.bits,
                enabled_counts: place.enabled_counts,
                own_locations: place.own_locations,
                own_counts: place.own_counts,
            };
            let provider = ProviderOf::<H>::try_new(&description)?;
            let known = match self.willing() {
                None => Known::No,
                Some(tracer) => {
                    let status = tracer.provider_register(&provider);
                    if status.is_failure() {
                        return Err(status);
                    }
                    Known::Yes
                }
            };
            let entry = Entry { provider, owner, header: place.header, known };
            // The room was reserved.
            self.providers.try_push(entry)?;
        }
        Ok(())
    }

    /// Makes room for so many more providers, and for the day on which all are zombies.
    fn reserve(&mut self, more: usize) -> Result<(), OutOfMemory> {
        self.providers.try_reserve(more)?;
        self.zombies.try_reserve(self.providers.len().saturating_add(more))
    }

    /// Takes one provider out.
    fn remove_at(&mut self, index: usize) {
        let Some(entry) = self.providers.remove(index) else { return };
        let Some(registered) = &self.tracer else { return };
        let refused = match entry.known {
            Known::No => false,
            Known::Yes => registered.tracer.provider_deregister(&entry.provider).is_failure(),
            Known::Reluctantly => {
                registered.tracer.provider_deregister_zombie(&entry.provider).is_failure()
            }
        };
        if refused {
            entry.provider.forget_object();
            // There is room for every provider.
            let _ = self.zombies.try_push(entry.provider);
        }
    }

    /// Takes out every provider of an owner, oldest first.
    pub(super) fn remove_of(&mut self, is_it: impl Fn(Owner) -> bool) {
        while let Some(index) = self.providers.iter().position(|entry| is_it(entry.owner)) {
            self.remove_at(index);
        }
    }

    /// Asks the tracer once more to let go of the zombies.
    pub(super) fn retry_zombies(&mut self) {
        match &self.tracer {
            None => self.zombies.clear(),
            Some(registered) => self
                .zombies
                .retain(|zombie| registered.tracer.provider_deregister_zombie(zombie).is_failure()),
        }
    }

    /// Tells a new tracer of every provider. Returns how many it did not want.
    pub(super) fn introduce_all(&mut self, tracer: &H::Tracer) -> usize {
        let mut refused = 0_usize;
        for entry in self.providers.iter_mut() {
            let status = tracer.provider_register(&entry.provider);
            entry.known = if status.is_success() { Known::Yes } else { Known::No };
            refused = refused.saturating_add(usize::from(status.is_failure()));
        }
        refused
    }

    /// One round of a tracer that goes: it is to let go of every provider and of every zombie. True if it
    /// has.
    pub(super) fn take_leave(&mut self) -> bool {
        let Some(registered) = &self.tracer else { return true };
        for entry in self.providers.iter_mut() {
            let status = match entry.known {
                Known::No => continue,
                Known::Yes => registered.tracer.provider_deregister(&entry.provider),
                Known::Reluctantly => registered.tracer.provider_deregister_zombie(&entry.provider),
            };
            entry.known = if status.is_success() { Known::No } else { Known::Reluctantly };
        }
        self.retry_zombies();
        self.zombies.is_empty() && self.providers.iter().all(|entry| entry.known == Known::No)
    }

    /// Forgets what a tracer knows that is gone without having let go.
    pub(super) fn forget_all(&mut self) -> usize {
        let mut forgotten = self.zombies.len();
        self.zombies.clear();
        for entry in self.providers.iter_mut() {
            forgotten = forgotten.saturating_add(usize::from(entry.known != Known::No));
            entry.known = Known::No;
        }
        forgotten
    }
}

impl<H: Host> Driver<H> {
    /// Takes every provider of an owner out, and tries the zombies again.
    pub(super) fn remove_providers(&self, is_it: impl Fn(Owner) -> bool, zombies: Zombies) {
        let mut registry = self.tracing().registry.lock();
        registry.remove_of(is_it);
        if zombies == Zombies::Retry {
            registry.retry_zombies();
        }
    }

    /// A line of log about providers that a tracer did not treat as it should.
    pub(super) fn log_tracer(&self, count: usize, what: &str) {
        if count != 0 {
            self.host()
                .log(LogLevel::Warning, format_args!("the tracer {what} ({count} providers)"));
        }
    }
}

/// Whether zombies are tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Zombies {
    Leave,
    Retry,
}
