//! [`Module`]: what a module of a process with probes has in its memory.
//!
//! ```text
//! provider tests { probe first(uint64_t); probe second(); };     locations 0 and 1, and 2
//! ```
//! Invariant: a new module is valid, and no part of it moves.

#![forbid(unsafe_code)]

use std::mem::offset_of;
use std::sync::atomic::{AtomicU32, Ordering};

use sup_abi::request::{TracerRegisterUserModuleIn, padded};
use sup_abi::{
    R3Ptr, SUP_TRACER_UMOD_FLAGS_EXE, VTG_TYPE_FIXED_SIZED, VTG_TYPE_UNSIGNED, VTGDESCPROVIDER,
    VTGOBJHDR, VTGOBJHDR_MAGIC, VTGPROBELOC, VTGPROBELOC_ENABLED, VtgArea, VtgArg, VtgArgList,
    VtgAttributes, VtgProbe,
};

/// Places where probes fire.
pub const LOCATIONS: usize = 3;

const STRINGS: [u8; 32] = *b"tests\0first\0second\0uint64_t\0\0\0\0\0";
const NAMES: [u8; 9] = *b"function\0";
const ATTRIBUTES: VtgAttributes = VtgAttributes { u8Code: 6, u8Data: 6, u8DataDep: 5 };

/// The object, and what lies behind it. The driver writes into the last two areas.
#[derive(Debug)]
#[repr(C, align(4096))]
struct Object {
    header: VTGOBJHDR,
    strings: [u8; 32],
    list: VtgArgList,
    args: [VtgArg; 1],
    empty: VtgArgList,
    probes: [VtgProbe; 2],
    providers: [VTGDESCPROVIDER; 1],
    counts: [AtomicU32; 2],
    locations: [VTGPROBELOC; LOCATIONS],
    names: [u8; 9],
}

const fn area(start: usize, bytes: usize) -> VtgArea {
    VtgArea { off: start as u32, cb: bytes as u32 }
}

/// A module with probes.
#[derive(Debug)]
pub struct Module(Box<Object>);

impl Module {
    /// A module as its process has it. `build` makes it different from others.
    #[must_use]
    pub fn new(build: u8) -> Self {
        let probe = |index: usize, name, list| VtgProbe {
            offName: name,
            offArgList: list,
            idxEnabled: index as u16,
            idxProvider: 0,
            offObjHdr: -((offset_of!(Object, probes) + index * size_of::<VtgProbe>()) as i32),
        };
        let provider = VTGDESCPROVIDER {
            offName: 0,
            iFirstProbe: 0,
            cProbes: 2,
            AttrSelf: ATTRIBUTES,
            AttrModules: ATTRIBUTES,
            AttrFunctions: ATTRIBUTES,
            AttrNames: ATTRIBUTES,
            AttrArguments: ATTRIBUTES,
            bReserved: 0,
        };
        let counts_end = offset_of!(Object, counts) + size_of::<[u32; 2]>();
        let header = VTGOBJHDR {
            szMagic: VTGOBJHDR_MAGIC,
            cBits: 64,
            cbObj: counts_end as u32,
            StrTab: area(offset_of!(Object, strings), size_of_val(&STRINGS)),
            ArgLists: area(offset_of!(Object, list), 16),
            Probes: area(offset_of!(Object, probes), 32),
            Providers: area(offset_of!(Object, providers), 24),
            ProbeEnabled: area(offset_of!(Object, counts), 8),
            offProbeLocs: 0,
            cbProbeLocs: 0,
            uProbeLocs: 0,
            uProbeLocsEnd: 0,
            Uuid: [build; 16],
            u64VtgObjSectionStart: 0,
            au32Reserved: [0; 2],
        };
        let arg = VtgArg { offType: 19, fType: VTG_TYPE_FIXED_SIZED | VTG_TYPE_UNSIGNED | 8 };
        let mut object = Box::new(Object {
            header,
            strings: STRINGS,
            list: VtgArgList { cArgs: 1, fHaveLargeArgs: 1, abReserved: [0; 2] },
            args: [arg],
            empty: VtgArgList::default(),
            probes: [probe(0, 6, 0), probe(1, 12, 12)],
            providers: [provider],
            counts: Default::default(),
            locations: Default::default(),
            names: NAMES,
        });
        let address = (&raw const *object).expose_provenance();
        let start = address + offset_of!(Object, locations);
        object.header.uProbeLocs = start as u64;
        object.header.uProbeLocsEnd = (start + size_of::<[VTGPROBELOC; LOCATIONS]>()) as u64;
        let probes = address + offset_of!(Object, probes);
        let function = address + offset_of!(Object, names);
        for (location, probe) in object.locations.iter_mut().zip([0, 0, 1]) {
            *location.uLineAndEnabled.get_mut() = 100 + probe;
            location.pszFunction = function as u64;
            location.pProbe = (probes + probe as usize * size_of::<VtgProbe>()) as u64;
        }
        Self(object)
    }

    /// The request of which [`Module::new`] would make the library send, by hand: names are offsets.
    #[must_use]
    pub fn request(&mut self) -> TracerRegisterUserModuleIn {
        self.0.locations.iter_mut().for_each(|location| location.pszFunction = 0);
        TracerRegisterUserModuleIn {
            believed_header: self.address() as u64,
            header: R3Ptr::new(self.address() as u64),
            names: R3Ptr::new((&raw const self.0.names).expose_provenance() as u64),
            name_bytes: NAMES.len() as u32,
            flags: SUP_TRACER_UMOD_FLAGS_EXE,
            name: padded("tests").unwrap_or([0; 64]),
        }
    }

    /// The header, to be changed before it is registered.
    pub fn header_mut(&mut self) -> &mut VTGOBJHDR {
        &mut self.0.header
    }

    /// Where the header is.
    #[must_use]
    pub fn address(&self) -> usize {
        (&raw const *self.0).expose_provenance()
    }

    /// The numbers of its locations.
    #[must_use]
    pub fn numbers(&self) -> [u32; LOCATIONS] {
        // Relaxed: the driver wrote them during a request of this thread's.
        self.0.locations.each_ref().map(|location| location.idProbe.load(Ordering::Relaxed))
    }

    /// A location's record.
    #[must_use]
    pub fn location(&self, index: usize) -> Option<&VTGPROBELOC> {
        self.0.locations.get(index)
    }

    /// Whether a location is switched on.
    #[must_use]
    pub fn is_enabled(&self, index: usize) -> bool {
        let word = |location: &VTGPROBELOC| location.uLineAndEnabled.load(Ordering::Relaxed);
        self.location(index).is_some_and(|location| word(location) & VTGPROBELOC_ENABLED != 0)
    }

    /// How many locations of each probe are switched on.
    #[must_use]
    pub fn counts(&self) -> [u32; 2] {
        self.0.counts.each_ref().map(|count| count.load(Ordering::Relaxed))
    }
}
