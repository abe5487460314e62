//! [`Providers`]: what the driver has told a tracer of, and [`Location`]: a place where a probe fires.
//!
//! Each location gets a number when its provider comes; records of hits have it. Numbers of a provider that
//! went are given again as late as there is room.
//!
//! Neighbours: `tracer` is told of providers. Invariant: a provider is in the table from the end of its registration
//! to the begin of its deregistration, and what looks at it holds the table's lock.

use core::ffi::{CStr, c_char};
use core::fmt;
use core::ptr;
use core::sync::atomic::{AtomicU32, Ordering};

use sup_abi::{
    SUPDRVPROBEINFO, SUPDRVPROBELOC, SUPDRVVDTPROVIDERCORE, Status, VTGDESCPROVIDER, VTGOBJHDR,
    VTGPROBELOC, VTGPROBELOC_ENABLED, VtgArg, VtgArgList, VtgAttributes, VtgProbe,
};
use zerocopy::FromBytes;

use crate::Result;
use crate::nap::{Nap, NapLock};

/// Providers at a time.
const PROVIDERS_MAX: usize = 64;
/// Numbers of locations.
const NUMBERS: u32 = 4096;

/// Bytes of a location record, as a power of two.
const VTGPROBELOC_SHIFT: u32 = size_of::<VTGPROBELOC>().trailing_zeros();

#[derive(Clone, Copy)]
struct Entry {
    core: *mut SUPDRVVDTPROVIDERCORE,
    first: u32,
    count: u32,
}

// SAFETY: the core is the driver's, which lets any thread of the tracer look at it.
unsafe impl Send for Entry {}

struct Table {
    entries: [Option<Entry>; PROVIDERS_MAX],
    /// Where the search for free numbers begins.
    next: u32,
}

/// The providers that the driver has told of.
pub struct Providers(NapLock<Table>);

impl fmt::Debug for Providers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Providers").finish_non_exhaustive()
    }
}

impl Default for Providers {
    fn default() -> Self {
        Self::new()
    }
}

impl Table {
    /// The first of `count` numbers that nobody has, at `from` or behind it.
    fn free_from(&self, from: u32, count: u32) -> Option<u32> {
        let mut first = from;
        loop {
            let end = first.checked_add(count).filter(|end| *end <= NUMBERS)?;
            let in_the_way = self.entries.iter().flatten().find(|entry| {
                let entry_end = entry.first.saturating_add(entry.count);
                first < entry_end && entry.first < end
            });
            match in_the_way {
                Some(entry) => first = entry.first.saturating_add(entry.count),
                None => return Some(first),
            }
        }
    }
}

impl Providers {
    /// For a `static` of the module.
    pub const fn new() -> Self {
        Self(NapLock::new(Table { entries: [None; PROVIDERS_MAX], next: 0 }))
    }

    /// Adds a provider, and introduces each of its locations.
    ///
    /// # Errors
    /// `VERR_NO_MEMORY` if there are too many providers or locations.
    ///
    /// # Safety
    /// The core is that of a provider with its object in place, until it is removed.
    pub(crate) unsafe fn add(
        &self,
        core: *mut SUPDRVVDTPROVIDERCORE,
        nap: &Nap,
        introduce: fn(&Location<'_>),
    ) -> Result<()> {
        let Self(table) = self;
        table.with(nap, |table| {
            // SAFETY: the caller, whom the driver gave the core, promises that it and its object are in place.
            let count = unsafe { Object::of(core) }.locations();
            let first = table.free_from(table.next, count).or_else(|| table.free_from(0, count));
            let first = first.ok_or(Status::VERR_NO_MEMORY)?;
            let free = table.entries.iter_mut().find(|entry| entry.is_none());
            let entry = Entry { core, first, count };
            *free.ok_or(Status::VERR_NO_MEMORY)? = Some(entry);
            table.next = first.saturating_add(count);
            // SAFETY: the driver keeps the core and its object in place until it has them removed, for which the
            // lock that is held would have to be taken.
            unsafe { locations(entry) }.for_each(|location| introduce(&location));
            Ok(())
        })
    }

    /// Removes a provider, and switches its locations off. A zombie has been removed before.
    pub(crate) fn remove(&self, core: *mut SUPDRVVDTPROVIDERCORE, nap: &Nap) {
        let Self(table) = self;
        table.with(nap, |table| {
            let is_it = |entry: &&mut Option<Entry>| entry.is_some_and(|entry| entry.core == core);
            if let Some(entry) = table.entries.iter_mut().find(is_it).and_then(Option::take) {
                // SAFETY: it was in the table, and the driver takes the object away when this returns.
                unsafe { locations(entry) }.for_each(|location| location.switch_off());
            }
        });
    }

    /// Looks at the first location whose number is `from` or more, if there is one.
    ///
    /// # Context
    /// May sleep.
    pub fn first_from<R>(
        &self,
        from: u32,
        nap: &Nap,
        look: impl FnOnce(&Location<'_>) -> R,
    ) -> Option<R> {
        let Self(table) = self;
        table.with(nap, |table| {
            // SAFETY: the entry is in the table, whose lock is held.
            let all = table.entries.iter().flatten().flat_map(|entry| unsafe { locations(*entry) });
            let first = all.filter(|location| location.id >= from).min_by_key(|found| found.id);
            first.map(|location| look(&location))
        })
    }

    /// Looks at each location, with the lock held.
    ///
    /// # Context
    /// May sleep.
    pub fn for_each(&self, nap: &Nap, look: impl FnMut(Location<'_>)) {
        let Self(table) = self;
        table.with(nap, |table| {
            // SAFETY: the entry is in the table, whose lock is held.
            let all = table.entries.iter().flatten().flat_map(|entry| unsafe { locations(*entry) });
            all.for_each(look);
        });
    }
}

/// The locations of a provider.
///
/// # Safety
/// The provider is there for `'a`.
unsafe fn locations<'a>(entry: Entry) -> impl Iterator<Item = Location<'a>> {
    // SAFETY: the caller promises that core and object are there for as long as the locations are looked at.
    let object = unsafe { Object::of(entry.core) };
    (0..entry.count).filter_map(move |index| {
        let id = entry.first.saturating_add(index);
        let location = Location { object, index, id };
        (usize::from(location.probe().idxProvider) == object.provider_index()).then_some(location)
    })
}

/// A provider's object and the driver's records of it.
#[derive(Clone, Copy)]
struct Object<'a> {
    core: &'a SUPDRVVDTPROVIDERCORE,
    header: &'a VTGOBJHDR,
}

impl<'a> Object<'a> {
    /// # Safety
    /// The provider and its object are there for `'a`.
    unsafe fn of(core: *mut SUPDRVVDTPROVIDERCORE) -> Self {
        // SAFETY: the caller promises that the driver's core is there; the driver writes none of it while the
        // provider is registered.
        let core = unsafe { &*core };
        // SAFETY: the core points to a header that the driver has validated, in an object that the caller promises to
        // be there; nobody writes a header after it was registered.
        let header = unsafe { &*core.pHdr };
        Self { core, header }
    }

    fn locations(self) -> u32 {
        self.header.cbProbeLocs >> VTGPROBELOC_SHIFT
    }

    /// A record so far behind the header.
    fn record<T: FromBytes>(self, offset: usize) -> T {
        let at = ptr::from_ref(self.header).cast::<u8>().wrapping_add(offset);
        // SAFETY: callers take offsets that the driver has validated: inside the object.
        unsafe { at.cast::<T>().read_unaligned() }
    }

    fn provider(self) -> VTGDESCPROVIDER {
        // SAFETY: the driver shows one of the object's records.
        unsafe { self.core.pDesc.read_unaligned() }
    }

    fn provider_index(self) -> usize {
        let start = ptr::from_ref(self.header).addr();
        let offset = self.core.pDesc.addr().wrapping_sub(start);
        let offset = offset.wrapping_sub(self.header.Providers.off as usize);
        offset.checked_div(size_of::<VTGDESCPROVIDER>()).unwrap_or(usize::MAX)
    }

    /// A text of the string table.
    fn text(self, offset: u32) -> &'a [u8] {
        let offset = (self.header.StrTab.off as usize).wrapping_add(offset as usize);
        let at = ptr::from_ref(self.header).cast::<c_char>().wrapping_add(offset);
        // SAFETY: the driver has validated that texts begin and end in the string table.
        unsafe { CStr::from_ptr(at) }.to_bytes()
    }
}

/// An argument of a probe.
#[derive(Debug, Clone, Copy)]
pub struct Argument<'a> {
    /// The text of its type.
    pub type_text: &'a [u8],
    /// `VTG_TYPE_` bits.
    pub flags: u32,
}

/// A place where a probe fires.
pub struct Location<'a> {
    object: Object<'a>,
    index: u32,
    id: u32,
}

impl fmt::Debug for Location<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Location").field("id", &self.id).finish_non_exhaustive()
    }
}

impl<'a> Location<'a> {
    /// Its number.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Width of its module's words, in bits.
    pub fn bits(&self) -> u8 {
        self.object.core.cBits
    }

    fn described(&self) -> &'a VTGPROBELOC {
        let at = self.object.core.paProbeLocsRO.wrapping_add(self.index as usize);
        // SAFETY: the index is below the number of location records, which the driver shows; two words of them are
        // atomic, the others do not change.
        unsafe { &*at }
    }

    fn probe(&self) -> VtgProbe {
        let at = ptr::with_exposed_provenance::<VtgProbe>(self.described().pProbe as usize);
        // SAFETY: the driver has validated that the pointer leads to one of the object's probes.
        unsafe { at.read_unaligned() }
    }

    /// The line in the source.
    pub fn line(&self) -> u32 {
        // Relaxed: the line never changes.
        self.described().uLineAndEnabled.load(Ordering::Relaxed) & !VTGPROBELOC_ENABLED
    }

    /// The name of the function. A kernel module's is not checked by the driver, which is told so many
    /// other things by it.
    pub fn function(&self) -> &'a [u8] {
        let at = ptr::with_exposed_provenance::<c_char>(self.described().pszFunction as usize);
        // SAFETY: the driver has validated that the text begins in the image; that it ends, the image's compiler
        // promises, and for processes the driver's copy, which is terminated.
        unsafe { CStr::from_ptr(at) }.to_bytes()
    }

    /// The provider's name, with the number of the process behind that of a process' provider.
    pub fn provider_name(&self) -> &'a [u8] {
        // SAFETY: the driver's copy is there as long as the provider.
        unsafe { CStr::from_ptr(self.object.core.pszName) }.to_bytes()
    }

    /// The module's name.
    pub fn module_name(&self) -> &'a [u8] {
        // SAFETY: the driver's copy is there as long as the provider.
        unsafe { CStr::from_ptr(self.object.core.pszModName) }.to_bytes()
    }

    /// The probe's name.
    pub fn probe_name(&self) -> &'a [u8] {
        self.object.text(self.probe().offName)
    }

    /// The process that the location is in; 0 in ring 0.
    pub fn process(&self) -> u32 {
        if self.object.core.fUmod == 0 {
            return 0;
        }
        let plain = self.object.text(self.object.provider().offName);
        let digits = self.provider_name().strip_prefix(plain).unwrap_or_default();
        let number = core::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
        number.unwrap_or(0)
    }

    /// Stability of the provider itself, its modules, functions, names and arguments.
    pub fn attributes(&self) -> [VtgAttributes; 5] {
        let provider = self.object.provider();
        [
            provider.AttrSelf,
            provider.AttrModules,
            provider.AttrFunctions,
            provider.AttrNames,
            provider.AttrArguments,
        ]
    }

    /// The probe's arguments.
    pub fn arguments(&self) -> impl Iterator<Item = Argument<'a>> + use<'a> {
        let object = self.object;
        let list = object.header.ArgLists.off as usize;
        let list = list.wrapping_add(self.probe().offArgList as usize);
        let head: VtgArgList = object.record(list);
        (0..usize::from(head.cArgs)).map(move |index| {
            let offset =
                size_of::<VtgArgList>().wrapping_add(index.wrapping_mul(size_of::<VtgArg>()));
            let argument: VtgArg = object.record(list.wrapping_add(offset));
            Argument { type_text: object.text(argument.offType), flags: argument.fType }
        })
    }

    /// The record whose bit the probe looks at: of a process, in its own memory.
    fn switched_record(&self) -> (&'a AtomicU32, &'a AtomicU32) {
        let bytes = usize::from(self.object.core.cbProbeLocsEn);
        let start = (self.index as usize).wrapping_mul(bytes);
        let at = self.object.core.pvProbeLocsEn.cast::<u8>().wrapping_add(start).cast::<u32>();
        // SAFETY: the driver shows as many of these records as of the described ones, mapped and aligned; this word
        // is only used atomically.
        let word = unsafe { AtomicU32::from_ptr(at) };
        // SAFETY: the word behind it is part of the same record.
        (word, unsafe { AtomicU32::from_ptr(at.wrapping_add(1)) })
    }

    fn count(&self) -> &'a AtomicU32 {
        let index = usize::from(self.probe().idxEnabled);
        let at = self.object.core.pacProbeEnabled.wrapping_add(index);
        // SAFETY: there is a count for each probe, and the driver has validated the index.
        unsafe { AtomicU32::from_ptr(at) }
    }

    /// The driver's own records of a process' location and probe.
    fn own(&self) -> Option<(&'a SUPDRVPROBELOC, &'a SUPDRVPROBEINFO)> {
        let core = self.object.core;
        if core.fUmod == 0 {
            return None;
        }
        // SAFETY: the driver has such a record for each location of a process, all of atomic words.
        let location = unsafe { &*core.paR0ProbeLocs.wrapping_add(self.index as usize) };
        let index = usize::from(self.probe().idxEnabled);
        // SAFETY: the driver has such a record for each probe of a process too, and has validated the index.
        Some((location, unsafe { &*core.paR0Probes.wrapping_add(index) }))
    }

    /// Whether it is switched on.
    pub fn is_on(&self) -> bool {
        // Relaxed: changed under the lock that the caller holds.
        match self.own() {
            Some((location, _)) => location.fEnabled.load(Ordering::Relaxed) != 0,
            None => {
                let (word, _) = self.switched_record();
                word.load(Ordering::Relaxed) & VTGPROBELOC_ENABLED != 0
            }
        }
    }

    /// Switches it on: from now on its hits are told, with its number.
    pub fn switch_on(&self) {
        if self.is_on() {
            return;
        }
        let (word, number) = self.switched_record();
        // Relaxed throughout, but for one: the table's lock is held, and hits that come a little later do not matter.
        if let Some((location, probe)) = self.own() {
            location.idProbe.store(self.id, Ordering::Relaxed);
            // Release: pairs with the driver's look at a hit, which takes the number next.
            location.fEnabled.store(1, Ordering::Release);
            let count = probe.cEnabled.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
            self.count().store(count, Ordering::Relaxed);
        } else {
            // The process' own number, which names the location to the driver, stays; ring 0's is the tracer's.
            number.store(self.id, Ordering::Relaxed);
            self.count().fetch_add(1, Ordering::Relaxed);
        }
        // Release: a hit of ring 0 that sees the bit finds the number.
        word.fetch_or(VTGPROBELOC_ENABLED, Ordering::Release);
    }

    /// Switches it off. A hit that is on its way may still come.
    pub fn switch_off(&self) {
        if !self.is_on() {
            return;
        }
        let (word, _) = self.switched_record();
        // Relaxed throughout: the table's lock is held.
        word.fetch_and(!VTGPROBELOC_ENABLED, Ordering::Relaxed);
        if let Some((location, probe)) = self.own() {
            location.fEnabled.store(0, Ordering::Relaxed);
            let count = probe.cEnabled.fetch_sub(1, Ordering::Relaxed).wrapping_sub(1);
            self.count().store(count, Ordering::Relaxed);
        } else {
            self.count().fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(ranges: &[(u32, u32)]) -> Table {
        let mut table = Table { entries: [None; PROVIDERS_MAX], next: 0 };
        for (entry, (first, count)) in table.entries.iter_mut().zip(ranges) {
            *entry = Some(Entry { core: ptr::null_mut(), first: *first, count: *count });
        }
        table
    }

    #[test]
    fn numbers_are_given_once() {
        let table = table(&[(10, 5), (0, 4), (20, 4070)]);
        assert_eq!(table.free_from(0, 6), Some(4));
        assert_eq!(table.free_from(0, 7), None);
        assert_eq!(table.free_from(11, 5), Some(15));
        assert_eq!(table.free_from(0, 5), Some(4));
        assert_eq!(table.free_from(21, 6), Some(4090));
        assert_eq!(table.free_from(21, u32::MAX), None);
    }
}
