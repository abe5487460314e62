//! [`ElfError`]: why an image is refused.

use core::fmt;

use arrayvec::ArrayString;
use sup_abi::Status;
use sup_alloc::OutOfMemory;

use super::format::relocation_name;
use super::layout::{MAX_IMAGE_SIZE, PAGE_SIZE};
use super::symbols::MAX_SYMBOLS;

/// A name out of an image, cut to what an error can carry. Hence the error borrows nothing.
pub type Name = ArrayString<63>;

/// Copies as much of a name as fits.
pub(super) fn name(text: &str) -> Name {
    let mut name = Name::new();
    for letter in text.chars() {
        if name.try_push(letter).is_err() {
            break;
        }
    }
    name
}

/// A table that the dynamic section points to, or the section itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Table {
    /// The dynamic section, `PT_DYNAMIC`.
    Dynamic,
    /// The string table, `DT_STRTAB`.
    Strings,
    /// The symbol table, `DT_SYMTAB`.
    Symbols,
    /// The System V hash table, `DT_HASH`.
    Hash,
    /// The GNU hash table, `DT_GNU_HASH`.
    GnuHash,
    /// The relocations, `DT_RELA`.
    Relocations,
    /// The relocations of imported functions, `DT_JMPREL`.
    PltRelocations,
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dynamic => "dynamic section",
            Self::Strings => "string table (DT_STRTAB)",
            Self::Symbols => "symbol table (DT_SYMTAB)",
            Self::Hash => "hash table (DT_HASH)",
            Self::GnuHash => "hash table (DT_GNU_HASH)",
            Self::Relocations => "relocation table (DT_RELA)",
            Self::PltRelocations => "relocation table (DT_JMPREL)",
        })
    }
}

/// Why an image was refused. Its text is one sentence that names the cause.
///
/// Segments are counted like program headers (`readelf -l`) and symbols like `readelf --dyn-syms`
/// does; addresses are those of the file, before relocation.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the text of each variant, below, says what its fields are")]
pub enum ElfError {
    // The file header.
    Truncated {
        size: usize,
    },
    NotElf,
    WrongClass {
        class: u8,
    },
    WrongByteOrder {
        data: u8,
    },
    WrongVersion {
        version: u32,
    },
    WrongOsAbi {
        abi: u8,
    },
    WrongMachine {
        machine: u16,
    },
    WrongType {
        kind: u16,
    },
    HeaderSize {
        what: &'static str,
        size: u16,
        expected: usize,
    },
    TooManyProgramHeaders {
        count: u16,
        limit: u16,
    },
    ProgramHeadersOutside {
        offset: u64,
        count: u16,
        available: usize,
    },
    // The program headers.
    Interpreter,
    ThreadLocalStorage,
    ExecutableStack,
    NoSegment,
    TooManySegments {
        limit: usize,
    },
    /// The driver has no memory for the checks.
    OutOfMemory,
    SegmentWraps {
        index: usize,
        address: u64,
        size: u64,
    },
    SegmentFileSize {
        index: usize,
        file_size: u64,
        memory_size: u64,
    },
    SegmentOutsideFile {
        index: usize,
        offset: u64,
        size: u64,
        available: usize,
    },
    SegmentAlignment {
        index: usize,
        address: u64,
        offset: u64,
        alignment: u64,
    },
    SegmentWritableExecutable {
        index: usize,
    },
    SegmentOrder {
        index: usize,
        address: u64,
    },
    SegmentSharesPage {
        index: usize,
        page: u64,
    },
    ImageTooLarge {
        size: u64,
    },
    RelroOutside {
        address: u64,
        size: u64,
    },
    // The dynamic section and its tables.
    NoDynamicSection,
    DynamicSectionMisaligned {
        address: u64,
        size: u64,
    },
    DynamicSectionUnterminated,
    NeedsLibrary {
        name: Name,
    },
    Constructors {
        tag: &'static str,
    },
    RelocationFormat {
        tag: &'static str,
    },
    TableOutside {
        table: Table,
        address: u64,
        size: u64,
    },
    TableWithoutSize {
        table: Table,
    },
    TableSize {
        table: Table,
        size: usize,
        entry: usize,
    },
    EntrySize {
        table: Table,
        size: u64,
        expected: usize,
    },
    StringTableUnterminated,
    HashTableOutside {
        table: Table,
        address: u64,
    },
    NoHashTable,
    // The symbols.
    TooManySymbols {
        count: usize,
    },
    SymbolName {
        index: usize,
        offset: u32,
    },
    SymbolOutside {
        name: Name,
        value: u64,
    },
    SymbolSection {
        name: Name,
        section: u16,
    },
    SymbolThreadLocal {
        name: Name,
    },
    SymbolIndirect {
        name: Name,
    },
    // The relocations.
    RelocationType {
        address: u64,
        kind: u32,
    },
    RelocationOutside {
        address: u64,
    },
    RelocationInCode {
        address: u64,
    },
    RelocationInConstants {
        address: u64,
    },
    RelocationSymbol {
        address: u64,
        symbol: u32,
        count: usize,
    },
    // Loading.
    BufferSize {
        size: usize,
        expected: usize,
    },
    BaseAddress {
        base: u64,
        size: usize,
    },
    MissingImport {
        name: Name,
    },
}

impl ElfError {
    /// The status of the failure: `VERR_SYMBOL_NOT_FOUND` for a missing import,
    /// `VERR_INVALID_PARAMETER` for a mistake of the caller of [`Elf::load`](super::Elf::load),
    /// `VERR_NO_MEMORY` if there was none to check it with,
    /// and `VERR_BAD_EXE_FORMAT` for everything that is wrong with the image itself.
    pub fn status(&self) -> Status {
        match self {
            Self::MissingImport { .. } => Status::VERR_SYMBOL_NOT_FOUND,
            Self::BufferSize { .. } | Self::BaseAddress { .. } => Status::VERR_INVALID_PARAMETER,
            Self::OutOfMemory => Status::VERR_NO_MEMORY,
            _ => Status::VERR_BAD_EXE_FORMAT,
        }
    }
}

impl From<OutOfMemory> for ElfError {
    fn from(_: OutOfMemory) -> Self {
        Self::OutOfMemory
    }
}

impl From<ElfError> for Status {
    fn from(error: ElfError) -> Self {
        error.status()
    }
}

impl core::error::Error for ElfError {}

impl fmt::Display for ElfError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated { size } => {
                write!(f, "the file has {size} bytes, too few for an ELF header")
            }
            Self::OutOfMemory => f.write_str("no memory is left to check the image with"),
            Self::NotElf => f.write_str("the file is not an ELF image: it lacks the magic number"),
            Self::WrongClass { class } => {
                write!(f, "the image is not a 64-bit one (ELF class {class})")
            }
            Self::WrongByteOrder { data } => {
                write!(f, "the image is not little endian (ELF data encoding {data})")
            }
            Self::WrongVersion { version } => {
                write!(f, "the image has the unknown ELF version {version}")
            }
            Self::WrongOsAbi { abi } => {
                write!(f, "the image is for another system (OS ABI {abi})")
            }
            Self::WrongMachine { machine } => {
                write!(f, "the image is not for x86-64 (ELF machine {machine})")
            }
            Self::WrongType { kind } => {
                write!(f, "the image has ELF type {kind}, but a module is a shared object (3)")
            }
            Self::HeaderSize { what, size, expected } => {
                write!(f, "the image gives {size} bytes as the size of {what}, not {expected}")
            }
            Self::TooManyProgramHeaders { count, limit } => {
                write!(f, "the image has {count} program headers; the limit is {limit}")
            }
            Self::ProgramHeadersOutside { offset, count, available } => write!(
                f,
                "{count} program headers at file offset {offset:#x} reach beyond the end of the \
                 file ({available:#x} bytes)"
            ),
            Self::Interpreter => f.write_str(
                "the image names an interpreter (PT_INTERP): it is a program, not a module",
            ),
            Self::ThreadLocalStorage => f.write_str(
                "the image has thread-local storage (PT_TLS), which ring 0 does not provide",
            ),
            Self::ExecutableStack => f.write_str(
                "the image asks for an executable stack (PT_GNU_STACK; link with -z noexecstack)",
            ),
            Self::NoSegment => f.write_str("the image has no loadable segment"),
            Self::TooManySegments { limit } => {
                write!(f, "the image has more than {limit} loadable segments")
            }
            Self::SegmentWraps { index, address, size } => write!(
                f,
                "segment {index} (address {address:#x}, {size:#x} bytes) reaches beyond the end of \
                 the address space"
            ),
            Self::SegmentFileSize { index, file_size, memory_size } => write!(
                f,
                "segment {index} has more bytes in the file ({file_size:#x}) than in memory \
                 ({memory_size:#x})"
            ),
            Self::SegmentOutsideFile { index, offset, size, available } => write!(
                f,
                "segment {index} (file offset {offset:#x}, {size:#x} bytes) reaches beyond the end \
                 of the file ({available:#x} bytes)"
            ),
            Self::SegmentAlignment { index, address, offset, alignment } => write!(
                f,
                "segment {index} (address {address:#x}, file offset {offset:#x}) cannot have the \
                 alignment {alignment:#x}; a module's segments are aligned to {PAGE_SIZE:#x} or less"
            ),
            Self::SegmentWritableExecutable { index } => {
                write!(f, "segment {index} is both writable and executable")
            }
            Self::SegmentOrder { index, address } => write!(
                f,
                "segment {index} begins at {address:#x}, before the end of the segment in front of \
                 it"
            ),
            Self::SegmentSharesPage { index, page } => write!(
                f,
                "segment {index} shares the page at {page:#x} with the segment in front of it \
                 (link with -z separate-code)"
            ),
            Self::ImageTooLarge { size } => write!(
                f,
                "the image takes {size:#x} bytes of memory; the limit is {MAX_IMAGE_SIZE:#x}"
            ),
            Self::RelroOutside { address, size } => write!(
                f,
                "the part to be made read-only (PT_GNU_RELRO, address {address:#x}, {size:#x} \
                 bytes) does not lie in one writable segment"
            ),
            Self::NoDynamicSection => f.write_str("the image has no dynamic section (PT_DYNAMIC)"),
            Self::DynamicSectionMisaligned { address, size } => write!(
                f,
                "the dynamic section (address {address:#x}, {size:#x} bytes) is not made of whole, \
                 aligned entries"
            ),
            Self::DynamicSectionUnterminated => {
                f.write_str("the dynamic section has no end mark (DT_NULL)")
            }
            Self::NeedsLibrary { name } => write!(
                f,
                "the image needs {name}, but a module imports from the driver only (link with \
                 -nostdlib)"
            ),
            Self::Constructors { tag } => write!(
                f,
                "the image has constructors or destructors ({tag}), which nobody would call; \
                 ModuleInit and ModuleTerm take their place"
            ),
            Self::RelocationFormat { tag } => {
                write!(f, "the image has relocations of a format other than Elf64_Rela ({tag})")
            }
            Self::TableOutside { table, address, size } => write!(
                f,
                "the {table} (address {address:#x}, {size:#x} bytes) does not lie in what the file \
                 holds of a segment"
            ),
            Self::TableWithoutSize { table } => {
                write!(f, "the dynamic section gives no size for the {table}")
            }
            Self::TableSize { table, size, entry } => write!(
                f,
                "the {table} has {size:#x} bytes, which is no multiple of its entries' {entry}"
            ),
            Self::EntrySize { table, size, expected } => {
                write!(f, "the entries of the {table} have {size} bytes, not {expected}")
            }
            Self::StringTableUnterminated => {
                f.write_str("the string table does not end with a NUL")
            }
            Self::HashTableOutside { table, address } => write!(
                f,
                "the {table} (address {address:#x}) does not lie in what the file holds of a \
                 segment"
            ),
            Self::NoHashTable => f.write_str(
                "the image has a symbol table but no hash table (DT_HASH or DT_GNU_HASH), so the \
                 number of symbols is unknown",
            ),
            Self::TooManySymbols { count } => {
                write!(f, "the image has {count} dynamic symbols; the limit is {MAX_SYMBOLS}")
            }
            Self::SymbolName { index, offset } => write!(
                f,
                "the name of symbol {index} (string table offset {offset:#x}) is outside the \
                 string table, not UTF-8 or too long"
            ),
            Self::SymbolOutside { name, value } => {
                write!(f, "the symbol {name} (value {value:#x}) lies outside the image")
            }
            Self::SymbolSection { name, section } => {
                write!(f, "the symbol {name} has the reserved section number {section:#x}")
            }
            Self::SymbolThreadLocal { name } => {
                write!(f, "the symbol {name} is thread-local, which ring 0 does not provide")
            }
            Self::SymbolIndirect { name } => write!(
                f,
                "the symbol {name} is an indirect function (STT_GNU_IFUNC), which nobody would \
                 resolve"
            ),
            Self::RelocationType { address, kind } => write!(
                f,
                "the relocation of {address:#x} has the type {kind} ({}), which a module may not \
                 use",
                relocation_name(*kind)
            ),
            Self::RelocationOutside { address } => {
                write!(f, "the relocation of {address:#x} does not lie in a segment")
            }
            Self::RelocationInCode { address } => {
                write!(
                    f,
                    "the relocation of {address:#x} would change code; a module is compiled with -fPIC"
                )
            }
            Self::RelocationInConstants { address } => {
                write!(f, "the relocation of {address:#x} would change a read-only segment")
            }
            Self::RelocationSymbol { address, symbol, count } => write!(
                f,
                "the relocation of {address:#x} uses symbol {symbol}, but there are {count} symbols"
            ),
            Self::BufferSize { size, expected } => {
                write!(f, "the image is to be loaded into {size:#x} bytes, but has {expected:#x}")
            }
            Self::BaseAddress { base, size } => {
                write!(f, "an image of {size:#x} bytes cannot live at the address {base:#x}")
            }
            Self::MissingImport { name } => {
                write!(f, "the driver has no {name}, which the image imports")
            }
        }
    }
}
