//! [`Shape`] and [`Parts`]: valid VTG objects of any shape, for tests to break.
//!
//! A `Shape` says what an object shall describe, [`Shape::build`] lays it out as specification 8.11 has
//! it. The parts stand open: a test changes a field, and [`Parts::object`] and [`Parts::locations`] give
//! the bytes. `fuzz/src/seeds.rs` has this file too.
//!
//! Invariant: unchanged parts are valid for all three kinds, if they are of 64 bits, and for modules of
//! ring 3 if they are of 32.

extern crate std;

use std::string::String;
use std::vec;
use std::vec::Vec;

use sup_abi::{
    R0Ptr, VTG_TYPE_FIXED_SIZED, VTG_TYPE_POINTER, VTG_TYPE_SIGNED, VTG_TYPE_SIZE_MASK,
    VTG_TYPE_UNSIGNED, VTGDESCPROVIDER, VTGOBJHDR, VTGOBJHDR_MAGIC, VtgArea, VtgArg, VtgArgList,
    VtgAttributes, VtgProbe,
};
use zerocopy::{FromZeros, IntoBytes};

use super::Kind;

/// Where the locations are, as seen from the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Behind,
    InFront,
}

/// What an object shall describe.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub(crate) bits: u32,
    pub(crate) side: Side,
    /// Bytes that each area is further away than it must be; a multiple of 16.
    pub(crate) gap: u32,
    pub(crate) providers: Vec<ProviderShape>,
}

#[derive(Debug, Clone)]
pub(crate) struct ProviderShape {
    pub(crate) name: String,
    pub(crate) probes: Vec<ProbeShape>,
}

#[derive(Debug, Clone)]
pub(crate) struct ProbeShape {
    pub(crate) name: String,
    /// Types with their flags.
    pub(crate) args: Vec<(String, u32)>,
    /// How many places fire it.
    pub(crate) locations: u32,
}

impl ProbeShape {
    pub(crate) fn new(name: &str, args: &[(&str, u32)], locations: u32) -> Self {
        let args = args.iter().map(|(text, flags)| (String::from(*text), *flags)).collect();
        Self { name: name.into(), args, locations }
    }
}

impl Shape {
    /// Two providers, three probes, five locations.
    pub(crate) fn sample() -> Self {
        const INT: u32 = VTG_TYPE_FIXED_SIZED | VTG_TYPE_SIGNED | 4;
        const UINT64: u32 = VTG_TYPE_FIXED_SIZED | VTG_TYPE_UNSIGNED | 8;
        let open = ProbeShape::new("open", &[("int", INT), ("uint64_t", UINT64)], 2);
        let close = ProbeShape::new("close", &[], 1);
        let tick = ProbeShape::new("tick-tock", &[("void *", VTG_TYPE_POINTER)], 2);
        let first = ProviderShape { name: "alpha".into(), probes: vec![open, close] };
        let second = ProviderShape { name: "beta".into(), probes: vec![tick] };
        Self { bits: 64, side: Side::Behind, gap: 16, providers: vec![first, second] }
    }

    /// Lays the object out, with its header at `address`.
    pub(crate) fn build(&self, address: u64) -> Parts {
        let mut strings = Strings::default();
        let (mut arg_lists, mut probes, mut providers) = (Vec::new(), Vec::new(), Vec::new());
        let mut places = Vec::new();
        let count: usize = self.providers.iter().map(|provider| provider.probes.len()).sum();
        for provider in &self.providers {
            let first = probes.len();
            for probe in &provider.probes {
                let index = probes.len() as u16;
                places.extend((0..probe.locations).map(|_| index));
                probes.push(VtgProbe {
                    offName: strings.offset(&probe.name),
                    offArgList: arg_lists.len() as u32,
                    idxEnabled: index,
                    idxProvider: providers.len() as u16,
                    offObjHdr: 0,
                });
                arg_lists.extend(arg_list(&probe.args, &mut strings));
            }
            // One without probes begins at a probe all the same.
            providers.push(VTGDESCPROVIDER {
                offName: strings.offset(&provider.name),
                iFirstProbe: first.min(count - 1) as u16,
                cProbes: provider.probes.len() as u16,
                AttrSelf: ATTRIBUTES,
                AttrModules: ATTRIBUTES,
                AttrFunctions: ATTRIBUTES,
                AttrNames: ATTRIBUTES,
                AttrArguments: ATTRIBUTES,
                bReserved: 0,
            });
        }
        let function = strings.offset("function");
        let mut parts = Parts {
            address,
            header: VTGOBJHDR::new_zeroed(),
            sizes: [0; 5],
            strings: strings.0,
            arg_lists,
            enabled: vec![0; probes.len()],
            probes,
            providers,
            records: Vec::new(),
            starts: [0; 5],
            bits: self.bits,
        };
        parts.lay_out(self, places.len() as u64);
        let [strings, _, first, ..] = parts.starts.map(u64::from);
        for (line, probe) in (100..).zip(places) {
            parts.records.push(Record {
                line_and_enabled: line,
                id: 0,
                function: address + strings + u64::from(function),
                probe: address + first + 16 * u64::from(probe),
            });
        }
        parts
    }
}

const ATTRIBUTES: VtgAttributes = VtgAttributes { u8Code: 6, u8Data: 6, u8DataDep: 5 };

/// A string table. Equal names are there once.
#[derive(Default)]
struct Strings(Vec<u8>);

impl Strings {
    fn offset(&mut self, text: &str) -> u32 {
        let text = [text.as_bytes(), &[0]].concat();
        let found = self.0.windows(text.len()).position(|window| window == text);
        let offset = found.unwrap_or(self.0.len());
        if found.is_none() {
            self.0.extend(text);
        }
        offset as u32
    }
}

fn arg_list(args: &[(String, u32)], strings: &mut Strings) -> Vec<u8> {
    let is_large = |flags: u32| flags & VTG_TYPE_FIXED_SIZED != 0 && flags & VTG_TYPE_SIZE_MASK > 4;
    let list = VtgArgList {
        cArgs: args.len() as u8,
        fHaveLargeArgs: args.iter().any(|(_, flags)| is_large(*flags)).into(),
        abReserved: [0; 2],
    };
    let mut bytes = list.as_bytes().to_vec();
    for (text, flags) in args {
        let arg = VtgArg { offType: strings.offset(text), fType: *flags };
        bytes.extend(arg.as_bytes());
    }
    bytes
}

/// A location, before it has a width.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record {
    pub(crate) line_and_enabled: u32,
    pub(crate) id: u32,
    pub(crate) function: u64,
    pub(crate) probe: u64,
}

/// An object in its parts.
#[derive(Debug, Clone)]
pub(crate) struct Parts {
    pub(crate) address: u64,
    pub(crate) header: VTGOBJHDR,
    pub(crate) strings: Vec<u8>,
    pub(crate) arg_lists: Vec<u8>,
    pub(crate) probes: Vec<VtgProbe>,
    pub(crate) providers: Vec<VTGDESCPROVIDER>,
    pub(crate) enabled: Vec<u32>,
    pub(crate) records: Vec<Record>,
    /// Where the five areas are, whatever the header says by now.
    starts: [u32; 5],
    /// Bytes in each of them.
    sizes: [u32; 5],
    bits: u32,
}

impl Parts {
    fn lay_out(&mut self, shape: &Shape, locations: u64) {
        self.sizes = [
            self.strings.len(),
            self.arg_lists.len(),
            size_of_val(&*self.probes),
            size_of_val(&*self.providers),
            size_of_val(&*self.enabled),
        ]
        .map(|bytes| bytes as u32);
        let mut end = size_of::<VTGOBJHDR>() as u32;
        for (start, bytes) in self.starts.iter_mut().zip(self.sizes) {
            *start = (end + shape.gap).next_multiple_of(16);
            end = *start + bytes;
        }
        for (index, probe) in self.probes.iter_mut().enumerate() {
            probe.offObjHdr = -(self.starts[2] as i32 + 16 * index as i32);
        }
        let bytes = locations * if shape.bits == 32 { 16 } else { 32 };
        let start = match shape.side {
            Side::Behind => (self.address + u64::from(end)).next_multiple_of(32) + 32,
            Side::InFront => self.address - bytes,
        };
        let area = |index: usize| VtgArea { off: self.starts[index], cb: self.sizes[index] };
        self.header = VTGOBJHDR {
            szMagic: VTGOBJHDR_MAGIC,
            cBits: shape.bits,
            cbObj: end,
            StrTab: area(0),
            ArgLists: area(1),
            Probes: area(2),
            Providers: area(3),
            ProbeEnabled: area(4),
            offProbeLocs: start.wrapping_sub(self.address) as i32,
            cbProbeLocs: bytes as u32,
            uProbeLocs: start,
            uProbeLocsEnd: start + bytes,
            Uuid: *b"a build of tests",
            u64VtgObjSectionStart: 0,
            au32Reserved: [0; 2],
        };
    }

    /// An image that holds the object and its locations, and ends with them.
    pub(crate) fn image(&self) -> Kind {
        let header = &self.header;
        let base = self.address.min(header.uProbeLocs) - 0x1000;
        let end = (self.address + u64::from(header.cbObj)).max(header.uProbeLocsEnd);
        Kind::Image { base: R0Ptr::new(base), bytes: end - base }
    }

    /// The object as it lies in memory, in words of 8 bytes and with its length in bytes.
    pub(crate) fn object(&self) -> Bytes {
        let size = (self.starts[4] + self.sizes[4]) as usize;
        let mut object = Bytes(vec![0; size.div_ceil(8)], size);
        let bytes = object.bytes_mut();
        let mut put = |start: u32, part: &[u8]| {
            bytes[start as usize..][..part.len()].copy_from_slice(part);
        };
        put(0, self.header.as_bytes());
        put(self.starts[0], &self.strings);
        put(self.starts[1], &self.arg_lists);
        put(self.starts[2], self.probes.as_bytes());
        put(self.starts[3], self.providers.as_bytes());
        put(self.starts[4], self.enabled.as_bytes());
        object
    }

    /// The location records as they lie in memory.
    pub(crate) fn locations(&self) -> Vec<u8> {
        let narrow = |record: &Record| {
            let pointers = [record.function as u32, record.probe as u32];
            [[record.line_and_enabled, record.id], pointers].as_bytes().to_vec()
        };
        let wide = |record: &Record| {
            let head = [record.line_and_enabled, record.id];
            let tail = [record.function, record.probe, 0];
            [head.as_bytes(), tail.as_bytes()].concat()
        };
        self.records
            .iter()
            .flat_map(|record| if self.bits == 32 { narrow(record) } else { wide(record) })
            .collect()
    }
}

/// Bytes that begin at a multiple of 8.
#[derive(Debug, Clone)]
pub(crate) struct Bytes(Vec<u64>, usize);

impl Bytes {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0.as_bytes()[..self.1]
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0.as_mut_bytes()[..self.1]
    }
}
