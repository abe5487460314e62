//! One test per reason for which an image is refused: each is one change to a good image.

use std::string::{String, ToString};

use sup_abi::Status;

use super::builder::*;
use crate::elf::{Elf, ElfError, MAX_IMAGE_SIZE, Table, error::name, format};

/// Why the image is refused after a change.
fn refused(change: impl FnOnce(&mut Image)) -> ElfError {
    let mut image = Image::good();
    change(&mut image);
    let error = Elf::parse(&image.bytes).expect_err("the image is refused");
    assert_eq!(error.status(), Status::VERR_BAD_EXE_FORMAT);
    error
}

fn refused_text(change: impl FnOnce(&mut Image)) -> String {
    refused(change).to_string()
}

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
    assert_eq!(error, ElfError::TooManySegments);
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

// The dynamic section and its tables.

#[test]
fn cannot_load_image_without_dynamic_section() {
    let error = refused(|image| image.put32(header(DYNAMIC, P_TYPE), 0));
    assert_eq!(error, ElfError::NoDynamicSection);
}

#[test]
fn cannot_load_dynamic_section_outside_segments() {
    for address in [0x800, 0x2110, 0x3000, 0x9000, u64::MAX - 7] {
        let error = refused(|image| image.put64(header(DYNAMIC, P_VADDR), address));
        let table = Table::Dynamic;
        assert_eq!(error, ElfError::TableOutside { table, address, size: 0x200 });
    }
}

#[test]
fn cannot_load_misaligned_dynamic_section() {
    for (field, value) in [(P_VADDR, 0x2104), (P_MEMSZ, 0x1f8)] {
        let error = refused(|image| image.put64(header(DYNAMIC, field), value));
        assert!(matches!(error, ElfError::DynamicSectionMisaligned { .. }), "{error}");
    }
}

#[test]
fn cannot_load_unterminated_dynamic_section() {
    let error = refused(|image| image.put64(header(DYNAMIC, P_MEMSZ), 0x20));
    assert_eq!(error, ElfError::DynamicSectionUnterminated);
}

#[test]
fn cannot_load_image_that_needs_a_library() {
    assert_eq!(
        refused_text(|image| image.set_dynamic(format::DT_NEEDED, 1)),
        "the image needs SUPR0Printf, but a module imports from the driver only (link with \
         -nostdlib)"
    );
    let error = refused(|image| image.set_dynamic(format::DT_FILTER, u64::MAX));
    assert_eq!(error, ElfError::NeedsLibrary { name: name("a library without a name") });
}

#[test]
fn cannot_load_constructors() {
    for (tag, text) in [
        (format::DT_INIT, "DT_INIT"),
        (format::DT_FINI, "DT_FINI"),
        (format::DT_INIT_ARRAYSZ, "DT_INIT_ARRAY"),
        (format::DT_FINI_ARRAYSZ, "DT_FINI_ARRAY"),
        (format::DT_PREINIT_ARRAYSZ, "DT_PREINIT_ARRAY"),
    ] {
        let error = refused(|image| image.set_dynamic(tag, 8));
        assert_eq!(error, ElfError::Constructors { tag: text });

        let mut empty = Image::good();
        empty.set_dynamic(tag, 0);
        assert!(Elf::parse(&empty.bytes).is_ok(), "an empty array asks for nothing");
    }
}

#[test]
fn cannot_load_text_relocations() {
    for (tag, value) in [(format::DT_TEXTREL, 0), (format::DT_FLAGS, format::DF_TEXTREL)] {
        let error = refused(|image| image.set_dynamic(tag, value));
        assert_eq!(error, ElfError::TextRelocations);
    }
}

#[test]
fn cannot_load_other_relocation_formats() {
    for (tag, text) in [(format::DT_REL, "DT_REL"), (format::DT_RELR, "DT_RELR")] {
        let error = refused(|image| image.set_dynamic(tag, 0x500));
        assert_eq!(error, ElfError::RelocationFormat { tag: text });
    }
    let error = refused(|image| image.set_dynamic(format::DT_PLTREL, format::DT_REL));
    assert_eq!(error, ElfError::RelocationFormat { tag: "DT_PLTREL" });
}

#[test]
fn cannot_load_tables_outside_segments() {
    for (tag, table) in [
        (format::DT_STRTAB, Table::Strings),
        (format::DT_SYMTAB, Table::Symbols),
        (format::DT_RELA, Table::Relocations),
        (format::DT_JMPREL, Table::PltRelocations),
    ] {
        for address in [0x6ff, 0x800, 0x3000, 0x9000, u64::MAX] {
            let error = refused(|image| image.set_dynamic(tag, address));
            let place = match error {
                ElfError::TableOutside { table, address, .. } => (table, address),
                error => panic!("{error}"),
            };
            assert_eq!(place, (table, address));
        }
    }
}

#[test]
fn cannot_load_tables_larger_than_segments() {
    for tag in [format::DT_STRSZ, format::DT_RELASZ, format::DT_PLTRELSZ] {
        for size in [0x1000, u64::MAX] {
            let error = refused(|image| image.set_dynamic(tag, size));
            assert!(matches!(error, ElfError::TableOutside { .. }), "{error}");
        }
    }
}

#[test]
fn cannot_load_tables_without_size() {
    for (tag, table) in [
        (format::DT_STRSZ, Table::Strings),
        (format::DT_RELASZ, Table::Relocations),
        (format::DT_PLTRELSZ, Table::PltRelocations),
    ] {
        let error = refused(|image| image.remove_dynamic(tag));
        assert_eq!(error, ElfError::TableWithoutSize { table });
    }
}

#[test]
fn cannot_load_tables_of_odd_size() {
    let error = refused(|image| image.set_dynamic(format::DT_RELASZ, 25));
    assert_eq!(error, ElfError::TableSize { table: Table::Relocations, size: 25, entry: 24 });
}

#[test]
fn cannot_load_odd_entry_sizes() {
    for (tag, table) in
        [(format::DT_SYMENT, Table::Symbols), (format::DT_RELAENT, Table::Relocations)]
    {
        let error = refused(|image| image.set_dynamic(tag, 16));
        assert_eq!(error, ElfError::EntrySize { table, size: 16, expected: 24 });
        let error = refused(|image| image.remove_dynamic(tag));
        assert_eq!(error, ElfError::EntrySize { table, size: 0, expected: 24 });
    }
}

#[test]
fn cannot_load_unterminated_string_table() {
    let error = refused(|image| image.put8(STRINGS + STRINGS_SIZE - 1, b'x'));
    assert_eq!(error, ElfError::StringTableUnterminated);
}

#[test]
fn cannot_load_hash_table_outside_segments() {
    for address in [0x6fc, 0x800, 0x9000] {
        let error = refused(|image| image.set_dynamic(format::DT_HASH, address));
        assert_eq!(error, ElfError::HashTableOutside { table: Table::Hash, address });
    }
    for word in [0, 1] {
        let error = refused(|image| image.put32(HASH + 4 * word, u32::MAX));
        assert!(matches!(error, ElfError::HashTableOutside { .. }), "{error}");
    }
}

#[test]
fn cannot_load_gnu_hash_table_outside_segments() {
    // The numbers of buckets and Bloom filter words, and the first symbol of the bucket.
    for word in [0, 2, 6] {
        let error = refused(|image| {
            image.remove_dynamic(format::DT_HASH);
            image.set_dynamic(format::DT_GNU_HASH, GNU_HASH as u64);
            image.put32(GNU_HASH + 4 * word, u32::MAX);
        });
        let (table, address) = (Table::GnuHash, GNU_HASH as u64);
        assert_eq!(error, ElfError::HashTableOutside { table, address });
    }
}

#[test]
fn cannot_load_symbols_without_hash_table() {
    assert_eq!(refused(|image| image.remove_dynamic(format::DT_HASH)), ElfError::NoHashTable);
}

// The symbols.

#[test]
fn cannot_load_too_many_symbols() {
    let error = refused(|image| {
        // The table goes to the end of the file, into a segment of its own.
        image.bytes.resize(0x2300 + 0x1_1000, 0);
        image.put64(header(DATA, P_MEMSZ), 0x1_2000);
        image.put64(header(DATA, P_FILESZ), 0x1_1000);
        image.put32(0x2300, 1);
        image.put32(0x2304, 16385);
        image.set_dynamic(format::DT_HASH, 0x2300);
    });
    assert_eq!(error, ElfError::TooManySymbols { count: 16385 });
}

#[test]
fn cannot_load_symbol_with_bad_name() {
    for offset in [STRINGS_SIZE as u32, u32::MAX] {
        let error = refused(|image| image.put32(symbol(FUNCTION, ST_NAME), offset));
        assert_eq!(error, ElfError::SymbolName { index: FUNCTION, offset });
    }
    let error = refused(|image| image.put8(STRINGS + 1, 0xff));
    assert_eq!(error, ElfError::SymbolName { index: IMPORT, offset: 1 });
}

#[test]
fn cannot_load_symbol_with_endless_name() {
    let error = refused(|image| {
        // Two thousand letters behind the code: the segments are made to fit.
        image.bytes[0x1000..0x1800].fill(b'x');
        image.put64(header(CODE, P_FILESZ), 0x801);
        image.put64(header(CODE, P_MEMSZ), 0x801);
        image.set_dynamic(format::DT_STRTAB, 0x1000);
        image.set_dynamic(format::DT_STRSZ, 0x801);
    });
    assert_eq!(error, ElfError::SymbolName { index: IMPORT, offset: 1 });
}

#[test]
fn cannot_load_symbol_outside_image() {
    for value in [0x4001, u64::MAX] {
        let error = refused(|image| image.put64(symbol(FUNCTION, ST_VALUE), value));
        assert_eq!(error, ElfError::SymbolOutside { name: name("ModuleInit"), value });
    }
}

#[test]
fn cannot_load_symbol_in_reserved_section() {
    for section in [0xff00, 0xfff2, 0xffff] {
        let error = refused(|image| image.put16(symbol(VARIABLE, ST_SHNDX), section));
        assert_eq!(error, ElfError::SymbolSection { name: name("g_szVersion"), section });
    }
}

#[test]
fn cannot_load_thread_local_symbol() {
    let error = refused(|image| image.put8(symbol(VARIABLE, ST_INFO), 0x16));
    assert_eq!(error, ElfError::SymbolThreadLocal { name: name("g_szVersion") });
}

#[test]
fn cannot_load_indirect_function() {
    let error = refused(|image| image.put8(symbol(FUNCTION, ST_INFO), 0x1a));
    assert_eq!(error, ElfError::SymbolIndirect { name: name("ModuleInit") });
}

// The relocations.

#[test]
fn cannot_load_other_relocation_types() {
    let allowed = [0, 1, 6, 7, 8];
    for kind in (0..64).filter(|kind| !allowed.contains(kind)) {
        let error = refused(|image| image.put32(relocation(0, R_TYPE), kind));
        assert_eq!(error, ElfError::RelocationType { address: 0x2000, kind });
    }
    assert_eq!(
        refused_text(|image| image.put32(relocation(0, R_TYPE), 37)),
        "the relocation of 0x2000 has the type 37 (R_X86_64_IRELATIVE), which a module may not use"
    );
}

#[test]
fn cannot_load_relocation_outside_segments() {
    for address in [0x33f9, 0x3400, 0x1_0000, u64::MAX - 3, u64::MAX] {
        let error = refused(|image| image.put64(relocation(0, R_OFFSET), address));
        assert_eq!(error, ElfError::RelocationOutside { address });
    }
}

#[test]
fn cannot_load_relocation_of_code() {
    let error = refused(|image| image.put64(relocation(0, R_OFFSET), 0x1000));
    assert_eq!(error, ElfError::RelocationInCode { address: 0x1000 });
}

#[test]
fn cannot_load_relocation_of_constants() {
    let error = refused(|image| image.put64(relocation(0, R_OFFSET), 0x300));
    assert_eq!(error, ElfError::RelocationInConstants { address: 0x300 });
}

#[test]
fn cannot_load_relocation_with_unknown_symbol() {
    for symbol in [6, u32::MAX] {
        let error = refused(|image| image.put32(relocation(1, R_SYMBOL), symbol));
        assert_eq!(error, ElfError::RelocationSymbol { address: 0x2008, symbol, count: 6 });
    }
}
