//! [`Elf`]: a checked module image, and its loading.

use core::fmt;
use core::ops::Range;

use zerocopy::{FromBytes, IntoBytes};

use super::dynamic::Dynamic;
use super::error::ElfError;
use super::format::{
    ELFCLASS64, ELFDATA2LSB, ELFMAG, ELFOSABI_GNU, ELFOSABI_NONE, EM_X86_64, ET_DYN, EV_CURRENT,
    FileHeader, PF_X, PT_GNU_RELRO, PT_GNU_STACK, PT_INTERP, PT_TLS, ProgramHeader,
};
use super::layout::{Layout, PAGE_SIZE, Protection, Segment, slice};
use super::relocations::Relocations;
use super::symbols::{Import, Symbol, Symbols};

/// The most program headers an image may have. Linkers make about ten.
const MAX_PROGRAM_HEADERS: u16 = 64;

/// A checked module image.
///
/// Holding one proves that every table lies inside the file, every segment, symbol and relocated
/// word inside the image, and that the image asks for nothing that a module may not have. Only
/// the imports are open until [`Elf::load`] resolves them.
pub struct Elf<'a> {
    layout: Layout<'a>,
    relro: Option<Range<usize>>,
    symbols: Symbols<'a>,
    relocations: Relocations<'a>,
}

impl<'a> Elf<'a> {
    /// Checks the contents of an image file.
    ///
    /// # Errors
    ///
    /// The first thing found wrong. The status is `VERR_BAD_EXE_FORMAT` in every case.
    pub fn parse(file: &'a [u8]) -> Result<Self, ElfError> {
        let headers = program_headers(file)?;
        let relro = refuse_unsupported(headers)?;
        let layout = Layout::parse(file, headers)?;
        let relro = relro.map_or(Ok(None), |header| layout.relro(header))?;

        let dynamic = Dynamic::parse(&layout, headers)?;
        let strings = dynamic.strings()?;
        dynamic.refuse_unsupported(strings)?;
        let symbols = Symbols::parse(&layout, &dynamic, strings)?;
        let relocations = Relocations::parse(&layout, &symbols, dynamic.relocations()?)?;
        Ok(Self { layout, relro, symbols, relocations })
    }

    /// The size of the image in memory: whole pages, at most
    /// [`MAX_IMAGE_SIZE`](super::MAX_IMAGE_SIZE).
    pub fn image_size(&self) -> usize {
        self.layout.size()
    }

    /// The segments by ascending offset. Pages between them belong to nobody and stay unmapped.
    pub fn segments(&self) -> impl Iterator<Item = Segment> {
        self.layout.segments()
    }

    /// The image offsets of the pages in a writable segment that only relocation writes, and that
    /// become read-only after it. Whole pages; `None` if there is not one.
    pub fn relro(&self) -> Option<Range<usize>> {
        self.relro.clone()
    }

    /// The symbols that the image exports.
    pub fn symbols(&self) -> impl Iterator<Item = Symbol<'a>> {
        self.symbols.exports(&self.layout)
    }

    /// The exported symbol with a name, found through the image's hash table.
    pub fn find_symbol(&self, name: &str) -> Option<Symbol<'a>> {
        self.symbols.find(&self.layout, name)
    }

    /// The symbols that the image wants from the driver.
    pub fn imports(&self) -> impl Iterator<Item = Import<'a>> {
        self.symbols.imports()
    }

    /// Whether an image offset lies in code: a condition for it to be an entry point.
    pub fn is_executable(&self, offset: usize) -> bool {
        let address = self.layout.origin().checked_add(offset as u64);
        let load = address.and_then(|address| self.layout.load_of(address, 1));
        load.is_some_and(|load| load.protection == Protection::ReadExecute)
    }

    /// Copies the segments into `image` and relocates them.
    ///
    /// `image` is [`image_size`](Self::image_size) zeroed bytes which are going to be seen at the
    /// page-aligned address `base`. `resolve` gives the address of an import by name; a symbol of
    /// the image itself is never looked up elsewhere.
    ///
    /// # Errors
    ///
    /// * `VERR_SYMBOL_NOT_FOUND`: `resolve` does not know an import that is not weak.
    /// * `VERR_INVALID_PARAMETER`: `image` has another size, or it cannot live at `base`.
    ///
    /// What `image` holds is then of no use.
    pub fn load(
        &self,
        image: &mut [u8],
        base: u64,
        resolve: &mut dyn FnMut(&str) -> Option<u64>,
    ) -> Result<(), ElfError> {
        let (size, expected) = (image.len(), self.image_size());
        if size != expected {
            return Err(ElfError::BufferSize { size, expected });
        }
        if !base.is_multiple_of(PAGE_SIZE as u64) || base.checked_add(size as u64).is_none() {
            return Err(ElfError::BaseAddress { base, size });
        }
        for load in self.layout.loads() {
            self.layout
                .offset(load.addresses.start)
                .and_then(|offset| image.get_mut(offset..))
                .and_then(|tail| load.contents.write_to_prefix(tail).ok())
                .ok_or(ElfError::BufferSize { size, expected })?;
        }
        self.relocations.apply(&self.layout, &self.symbols, image, base, resolve)
    }
}

impl fmt::Debug for Elf<'_> {
    /// Shows what an image looks like, not the bytes of its file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Elf")
            .field("image_size", &self.image_size())
            .field("symbols", &self.symbols.len())
            .field("relro", &self.relro)
            .finish_non_exhaustive()
    }
}

/// Checks the file header and finds the program headers.
fn program_headers(file: &[u8]) -> Result<&[ProgramHeader], ElfError> {
    let (header, _) =
        FileHeader::ref_from_prefix(file).map_err(|_| ElfError::Truncated { size: file.len() })?;
    if header.magic != ELFMAG {
        return Err(ElfError::NotElf);
    }
    if header.class != ELFCLASS64 {
        return Err(ElfError::WrongClass { class: header.class });
    }
    if header.data != ELFDATA2LSB {
        return Err(ElfError::WrongByteOrder { data: header.data });
    }
    for version in [header.ident_version.into(), header.version.get()] {
        if version != u32::from(EV_CURRENT) {
            return Err(ElfError::WrongVersion { version });
        }
    }
    if !matches!(header.os_abi, ELFOSABI_NONE | ELFOSABI_GNU) {
        return Err(ElfError::WrongOsAbi { abi: header.os_abi });
    }
    if header.machine.get() != EM_X86_64 {
        return Err(ElfError::WrongMachine { machine: header.machine.get() });
    }
    if header.kind.get() != ET_DYN {
        return Err(ElfError::WrongType { kind: header.kind.get() });
    }
    for (what, size, expected) in [
        ("the file header", header.header_size.get(), size_of::<FileHeader>()),
        ("a program header", header.program_header_size.get(), size_of::<ProgramHeader>()),
    ] {
        if usize::from(size) != expected {
            return Err(ElfError::HeaderSize { what, size, expected });
        }
    }
    let (offset, count) = (header.program_headers.get(), header.program_header_count.get());
    if count > MAX_PROGRAM_HEADERS {
        return Err(ElfError::TooManyProgramHeaders { count, limit: MAX_PROGRAM_HEADERS });
    }
    let size = u64::from(count).saturating_mul(size_of::<ProgramHeader>() as u64);
    slice(file, offset, size)
        .and_then(|bytes| <[ProgramHeader]>::ref_from_bytes(bytes).ok())
        .ok_or(ElfError::ProgramHeadersOutside { offset, count, available: file.len() })
}

/// Refuses program headers that a module may not have, and finds the one of the relocated part.
fn refuse_unsupported(headers: &[ProgramHeader]) -> Result<Option<&ProgramHeader>, ElfError> {
    let mut relro = None;
    for header in headers {
        match header.kind.get() {
            PT_INTERP => return Err(ElfError::Interpreter),
            PT_TLS => return Err(ElfError::ThreadLocalStorage),
            PT_GNU_STACK if header.flags.get() & PF_X != 0 => {
                return Err(ElfError::ExecutableStack);
            }
            PT_GNU_RELRO => relro = Some(header),
            _ => {}
        }
    }
    Ok(relro)
}
