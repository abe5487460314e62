//! Modules of processes that have probes.
//!
//! Corresponds to the driver's half of `SUPR3TracerRegisterModule` and `SUPR3TracerDeregisterModule`.
//! Source: specification 8.5.
//!
//! ```text
//! free ── register ──▶ filling ── providers registered ──▶ live ── deregister ──▶ leaving ──▶ free
//!                         └── failure ──▶ free              ▲───── a signal ────────┘
//! ```
//! A slot of a session's table is part of the number by which the process names a location. Hits find
//! live modules only. A module that leaves waits until no hit is inside it: those hold references.
//!
//! The process can write its records and counts at any moment. The driver writes the numbers there, and
//! the tracer the bits; whether a location is switched on is decided by the driver's own records.
//!
//! Invariant: a live module's pages are pinned and mapped, and its shared copy is in the list.

use core::mem::offset_of;

use sup_abi::{
    PAGE_SIZE, Pages, R0Ptr, R3Ptr, SUP_TRACER_UMOD_FLAGS_EXE, SUP_TRACER_UMOD_FLAGS_SHARED,
    SUPDRVPROBEINFO, SUPDRVPROBELOC, Status, VTGOBJHDR, VTGPROBELOC, VtgProbeLoc32,
};
use sup_alloc::{Arc, Vec};
use zerocopy::{FromZeros, IntoBytes};

use super::kernel_objects::zeroed_words;
use super::providers::{Owner, Place, Zombies};
use super::shared::{Draft, SharedObject, forget_unused};
use crate::host::{Host, Interruption, Memory};
use crate::vtg::{Kind, check_header};
use crate::{Driver, Session};

/// User modules of a session, and providers of all of them together.
const SLOTS: usize = 32;
const PROVIDERS_MAX: usize = 32;
/// Providers of one user module.
const MODULE_PROVIDERS_MAX: usize = 2;
/// Between the counts and the location records.
const GAP_MAX: i64 = 128;
/// From the page of the counts to the end of the location records.
const SPAN_MAX: u64 = 64 << 10;
/// A number of a location: the slot above, the index below.
const SLOT_SHIFT: u32 = 24;
const INDEX_MASK: u32 = (1 << SLOT_SHIFT) - 1;
/// Between two looks at who is inside.
const LOOK_MS: u32 = 10;

/// What a process asks for.
#[derive(Debug, Clone, Copy)]
pub struct UserModuleRequest<'a> {
    /// The module's name.
    pub name: &'a str,
    /// `SUP_TRACER_UMOD_FLAGS_`.
    pub flags: u32,
    /// Where the header is.
    pub header: R3Ptr,
    /// Where the module believes it to be.
    pub believed: u64,
    /// The names of functions, each terminated, and their bytes.
    pub names: R3Ptr,
    /// Bytes of names.
    pub name_bytes: u32,
}

/// A registered user module. The mapping goes before the pages.
pub(super) struct UserModule<H: Host> {
    header: R3Ptr,
    bits: u8,
    own: Vec<SUPDRVPROBELOC>,
    counts: Vec<SUPDRVPROBEINFO>,
    /// Where the process has its location records.
    locations: R3Ptr,
    shared: Arc<SharedObject>,
    /// Where ring 0 sees the process' counts and records.
    counts_at: R0Ptr,
    locations_at: R0Ptr,
    _view: <H::Memory as Memory>::KernelView,
    _memory: H::Memory,
}

impl<H: Host> UserModule<H> {
    pub(super) fn bits(&self) -> u8 {
        self.bits
    }

    pub(super) fn shared(&self) -> &SharedObject {
        &self.shared
    }

    /// The driver's record of the location that a number names.
    pub(super) fn location(&self, id: u32) -> Option<(usize, &SUPDRVPROBELOC)> {
        let index = (id & INDEX_MASK) as usize;
        Some((index, self.own.get(index)?))
    }

    fn record_bytes(&self) -> u8 {
        record_bytes(self.bits.into()) as u8
    }
}

const fn record_bytes(bits: u32) -> usize {
    if bits == 32 { size_of::<VtgProbeLoc32>() } else { size_of::<VTGPROBELOC>() }
}

enum Slot<H: Host> {
    Free,
    Filling,
    Live(Arc<UserModule<H>>),
    Leaving(Arc<UserModule<H>>),
}

/// A session's table of user modules. It has no memory before the first one, and then enough for all.
pub(super) struct Slots<H: Host>(Vec<Slot<H>>);

impl<H: Host> Slots<H> {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    /// The live module that a location's number names.
    pub(super) fn at(&self, id: u32) -> Option<Arc<UserModule<H>>> {
        let Self(slots) = self;
        match slots.get((id >> SLOT_SHIFT) as usize)? {
            Slot::Live(module) => Some(module.clone()),
            Slot::Free | Slot::Filling | Slot::Leaving(_) => None,
        }
    }

    /// Claims the first free slot. `room` is for all slots; it comes back if there was some.
    fn claim(&mut self, room: &mut Vec<Slot<H>>) -> Option<u32> {
        let Self(slots) = self;
        if slots.capacity() == 0 {
            core::mem::swap(slots, room);
        }
        let free = slots.iter().position(|slot| matches!(slot, Slot::Free));
        let index = free.unwrap_or(slots.len());
        match slots.get_mut(index) {
            Some(slot) => *slot = Slot::Filling,
            None if index < SLOTS => slots.try_push(Slot::Filling).ok()?,
            None => return None,
        }
        u32::try_from(index).ok()
    }

    fn set(&mut self, index: u32, new: Slot<H>) -> Slot<H> {
        let Self(slots) = self;
        match slots.get_mut(index as usize) {
            Some(slot) => core::mem::replace(slot, new),
            None => Slot::Free,
        }
    }

    /// Makes the live module leave whose header is there.
    fn leave(&mut self, header: R3Ptr) -> Option<u32> {
        let Self(slots) = self;
        for (index, slot) in slots.iter_mut().enumerate() {
            match core::mem::replace(slot, Slot::Free) {
                Slot::Live(module) if module.header == header => {
                    *slot = Slot::Leaving(module);
                    return u32::try_from(index).ok();
                }
                other => *slot = other,
            }
        }
        None
    }

    /// Makes a module that was leaving live again.
    fn stay(&mut self, index: u32) {
        if let Slot::Leaving(module) = self.set(index, Slot::Filling) {
            self.set(index, Slot::Live(module));
        }
    }

    /// Takes a leaving module out, if nobody is inside. Its slot is still taken.
    fn take(&mut self, index: u32) -> Option<Arc<UserModule<H>>> {
        match self.set(index, Slot::Filling) {
            Slot::Leaving(mut module) => {
                if Arc::get_mut(&mut module).is_some() {
                    return Some(module);
                }
                self.set(index, Slot::Leaving(module));
                None
            }
            other => {
                self.set(index, other);
                None
            }
        }
    }

    /// Some module that is there, live or leaving, for the end of the session.
    fn pop(&mut self) -> Option<Arc<UserModule<H>>> {
        let Self(slots) = self;
        slots.iter_mut().find_map(|slot| match core::mem::replace(slot, Slot::Free) {
            Slot::Live(module) | Slot::Leaving(module) => Some(module),
            Slot::Free | Slot::Filling => None,
        })
    }
}

/// The part of a process' memory that a module's counts and records are in.
struct Span {
    start: R3Ptr,
    pages: Pages,
    /// Bytes from the start to the counts and to the records.
    counts: u64,
    locations: u64,
}

impl<H: Host> Driver<H> {
    /// Registers the providers of a process' module. Corresponds to the driver's half of
    /// `SUPR3TracerRegisterModule`.
    ///
    /// # Errors
    /// `VERR_INVALID_CONTEXT` in a kernel session, `VERR_INVALID_PARAMETER` for other flags,
    /// `VERR_SUPDRV_TRACER_TOO_MANY_PROVIDERS`, `VERR_SUPDRV_TRACER_UMOD_STRTAB_TOO_BIG`,
    /// `VERR_ACCESS_DENIED` if memory cannot be read, what the object breaks,
    /// `VERR_SUPDRV_TRACER_UMOD_NOT_ADJACENT`, `VERR_SUPDRV_TRACER_UMOD_TOO_MANY_PROBES`,
    /// `VERR_LOCK_FAILED`, `VERR_MAP_FAILED`, `VERR_SUPDRV_TRACER_UMOD_STRTAB_OFF_BAD`,
    /// `VERR_SUPDRV_VTG_ALREADY_REGISTERED`, `VERR_NO_MEMORY`; what the tracer says. The module's memory
    /// is as before.
    ///
    /// # Context
    /// May sleep; in the process whose module it is; calls the tracer.
    #[inline(never)]
    pub fn tracer_register_user_module(
        &self,
        session: &Session<H>,
        request: &UserModuleRequest<'_>,
    ) -> Result<(), Status> {
        const NAME_BYTES: core::ops::RangeInclusive<u32> = 2..=1 << 20;
        if session.require_kernel().is_ok() {
            return Err(Status::VERR_INVALID_CONTEXT);
        }
        if ![SUP_TRACER_UMOD_FLAGS_EXE, SUP_TRACER_UMOD_FLAGS_SHARED].contains(&request.flags) {
            return Err(Status::VERR_INVALID_PARAMETER);
        }
        let handle = session.handle();
        let is_its = move |owner: Owner| owner.session() == Some(handle);
        let count_providers = |providers: &[super::Entry<H>]| {
            providers.iter().filter(|entry| is_its(entry.owner)).count()
        };
        if count_providers(&self.tracing().registry.lock().providers) >= PROVIDERS_MAX {
            return Err(Status::VERR_SUPDRV_TRACER_TOO_MANY_PROVIDERS);
        }
        if !NAME_BYTES.contains(&request.name_bytes) {
            return Err(Status::VERR_SUPDRV_TRACER_UMOD_STRTAB_TOO_BIG);
        }
        let header = self.read_user_header(request)?;
        let span = Span::of(&header, request.header)?;
        let made = self.make_user_module(session, request, header, &span);
        let result = made.and_then(|module| self.enter_user_module(session, request, module));
        forget_unused(&mut self.tracing().registry.lock().shared);
        result
    }

    /// Copies and checks the header of a process' module.
    #[inline(never)]
    fn read_user_header(&self, request: &UserModuleRequest<'_>) -> Result<VTGOBJHDR, Status> {
        const PROVIDER_BYTES: usize = size_of::<sup_abi::VTGDESCPROVIDER>();
        let mut header = VTGOBJHDR::new_zeroed();
        self.read_user(request.header, header.as_mut_bytes())?;
        check_header(&Kind::User, &mut header, request.believed)?;
        if header.Providers.cb as usize > MODULE_PROVIDERS_MAX.saturating_mul(PROVIDER_BYTES) {
            return Err(Status::VERR_SUPDRV_TRACER_TOO_MANY_PROVIDERS);
        }
        Ok(header)
    }

    fn read_user(&self, from: R3Ptr, into: &mut [u8]) -> Result<(), Status> {
        self.host().read_user(from, into).map_err(|_| Status::VERR_ACCESS_DENIED)
    }

    /// Pins a module's counts and records, and finds or makes the copy of its object.
    #[inline(never)]
    fn make_user_module(
        &self,
        session: &Session<H>,
        request: &UserModuleRequest<'_>,
        header: VTGOBJHDR,
        span: &Span,
    ) -> Result<UserModule<H>, Status> {
        let memory = self.host().lock(session.client(), span.start, span.pages)?;
        let (base, view) = memory.map_kernel(0..span.pages.get())?;
        let at = |offset: u64| base.checked_add(offset).ok_or(Status::VERR_INTERNAL_ERROR);
        let (counts_at, locations_at) = (at(span.counts)?, at(span.locations)?);
        let locations = R3Ptr::new(span.start.get().saturating_add(span.locations));
        let draft = self.read_draft(request, header, locations)?;
        let shared = draft.share(&mut self.tracing().registry.lock().shared)?;
        let mut own = Vec::new();
        own.try_reserve(shared.locations())?;
        for _ in 0..shared.locations() {
            own.try_push(SUPDRVPROBELOC::default())?;
        }
        let probes = shared.object()?.probes().len();
        let mut counts = Vec::new();
        counts.try_reserve(probes)?;
        for _ in 0..probes {
            counts.try_push(SUPDRVPROBEINFO::default())?;
        }
        Ok(UserModule {
            header: request.header,
            bits: if header.cBits == 32 { 32 } else { 64 },
            own,
            counts,
            locations,
            shared,
            counts_at,
            locations_at,
            _view: view,
            _memory: memory,
        })
    }

    /// Copies all that a module's object is.
    #[inline(never)]
    fn read_draft(
        &self,
        request: &UserModuleRequest<'_>,
        header: VTGOBJHDR,
        locations_at: R3Ptr,
    ) -> Result<Draft, Status> {
        let bad = Status::VERR_INTERNAL_ERROR;
        let mut object = zeroed_words(header.cbObj as usize)?;
        let bytes = object.as_mut_bytes().get_mut(..header.cbObj as usize).ok_or(bad)?;
        self.read_user(request.header, bytes)?;
        // The checked header, whatever is there by now.
        header.write_to_prefix(bytes).map_err(|_| bad)?;
        let mut locations = Vec::new();
        locations.try_resize(header.cbProbeLocs as usize, 0)?;
        self.read_user(locations_at, &mut locations)?;
        let mut names = Vec::new();
        names.try_resize(request.name_bytes as usize, 0)?;
        self.read_user(request.names, &mut names)?;
        let (believed, flags) = (request.believed, request.flags);
        Ok(Draft { object, header, locations, names, believed, flags })
    }

    /// Gives a module its slot, its locations their numbers, and its providers to the tracer.
    #[inline(never)]
    fn enter_user_module(
        &self,
        session: &Session<H>,
        request: &UserModuleRequest<'_>,
        module: UserModule<H>,
    ) -> Result<(), Status> {
        let module = Arc::try_new(module)?;
        // Made with no spinning lock held.
        let mut room = Vec::try_with_capacity(SLOTS)?;
        let slot = session.tracing().lock().modules.claim(&mut room);
        let slot = slot.ok_or(Status::VERR_SUPDRV_TRACER_TOO_MANY_PROVIDERS)?;
        let owner = Owner::User(session.handle(), slot);
        // Before anything is written: the records may have the numbers of the registration that there is.
        let entered = self.check_unregistered(session, &module).and_then(|()| {
            self.number_locations(&module, slot)
                .and_then(|()| self.register_user_providers(session, request.name, owner, &module))
                .inspect_err(|_| self.clear_numbers(&module))
        });
        if let Err(status) = entered {
            session.tracing().lock().modules.set(slot, Slot::Free);
            return Err(status);
        }
        session.tracing().lock().modules.set(slot, Slot::Live(module));
        Ok(())
    }

    /// # Errors
    /// `VERR_SUPDRV_VTG_ALREADY_REGISTERED`.
    fn check_unregistered(
        &self,
        session: &Session<H>,
        module: &UserModule<H>,
    ) -> Result<(), Status> {
        let (handle, header) = (session.handle(), module.shared().header_at());
        let is_it = |entry: &super::Entry<H>| {
            entry.owner.session() == Some(handle) && entry.header == header
        };
        match self.tracing().registry.lock().providers.iter().any(is_it) {
            true => Err(Status::VERR_SUPDRV_VTG_ALREADY_REGISTERED),
            false => Ok(()),
        }
    }

    #[inline(never)]
    fn register_user_providers(
        &self,
        session: &Session<H>,
        name: &str,
        owner: Owner,
        module: &UserModule<H>,
    ) -> Result<(), Status> {
        let shared = module.shared();
        let header = shared.header_at();
        let place = Place {
            module: name,
            header,
            process: Some(session.caller().process),
            locations: shared.locations_at(),
            enabled_locations: module.locations_at,
            bytes_per_location: module.record_bytes(),
            bits: module.bits,
            enabled_counts: module.counts_at,
            own_locations: R0Ptr::new(module.own.as_ptr().expose_provenance() as u64),
            own_counts: R0Ptr::new(module.counts.as_ptr().expose_provenance() as u64),
        };
        let object = shared.object()?;
        let handle = session.handle();
        let mut registry = self.tracing().registry.lock();
        let its = |entry: &&super::Entry<H>| entry.owner.session() == Some(handle);
        if registry.providers.iter().filter(its).any(|entry| entry.header == header) {
            return Err(Status::VERR_SUPDRV_VTG_ALREADY_REGISTERED);
        }
        // With the lock that the insertion needs: two registrations cannot exceed the limit together.
        let count = registry.providers.iter().filter(its).count();
        if count.saturating_add(object.providers().len()) > PROVIDERS_MAX {
            return Err(Status::VERR_SUPDRV_TRACER_TOO_MANY_PROVIDERS);
        }
        registry.add(owner, &object, &place)
    }

    /// Writes the numbers of locations into the process' records.
    fn number_locations(&self, module: &UserModule<H>, slot: u32) -> Result<(), Status> {
        for index in 0..module.own.len() {
            let index = u32::try_from(index).map_err(|_| Status::VERR_INTERNAL_ERROR)?;
            self.write_number(module, index, slot << SLOT_SHIFT | index)?;
        }
        Ok(())
    }

    /// Takes the numbers back, as far as the process still has its memory.
    fn clear_numbers(&self, module: &UserModule<H>) {
        for index in 0..u32::try_from(module.own.len()).unwrap_or(0) {
            if self.write_number(module, index, 0).is_err() {
                return;
            }
        }
    }

    fn write_number(&self, module: &UserModule<H>, index: u32, id: u32) -> Result<(), Status> {
        let record = u64::from(index).saturating_mul(module.record_bytes().into());
        // The number is at the same place in both records.
        let offset = record.saturating_add(offset_of!(VTGPROBELOC, idProbe) as u64);
        let at = R3Ptr::new(module.locations.get().saturating_add(offset));
        self.host().write_user(at, &id.to_le_bytes()).map_err(|_| Status::VERR_ACCESS_DENIED)
    }

    /// Takes a process' module out. Corresponds to the driver's half of `SUPR3TracerDeregisterModule`.
    ///
    /// # Errors
    /// `VERR_NOT_FOUND` if the session has none with that header; `VERR_INTERRUPTED` if a signal came
    /// while a hit was inside: the module stays.
    ///
    /// # Context
    /// May sleep; in the process whose module it is; calls the tracer.
    #[inline(never)]
    pub fn tracer_deregister_user_module(
        &self,
        session: &Session<H>,
        header: R3Ptr,
    ) -> Result<(), Status> {
        let slot = session.tracing().lock().modules.leave(header);
        let slot = slot.ok_or(Status::VERR_NOT_FOUND)?;
        let module = loop {
            let taken = session.tracing().lock().modules.take(slot);
            if let Some(module) = taken {
                break module;
            }
            self.sleep(LOOK_MS, Interruption::Allowed)
                .inspect_err(|_| session.tracing().lock().modules.stay(slot))?;
        };
        self.clear_numbers(&module);
        let owner = Owner::User(session.handle(), slot);
        self.remove_providers(|other| other == owner, Zombies::Leave);
        session.tracing().lock().modules.set(slot, Slot::Free);
        drop(module);
        forget_unused(&mut self.tracing().registry.lock().shared);
        Ok(())
    }

    /// Drops what user modules a session has left. Its providers are gone, and no request runs in it.
    pub(super) fn drop_user_modules(&self, session: &Session<H>) {
        while let Some(mut module) = { session.tracing().lock().modules.pop() } {
            // A hit that ring 0 reports may be inside.
            while Arc::get_mut(&mut module).is_none() {
                let _ = self.sleep(1, Interruption::Ignored);
            }
        }
        forget_unused(&mut self.tracing().registry.lock().shared);
    }
}

impl Span {
    /// # Errors
    /// `VERR_SUPDRV_TRACER_UMOD_NOT_ADJACENT`, `VERR_SUPDRV_TRACER_UMOD_TOO_MANY_PROBES`,
    /// `VERR_SUPDRV_VTG_BAD_HDR_PTR` if it wraps, or is not aligned.
    fn of(header: &VTGOBJHDR, at: R3Ptr) -> Result<Self, Status> {
        const PAGE: u64 = PAGE_SIZE as u64;
        let bad = Status::VERR_SUPDRV_VTG_BAD_HDR_PTR;
        let counts = u64::from(header.ProbeEnabled.off);
        let counts_end = counts.saturating_add(header.ProbeEnabled.cb.into());
        let gap = i64::from(header.offProbeLocs).saturating_sub_unsigned(counts_end);
        if !(0..=GAP_MAX).contains(&gap) {
            return Err(Status::VERR_SUPDRV_TRACER_UMOD_NOT_ADJACENT);
        }
        // The tracer changes whole words there.
        if !at.get().is_multiple_of(4) || header.offProbeLocs & 3 != 0 {
            return Err(bad);
        }
        let start = at.get().checked_add(counts).ok_or(bad)? & !PAGE.wrapping_sub(1);
        let locations = at.get().checked_add_signed(header.offProbeLocs.into()).ok_or(bad)?;
        let end = locations.checked_add(header.cbProbeLocs.into()).ok_or(bad)?;
        let bytes = end.saturating_sub(start);
        if bytes > SPAN_MAX {
            return Err(Status::VERR_SUPDRV_TRACER_UMOD_TOO_MANY_PROBES);
        }
        Ok(Self {
            start: R3Ptr::new(start),
            pages: Pages::new(u32::try_from(bytes.div_ceil(PAGE)).map_err(|_| bad)?),
            counts: at.get().saturating_add(counts).saturating_sub(start),
            locations: locations.saturating_sub(start),
        })
    }
}
