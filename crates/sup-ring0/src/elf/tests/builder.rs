//! A small module image, byte by byte, in which a test can change any field.
//!
//! Addresses equal file offsets. The image has what a linker makes of a small module:
//!
//! | address | segment | contents |
//! |---|---|---|
//! | `0x0000` | R | headers, hash tables, symbols, strings, relocations |
//! | `0x1000` | RX | code |
//! | `0x2000` | RW | relocated words, dynamic section; read-only after relocation |
//! | `0x3000` | RW | the end of the same segment, zeros that the file does not hold |

use std::vec;
use std::vec::Vec;

use crate::elf::format;
use crate::elf::hash::{gnu_hash, system_v_hash};

/// Fields of the file header.
pub(super) const E_CLASS: usize = 4;
pub(super) const E_DATA: usize = 5;
pub(super) const E_IDENT_VERSION: usize = 6;
pub(super) const E_OSABI: usize = 7;
pub(super) const E_TYPE: usize = 16;
pub(super) const E_MACHINE: usize = 18;
pub(super) const E_VERSION: usize = 20;
pub(super) const E_PHOFF: usize = 32;
pub(super) const E_EHSIZE: usize = 52;
pub(super) const E_PHENTSIZE: usize = 54;
pub(super) const E_PHNUM: usize = 56;

/// Fields of a program header.
pub(super) const P_TYPE: usize = 0;
pub(super) const P_FLAGS: usize = 4;
pub(super) const P_OFFSET: usize = 8;
pub(super) const P_VADDR: usize = 16;
pub(super) const P_FILESZ: usize = 32;
pub(super) const P_MEMSZ: usize = 40;
pub(super) const P_ALIGN: usize = 48;

/// The program headers by number.
pub(super) const CODE: usize = 1;
pub(super) const DATA: usize = 2;
pub(super) const DYNAMIC: usize = 3;
pub(super) const RELRO: usize = 4;
pub(super) const STACK: usize = 5;
const PROGRAM_HEADERS: usize = 6;

/// Fields of a symbol.
pub(super) const ST_NAME: usize = 0;
pub(super) const ST_INFO: usize = 4;
pub(super) const ST_SHNDX: usize = 6;
pub(super) const ST_VALUE: usize = 8;

/// The symbols by number. The exports come last, as in a table made by a linker.
pub(super) const IMPORT: usize = 1;
pub(super) const WEAK_IMPORT: usize = 2;
pub(super) const ABSOLUTE: usize = 3;
pub(super) const FUNCTION: usize = 4;
pub(super) const VARIABLE: usize = 5;
const NAMES: [&str; 6] = ["", "SUPR0Printf", "SUPR0New", "absolute", "ModuleInit", "g_szVersion"];

/// Fields of a relocation.
pub(super) const R_OFFSET: usize = 0;
pub(super) const R_TYPE: usize = 8;
pub(super) const R_SYMBOL: usize = 12;
pub(super) const R_ADDEND: usize = 16;

/// Where the tables are, as addresses and file offsets alike.
pub(super) const HASH: usize = 0x200;
pub(super) const GNU_HASH: usize = 0x280;
pub(super) const SYMBOLS: usize = 0x300;
pub(super) const STRINGS: usize = 0x400;
pub(super) const RELOCATIONS: usize = 0x500;
pub(super) const PLT_RELOCATIONS: usize = 0x600;
pub(super) const DYNAMIC_SECTION: usize = 0x2100;

/// The size of the file.
pub(super) const FILE_SIZE: usize = 0x2300;

/// The size of the string table.
pub(super) const STRINGS_SIZE: usize = 0x80;

/// An image under construction: at first a good one.
#[derive(Clone, Debug)]
pub(super) struct Image {
    pub(super) bytes: Vec<u8>,
}

impl Image {
    /// Lets the import be the Global Information Page. Its hash stays, which nobody looks imports up by.
    pub(super) fn rename_import(&mut self) {
        const NAME: &[u8] = b"g_SUPGlobalInfoPage\0";
        let place = STRINGS + STRINGS_SIZE - NAME.len() - 1;
        self.bytes[place..place + NAME.len()].copy_from_slice(NAME);
        self.put32(symbol(IMPORT, ST_NAME), (place - STRINGS) as u32);
    }

    /// An image that loads.
    pub(super) fn good() -> Self {
        let mut image = Self { bytes: vec![0; FILE_SIZE] };
        image.file_header();
        image.program_headers();
        image.symbols();
        image.hash_tables();
        image.relocations();
        image.dynamic_section();
        // ENDBR64, RET: code that would run.
        image.bytes[0x1000..0x1005].copy_from_slice(&[0xf3, 0x0f, 0x1e, 0xfa, 0xc3]);
        image
    }

    pub(super) fn put8(&mut self, offset: usize, value: u8) {
        self.bytes[offset] = value;
    }

    pub(super) fn put16(&mut self, offset: usize, value: u16) {
        self.bytes[offset..offset + 2].copy_from_slice(&value.to_le_bytes());
    }

    pub(super) fn put32(&mut self, offset: usize, value: u32) {
        self.bytes[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
    }

    pub(super) fn put64(&mut self, offset: usize, value: u64) {
        self.bytes[offset..offset + 8].copy_from_slice(&value.to_le_bytes());
    }

    fn get64(&self, offset: usize) -> u64 {
        u64::from_le_bytes(self.bytes[offset..offset + 8].try_into().unwrap())
    }

    /// The file offset of the dynamic entry with a tag: the end mark, if there is none.
    fn dynamic_entry(&self, tag: u64) -> usize {
        (DYNAMIC_SECTION..FILE_SIZE)
            .step_by(16)
            .find(|&entry| [tag, format::DT_NULL].contains(&self.get64(entry)))
            .unwrap()
    }

    /// Changes or adds a dynamic entry.
    pub(super) fn set_dynamic(&mut self, tag: u64, value: u64) {
        let entry = self.dynamic_entry(tag);
        self.put64(entry, tag);
        self.put64(entry + 8, value);
    }

    /// Turns a dynamic entry into one that means nothing (`DT_DEBUG`).
    pub(super) fn remove_dynamic(&mut self, tag: u64) {
        let entry = self.dynamic_entry(tag);
        self.put64(entry, 21);
    }

    /// Links the image for other addresses.
    pub(super) fn move_to(&mut self, origin: u64) {
        let headers = (0..PROGRAM_HEADERS - 1).map(|index| header(index, P_VADDR));
        let symbols = [FUNCTION, VARIABLE].map(|index| symbol(index, ST_VALUE));
        let places = (0..6).map(|index| relocation(index, R_OFFSET));
        let tables = [
            format::DT_HASH,
            format::DT_STRTAB,
            format::DT_SYMTAB,
            format::DT_RELA,
            format::DT_JMPREL,
        ]
        .map(|tag| self.dynamic_entry(tag) + 8);
        let addend = relocation(0, R_ADDEND);
        for field in headers
            .chain(symbols)
            .chain(places)
            .chain(tables)
            .chain([PLT_RELOCATIONS + R_OFFSET, addend])
        {
            self.put64(field, self.get64(field) + origin);
        }
    }

    fn file_header(&mut self) {
        self.bytes[..8].copy_from_slice(b"\x7fELF\x02\x01\x01\x00");
        self.put16(E_TYPE, format::ET_DYN);
        self.put16(E_MACHINE, format::EM_X86_64);
        self.put32(E_VERSION, 1);
        self.put64(E_PHOFF, 64);
        self.put16(E_EHSIZE, 64);
        self.put16(E_PHENTSIZE, 56);
        self.put16(E_PHNUM, PROGRAM_HEADERS as u16);
    }

    fn program_headers(&mut self) {
        const R: u32 = 4;
        // Type, flags, address, bytes in the file, bytes in memory, alignment.
        let headers: [(u32, u32, u64, u64, u64, u64); PROGRAM_HEADERS] = [
            (format::PT_LOAD, R, 0, 0x700, 0x700, 0x1000),
            (format::PT_LOAD, R | format::PF_X, 0x1000, 0x10, 0x10, 0x1000),
            (format::PT_LOAD, R | format::PF_W, 0x2000, 0x300, 0x1400, 0x1000),
            (format::PT_DYNAMIC, R | format::PF_W, DYNAMIC_SECTION as u64, 0x200, 0x200, 8),
            (format::PT_GNU_RELRO, R, 0x2000, 0x300, 0x1000, 1),
            (format::PT_GNU_STACK, R | format::PF_W, 0, 0, 0, 16),
        ];
        for (index, (kind, flags, address, file_size, memory_size, alignment)) in
            headers.into_iter().enumerate()
        {
            self.put32(header(index, P_TYPE), kind);
            self.put32(header(index, P_FLAGS), flags);
            self.put64(header(index, P_OFFSET), address);
            self.put64(header(index, P_VADDR), address);
            self.put64(header(index, P_FILESZ), file_size);
            self.put64(header(index, P_MEMSZ), memory_size);
            self.put64(header(index, P_ALIGN), alignment);
        }
    }

    fn symbols(&mut self) {
        let (global, weak) = (format::STB_GLOBAL << 4, format::STB_WEAK << 4);
        // Number, binding and type, section, value.
        let symbols = [
            (IMPORT, global, format::SHN_UNDEF, 0),
            (WEAK_IMPORT, weak, format::SHN_UNDEF, 0),
            (ABSOLUTE, global, format::SHN_ABS, 0x1234),
            (FUNCTION, global | format::STT_FUNC, 5, 0x1000),
            (VARIABLE, global | format::STT_OBJECT, 7, 0x2080),
        ];
        let mut name = STRINGS + 1;
        for (index, info, section, value) in symbols {
            self.put32(symbol(index, ST_NAME), (name - STRINGS) as u32);
            self.put8(symbol(index, ST_INFO), info);
            self.put16(symbol(index, ST_SHNDX), section);
            self.put64(symbol(index, ST_VALUE), value);
            self.bytes[name..name + NAMES[index].len()].copy_from_slice(NAMES[index].as_bytes());
            name += NAMES[index].len() + 1;
        }
    }

    fn hash_tables(&mut self) {
        // System V: all symbols in one of two buckets each, newest first.
        let (buckets, chains) = (HASH + 8, HASH + 16);
        self.put32(HASH, 2);
        self.put32(HASH + 4, NAMES.len() as u32);
        let mut newest = [0, 0];
        for (index, name) in NAMES.iter().enumerate().skip(1) {
            let bucket = (system_v_hash(name) % 2) as usize;
            self.put32(chains + 4 * index, newest[bucket]);
            newest[bucket] = index as u32;
            self.put32(buckets + 4 * bucket, index as u32);
        }

        // GNU: the exports in one bucket, and a Bloom filter that lets everything pass.
        let first = ABSOLUTE;
        for (word, value) in [1, first as u32, 1, 0, u32::MAX, u32::MAX, first as u32]
            .into_iter()
            .chain(NAMES[first..].iter().map(|name| gnu_hash(name) & !1))
            .enumerate()
        {
            self.put32(GNU_HASH + 4 * word, value);
        }
        let last = GNU_HASH + 4 * (7 + NAMES.len() - 1 - first);
        self.bytes[last] |= 1;
    }

    fn relocations(&mut self) {
        // Number, place, type, symbol, addend.
        let relocations: [(usize, u64, u32, usize, i64); 7] = [
            (0, 0x2000, format::R_X86_64_RELATIVE, 0, 0x1004),
            (1, 0x2008, format::R_X86_64_64, VARIABLE, -8),
            (2, 0x2010, format::R_X86_64_64, IMPORT, 0x10),
            (3, 0x2018, format::R_X86_64_GLOB_DAT, WEAK_IMPORT, 0),
            (4, 0x2020, format::R_X86_64_GLOB_DAT, ABSOLUTE, 0),
            // The place is odd, and lies in the part that the file does not hold.
            (5, 0x3001, format::R_X86_64_GLOB_DAT, FUNCTION, 0),
            (6, u64::MAX, format::R_X86_64_NONE, 0, 0),
        ];
        for (index, place, kind, symbol, addend) in relocations {
            self.relocation(relocation(index, 0), place, kind, symbol, addend);
        }
        self.relocation(PLT_RELOCATIONS, 0x2028, format::R_X86_64_JUMP_SLOT, IMPORT, 0);
    }

    fn relocation(&mut self, at: usize, place: u64, kind: u32, symbol: usize, addend: i64) {
        self.put64(at + R_OFFSET, place);
        self.put32(at + R_TYPE, kind);
        self.put32(at + R_SYMBOL, symbol as u32);
        self.put64(at + R_ADDEND, addend as u64);
    }

    fn dynamic_section(&mut self) {
        for (tag, value) in [
            (format::DT_HASH, HASH),
            (format::DT_STRTAB, STRINGS),
            (format::DT_STRSZ, STRINGS_SIZE),
            (format::DT_SYMTAB, SYMBOLS),
            (format::DT_SYMENT, 24),
            (format::DT_RELA, RELOCATIONS),
            (format::DT_RELASZ, 7 * 24),
            (format::DT_RELAENT, 24),
            (format::DT_JMPREL, PLT_RELOCATIONS),
            (format::DT_PLTRELSZ, 24),
            (format::DT_PLTREL, format::DT_RELA as usize),
        ] {
            self.set_dynamic(tag, value as u64);
        }
    }
}

/// The file offset of a field of a program header.
pub(super) fn header(index: usize, field: usize) -> usize {
    64 + 56 * index + field
}

/// The file offset of a field of a symbol.
pub(super) fn symbol(index: usize, field: usize) -> usize {
    SYMBOLS + 24 * index + field
}

/// The file offset of a field of a relocation in the table `DT_RELA`.
pub(super) fn relocation(index: usize, field: usize) -> usize {
    RELOCATIONS + 24 * index + field
}
