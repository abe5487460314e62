//! The dynamic symbols of an image: what it offers and what it wants from the driver.

use super::dynamic::{Dynamic, Strings};
use super::error::{ElfError, name};
use super::format::{
    SHN_ABS, SHN_LORESERVE, SHN_UNDEF, STB_GLOBAL, STB_WEAK, STT_FUNC, STT_GNU_IFUNC, STT_NOTYPE,
    STT_OBJECT, STT_TLS, STV_DEFAULT, STV_PROTECTED, SymbolEntry,
};
use super::hash::HashTable;
use super::layout::Layout;

/// The most dynamic symbols an image may have, which is also what an LDR_LOAD request can carry.
pub const MAX_SYMBOLS: usize = 16384;

/// A symbol that an image defines and exports.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Symbol<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its image offset: inside the image, or at its very end.
    pub offset: usize,
    /// Whether the compiler called it a function.
    pub is_function: bool,
}

/// A symbol that an image uses and does not define.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Import<'a> {
    /// Its name.
    pub name: &'a str,
    /// Whether the image can do without: an unresolved weak import has the address 0.
    pub is_weak: bool,
}

/// What a symbol number in a relocation stands for.
#[derive(Debug)]
pub(super) enum Binding<'a> {
    /// A place in the image, by its offset.
    Image(usize),
    /// A number that no loading changes.
    Absolute(u64),
    /// Something of the driver's.
    Import(Import<'a>),
}

/// The checked symbol table: every name is readable and every definition lies in the image.
#[derive(Debug)]
pub(super) struct Symbols<'a> {
    entries: &'a [SymbolEntry],
    strings: Strings<'a>,
    hash: Option<HashTable<'a>>,
}

impl<'a> Symbols<'a> {
    pub(super) fn parse(
        layout: &Layout<'a>,
        dynamic: &Dynamic<'_, 'a>,
        strings: Strings<'a>,
    ) -> Result<Self, ElfError> {
        let (entries, hash) = dynamic.symbols()?;
        let symbols = Self { entries, strings, hash };
        for (index, entry) in entries.iter().enumerate().skip(1) {
            symbols.check(layout, index, entry)?;
        }
        Ok(symbols)
    }

    fn check(
        &self,
        layout: &Layout<'a>,
        index: usize,
        entry: &SymbolEntry,
    ) -> Result<(), ElfError> {
        let offset = entry.name.get();
        let text = self.strings.get(offset.into()).ok_or(ElfError::SymbolName { index, offset })?;
        match entry.kind() {
            STT_TLS => return Err(ElfError::SymbolThreadLocal { name: name(text) }),
            STT_GNU_IFUNC => return Err(ElfError::SymbolIndirect { name: name(text) }),
            _ => {}
        }
        match entry.section.get() {
            SHN_UNDEF | SHN_ABS => Ok(()),
            section @ SHN_LORESERVE.. => Err(ElfError::SymbolSection { name: name(text), section }),
            _ => match layout.offset(entry.value.get()) {
                Some(_) => Ok(()),
                None => Err(ElfError::SymbolOutside { name: name(text), value: entry.value.get() }),
            },
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn exports(&self, layout: &Layout<'a>) -> impl Iterator<Item = Symbol<'a>> {
        self.entries.iter().skip(1).filter_map(|entry| self.export(layout, entry))
    }

    pub(super) fn imports(&self) -> impl Iterator<Item = Import<'a>> {
        self.entries.iter().skip(1).filter_map(|entry| self.import(entry))
    }

    pub(super) fn find(&self, layout: &Layout<'a>, wanted: &str) -> Option<Symbol<'a>> {
        let export = |index: usize| {
            let symbol = self.export(layout, self.entries.get(index)?)?;
            (symbol.name == wanted).then_some(symbol)
        };
        export(self.hash?.find(wanted, |index| export(index).is_some())?)
    }

    /// What the symbol with a number stands for, if there is one.
    pub(super) fn binding(&self, layout: &Layout<'a>, index: u32) -> Option<Binding<'a>> {
        // Symbol 0 is how a relocation says that it needs none.
        if index == 0 {
            return Some(Binding::Absolute(0));
        }
        let entry = self.entries.get(index as usize)?;
        match entry.section.get() {
            SHN_UNDEF => self.import(entry).map(Binding::Import),
            SHN_ABS => Some(Binding::Absolute(entry.value.get())),
            _ => layout.offset(entry.value.get()).map(Binding::Image),
        }
    }

    fn export(&self, layout: &Layout<'a>, entry: &SymbolEntry) -> Option<Symbol<'a>> {
        let is_exported = !matches!(entry.section.get(), SHN_UNDEF | SHN_ABS)
            && matches!(entry.binding(), STB_GLOBAL | STB_WEAK)
            && matches!(entry.visibility(), STV_DEFAULT | STV_PROTECTED)
            && matches!(entry.kind(), STT_NOTYPE | STT_OBJECT | STT_FUNC);
        if !is_exported {
            return None;
        }
        Some(Symbol {
            name: self.strings.get(entry.name.get().into())?,
            offset: layout.offset(entry.value.get())?,
            is_function: entry.kind() == STT_FUNC,
        })
    }

    fn import(&self, entry: &SymbolEntry) -> Option<Import<'a>> {
        if entry.section.get() != SHN_UNDEF {
            return None;
        }
        Some(Import {
            name: self.strings.get(entry.name.get().into())?,
            is_weak: entry.binding() == STB_WEAK,
        })
    }
}
