//! [`functions`]: which function of a file lies where.
//!
//! That stands in the sections, which the driver has no other use for and does not check. So whatever is
//! wrong in them means that there are fewer names, or none.

use zerocopy::FromBytes;

use super::format::{
    FileHeader, SHN_LORESERVE, SHN_UNDEF, SHT_DYNSYM, SHT_SYMTAB, STT_FUNC, SectionHeader,
    SymbolEntry,
};
use super::layout::slice;

/// More sections than linkers make are not looked at.
const MAX_SECTIONS: u16 = 128;

/// Names are cut to so many bytes.
const MAX_NAME_BYTES: usize = 120;

/// A function, as the linker wrote it down.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FunctionSymbol<'a> {
    /// Its name or the beginning of it, without a zero.
    pub name: &'a [u8],
    /// Where it begins, as the file counts addresses.
    pub address: u64,
    /// How long it is.
    pub bytes: u64,
}

/// The functions of a file: all if it has a table of symbols, else those that it exports.
pub fn functions(file: &[u8]) -> impl Iterator<Item = FunctionSymbol<'_>> {
    let tables = tables(file);
    let (symbols, names) = tables.unwrap_or((&[], &[]));
    symbols.iter().filter_map(move |symbol| {
        let is_here = (SHN_UNDEF + 1..SHN_LORESERVE).contains(&symbol.section.get());
        if symbol.kind() != STT_FUNC || !is_here {
            return None;
        }
        let name = names.get(symbol.name.get() as usize..)?;
        let name = name.get(..MAX_NAME_BYTES).unwrap_or(name);
        let length = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
        let (address, bytes) = (symbol.value.get(), symbol.size.get());
        Some(FunctionSymbol { name: name.get(..length)?, address, bytes })
    })
}

/// The table of symbols and that of their names.
fn tables(file: &[u8]) -> Option<(&[SymbolEntry], &[u8])> {
    let (header, _) = FileHeader::ref_from_prefix(file).ok()?;
    let count = header.section_header_count.get();
    let is_usual = usize::from(header.section_header_size.get()) == size_of::<SectionHeader>();
    if count > MAX_SECTIONS || !is_usual {
        return None;
    }
    let bytes = u64::from(count).checked_mul(size_of::<SectionHeader>() as u64)?;
    let sections = slice(file, header.section_headers.get(), bytes)?;
    let sections = <[SectionHeader]>::ref_from_bytes(sections).ok()?;
    let find = |kind| sections.iter().find(|section| section.kind.get() == kind);
    let contents = |section: &SectionHeader| slice(file, section.offset.get(), section.size.get());
    let symbols = find(SHT_SYMTAB).or_else(|| find(SHT_DYNSYM))?;
    let names = contents(sections.get(symbols.link.get() as usize)?)?;
    Some((<[SymbolEntry]>::ref_from_bytes(contents(symbols)?).ok()?, names))
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use sup_modules::HELLO;

    use super::*;

    #[test]
    fn functions_of_a_module_lie_where_its_exports_do() {
        let elf = super::super::Elf::parse(HELLO.image).unwrap();
        let handler = elf.find_symbol("helloServiceReqHandler").unwrap();
        let all: Vec<_> = functions(HELLO.image).collect();
        let found = all.iter().find(|function| function.name == handler.name.as_bytes()).unwrap();
        // Linkers begin with the address 0, so that addresses are offsets.
        assert_eq!(found.address, handler.offset as u64);
        assert!(found.bytes > 0);
        // Those that it does not export, too.
        assert!(all.len() > elf.symbols().filter(|symbol| symbol.is_function).count());
    }

    #[test]
    fn a_file_without_sections_has_no_functions() {
        assert_eq!(functions(&[]).count(), 0);
        let mut file = HELLO.image.to_vec();
        // The number of section headers.
        file[60..62].fill(0);
        assert_eq!(functions(&file).count(), 0);
    }

    /// Every number of the headers and the tables, wrong in every byte.
    #[test]
    fn cannot_be_led_out_of_the_file() {
        let mut file = HELLO.image.to_vec();
        let headers = u64::from_le_bytes(file[40..48].try_into().unwrap()) as usize;
        let places = (0..64).chain(headers..file.len());
        for place in places {
            for wrong in [0xff, 0x7f, 0x01] {
                let right = core::mem::replace(&mut file[place], wrong);
                assert!(functions(&file).all(|function| function.name.len() <= MAX_NAME_BYTES));
                file[place] = right;
            }
        }
        for end in 0..file.len() {
            let _ = functions(&file[..end]).count();
        }
    }
}
