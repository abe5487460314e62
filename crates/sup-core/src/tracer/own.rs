//! The driver's own provider, `supdrv`: what happens in the driver, for a tracer to see.
//!
//! Its object is written when the driver starts, into words that the host has for it, and is registered like that of
//! any other kernel driver. A probe is a look at its count; behind it is the hit, which goes the way of all hits in
//! ring 0.
//!
//! ```text
//! probe(..) ── count is 0 ──▶ nothing
//!        └── else: place is switched on? ──▶ Host::fire_probe ──▶ the tracer
//! ```
//! * **No lock of the driver is held at a probe.** What a tracer's function for hits may do (it never sleeps), it may
//!   do here too. So each probe stands where the thing is done, and before or after it, never inside.
//! * **Requests that tell the driver of hits have no probes**: each hit in a process would make two more.
//! * The end of a tracer waits for hits here as for those of modules. What it leaves switched on is switched off
//!   before the next one comes.
//!
//! Names, arguments and meaning are in docs/tracing.md. Invariant: the words hold a valid object from the driver's
//! start on; only the counts and the first half of each place are changed afterwards, by the tracer.

use core::mem::offset_of;
use core::sync::atomic::{AtomicU32, Ordering};

use arrayvec::ArrayVec;
use sup_abi::{
    DRIVER_PROVIDER, R0Ptr, Status, VTG_TYPE_FIXED_SIZED, VTG_TYPE_SIGNED, VTG_TYPE_UNSIGNED,
    VTGDESCPROVIDER, VTGOBJHDR, VTGOBJHDR_MAGIC, VTGPROBELOC, VTGPROBELOC_ENABLED, VtgArea, VtgArg,
    VtgArgList, VtgAttributes, VtgProbe,
};
use sup_alloc::{Arc, OutOfMemory, Vec};
use zerocopy::{Immutable, IntoBytes};

use super::providers::Owner;
use crate::Driver;
use crate::host::{Host, ProbeRoom};
use crate::vtg::Kind;

/// The most arguments that a hit has here: as many as have registers.
pub(crate) const ARGUMENTS_MAX: usize = 5;

/// Words of a place's record.
const PLACE_WORDS: usize = size_of::<VTGPROBELOC>() / size_of::<u32>();

/// The type of an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    U32,
    I32,
    U64,
}

impl Type {
    const ALL: [Self; 3] = [Self::U32, Self::I32, Self::U64];

    const fn name(self) -> &'static str {
        match self {
            Self::U32 => "uint32_t",
            Self::I32 => "int32_t",
            Self::U64 => "uint64_t",
        }
    }

    const fn flags(self) -> u32 {
        VTG_TYPE_FIXED_SIZED
            | match self {
                Self::U32 => VTG_TYPE_UNSIGNED | 4,
                Self::I32 => VTG_TYPE_SIGNED | 4,
                Self::U64 => VTG_TYPE_UNSIGNED | 8,
            }
    }
}

/// What describes a probe.
struct Description {
    name: &'static str,
    /// Where it fires.
    function: &'static str,
    arguments: &'static [Type],
}

macro_rules! probes {
    ($($(#[$meta:meta])* $probe:ident = $name:literal in $function:literal ($($type:ident),*);)*) => {
        /// A probe of the driver.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Probe {
            $($(#[$meta])* $probe,)*
        }

        const DESCRIPTIONS: &[Description] = &[$(Description {
            name: $name,
            function: $function,
            arguments: &[$(Type::$type),*],
        },)*];
    };
}

probes! {
    /// Session, process.
    SessionOpen = "session-open" in "open_session" (U64, U32);
    /// Session.
    SessionClose = "session-close" in "end_session" (U64);
    /// Session, number of the request.
    RequestBegin = "request-begin" in "dispatch" (U64, U32);
    /// Session, number of the request, status.
    RequestEnd = "request-end" in "dispatch" (U64, U32, I32);
    /// Session, object, type.
    ObjectCreate = "object-create" in "object_register" (U64, U64, U32);
    /// Object.
    ObjectDestroy = "object-destroy" in "object_released" (U64);
    /// Session, service, pages, address in ring 3, address in ring 0.
    MemoryAlloc = "memory-alloc" in "memory_allocate" (U64, U32, U64, U64, U64);
    /// Session, service, the address by which it was freed.
    MemoryFree = "memory-free" in "memory_free" (U64, U32, U64);
    /// Base, bytes.
    ModuleLoad = "module-load" in "load_module" (U64, U64);
    /// Base, bytes.
    ModuleUnload = "module-unload" in "retire" (U64, U64);
    /// Session, kind, handle.
    WaitBegin = "semaphore-wait-begin" in "semaphore_wait" (U64, U32, U32);
    /// Session, kind, handle, status.
    WaitEnd = "semaphore-wait-end" in "semaphore_wait" (U64, U32, U32, I32);
}

const COUNT: usize = DESCRIPTIONS.len();

/// The parts of the object that are looked at after the start.
struct Places {
    address: R0Ptr,
    address_bits: u32,
    counts: &'static [AtomicU32],
    places: &'static [AtomicU32],
    /// Where the first place is in ring 0.
    first_place: R0Ptr,
}

/// The driver's own probes; none on a host that has no room for them. Not in the driver itself, which is made on
/// stacks that are short of room.
pub(crate) struct OwnProbes(Option<Arc<Places>>);

impl OwnProbes {
    /// Writes the object.
    ///
    /// # Errors
    /// `VERR_NO_MEMORY`; `VERR_BUFFER_OVERFLOW` if the host has too little room.
    pub(crate) fn prepare<H: Host>(host: &H) -> Result<Self, Status> {
        host.probe_room().map_or(Ok(Self(None)), Self::in_room)
    }

    #[inline(never)]
    fn in_room(ProbeRoom { words, address, address_bits }: ProbeRoom) -> Result<Self, Status> {
        let Written { bytes, counts, places } = write(address)?;
        let too_little = Status::VERR_BUFFER_OVERFLOW;
        let (values, _) = bytes.as_chunks();
        let room = words.get(..values.len()).ok_or(too_little)?;
        for (word, value) in room.iter().zip(values) {
            // Relaxed: who registers the object takes a lock first, and hits come after that.
            word.store(u32::from_ne_bytes(*value), Ordering::Relaxed);
        }
        let part =
            |offset: usize, words: usize| room.get(offset / 4..).and_then(|rest| rest.get(..words));
        Ok(Self(Some(Arc::try_new(Places {
            address,
            address_bits,
            counts: part(counts, COUNT).ok_or(too_little)?,
            places: part(places, COUNT.saturating_mul(PLACE_WORDS)).ok_or(too_little)?,
            first_place: address.checked_add(places as u64).ok_or(too_little)?,
        })?)))
    }

    /// Makes all probes what they were at the start, whatever a tracer that is gone has left.
    pub(super) fn switch_all_off(&self) {
        let Some(places) = &self.0 else { return };
        for count in places.counts {
            // Relaxed, as below: no tracer is there.
            count.store(0, Ordering::Relaxed);
        }
        for place in places.places.chunks_exact(PLACE_WORDS) {
            // The line, which is 0, with its bit, and the number.
            place.iter().take(2).for_each(|word| word.store(0, Ordering::Relaxed));
        }
    }

    /// Whether anybody wants to know of a probe.
    #[inline]
    fn is_wanted(&self, probe: Probe) -> bool {
        // Relaxed: a hit more or less.
        let count =
            |places: &Arc<Places>| Some(places.counts.get(probe as usize)?.load(Ordering::Relaxed));
        self.0.as_ref().and_then(count).is_some_and(|count| count != 0)
    }

    /// The place of a probe, if it is switched on.
    fn place(&self, probe: Probe) -> Option<R0Ptr> {
        let places = self.0.as_ref()?;
        let word = (probe as usize).checked_mul(PLACE_WORDS)?;
        // Acquire: pairs with the tracer, which has given the place its number before.
        let line = places.places.get(word)?.load(Ordering::Acquire);
        let offset = word.checked_mul(size_of::<u32>())? as u64;
        (line & VTGPROBELOC_ENABLED != 0).then(|| places.first_place.checked_add(offset))?
    }
}

impl<H: Host> Driver<H> {
    /// Tells of the driver's own probes. Once, when it starts.
    ///
    /// # Errors
    /// `VERR_NO_MEMORY`.
    #[inline(never)]
    pub(crate) fn register_own_probes(&self) -> Result<(), Status> {
        let OwnProbes(Some(places)) = self.own_probes() else { return Ok(()) };
        let kind = Kind::Driver { address_bits: places.address_bits };
        self.register_in_ring0(Owner::Itself, &kind, places.address, DRIVER_PROVIDER)
    }

    /// A probe: tells the tracer, if it wants to know. No lock of the driver is held.
    ///
    /// # Context
    /// Never sleeps; calls the tracer.
    #[inline]
    pub(crate) fn probe<const N: usize>(&self, probe: Probe, arguments: impl FnOnce() -> [u64; N]) {
        const { assert!(N <= ARGUMENTS_MAX) };
        if self.own_probes().is_wanted(probe) {
            self.hit(probe, &arguments());
        }
    }

    #[cold]
    #[inline(never)]
    fn hit(&self, probe: Probe, arguments: &[u64]) {
        let Some(place) = self.own_probes().place(probe) else { return };
        let mut words = [0; ARGUMENTS_MAX];
        for (word, argument) in words.iter_mut().zip(arguments) {
            *word = *argument;
        }
        self.host().fire_probe(place, words);
    }
}

/// A signed number of 32 bits, as a probe passes it.
pub(crate) fn signed(number: i32) -> u64 {
    i64::from(number).cast_unsigned()
}

/// A written object, and where its counts and its places are in it.
struct Written {
    bytes: Vec<u8>,
    counts: usize,
    places: usize,
}

/// Bytes that grow by records.
struct Writer(Vec<u8>);

impl Writer {
    fn put<T: IntoBytes + Immutable + ?Sized>(&mut self, record: &T) -> Result<(), OutOfMemory> {
        self.0.try_extend_from_slice(record.as_bytes())
    }

    fn len(&self) -> u32 {
        // A few pages.
        self.0.len() as u32
    }

    fn align(&mut self, bytes: usize) -> Result<(), OutOfMemory> {
        let end = self.0.len().next_multiple_of(bytes);
        self.0.try_resize(end, 0)
    }

    /// The area from `start` to here.
    fn area(&self, start: u32) -> VtgArea {
        VtgArea { off: start, cb: self.len().saturating_sub(start) }
    }
}

/// Where a name is in the string table.
fn offset_in(strings: &[u8], name: &str) -> Result<u32, Status> {
    let is_it = |tail: &[u8]| {
        tail.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.first() == Some(&0))
    };
    let found = (0..strings.len()).find(|start| strings.get(*start..).is_some_and(is_it));
    found.map(|start| start as u32).ok_or(Status::VERR_INTERNAL_ERROR)
}

/// Writes the object that is to be at `address`.
#[inline(never)]
fn write(address: R0Ptr) -> Result<Written, Status> {
    let mut out = Writer(Vec::new());
    out.put(&[0_u8; size_of::<VTGOBJHDR>()])?;

    let strings = out.len();
    let types = Type::ALL.iter().map(|kind| kind.name());
    let probes = DESCRIPTIONS.iter().flat_map(|probe| [probe.name, probe.function]);
    for name in [DRIVER_PROVIDER].into_iter().chain(types).chain(probes) {
        out.put(name)?;
        out.put(&0_u8)?;
    }
    let strings = out.area(strings);
    let mut table = Vec::new();
    table.try_extend_from_slice(out.0.get(strings.off as usize..).unwrap_or_default())?;
    out.align(4)?;

    let lists = out.len();
    let mut list_offsets = ArrayVec::<u32, COUNT>::new();
    for probe in DESCRIPTIONS {
        // One for each.
        let _ = list_offsets.try_push(out.len().saturating_sub(lists));
        let is_large = probe.arguments.contains(&Type::U64);
        out.put(&VtgArgList {
            cArgs: probe.arguments.len() as u8,
            fHaveLargeArgs: is_large.into(),
            abReserved: [0; 2],
        })?;
        for kind in probe.arguments {
            out.put(&VtgArg { offType: offset_in(&table, kind.name())?, fType: kind.flags() })?;
        }
    }
    let lists = out.area(lists);

    let probes = out.len();
    for (index, (probe, list)) in DESCRIPTIONS.iter().zip(list_offsets).enumerate() {
        out.put(&VtgProbe {
            offName: offset_in(&table, probe.name)?,
            offArgList: list,
            idxEnabled: index as u16,
            idxProvider: 0,
            offObjHdr: out.len().cast_signed().saturating_neg(),
        })?;
    }
    let probes = out.area(probes);

    let providers = out.len();
    // Evolving, and the same on all processors of the kind: as other providers here.
    let attributes = VtgAttributes { u8Code: 6, u8Data: 6, u8DataDep: 5 };
    out.put(&VTGDESCPROVIDER {
        offName: offset_in(&table, DRIVER_PROVIDER)?,
        iFirstProbe: 0,
        cProbes: COUNT as u16,
        AttrSelf: attributes,
        AttrModules: attributes,
        AttrFunctions: attributes,
        AttrNames: attributes,
        AttrArguments: attributes,
        bReserved: 0,
    })?;
    let providers = out.area(providers);

    let counts = out.len();
    out.put(&[0_u32; COUNT])?;
    let counts = out.area(counts);
    let object_bytes = out.len();

    out.align(align_of::<VTGPROBELOC>())?;
    let places = out.len();
    let at = |offset: u32| address.get().wrapping_add(offset.into());
    for (index, probe) in DESCRIPTIONS.iter().enumerate() {
        let record = (index.saturating_mul(size_of::<VtgProbe>())) as u32;
        let function = strings.off.saturating_add(offset_in(&table, probe.function)?);
        out.put(&[0_u32; 2])?;
        out.put(&[at(function), at(probes.off.saturating_add(record))])?;
        out.put(&[0_u64; (size_of::<VTGPROBELOC>() - 24) / 8])?;
    }
    let mut uuid = [0; 16];
    // Different for each version.
    let version = concat!(env!("CARGO_PKG_VERSION"), "-supdrv-probes").bytes();
    uuid.iter_mut().zip(version).for_each(|(place, byte)| *place = byte);
    let header = VTGOBJHDR {
        szMagic: VTGOBJHDR_MAGIC,
        cBits: 64,
        cbObj: object_bytes,
        StrTab: strings,
        ArgLists: lists,
        Probes: probes,
        Providers: providers,
        ProbeEnabled: counts,
        offProbeLocs: places.cast_signed(),
        cbProbeLocs: out.len().saturating_sub(places),
        uProbeLocs: at(places),
        uProbeLocsEnd: at(out.len()),
        Uuid: uuid,
        u64VtgObjSectionStart: 0,
        au32Reserved: [0; 2],
    };
    header.write_to_prefix(&mut out.0).map_err(|_| Status::VERR_INTERNAL_ERROR)?;
    Ok(Written { bytes: out.0, counts: counts.off as usize, places: places as usize })
}

const _: () = assert!(offset_of!(VTGPROBELOC, uLineAndEnabled) == 0);

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use zerocopy::FromBytes;

    use crate::vtg::Object;

    /// A host's room.
    #[repr(align(8))]
    struct Room([AtomicU32; 1024]);

    impl Room {
        const fn new() -> Self {
            Self([const { AtomicU32::new(0) }; 1024])
        }

        fn part(&'static self, words: usize) -> ProbeRoom {
            let words = &self.0[..words];
            let address = R0Ptr::new(words.as_ptr().expose_provenance() as u64);
            ProbeRoom { words, address, address_bits: 48 }
        }
    }

    #[test]
    fn nobody_pays_for_what_the_last_tracer_left_on() {
        static ROOM: Room = Room::new();
        let own = OwnProbes::in_room(ROOM.part(1024)).unwrap();
        let probe = Probe::WaitEnd;
        assert_eq!((own.is_wanted(probe), own.place(probe)), (false, None));
        let places = own.0.as_ref().unwrap();
        places.counts[probe as usize].store(2, Ordering::Relaxed);
        places.places[probe as usize * PLACE_WORDS].store(VTGPROBELOC_ENABLED, Ordering::Relaxed);
        places.places[probe as usize * PLACE_WORDS + 1].store(77, Ordering::Relaxed);
        let offset = places.first_place.get() + (probe as usize * size_of::<VTGPROBELOC>()) as u64;
        assert_eq!((own.is_wanted(probe), own.place(probe)), (true, Some(R0Ptr::new(offset))));
        let before: std::vec::Vec<_> =
            places.places.iter().map(|word| word.load(Ordering::Relaxed)).collect();
        own.switch_all_off();
        assert_eq!((own.is_wanted(probe), own.place(probe)), (false, None));
        let changed = places
            .places
            .iter()
            .zip(before)
            .filter(|(word, before)| word.load(Ordering::Relaxed) != *before);
        assert_eq!(changed.count(), 2, "what describes the places stays");
    }

    #[test]
    fn cannot_write_into_too_little_room() {
        static ROOM: Room = Room::new();
        let small = OwnProbes::in_room(ROOM.part(100));
        assert_eq!(small.err(), Some(Status::VERR_BUFFER_OVERFLOW));
    }

    #[test]
    fn the_object_is_valid_and_says_what_the_probes_are() {
        let address = 0x1000_0000;
        let Written { bytes, counts, places } = write(R0Ptr::new(address)).unwrap();
        // Aligned as the room is.
        let mut words = Vec::new();
        words.try_resize(bytes.len() / 8, 0_u64).unwrap();
        words.as_mut_bytes().copy_from_slice(&bytes);
        let (header, _) = VTGOBJHDR::read_from_prefix(&bytes).unwrap();
        let object = words.as_bytes().get(..header.cbObj as usize).unwrap();
        let locations = words.as_bytes().get(places..).unwrap();
        let kind = Kind::Driver { address_bits: 48 };
        let object = Object::check(&kind, address, object, locations).unwrap();
        assert_eq!(counts, header.ProbeEnabled.off as usize);
        let [provider] = object.providers() else { panic!("one provider") };
        assert_eq!(object.name(provider.offName), DRIVER_PROVIDER);
        assert_eq!(object.probes().len(), COUNT);
        for (index, (probe, described)) in object.probes().iter().zip(DESCRIPTIONS).enumerate() {
            assert_eq!(object.name(probe.offName), described.name);
            let (_, arguments) = object.args(probe);
            assert!(arguments.len() <= ARGUMENTS_MAX);
            let types = arguments.iter().map(|argument| object.name(argument.offType));
            assert!(types.eq(described.arguments.iter().map(|kind| kind.name())));
            let location = object.location(index as u32).unwrap();
            assert_eq!(location.probe, index as u32);
        }
    }
}
