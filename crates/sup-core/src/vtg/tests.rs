//! The validator against valid objects that are broken in one place, and against random ones.
//!
//! Invariant: each row of a table changes one thing of a valid object, and says what each kind answers.

extern crate std;

mod header;
mod random;
mod records;

use sup_abi::Status;

use super::testing::{Parts, Shape, Side};
use super::*;

const OK: Status = Status::VINF_SUCCESS;

/// Where headers lie: a page like others, which a 32-bit pointer reaches.
const ADDRESS: u64 = 0x1234_5000;

/// A change, and what is answered to it for an image, a driver and a user.
type Row = (&'static str, fn(&mut Parts), [Status; 3]);

/// What all three kinds answer.
const fn all(status: Status) -> [Status; 3] {
    [status; 3]
}

fn sample() -> Parts {
    Shape::sample().build(ADDRESS)
}

/// The three kinds, as they are before the parts are changed.
fn kinds(parts: &Parts) -> [Kind; 3] {
    [parts.image(), Kind::Driver { address_bits: 48 }, Kind::User]
}

/// What is answered to an object.
fn answer(kind: &Kind, parts: &Parts) -> Status {
    let (object, locations) = (parts.object(), parts.locations());
    match Object::check(kind, parts.address, object.bytes(), &locations) {
        Ok(_) => OK,
        Err(status) => status,
    }
}

/// Holds the answers of all kinds against a table.
fn hold_against(rows: &[Row]) {
    for (name, change, expected) in rows {
        for (kind, expected) in kinds(&sample()).iter().zip(expected) {
            let mut parts = sample();
            change(&mut parts);
            assert_eq!(answer(kind, &parts), *expected, "{name}, {kind:?}");
        }
    }
}

#[test]
fn a_valid_object_passes_for_every_kind_and_reads_as_it_was_made() {
    for side in [Side::Behind, Side::InFront] {
        for bits in [32, 64] {
            let parts = Shape { bits, side, ..Shape::sample() }.build(ADDRESS);
            let (bytes, locations) = (parts.object(), parts.locations());
            for kind in kinds(&parts).iter().filter(|kind| bits == 64 || **kind == Kind::User) {
                let object = Object::check(kind, ADDRESS, bytes.bytes(), &locations).unwrap();
                assert_eq!((object.header(), object.address()), (&parts.header, ADDRESS));
                random::hold_against_shape(&object, &Shape::sample());
            }
        }
    }
}

#[test]
fn every_bit_of_a_field_that_decides_is_looked_at() {
    let (starts, sizes) = areas(&sample().header);
    // Where another value may be valid too: the fields' own rows say which.
    let is_free = |place: usize| {
        let record = |area: usize, unit: usize| (place - starts[area]) % unit;
        match (0..5).rev().find(|area| place >= starts[*area]) {
            // Places and sizes of the first two areas, the UUID, the section; what lies between.
            None => (32..48).contains(&place) || place >= 96 && !(120..128).contains(&place),
            Some(area) if place >= starts[area] + sizes[area] => true,
            // Characters, types and lists of arguments; names and lists of probes.
            Some(0 | 1) => true,
            Some(2) => record(2, 16) < 8,
            // Names, ranges and attributes, but not the last byte.
            Some(3) => record(3, 24) < 23,
            Some(_) => false,
        }
    };
    let is_free_in_location = |place: usize, bit: u32| match place % 32 {
        0..3 | 8..16 | 24..32 => true,
        3 => bit < 6,
        // Another probe.
        16 => matches!(bit, 4 | 5),
        _ => false,
    };
    let parts = sample();
    let (mut object, mut locations) = (parts.object(), parts.locations());
    for kind in kinds(&parts) {
        for (place, bit) in
            (0..object.bytes().len()).flat_map(|place| (0..8).map(move |bit| (place, bit)))
        {
            object.bytes_mut()[place] ^= 1 << bit;
            let found = Object::check(&kind, ADDRESS, object.bytes(), &locations);
            assert!(is_free(place) || found.is_err(), "bit {bit} of byte {place}, {kind:?}");
            object.bytes_mut()[place] ^= 1 << bit;
        }
        for (place, bit) in
            (0..locations.len()).flat_map(|place| (0..8).map(move |bit| (place, bit)))
        {
            locations[place] ^= 1 << bit;
            let found = Object::check(&kind, ADDRESS, object.bytes(), &locations);
            let is_free = is_free_in_location(place, bit);
            assert!(is_free || found.is_err(), "bit {bit} of location byte {place}, {kind:?}");
            locations[place] ^= 1 << bit;
        }
        let found = Object::check(&kind, ADDRESS, object.bytes(), &locations);
        assert!(found.is_ok(), "all is as it was");
    }
}

/// Where the areas begin, and their sizes in bytes.
fn areas(header: &sup_abi::VTGOBJHDR) -> ([usize; 5], [usize; 5]) {
    let areas =
        [header.StrTab, header.ArgLists, header.Probes, header.Providers, header.ProbeEnabled];
    (areas.map(|area| area.off as usize), areas.map(|area| area.cb as usize))
}
