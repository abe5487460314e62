//! Relocations: the words of an image that depend on where it lives or on the driver.
//!
//! Five types are allowed, which are what position-independent code needs: each one fills a whole
//! 64-bit word of a writable segment. Everything else would mean that the module was compiled for
//! another purpose, and a word in a segment that is not writable would mean that its code or
//! constants cannot be shared or verified.
//!
//! One word in code may be filled all the same: the operand of the instruction that the header itself writes
//! where a module names `g_pSUPGlobalInfoPage` ([`is_page_operand`]). What it becomes is the driver's to say,
//! and the instruction stays the one that was verified.

use zerocopy::IntoBytes;
use zerocopy::little_endian::U64;

use super::error::{ElfError, name};
use super::format::{
    R_X86_64_64, R_X86_64_GLOB_DAT, R_X86_64_JUMP_SLOT, R_X86_64_NONE, R_X86_64_RELATIVE,
    Relocation,
};
use super::layout::{Layout, Protection};
use super::symbols::{Binding, Symbols};

/// The size of the word that every allowed relocation writes.
const WORD_SIZE: u64 = 8;

/// The checked relocations of an image.
#[derive(Debug)]
pub(super) struct Relocations<'a> {
    tables: [&'a [Relocation]; 2],
}

impl<'a> Relocations<'a> {
    pub(super) fn parse(
        layout: &Layout<'a>,
        symbols: &Symbols<'a>,
        tables: [&'a [Relocation]; 2],
    ) -> Result<Self, ElfError> {
        let relocations = Self { tables };
        for relocation in relocations.iter() {
            target(layout, symbols, relocation)?;
            let symbol = relocation.symbol.get();
            if symbol as usize >= symbols.len() && symbol != 0 {
                return Err(ElfError::RelocationSymbol {
                    address: relocation.address.get(),
                    symbol,
                    count: symbols.len(),
                });
            }
        }
        Ok(relocations)
    }

    /// Writes all words into an image that is going to live at `base`.
    pub(super) fn apply(
        &self,
        layout: &Layout<'a>,
        symbols: &Symbols<'a>,
        image: &mut [u8],
        base: u64,
        resolve: &mut dyn FnMut(&str) -> Option<u64>,
    ) -> Result<(), ElfError> {
        let size = image.len();
        for relocation in self.iter() {
            let addend = relocation.addend.get();
            // Sums of addresses and addends are defined modulo 2^64: an addend may be negative.
            let value = match relocation.kind.get() {
                R_X86_64_NONE => continue,
                R_X86_64_RELATIVE => base.wrapping_sub(layout.origin()).wrapping_add_signed(addend),
                R_X86_64_64 => symbol_value(layout, symbols, relocation, base, resolve)?
                    .wrapping_add_signed(addend),
                _ => symbol_value(layout, symbols, relocation, base, resolve)?,
            };
            let offset = target(layout, symbols, relocation)?;
            image
                .get_mut(offset..)
                .and_then(|tail| U64::new(value).write_to_prefix(tail).ok())
                .ok_or(ElfError::BufferSize { size, expected: layout.size() })?;
        }
        Ok(())
    }

    fn iter(&self) -> impl Iterator<Item = &'a Relocation> {
        self.tables.into_iter().flatten()
    }
}

/// The image offset of the word that a relocation writes, which must be one that may be written.
fn target(
    layout: &Layout<'_>,
    symbols: &Symbols<'_>,
    relocation: &Relocation,
) -> Result<usize, ElfError> {
    let (address, kind) = (relocation.address.get(), relocation.kind.get());
    match kind {
        R_X86_64_NONE => return Ok(0),
        R_X86_64_64 | R_X86_64_GLOB_DAT | R_X86_64_JUMP_SLOT | R_X86_64_RELATIVE => {}
        _ => return Err(ElfError::RelocationType { address, kind }),
    }
    let outside = ElfError::RelocationOutside { address };
    match layout.load_of(address, WORD_SIZE).map(|load| load.protection) {
        None => Err(outside),
        Some(Protection::ReadWrite) => layout.offset(address).ok_or(outside),
        Some(Protection::ReadExecute) if is_page_operand(layout, symbols, relocation) => {
            layout.offset(address).ok_or(outside)
        }
        Some(Protection::ReadExecute) => Err(ElfError::RelocationInCode { address }),
        Some(Protection::Read) => Err(ElfError::RelocationInConstants { address }),
    }
}

/// The data whose address the header's code holds.
const PAGE: &str = "g_SUPGlobalInfoPage";
/// `movabs $0, %rax`, as linkers leave it to be filled.
const LOAD_PAGE: [u8; 10] = [0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0];

/// Whether a relocation fills the operand of the header's `movabs $g_SUPGlobalInfoPage, %rax`, and no more.
fn is_page_operand(layout: &Layout<'_>, symbols: &Symbols<'_>, relocation: &Relocation) -> bool {
    let opcode_bytes = (LOAD_PAGE.len() as u64).saturating_sub(WORD_SIZE);
    let start = relocation.address.get().checked_sub(opcode_bytes);
    let code = start.and_then(|start| layout.contents(start, LOAD_PAGE.len() as u64));
    let names_page = matches!(
        symbols.binding(layout, relocation.symbol.get()),
        Some(Binding::Import(import)) if import.name == PAGE
    );
    relocation.kind.get() == R_X86_64_64
        && relocation.addend.get() == 0
        && code == Some(&LOAD_PAGE)
        && names_page
}

/// The address or number that the symbol of a relocation stands for.
fn symbol_value(
    layout: &Layout<'_>,
    symbols: &Symbols<'_>,
    relocation: &Relocation,
    base: u64,
    resolve: &mut dyn FnMut(&str) -> Option<u64>,
) -> Result<u64, ElfError> {
    let symbol = relocation.symbol.get();
    match symbols.binding(layout, symbol) {
        Some(Binding::Image(offset)) => Ok(base.wrapping_add(offset as u64)),
        Some(Binding::Absolute(value)) => Ok(value),
        Some(Binding::Import(import)) => match resolve(import.name) {
            Some(address) => Ok(address),
            None if import.is_weak => Ok(0),
            None => Err(ElfError::MissingImport { name: name(import.name) }),
        },
        None => Err(ElfError::RelocationSymbol {
            address: relocation.address.get(),
            symbol,
            count: symbols.len(),
        }),
    }
}
