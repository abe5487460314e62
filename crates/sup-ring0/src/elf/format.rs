//! The structures and constants of the ELF format, as far as module images use them.
//!
//! Names and values are those of the System V ABI and its x86-64 supplement. The fields are
//! little endian and unaligned, so that a structure can be read at any offset of a file on any
//! machine.

use zerocopy::little_endian::{I64, U16, U32, U64};
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

pub(super) const ELFMAG: [u8; 4] = *b"\x7fELF";
pub(super) const ELFCLASS64: u8 = 2;
pub(super) const ELFDATA2LSB: u8 = 1;
pub(super) const EV_CURRENT: u8 = 1;
pub(super) const ELFOSABI_NONE: u8 = 0;
pub(super) const ELFOSABI_GNU: u8 = 3;
pub(super) const ET_DYN: u16 = 3;
pub(super) const EM_X86_64: u16 = 62;

/// `Elf64_Ehdr`, with `e_ident` spelled out.
#[derive(Debug, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct FileHeader {
    pub(super) magic: [u8; 4],
    pub(super) class: u8,
    pub(super) data: u8,
    pub(super) ident_version: u8,
    pub(super) os_abi: u8,
    _abi_version_and_padding: [u8; 8],
    pub(super) kind: U16,
    pub(super) machine: U16,
    pub(super) version: U32,
    _entry: U64,
    pub(super) program_headers: U64,
    pub(super) section_headers: U64,
    _flags: U32,
    pub(super) header_size: U16,
    pub(super) program_header_size: U16,
    pub(super) program_header_count: U16,
    pub(super) section_header_size: U16,
    pub(super) section_header_count: U16,
    _section_names: U16,
}

const _: () = assert!(size_of::<FileHeader>() == 64);

pub(super) const PT_LOAD: u32 = 1;
pub(super) const PT_DYNAMIC: u32 = 2;
pub(super) const PT_INTERP: u32 = 3;
pub(super) const PT_TLS: u32 = 7;
pub(super) const PT_GNU_STACK: u32 = 0x6474_e551;
pub(super) const PT_GNU_RELRO: u32 = 0x6474_e552;

pub(super) const PF_X: u32 = 1;
pub(super) const PF_W: u32 = 2;

/// `Elf64_Phdr`.
#[derive(Debug, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct ProgramHeader {
    pub(super) kind: U32,
    pub(super) flags: U32,
    pub(super) offset: U64,
    pub(super) address: U64,
    _physical_address: U64,
    pub(super) file_size: U64,
    pub(super) memory_size: U64,
    pub(super) alignment: U64,
}

const _: () = assert!(size_of::<ProgramHeader>() == 56);

pub(super) const SHT_SYMTAB: u32 = 2;
pub(super) const SHT_DYNSYM: u32 = 11;

/// `Elf64_Shdr`, as far as names of functions need it.
#[derive(Debug, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct SectionHeader {
    _name: U32,
    pub(super) kind: U32,
    _flags: U64,
    _address: U64,
    pub(super) offset: U64,
    pub(super) size: U64,
    pub(super) link: U32,
    _info: U32,
    _alignment: U64,
    _entry_size: U64,
}

const _: () = assert!(size_of::<SectionHeader>() == 64);

pub(super) const DT_NULL: u64 = 0;
pub(super) const DT_NEEDED: u64 = 1;
pub(super) const DT_PLTRELSZ: u64 = 2;
pub(super) const DT_HASH: u64 = 4;
pub(super) const DT_STRTAB: u64 = 5;
pub(super) const DT_SYMTAB: u64 = 6;
pub(super) const DT_RELA: u64 = 7;
pub(super) const DT_RELASZ: u64 = 8;
pub(super) const DT_RELAENT: u64 = 9;
pub(super) const DT_STRSZ: u64 = 10;
pub(super) const DT_SYMENT: u64 = 11;
pub(super) const DT_INIT: u64 = 12;
pub(super) const DT_FINI: u64 = 13;
pub(super) const DT_REL: u64 = 17;
pub(super) const DT_PLTREL: u64 = 20;
pub(super) const DT_JMPREL: u64 = 23;
pub(super) const DT_INIT_ARRAYSZ: u64 = 27;
pub(super) const DT_FINI_ARRAYSZ: u64 = 28;
pub(super) const DT_PREINIT_ARRAYSZ: u64 = 33;
pub(super) const DT_RELR: u64 = 36;
pub(super) const DT_GNU_HASH: u64 = 0x6fff_fef5;
pub(super) const DT_AUXILIARY: u64 = 0x7fff_fffd;
pub(super) const DT_FILTER: u64 = 0x7fff_ffff;

/// `Elf64_Dyn`.
#[derive(Debug, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct DynamicEntry {
    pub(super) tag: U64,
    pub(super) value: U64,
}

const _: () = assert!(size_of::<DynamicEntry>() == 16);

pub(super) const SHN_UNDEF: u16 = 0;
pub(super) const SHN_LORESERVE: u16 = 0xff00;
pub(super) const SHN_ABS: u16 = 0xfff1;

pub(super) const STB_GLOBAL: u8 = 1;
pub(super) const STB_WEAK: u8 = 2;

pub(super) const STT_NOTYPE: u8 = 0;
pub(super) const STT_OBJECT: u8 = 1;
pub(super) const STT_FUNC: u8 = 2;
pub(super) const STT_TLS: u8 = 6;
pub(super) const STT_GNU_IFUNC: u8 = 10;

pub(super) const STV_DEFAULT: u8 = 0;
pub(super) const STV_PROTECTED: u8 = 3;

/// `Elf64_Sym`.
#[derive(Debug, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct SymbolEntry {
    pub(super) name: U32,
    info: u8,
    other: u8,
    pub(super) section: U16,
    pub(super) value: U64,
    pub(super) size: U64,
}

const _: () = assert!(size_of::<SymbolEntry>() == 24);

impl SymbolEntry {
    /// One of the `STT_` constants.
    pub(super) fn kind(&self) -> u8 {
        self.info & 0xf
    }

    /// One of the `STB_` constants.
    pub(super) fn binding(&self) -> u8 {
        self.info >> 4
    }

    /// One of the `STV_` constants.
    pub(super) fn visibility(&self) -> u8 {
        self.other & 3
    }
}

pub(super) const R_X86_64_NONE: u32 = 0;
pub(super) const R_X86_64_64: u32 = 1;
pub(super) const R_X86_64_GLOB_DAT: u32 = 6;
pub(super) const R_X86_64_JUMP_SLOT: u32 = 7;
pub(super) const R_X86_64_RELATIVE: u32 = 8;

/// `Elf64_Rela`, with `r_info` split into its halves.
#[derive(Debug, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Relocation {
    pub(super) address: U64,
    pub(super) kind: U32,
    pub(super) symbol: U32,
    pub(super) addend: I64,
}

const _: () = assert!(size_of::<Relocation>() == 24);

/// The name of a relocation type, for messages.
pub(super) fn relocation_name(kind: u32) -> &'static str {
    match kind {
        R_X86_64_NONE => "R_X86_64_NONE",
        R_X86_64_64 => "R_X86_64_64",
        2 => "R_X86_64_PC32",
        3 => "R_X86_64_GOT32",
        4 => "R_X86_64_PLT32",
        5 => "R_X86_64_COPY",
        R_X86_64_GLOB_DAT => "R_X86_64_GLOB_DAT",
        R_X86_64_JUMP_SLOT => "R_X86_64_JUMP_SLOT",
        R_X86_64_RELATIVE => "R_X86_64_RELATIVE",
        9 => "R_X86_64_GOTPCREL",
        10 => "R_X86_64_32",
        11 => "R_X86_64_32S",
        12 => "R_X86_64_16",
        13 => "R_X86_64_PC16",
        14 => "R_X86_64_8",
        15 => "R_X86_64_PC8",
        16 => "R_X86_64_DTPMOD64",
        17 => "R_X86_64_DTPOFF64",
        18 => "R_X86_64_TPOFF64",
        24 => "R_X86_64_PC64",
        32 => "R_X86_64_SIZE32",
        33 => "R_X86_64_SIZE64",
        36 => "R_X86_64_TLSDESC",
        37 => "R_X86_64_IRELATIVE",
        _ => "no name known",
    }
}
