//! The VTG object of the suite's modules, as a compiler and the loader make it, against the driver's validator.
//!
//! Nothing runs: the modules are mapped at an address that they do not lie at, so that addresses are the
//! relocations' doing.

use sup_abi::{
    Status, VTG_TYPE_FIXED_SIZED, VTG_TYPE_POINTER, VTG_TYPE_SIGNED, VTG_TYPE_UNSIGNED, VTGOBJHDR,
    VTGOBJHDR_SYMBOL,
};
use sup_conformance::traced::{
    LOCATIONS, TRACED, TRACED_OUTSIDE, TRACED_TWICE, header, location_offset, with_bytes,
    with_header,
};
use sup_core::vtg::{Kind, Object, check_header};
use sup_ring0::elf::Elf;
use zerocopy::{FromBytes, IntoBytes};

/// Where modules are mapped. Nothing is read there.
const BASE: u64 = 0x7f00_0000_0000;

/// A module in memory, and where its header is in it.
struct Mapped {
    memory: Vec<u64>,
    header: usize,
}

impl Mapped {
    fn new(file: &[u8]) -> Self {
        let elf = Elf::parse(file).unwrap();
        let mut memory = vec![0_u64; elf.image_size() / 8];
        let mut provide = |_: &str| Some(0x7e00_0000_0000);
        elf.load(memory.as_mut_bytes(), BASE, &mut provide).unwrap();
        let symbol = elf.symbols().find(|symbol| symbol.name == VTGOBJHDR_SYMBOL).unwrap();
        Self { memory, header: symbol.offset }
    }

    fn address(&self) -> u64 {
        BASE + self.header as u64
    }

    fn image(&self) -> Kind {
        Kind::Image { base: sup_abi::R0Ptr::new(BASE), bytes: self.memory.as_bytes().len() as u64 }
    }

    /// Judges the object as the driver does: its header, then what that says is there.
    fn check(&self, kind: &Kind) -> Result<Object<'_>, Status> {
        let tail = &self.memory.as_bytes()[self.header..];
        let mut header = VTGOBJHDR::read_from_prefix(tail).unwrap().0;
        check_header(kind, &mut header, self.address())?;
        let locations = &tail[header.offProbeLocs as usize..][..header.cbProbeLocs as usize];
        Object::check(kind, self.address(), &tail[..header.cbObj as usize], locations)
    }

    /// The string at an address of the image.
    fn text(&self, address: u64) -> &str {
        let tail = &self.memory.as_bytes()[(address - BASE) as usize..];
        let end = tail.iter().position(|byte| *byte == 0).unwrap();
        str::from_utf8(&tail[..end]).unwrap()
    }
}

#[test]
fn the_object_is_valid_in_every_module_and_for_every_kind() {
    for file in [TRACED, TRACED_TWICE, TRACED_OUTSIDE] {
        let mapped = Mapped::new(file);
        for kind in [mapped.image(), Kind::Driver { address_bits: 48 }, Kind::User] {
            let object = mapped.check(&kind).unwrap();
            assert_eq!(object.header().cbObj, header(file).cbObj);
        }
    }
}

#[test]
fn it_reads_as_it_is_written() {
    const INT: u32 = VTG_TYPE_FIXED_SIZED | VTG_TYPE_SIGNED | 4;
    const UINT64: u32 = VTG_TYPE_FIXED_SIZED | VTG_TYPE_UNSIGNED | 8;
    let mapped = Mapped::new(TRACED);
    let object = mapped.check(&mapped.image()).unwrap();
    let mut found = Vec::new();
    for provider in object.providers() {
        for probe in object.probes_of(provider) {
            let args = object.args(probe).1.iter();
            let args: Vec<_> = args.map(|arg| (object.name(arg.offType), arg.fType)).collect();
            found.push((object.name(provider.offName), object.name(probe.offName), args));
        }
    }
    let expected = [
        ("alpha", "open", vec![("int", INT), ("uint64_t", UINT64)]),
        ("alpha", "close", vec![]),
        ("beta", "tick-tock", vec![("void *", VTG_TYPE_POINTER)]),
    ];
    assert_eq!(found, expected);
    let locations: Vec<_> = object.locations().collect();
    assert!(locations.iter().all(|location| mapped.text(location.function) == "vtgFunction"));
    let places: Vec<_> = locations.iter().map(|location| (location.line, location.probe)).collect();
    assert_eq!(places, [(100, 0), (101, 0), (102, 1), (103, 2), (104, 2)]);
    assert_eq!(object.location_count(), LOCATIONS);
}

#[test]
fn the_locations_are_near_enough_for_modules_of_ring_3() {
    let mapped = Mapped::new(TRACED);
    let object = mapped.check(&Kind::User).unwrap();
    let (start, end) = (object.header().offProbeLocs, object.header().cbObj as i32);
    assert!((32..=128).contains(&(start - end)), "{} bytes", start - end);
    assert_eq!(start as u32, location_offset(TRACED, 0));
}

#[test]
fn what_is_changed_in_the_file_is_what_is_judged() {
    let status = |file: &[u8]| {
        let mapped = Mapped::new(file);
        mapped.check(&mapped.image()).map(drop)
    };
    let header = header(TRACED);
    let line = location_offset(TRACED, 3);
    let cases = [
        (with_header(TRACED, |header| header.szMagic[21] = b'7'), Status::VERR_SUPDRV_VTG_MAGIC),
        (with_header(TRACED, |header| header.cBits = 32), Status::VERR_SUPDRV_VTG_BITS),
        (with_header(TRACED, |header| header.cbObj -= 4), Status::VERR_SUPDRV_VTG_BAD_HDR_OFF),
        (
            with_bytes(TRACED, header.ProbeEnabled.off + 8, &[1]),
            Status::VERR_SUPDRV_VTG_BAD_PROBE_ENABLED,
        ),
        (with_bytes(TRACED, header.Providers.off + 8, &[0]), Status::VERR_SUPDRV_VTG_BAD_ATTR),
        (with_bytes(TRACED, line + 3, &[0x80]), Status::VERR_SUPDRV_VTG_BAD_PROBE_LOC),
    ];
    assert_eq!(status(TRACED), Ok(()));
    for (index, (file, expected)) in cases.iter().enumerate() {
        assert_eq!(status(file), Err(*expected), "case {index}");
    }
}
