//! Modules with probes: `modules/traced.c`, whose object is that of `modules/vtg.h`.
//!
//! A case breaks the object in the file, by [`with_header`] or [`with_bytes`]; what the file says is what the
//! module registers. Addresses are the loader's: what is written over them is lost.
//!
//! Invariant: the file holds one object, and it is valid.

use sup_abi::{VTGOBJHDR, VTGOBJHDR_MAGIC, VTGPROBELOC};
use zerocopy::{FromBytes, IntoBytes};

/// Its `ModuleInit` registers its object.
pub const TRACED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/traced.r0"));
/// Its `ModuleInit` registers its object twice.
pub const TRACED_TWICE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/traced_twice.r0"));
/// Its `ModuleInit` registers a header that is not in the image.
pub const TRACED_OUTSIDE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/traced_outside.r0"));

/// The handler of these modules.
pub const TRACED_HANDLER: &str = "tracedServiceReqHandler";
/// Fires the location that the argument numbers, if it is switched on.
pub const TRACED_OP_FIRE: u32 = 1;
/// Fires the location in the low byte of the argument so often as the rest of it says, if it is switched on; its
/// second argument counts from 0.
pub const TRACED_OP_FIRE_MANY: u32 = 3;
/// Registers the object once more.
pub const TRACED_OP_REGISTER: u32 = 2;
/// How many locations there are.
pub const LOCATIONS: u32 = 5;

/// The header as the file has it: the loader fills in addresses.
///
/// # Panics
/// If the file has no object.
#[must_use]
pub fn header(image: &[u8]) -> VTGOBJHDR {
    let bytes = &image[place(image)..];
    VTGOBJHDR::read_from_prefix(bytes).expect("a header").0
}

/// A copy of the module in which the header says something else.
///
/// # Panics
/// If the file has no object.
#[must_use]
pub fn with_header(image: &[u8], change: impl FnOnce(&mut VTGOBJHDR)) -> Vec<u8> {
    let mut header = header(image);
    change(&mut header);
    with_bytes(image, 0, header.as_bytes())
}

/// A copy of the module with these bytes so far behind the start of the header: in the object or in the
/// records of its locations.
///
/// # Panics
/// If the file has no object, or the locations end before.
#[must_use]
pub fn with_bytes(image: &[u8], offset: u32, bytes: &[u8]) -> Vec<u8> {
    let (place, start) = (place(image), offset as usize);
    assert!(start + bytes.len() <= location_offset(image, LOCATIONS) as usize, "beyond the object");
    let mut image = image.to_vec();
    image[place + start..][..bytes.len()].copy_from_slice(bytes);
    image
}

/// Bytes from the header to a location, or, with [`LOCATIONS`], behind the last.
///
/// # Panics
/// If the file has no object.
#[must_use]
pub fn location_offset(image: &[u8], index: u32) -> u32 {
    const MARKER: u32 = 32;
    let record = size_of::<VTGPROBELOC>() as u32;
    header(image).cbObj.next_multiple_of(record) + MARKER + index * record
}

/// Where the object is in the file.
fn place(image: &[u8]) -> usize {
    let found = image.windows(VTGOBJHDR_MAGIC.len()).position(|bytes| bytes == VTGOBJHDR_MAGIC);
    found.expect("the file has an object")
}
