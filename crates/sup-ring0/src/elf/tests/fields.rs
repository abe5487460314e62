//! A corpus of hostile images: every field of every table with every number that means something.
//!
//! The fields are found as the loader finds them, from the file header on, in an image of our own and in
//! what a linker made. First each alone, with every number; then several at once, by chance, where numbers
//! are also those of other fields.

use std::collections::HashSet;
use std::mem::discriminant;
use std::vec::Vec;

use proptest::prelude::*;
use proptest::sample::Index;
use sup_modules::{HELLO, VMMR0};

use super::builder::Image;
use super::hostile::{exercise, survive};

/// A number in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Field {
    table: &'static str,
    place: usize,
    width: usize,
}

/// Width of each field of a structure, in the order in which they lie.
type Shape = (&'static str, &'static [usize]);

const FILE_HEADER: Shape =
    ("file header", &[1, 1, 1, 1, 1, 1, 1, 1, 8, 2, 2, 4, 8, 8, 8, 4, 2, 2, 2, 2, 2, 2]);
const PROGRAM_HEADER: Shape = ("program header", &[4, 4, 8, 8, 8, 8, 8, 8]);
const DYNAMIC_ENTRY: Shape = ("dynamic entry", &[8, 8]);
const SYMBOL: Shape = ("symbol", &[4, 1, 1, 2, 8, 8]);
const RELOCATION: Shape = ("relocation", &[8, 4, 4, 8]);
const HASH_WORD: Shape = ("hash word", &[4]);

const PT_LOAD: u64 = 1;
const PT_DYNAMIC: u64 = 2;
const DT_HASH: u64 = 4;
const DT_SYMTAB: u64 = 6;
const DT_RELA: u64 = 7;
const DT_RELASZ: u64 = 8;
const DT_JMPREL: u64 = 23;
const DT_PLTRELSZ: u64 = 2;

fn get(file: &[u8], place: usize, width: usize) -> u64 {
    let mut bytes = [0; 8];
    bytes[..width].copy_from_slice(&file[place..place + width]);
    u64::from_le_bytes(bytes)
}

fn put(file: &mut [u8], field: Field, value: u64) {
    let bytes = value.to_le_bytes();
    file[field.place..field.place + field.width].copy_from_slice(&bytes[..field.width]);
}

/// The fields of `count` structures that lie behind each other.
fn structures((table, widths): Shape, start: usize, count: usize) -> Vec<Field> {
    let mut place = start;
    let mut fields = Vec::new();
    for _ in 0..count {
        for &width in widths {
            fields.push(Field { table, place, width });
            place += width;
        }
    }
    fields
}

fn size((_, widths): Shape) -> usize {
    widths.iter().sum()
}

/// Every field of an image that loads.
fn fields(file: &[u8]) -> Vec<Field> {
    let (headers, count) = (get(file, 32, 8) as usize, get(file, 56, 2) as usize);
    let header = |index: usize, offset, width| {
        get(file, headers + index * size(PROGRAM_HEADER) + offset, width)
    };
    let of_kind = |kind| (0..count).filter(move |index| header(*index, 0, 4) == kind);
    // Where an address lies in the file.
    let place = |address: u64| {
        let mut loads = of_kind(PT_LOAD);
        let load = loads.rfind(|load| header(*load, 16, 8) <= address).unwrap();
        (address - header(load, 16, 8) + header(load, 8, 8)) as usize
    };
    let dynamic = of_kind(PT_DYNAMIC).next().unwrap();
    let (start, bytes) = (header(dynamic, 8, 8) as usize, header(dynamic, 32, 8) as usize);
    let entry = |tag: u64| {
        let mut places = (start..start + bytes).step_by(size(DYNAMIC_ENTRY));
        places.find(|place| get(file, *place, 8) == tag).map(|place| get(file, place + 8, 8))
    };

    let hash = place(entry(DT_HASH).unwrap());
    let (buckets, symbols) = (get(file, hash, 4) as usize, get(file, hash + 4, 4) as usize);
    let mut fields = structures(FILE_HEADER, 0, 1);
    fields.extend(structures(PROGRAM_HEADER, headers, count));
    fields.extend(structures(DYNAMIC_ENTRY, start, bytes / size(DYNAMIC_ENTRY)));
    fields.extend(structures(HASH_WORD, hash, 2 + buckets + symbols));
    fields.extend(structures(SYMBOL, place(entry(DT_SYMTAB).unwrap()), symbols));
    for (table, bytes) in [(DT_RELA, DT_RELASZ), (DT_JMPREL, DT_PLTRELSZ)] {
        if let (Some(table), Some(bytes)) = (entry(table), entry(bytes)) {
            fields.extend(structures(RELOCATION, place(table), bytes as usize / size(RELOCATION)));
        }
    }
    fields
}

/// Numbers that overflow, wrap around, just fit, or are near what is there. Beyond the width they are cut.
fn numbers(old: u64) -> Vec<u64> {
    let near = [1, 2, 4, 7, 8, 0x1000].map(|step| [old.wrapping_add(step), old.wrapping_sub(step)]);
    let bits = (0..64).map(|bit| old ^ 1 << bit);
    let others = [
        0,
        1,
        2,
        3,
        4,
        5,
        6,
        7,
        8,
        9,
        10,
        13,
        17,
        22,
        24,
        36,
        0x18,
        0x20,
        0xfff,
        0x1000,
        0x2000,
        0x4000,
        0x7fff,
        0x8000,
        0xff00,
        0xfff1,
        0xffff,
        0xff_ffff,
        0x100_0000,
        0x100_0001,
        0x6474_e551,
        0x6474_e552,
        0x6fff_fef5,
        0x7fff_fffd,
        0x7fff_ffff,
        0x8000_0000,
        0xffff_ffff,
        1 << 32,
        1 << 47,
        i64::MAX as u64,
        1 << 63,
        u64::MAX - 0xfff,
        u64::MAX - 7,
        u64::MAX,
    ];
    near.into_iter().flatten().chain(bits).chain(others).collect()
}

fn images() -> [Vec<u8>; 3] {
    [Image::good().bytes, HELLO.image.to_vec(), VMMR0.image.to_vec()]
}

#[test]
fn every_table_has_fields() {
    for image in images() {
        let fields = fields(&image);
        let tables = [FILE_HEADER, PROGRAM_HEADER, DYNAMIC_ENTRY, HASH_WORD, SYMBOL, RELOCATION];
        for (table, _) in tables {
            assert!(fields.iter().any(|field| field.table == table), "no {table}");
        }
        assert!(exercise(&image).is_ok());
    }
}

#[test]
fn every_number_in_every_field_is_refused_or_harmless() {
    let mut refusals = HashSet::new();
    for mut image in images() {
        for field in fields(&image) {
            let old = get(&image, field.place, field.width);
            for value in numbers(old) {
                put(&mut image, field, value);
                if let Err(error) = exercise(&image) {
                    refusals.insert(discriminant(&error));
                }
            }
            put(&mut image, field, old);
        }
    }
    // So many of the loader's rules are broken on the way: the corpus reaches behind the first checks.
    assert!(refusals.len() >= 40, "{} kinds of refusals", refusals.len());
}

/// What a field is given.
#[derive(Debug, Clone)]
enum Source {
    Number(Index),
    /// What another field holds, and so much more.
    Field(Index, i8),
    Any(u64),
}

fn source() -> impl Strategy<Value = Source> {
    prop_oneof![
        any::<Index>().prop_map(Source::Number),
        (any::<Index>(), -8..=8_i8).prop_map(|(index, more)| Source::Field(index, more)),
        any::<u64>().prop_map(Source::Any),
    ]
}

proptest! {
    #[test]
    fn several_fields_at_once_are_refused_or_harmless(
        which in 0..3_usize,
        changes in prop::collection::vec((any::<Index>(), source()), 1..8),
    ) {
        let mut image = images()[which].clone();
        let fields = fields(&image);
        for (index, source) in changes {
            let field = *index.get(&fields);
            let old = get(&image, field.place, field.width);
            let value = match source {
                Source::Number(index) => *index.get(&numbers(old)),
                Source::Field(index, more) => {
                    let other = index.get(&fields);
                    get(&image, other.place, other.width).wrapping_add_signed(more.into())
                }
                Source::Any(value) => value,
            };
            put(&mut image, field, value);
        }
        survive(&image);
    }
}
