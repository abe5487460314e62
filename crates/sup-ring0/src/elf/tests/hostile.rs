//! Random damage: whatever a file holds, the loader neither panics nor reaches beyond its slices.

use std::vec;
use std::vec::Vec;

use proptest::prelude::*;
use proptest::sample::select;

use super::builder::Image;
use crate::elf::{Elf, ElfError, MAX_IMAGE_SIZE, PAGE_SIZE, Protection};

/// What surrounds the image in memory, to see that it is left alone.
const GUARD: [u8; 64] = [0xa5; 64];

/// Does with a file whatever can be done, and checks what a checked image promises. The error is why it is
/// refused.
pub(super) fn exercise(file: &[u8]) -> Result<(), ElfError> {
    let elf = Elf::parse(file)?;
    let size = elf.image_size();
    assert!((PAGE_SIZE..=MAX_IMAGE_SIZE).contains(&size) && size.is_multiple_of(PAGE_SIZE));

    let mut end = 0;
    for segment in elf.segments() {
        assert!(segment.pages.start >= end && !segment.pages.is_empty());
        end = segment.pages.end;
        let is_code = segment.protection == Protection::ReadExecute;
        assert!(is_code || !elf.is_executable(segment.pages.start));
    }
    assert_eq!(end, size);
    if let Some(relro) = elf.relro() {
        let mut segments = elf.segments();
        let segment = segments.find(|segment| segment.pages.contains(&relro.start)).unwrap();
        assert!(segment.protection == Protection::ReadWrite && relro.end <= segment.pages.end);
    }
    for symbol in elf.symbols() {
        assert!(symbol.offset <= size);
        if let Some(found) = elf.find_symbol(symbol.name) {
            assert_eq!(found.name, symbol.name);
        }
    }

    let mut memory = vec![0; size + 2 * GUARD.len()];
    memory[..GUARD.len()].copy_from_slice(&GUARD);
    memory[GUARD.len() + size..].copy_from_slice(&GUARD);
    let image = &mut memory[GUARD.len()..GUARD.len() + size];
    elf.load(image, 0x7f00_0000_0000, &mut |name| Some(name.len() as u64)).unwrap();
    assert_eq!(memory[..GUARD.len()], GUARD);
    assert_eq!(memory[GUARD.len() + size..], GUARD);
    Ok(())
}

/// [`exercise`], where either end will do.
pub(super) fn survive(file: &[u8]) {
    let _ = exercise(file);
}

/// Numbers that overflow, wrap around, or just fit.
fn interesting() -> impl Strategy<Value = u64> {
    prop_oneof![
        select(vec![0, 1, 7, 8, 0xfff, 0x1000, 0x2000, 0x3000, 0x4000, 0x100_0000]),
        select(vec![0x7fff_ffff, 0x8000_0000, 0xffff_ffff, u64::MAX, u64::MAX - 7, 1 << 63]),
        any::<u64>(),
        any::<u8>().prop_map(u64::from),
    ]
}

/// A change of 1, 2, 4 or 8 bytes somewhere in a file of a size.
fn change(size: usize) -> impl Strategy<Value = (usize, Vec<u8>)> {
    // Nearly everything that is interpreted lies in the first page or in the dynamic section.
    let place = prop_oneof![4 => 0..size.min(0x700), 2 => size.min(0x2100)..size, 1 => 0..size];
    (place, interesting(), 0..4u32, any::<bool>()).prop_map(|(place, value, width, is_aligned)| {
        let width = 1 << width;
        let place = if is_aligned { place / width * width } else { place };
        (place, value.to_le_bytes()[..width].to_vec())
    })
}

fn damaged(good: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let size = good.len();
    let length = prop_oneof![9 => Just(size), 1 => 0..size];
    (proptest::collection::vec(change(size), 0..6), length).prop_map(move |(changes, length)| {
        let mut file = good.clone();
        for (place, bytes) in changes {
            for (byte, new) in file[place..].iter_mut().zip(bytes) {
                *byte = new;
            }
        }
        file.truncate(length);
        file
    })
}

proptest! {
    #[test]
    fn damaged_image_is_refused_or_harmless(file in damaged(Image::good().bytes)) {
        survive(&file);
    }

    #[test]
    fn damaged_hello_is_refused_or_harmless(file in damaged(sup_modules::HELLO.image.to_vec())) {
        survive(&file);
    }

    #[test]
    fn noise_is_refused_or_harmless(mut file in proptest::collection::vec(any::<u8>(), 0..4096)) {
        survive(&file);
        // Behind a good file header it gets further.
        let header = &Image::good().bytes[..64];
        file.splice(..file.len().min(64), header.iter().copied());
        survive(&file);
    }
}

#[test]
fn truncated_image_is_refused_or_harmless() {
    for file in [&Image::good().bytes, sup_modules::HELLO.image] {
        for length in 0..=file.len() {
            survive(&file[..length]);
        }
    }
}
