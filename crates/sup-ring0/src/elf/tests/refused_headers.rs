//! Images refused for their file header or program headers: each is one change to a good image.

use std::string::ToString;

use super::builder::*;
use super::{refused, refused_text};
use crate::elf::{Elf, ElfError, MAX_IMAGE_SIZE, format};

// The file header.

#[test]
fn cannot_load_truncated_header() {
    let error = refused(|image| image.bytes.truncate(63));
    assert_eq!(error.to_string(), "the file has 63 bytes, too few for an ELF header");
}

#[test]
fn cannot_load_empty_file() {
    assert_eq!(refused(|image| image.bytes.clear()), ElfError::Truncated { size: 0 });
}

#[test]
fn cannot_load_other_file_format() {
    assert_eq!(refused(|image| image.put16(0, 0x5a4d)), ElfError::NotElf);
}

#[test]
fn cannot_load_32_bit_image() {
    assert_eq!(refused(|image| image.put8(E_CLASS, 1)), ElfError::WrongClass { class: 1 });
}

#[test]
fn cannot_load_big_endian_image() {
    assert_eq!(refused(|image| image.put8(E_DATA, 2)), ElfError::WrongByteOrder { data: 2 });
}

#[test]
fn cannot_load_unknown_elf_version() {
    let expected = ElfError::WrongVersion { version: 2 };
    assert_eq!(refused(|image| image.put8(E_IDENT_VERSION, 2)), expected);
    assert_eq!(refused(|image| image.put32(E_VERSION, 2)), expected);
}

#[test]
fn cannot_load_image_for_other_system() {
    assert_eq!(refused(|image| image.put8(E_OSABI, 9)), ElfError::WrongOsAbi { abi: 9 });
}

#[test]
fn cannot_load_image_for_other_machine() {
    let error = refused(|image| image.put16(E_MACHINE, 183));
    assert_eq!(error, ElfError::WrongMachine { machine: 183 });
}

#[test]
fn cannot_load_program_or_object_file() {
    for kind in [1, 2, 4] {
        assert_eq!(refused(|image| image.put16(E_TYPE, kind)), ElfError::WrongType { kind });
    }
}

#[test]
fn cannot_load_odd_header_sizes() {
    assert_eq!(
        refused_text(|image| image.put16(E_EHSIZE, 52)),
        "the image gives 52 bytes as the size of the file header, not 64"
    );
    assert_eq!(
        refused_text(|image| image.put16(E_PHENTSIZE, 32)),
        "the image gives 32 bytes as the size of a program header, not 56"
    );
}

#[test]
fn cannot_load_program_headers_outside_file() {
    for offset in [FILE_SIZE as u64, FILE_SIZE as u64 - 6 * 56 + 1, u64::MAX - 8, u64::MAX] {
        let error = refused(|image| image.put64(E_PHOFF, offset));
        assert!(matches!(error, ElfError::ProgramHeadersOutside { .. }), "{error}");
    }
}

#[test]
fn cannot_load_too_many_program_headers() {
    assert_eq!(
        refused_text(|image| image.put16(E_PHNUM, 0xffff)),
        "the image has 65535 program headers; the limit is 64"
    );
}

// The program headers.

#[test]
fn cannot_load_program_with_interpreter() {
    let error = refused(|image| image.put32(header(STACK, P_TYPE), format::PT_INTERP));
    assert_eq!(error, ElfError::Interpreter);
}

#[test]
fn cannot_load_thread_local_storage() {
    let error = refused(|image| image.put32(header(STACK, P_TYPE), format::PT_TLS));
    assert_eq!(error, ElfError::ThreadLocalStorage);
}

#[test]
fn cannot_load_executable_stack() {
    let error = refused(|image| image.put32(header(STACK, P_FLAGS), 7));
    assert_eq!(error, ElfError::ExecutableStack);
}

#[test]
fn cannot_load_image_without_segments() {
    assert_eq!(refused(|image| image.put16(E_PHNUM, 0)), ElfError::NoSegment);
}

#[test]
fn cannot_load_too_many_segments() {
    let error = refused(|image| {
        image.bytes.resize(0x4000, 0);
        image.put64(E_PHOFF, 0x3000);
        image.put16(E_PHNUM, 17);
        for index in 0..17 {
            let at = 0x3000 + 56 * index;
            image.put32(at + P_TYPE, format::PT_LOAD);
            image.put64(at + P_VADDR, 0x1000 * index as u64);
            image.put64(at + P_MEMSZ, 1);
        }
    });
    assert_eq!(error, ElfError::TooManySegments { limit: 16 });
}

#[test]
fn cannot_load_segment_beyond_address_space() {
    for size in [u64::MAX, u64::MAX - 0x2000] {
        let error = refused(|image| image.put64(header(DATA, P_MEMSZ), size));
        assert_eq!(error, ElfError::SegmentWraps { index: DATA, address: 0x2000, size });
    }
}

#[test]
fn cannot_load_segment_larger_in_file_than_in_memory() {
    let error = refused(|image| image.put64(header(CODE, P_FILESZ), 0x11));
    let expected = ElfError::SegmentFileSize { index: CODE, file_size: 0x11, memory_size: 0x10 };
    assert_eq!(error, expected);
}

#[test]
fn cannot_load_segment_outside_file() {
    assert_eq!(
        refused_text(|image| image.put64(header(CODE, P_OFFSET), 0x3000)),
        "segment 1 (file offset 0x3000, 0x10 bytes) reaches beyond the end of the file (0x2300 \
         bytes)"
    );
    let error = refused(|image| image.put64(header(CODE, P_OFFSET), u64::MAX - 7));
    assert!(matches!(error, ElfError::SegmentOutsideFile { index: CODE, .. }));
}

#[test]
fn cannot_load_truncated_segment() {
    let error = refused(|image| image.bytes.truncate(0x2200));
    assert!(matches!(error, ElfError::SegmentOutsideFile { index: DATA, .. }));
}

#[test]
fn cannot_load_misaligned_segment() {
    for (field, value) in [(P_OFFSET, 0x1008), (P_ALIGN, 0x20_0000), (P_ALIGN, 24)] {
        let error = refused(|image| image.put64(header(CODE, field), value));
        assert!(matches!(error, ElfError::SegmentAlignment { index: CODE, .. }), "{error}");
    }
}

#[test]
fn cannot_load_writable_code() {
    let error = refused(|image| image.put32(header(CODE, P_FLAGS), 7));
    assert_eq!(error.to_string(), "segment 1 is both writable and executable");
}

#[test]
fn cannot_load_unsorted_segments() {
    let error = refused(|image| image.put64(header(CODE, P_VADDR), 0x7000));
    assert_eq!(error, ElfError::SegmentOrder { index: DATA, address: 0x2000 });
}

#[test]
fn cannot_load_overlapping_segments() {
    let error = refused(|image| image.put64(header(CODE, P_MEMSZ), 0x1001));
    assert_eq!(error, ElfError::SegmentOrder { index: DATA, address: 0x2000 });
}

#[test]
fn cannot_load_segments_that_share_a_page() {
    let error = refused(|image| {
        image.put64(header(CODE, P_VADDR), 0xf00);
        image.put64(header(CODE, P_ALIGN), 1);
    });
    assert_eq!(error, ElfError::SegmentSharesPage { index: CODE, page: 0 });
}

#[test]
fn cannot_load_image_over_the_limit() {
    let limit = MAX_IMAGE_SIZE as u64 - 0x2000;
    let grow = |size| move |image: &mut Image| image.put64(header(DATA, P_MEMSZ), size);
    let mut largest = Image::good();
    grow(limit)(&mut largest);
    assert_eq!(Elf::parse(&largest.bytes).unwrap().image_size(), MAX_IMAGE_SIZE);

    let size = MAX_IMAGE_SIZE as u64 + 0x1000;
    assert_eq!(refused(grow(limit + 1)), ElfError::ImageTooLarge { size });
}

#[test]
fn cannot_load_relro_outside_writable_segment() {
    for (field, value) in
        [(P_VADDR, 0x1000), (P_VADDR, 0x9000), (P_MEMSZ, u64::MAX), (P_MEMSZ, 0x2001)]
    {
        let error = refused(|image| image.put64(header(RELRO, field), value));
        assert!(matches!(error, ElfError::RelroOutside { .. }), "{error}");
    }
}
