//! Broken images: the hello module with something wrong in its bytes.
//!
//! Offsets are those of ELF64. Nothing is checked here: the original is known to be good.

use sup_modules::HELLO;

const TYPE: usize = 16;
const MACHINE: usize = 18;
const PROGRAM_HEADERS: usize = 64;
const PROGRAM_HEADER_BYTES: usize = 56;
const PROGRAM_HEADER_COUNT: usize = 56;

/// Offsets of fields in a program header.
mod field {
    pub(super) const KIND: usize = 0;
    pub(super) const FLAGS: usize = 4;
    pub(super) const OFFSET: usize = 8;
    pub(super) const ADDRESS: usize = 16;
    pub(super) const MEMORY_SIZE: usize = 40;
}

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const WRITABLE: u32 = 2;
const EXECUTABLE: u32 = 1;
const DT_RELA: u64 = 7;

/// A copy of hello to be spoiled.
struct Image(Vec<u8>);

impl Image {
    fn hello() -> Self {
        Self(HELLO.image.to_vec())
    }

    fn u32(&self, offset: usize) -> u32 {
        u32::from_le_bytes(self.0[offset..offset + 4].try_into().unwrap_or_default())
    }

    fn u64(&self, offset: usize) -> u64 {
        u64::from_le_bytes(self.0[offset..offset + 8].try_into().unwrap_or_default())
    }

    fn with(mut self, offset: usize, bytes: &[u8]) -> Vec<u8> {
        self.0[offset..offset + bytes.len()].copy_from_slice(bytes);
        self.0
    }

    /// File offsets of the program headers of a kind.
    fn headers(&self, kind: u32) -> Vec<usize> {
        (0..usize::from(self.0[PROGRAM_HEADER_COUNT]))
            .map(|index| PROGRAM_HEADERS + index * PROGRAM_HEADER_BYTES)
            .filter(|header| self.u32(header + field::KIND) == kind)
            .collect()
    }

    /// File offset of a mapped address.
    fn file_offset(&self, address: u64) -> usize {
        let loads = self.headers(PT_LOAD);
        let load = loads
            .into_iter()
            .rfind(|load| self.u64(load + field::ADDRESS) <= address)
            .unwrap_or_default();
        (address - self.u64(load + field::ADDRESS) + self.u64(load + field::OFFSET)) as usize
    }

    /// File offset of the first relocation.
    fn relocation(&self) -> usize {
        let dynamic = self.u64(self.headers(PT_DYNAMIC)[0] + field::OFFSET) as usize;
        let mut entries = (dynamic..).step_by(16);
        let entry = entries.find(|entry| self.u64(*entry) == DT_RELA).unwrap_or_default();
        self.file_offset(self.u64(entry + 8))
    }
}

/// A spoiled image, and a word of the sentence that refuses it.
pub(crate) type Broken = (&'static str, Vec<u8>, &'static str);

/// Images that break one rule each.
pub(crate) fn broken() -> Vec<Broken> {
    let hello = Image::hello;
    let loads = hello().headers(PT_LOAD);
    let load = |number: usize, field: usize| loads[number] + field;
    let code = *loads
        .iter()
        .find(|header| hello().u32(*header + field::FLAGS) & EXECUTABLE != 0)
        .unwrap_or(&loads[0]);
    let first_address = hello().u64(load(0, field::ADDRESS));
    let code_address = hello().u64(code + field::ADDRESS).to_le_bytes();
    let writable_code = (hello().u32(code + field::FLAGS) | WRITABLE).to_le_bytes();
    let relocation = hello().relocation();
    let word = |offset: usize, value: u64| hello().with(offset, &value.to_le_bytes());
    let last_size = load(loads.len() - 1, field::MEMORY_SIZE);
    vec![
        ("an empty file", Vec::new(), "too few for an ELF header"),
        ("a script", b"#!/bin/sh\nexit 0\n".repeat(10), "not an ELF image"),
        ("a corrupt magic", hello().with(0, b"\x7fELG"), "not an ELF image"),
        ("a 32-bit image", hello().with(4, &[1]), "not a 64-bit one"),
        ("a big-endian image", hello().with(5, &[2]), "not little endian"),
        ("another ELF version", hello().with(6, &[9]), "unknown ELF version 9"),
        ("another system", hello().with(7, &[9]), "for another system"),
        ("another machine", hello().with(MACHINE, &[183, 0]), "not for x86-64"),
        ("an executable", hello().with(TYPE, &[2, 0]), "ELF type 2"),
        ("an object file", hello().with(TYPE, &[1, 0]), "ELF type 1"),
        ("overlapping segments", word(load(1, field::ADDRESS), first_address), "before the end"),
        ("a segment in the next", word(load(0, field::MEMORY_SIZE), 0x1001), "before the end"),
        ("a segment that wraps", word(load(0, field::MEMORY_SIZE), u64::MAX), "address space"),
        ("a segment beyond the file", word(load(0, field::OFFSET), 1 << 40), "end of the file"),
        ("a misaligned segment", word(load(0, field::ADDRESS), first_address + 8), "alignment"),
        ("a segment of a gigabyte", word(last_size, 1 << 30), "the limit is"),
        (
            "a writable segment of code",
            hello().with(code + field::FLAGS, &writable_code),
            "both writable and executable",
        ),
        ("an unknown relocation", hello().with(relocation + 8, &[5, 0]), "R_X86_64_COPY"),
        ("a relocation of nothing", word(relocation, 1 << 40), "does not lie in a segment"),
        ("a relocation of code", hello().with(relocation, &code_address), "change code"),
        (
            "a relocation without a symbol",
            hello().with(relocation + 8, &[6, 0, 0, 0, 0xff, 0xff, 0, 0]),
            "uses symbol 65535",
        ),
    ]
}

/// Hello with a last segment of so many bytes in memory.
pub(crate) fn hello_with_large_data(bytes: u64) -> Vec<u8> {
    let image = Image::hello();
    let last = image.headers(PT_LOAD).pop().unwrap_or_default();
    image.with(last + field::MEMORY_SIZE, &bytes.to_le_bytes())
}
