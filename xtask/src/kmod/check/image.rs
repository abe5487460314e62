//! An object file: its functions by address and name, its instructions, and who refers to whom.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use iced_x86::{Decoder, DecoderOptions, Instruction, OpKind};
use object::{
    File, Object, ObjectSection, ObjectSymbol, Relocation, RelocationTarget, SectionIndex,
    SectionKind,
};

/// Tables that list every function, and so say nothing of who uses one.
const TABLES: [&str; 2] = ["__patchable_function_entries", ".stack_sizes"];

/// A place in an object, which has no addresses yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    section: usize,
    offset: u64,
}

/// A reference from code or data to a symbol, by what people call both.
#[derive(Debug)]
pub(super) struct Reference {
    pub(super) from: String,
    pub(super) to: String,
}

/// An object that was read.
#[derive(Debug)]
pub(super) struct Image<'a> {
    pub(super) file: File<'a>,
    /// Where each function begins, and its name.
    functions: BTreeMap<Place, String>,
}

impl<'a> Image<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self> {
        let file = File::parse(bytes).context("not an object file")?;
        let mut functions = BTreeMap::new();
        for symbol in file.symbols().filter(|symbol| symbol.kind() == object::SymbolKind::Text) {
            if let Some(section) = symbol.section_index() {
                let place = Place { section: section.0, offset: symbol.address() };
                functions.insert(place, demangled(symbol.name()?));
            }
        }
        Ok(Self { file, functions })
    }

    /// The names of all symbols, defined and imported.
    pub(super) fn symbol_names(&self) -> impl Iterator<Item = String> {
        self.file.symbols().filter_map(|symbol| symbol.name().ok().map(demangled))
    }

    /// The function in which a place lies, else the name of its section.
    pub(super) fn name_at(&self, section: SectionIndex, offset: u64) -> String {
        let place = Place { section: section.0, offset };
        let before = self.functions.range(..=place).next_back();
        match before.filter(|(start, _)| start.section == section.0) {
            Some((_, name)) => name.clone(),
            None => self
                .file
                .section_by_index(section)
                .ok()
                .and_then(|section| section.name().ok().map(str::to_owned))
                .unwrap_or_default(),
        }
    }

    /// Calls `visit` with each instruction and the section that it is in.
    pub(super) fn instructions(&self, mut visit: impl FnMut(SectionIndex, &Instruction)) {
        for section in self.file.sections().filter(|section| section.kind() == SectionKind::Text) {
            let Ok(bytes) = section.data() else { continue };
            let mut decoder = Decoder::with_ip(64, bytes, 0, DecoderOptions::NONE);
            for instruction in &mut decoder {
                visit(section.index(), &instruction);
            }
        }
    }

    /// Everything that code and data refer to: what a relocation says, and the jumps and calls within
    /// a section, which the compiler resolved itself.
    pub(super) fn references(&self) -> Vec<Reference> {
        let mut references = Vec::new();
        let is_table = |name| TABLES.contains(&name);
        for section in self.file.sections().filter(|section| !section.name().is_ok_and(is_table)) {
            for (offset, relocation) in section.relocations() {
                let from = self.name_at(section.index(), offset);
                references.extend(self.target(&relocation).map(|to| Reference { from, to }));
            }
        }
        self.instructions(|section, instruction| {
            if instruction.op_count() == 1 && instruction.op0_kind() == OpKind::NearBranch64 {
                let from = self.name_at(section, instruction.ip());
                let to = self.name_at(section, instruction.near_branch_target());
                references.push(Reference { from, to });
            }
        });
        references.retain(|reference| reference.from != reference.to);
        references
    }

    /// What a relocation refers to.
    pub(super) fn target(&self, relocation: &Relocation) -> Option<String> {
        let RelocationTarget::Symbol(index) = relocation.target() else { return None };
        let symbol = self.file.symbol_by_index(index).ok()?;
        if symbol.kind() != object::SymbolKind::Section {
            return Some(demangled(symbol.name().ok()?));
        }
        // A distance counts from behind its own four bytes.
        let behind = match relocation.kind() {
            object::RelocationKind::Relative | object::RelocationKind::PltRelative => 4,
            _ => 0,
        };
        let offset = u64::try_from(relocation.addend().checked_add(behind)?).ok()?;
        Some(self.name_at(symbol.section_index()?, offset))
    }
}

/// Without the hash, which tells no reader anything.
pub(super) fn demangled(name: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(name))
}
