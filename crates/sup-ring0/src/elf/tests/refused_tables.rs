//! Images refused for the dynamic section and its tables: each is one change to a good image.

use super::builder::*;
use super::{refused, refused_text};
use crate::elf::error::name;
use crate::elf::{Elf, ElfError, Table, format};

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

/// Only the header's own instruction may be filled, for the page alone, and nothing behind it.
#[test]
fn cannot_load_relocation_of_other_code() {
    let operand = 0x1000 + 2;
    // What is loaded, which relocation names it, what lies there, what is added.
    let refuse = |movabs: [u8; 10], index: usize, place: u64, addend: u64| {
        let error = refused(|image| {
            image.rename_import();
            image.bytes[0x1000..0x100a].copy_from_slice(&movabs);
            image.put64(relocation(index, R_OFFSET), place);
            image.put64(relocation(index, R_ADDEND), addend);
        });
        assert_eq!(error, ElfError::RelocationInCode { address: place });
    };
    let page = [0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0];
    refuse([0x48, 0xb9, 0, 0, 0, 0, 0, 0, 0, 0], 2, operand, 0);
    refuse([0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 1], 2, operand, 0);
    refuse(page, 2, operand, 8);
    refuse(page, 2, operand - 1, 0);
    refuse(page, 2, operand + 1, 0);
    refuse(page, 2, 0x1000, 0);
    // A word of its own, an own variable, another import, another type.
    for index in [0, 1, 3] {
        refuse(page, index, operand, 0);
    }
    let error = refused(|image| {
        image.bytes[0x1000..0x100a].copy_from_slice(&page);
        image.put64(relocation(2, R_OFFSET), operand);
        image.put64(relocation(2, R_ADDEND), 0);
    });
    assert_eq!(error, ElfError::RelocationInCode { address: operand }, "another import");
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
