//! The loader of module images: whatever a file holds, it is refused with a status, or it is mapped within
//! its memory and every promise of the mapper holds. Nothing of it runs.
//!
//! Neighbours: `sup-ring0/src/elf/tests/` has a test for each rule, and the same promises. Invariant: what
//! is checked here is what the driver does to load, but for the calls.

#![no_main]

use std::ops::Range;

use libfuzzer_sys::fuzz_target;
use sup_abi::{R0Ptr, Status};
use sup_core::host::{EntryPoint, Image};
use sup_embedded::ThreadCalls;
use sup_ring0::absolute::Segments;
use sup_ring0::elf::{Elf, MAX_IMAGE_SIZE, PAGE_SIZE, Protection};
use sup_ring0::mapper::{ImageMemory, MappedImage};
use zerocopy::IntoBytes;

/// Where images claim to be. Nothing is read there.
const BASE: u64 = 0x7f00_0000_0000;

/// Ordinary memory, in which nothing can run.
struct Heap {
    words: Vec<u64>,
    sealed: Vec<(Range<usize>, Protection)>,
}

impl ImageMemory for Heap {
    type Calls = ThreadCalls;

    fn allocate(bytes: usize) -> Result<Self, Status> {
        assert!((PAGE_SIZE..=MAX_IMAGE_SIZE).contains(&bytes) && bytes.is_multiple_of(PAGE_SIZE));
        Ok(Self { words: vec![0; bytes / 8], sealed: Vec::new() })
    }

    fn base(&self) -> R0Ptr {
        R0Ptr::new(BASE)
    }

    fn writable(&mut self) -> &mut [u8] {
        self.words.as_mut_bytes()
    }

    fn seal(
        &mut self,
        segments: &mut dyn Iterator<Item = (Range<usize>, Protection)>,
    ) -> Result<(), Status> {
        let mut end = 0;
        for (bytes, protection) in segments {
            assert!(bytes.start >= end && bytes.end > bytes.start, "{bytes:?} behind {end}");
            assert!(bytes.start.is_multiple_of(PAGE_SIZE) && bytes.end.is_multiple_of(PAGE_SIZE));
            assert!(bytes.end <= self.words.len() * 8, "{bytes:?} beyond the image");
            end = bytes.end;
            self.sealed.push((bytes, protection));
        }
        Ok(())
    }
}

fuzz_target!(|file: &[u8]| {
    let mut asked = 0_u64;
    let mut provide = |name: &str| {
        asked += 1;
        // Some imports are there and some are not.
        (name.len() % 4 != 0).then(|| R0Ptr::new(0x7e00_0000_0000 + asked * 16))
    };
    let Ok(mut image) = MappedImage::<Heap>::load(file, &[], Segments::OF_LINUX, &mut provide) else { return };
    let elf = Elf::parse(file).expect("what is mapped was parsed");
    assert_eq!(image.bytes(), elf.image_size());
    for symbol in elf.symbols() {
        let address = image.symbol(symbol.name).expect("what is exported is found");
        assert!((BASE..=BASE + image.bytes() as u64).contains(&address.get()));
        let Some(EntryPoint(entry)) = image.entry_point(symbol.name) else { continue };
        // An entry lies in code, which nobody can write.
        let offset = (entry.get() - BASE) as usize;
        let sealed = &image.memory_mut().sealed;
        let segment = sealed.iter().find(|(bytes, _)| bytes.contains(&offset));
        assert!(segment.is_some_and(|(_, protection)| *protection == Protection::ReadExecute));
    }
});
