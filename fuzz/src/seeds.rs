//! Writes the seeds of the targets: `seeds FOLDER` makes a folder for each target in it.
//!
//! The loader gets the tree's modules, the decoder a packet of each request, alone and all in a row, the paths
//! and the loggers some of each kind, the reader of trace files a file with all kinds of sections, and the validator of VTG
//! objects valid ones. Those are made by what makes them for the tests of `sup-core`.

#[path = "../../crates/sup-core/src/vtg/testing.rs"]
mod objects;

use std::fs;
use std::io;
use std::path::PathBuf;

use sup_abi::request::{Function, HEADER_BYTES, LoadModule, Request, RequestInfo, TABLE, Tail};
use sup_core::vtg::{Kind, Object};
use sup_fuzz::{Shot, VTG_ADDRESS};
use sup_modules::{HELLO, VMMR0};
use sup_trace::{Argument, Event, Header, Probe, TraceWriter, WriteError};
use zerocopy::IntoBytes;

use objects::{Shape, Side};

/// Paths that pass, and that do not.
const PATHS: [&str; 6] = [
    "/usr/lib/supdrv/x.so",
    "/usr/lib/",
    "/usr//lib",
    "/usr/./lib/..",
    "usr/lib",
    "/a/b/c/d/e/f/g",
];

/// Texts of loggers: flags, and groups.
const LOGGERS: [[&str; 2]; 4] = [
    ["tsc pid nodisabled", "all.e.l2 -sup"],
    ["+rel;~dec!tid", "s*=0x7 *_drv.eo.flow=~010"],
    ["disabled enabled timeprog", "sup.e.l2=-1;default"],
    ["writethrough groupno nono", "-+ALL.restrict.s*"],
];

/// No word of a header.
const NO_WORD: u8 = u8::MAX;

/// A packet of a request with ones in its input, which is a small number or a flag to most fields.
fn packet(row: &RequestInfo) -> Vec<u8> {
    let number = u32::from(row.function);
    let mut body = vec![0; row.bytes_in - HEADER_BYTES];
    if let Some(first) = body.first_mut() {
        *first = 1;
    }
    let mut bytes_out = row.bytes_out - HEADER_BYTES;
    if row.tail_out == Tail::PhysicalAddresses {
        bytes_out += 8;
    }
    if row.function == Function::CallService {
        body[..HELLO.name.len()].copy_from_slice(HELLO.name.as_bytes());
    }
    if row.function == Function::LoadModule {
        let size = (HELLO.image.len() as u32).to_le_bytes();
        let place = LoadModule::BYTES_IN - HEADER_BYTES - 16;
        body[place..place + 4].copy_from_slice(&size);
        body[0] = b'h';
        body.extend_from_slice(HELLO.image);
    }
    let shot = Shot {
        function: number as u8,
        spoiled_word: NO_WORD,
        bytes: body.len() as u16,
        bytes_out: bytes_out as u16,
        spoil: 0,
    };
    [shot.as_bytes(), &body].concat()
}

/// Valid objects with their locations: of either width, with these in front and behind.
fn objects() -> Vec<Vec<u8>> {
    let mut objects = Vec::new();
    for (bits, side) in [(64, Side::Behind), (64, Side::InFront), (32, Side::Behind)] {
        let parts = Shape { bits, side, ..Shape::sample() }.build(VTG_ADDRESS);
        let kind = if bits == 32 { Kind::User } else { parts.image() };
        let (object, locations) = (parts.object(), parts.locations());
        let checked = Object::check(&kind, parts.address, object.bytes(), &locations);
        assert!(checked.is_ok(), "a seed is valid: {checked:?}");
        objects.push([object.bytes(), &locations].concat());
    }
    objects
}

/// A trace file with two processors, a loss and two blocks of one processor.
fn trace() -> Result<Vec<u8>, WriteError> {
    let header = Header { tsc_hz: 3_000_000_000, host: "host".into(), ..Header::default() };
    let mut writer = TraceWriter::new(Vec::new(), &header)?;
    let argument = Argument { type_text: "uint32_t".into(), flags: 0x4000_0104 };
    let names = Probe { provider: "vmm".into(), probe: "exit".into(), ..Probe::default() };
    writer.probes(&[Probe { id: 1, arguments: vec![argument], ..names }])?;
    for number in 0..6_u64 {
        let (time_tsc, cpu) = (100 * number, number as u16 % 2);
        writer.event(&Event { time_tsc, cpu, id: 1, arg_count: 1, ..Event::default() })?;
        if number == 3 {
            writer.lost(0, 2)?;
        }
    }
    writer.finish()
}

fn main() -> io::Result<()> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from);
    let folder = folder.ok_or_else(|| io::Error::other("name the folder for the seeds"))?;
    let loader = folder.join("loader");
    fs::create_dir_all(&loader)?;
    for module in [HELLO, VMMR0] {
        fs::write(loader.join(module.name), module.image)?;
    }
    let paths = folder.join("paths");
    fs::create_dir_all(&paths)?;
    for (index, path) in PATHS.iter().enumerate() {
        fs::write(paths.join(index.to_string()), path)?;
    }
    let loggers = folder.join("logger");
    fs::create_dir_all(&loggers)?;
    for (index, [flags, groups]) in LOGGERS.iter().enumerate() {
        // The first byte says where the groups begin.
        let input = [&[flags.len() as u8], flags.as_bytes(), groups.as_bytes()].concat();
        fs::write(loggers.join(index.to_string()), input)?;
    }
    let vtg = folder.join("vtg");
    fs::create_dir_all(&vtg)?;
    for (index, object) in objects().iter().enumerate() {
        // The first byte says whose it is.
        for kind in 0..3_u8 {
            fs::write(vtg.join(format!("{index}-{kind}")), [&[kind], &object[..]].concat())?;
        }
    }
    let traces = folder.join("trace");
    fs::create_dir_all(&traces)?;
    // The first byte says whether checksums are put right.
    let file = trace().map_err(io::Error::other)?;
    for mode in 0..2_u8 {
        fs::write(traces.join(mode.to_string()), [&[mode], &file[..]].concat())?;
    }
    let requests = folder.join("requests");
    fs::create_dir_all(&requests)?;
    let mut all = Vec::new();
    for row in TABLE {
        let packet = packet(row);
        fs::write(requests.join(row.name), &packet)?;
        if row.function != Function::LoadModule {
            all.extend(packet);
        }
    }
    fs::write(requests.join("all"), all)
}
