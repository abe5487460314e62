//! The dynamic section: where the tables of an image lie, and what else it asks of its loader.
//!
//! The section is read as the linker meant it to be read in memory: all locations in it are
//! addresses, translated by the [`Layout`] to what the file holds for them.

use zerocopy::{FromBytes, Immutable, Unaligned};

use super::error::{ElfError, Table, name};
use super::format::{
    DT_AUXILIARY, DT_FILTER, DT_FINI, DT_FINI_ARRAYSZ, DT_GNU_HASH, DT_HASH, DT_INIT,
    DT_INIT_ARRAYSZ, DT_JMPREL, DT_NEEDED, DT_NULL, DT_PLTREL, DT_PLTRELSZ, DT_PREINIT_ARRAYSZ,
    DT_REL, DT_RELA, DT_RELAENT, DT_RELASZ, DT_RELR, DT_STRSZ, DT_STRTAB, DT_SYMENT, DT_SYMTAB,
    DynamicEntry, PT_DYNAMIC, ProgramHeader, Relocation, SymbolEntry,
};
use super::hash::HashTable;
use super::layout::Layout;
use super::symbols::MAX_SYMBOLS;

/// The entries of the dynamic section, without the end mark.
#[derive(Debug)]
pub(super) struct Dynamic<'l, 'a> {
    layout: &'l Layout<'a>,
    entries: &'a [DynamicEntry],
}

impl<'l, 'a> Dynamic<'l, 'a> {
    pub(super) fn parse(
        layout: &'l Layout<'a>,
        headers: &[ProgramHeader],
    ) -> Result<Self, ElfError> {
        let header = headers
            .iter()
            .find(|header| header.kind.get() == PT_DYNAMIC)
            .ok_or(ElfError::NoDynamicSection)?;
        let (address, size) = (header.address.get(), header.memory_size.get());
        if address & 7 != 0 || size & 15 != 0 {
            return Err(ElfError::DynamicSectionMisaligned { address, size });
        }
        let outside = ElfError::TableOutside { table: Table::Dynamic, address, size };
        let bytes = layout.contents(address, size).ok_or(outside)?;
        let entries = array::<DynamicEntry>(bytes, Table::Dynamic)?;
        let end = entries
            .iter()
            .position(|entry| entry.tag.get() == DT_NULL)
            .ok_or(ElfError::DynamicSectionUnterminated)?;
        Ok(Self { layout, entries: entries.get(..end).unwrap_or_default() })
    }

    /// Refuses what a module may not ask for.
    pub(super) fn refuse_unsupported(&self, strings: Strings<'_>) -> Result<(), ElfError> {
        for entry in self.entries {
            let value = entry.value.get();
            match entry.tag.get() {
                DT_NEEDED | DT_AUXILIARY | DT_FILTER => {
                    let library = strings.get(value).unwrap_or("a library without a name");
                    return Err(ElfError::NeedsLibrary { name: name(library) });
                }
                DT_REL => return Err(ElfError::RelocationFormat { tag: "DT_REL" }),
                DT_RELR => return Err(ElfError::RelocationFormat { tag: "DT_RELR" }),
                tag if value != 0 => {
                    if let Some(tag) = constructor(tag) {
                        return Err(ElfError::Constructors { tag });
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The string table: empty if there is none.
    pub(super) fn strings(&self) -> Result<Strings<'a>, ElfError> {
        let bytes = self.table(Table::Strings, DT_STRTAB, DT_STRSZ)?;
        match bytes.last() {
            None | Some(0) => Ok(Strings(bytes)),
            Some(_) => Err(ElfError::StringTableUnterminated),
        }
    }

    /// The symbol table and the hash table over it: empty if there is none.
    pub(super) fn symbols(&self) -> Result<(&'a [SymbolEntry], Option<HashTable<'a>>), ElfError> {
        let Some(address) = self.value(DT_SYMTAB) else {
            return Ok((&[], None));
        };
        self.check_entry_size::<SymbolEntry>(Table::Symbols, DT_SYMENT)?;
        let hash = self.hash()?;
        let count = hash.symbol_count();
        if count > MAX_SYMBOLS {
            return Err(ElfError::TooManySymbols { count });
        }
        let size = count.saturating_mul(size_of::<SymbolEntry>()) as u64;
        let outside = ElfError::TableOutside { table: Table::Symbols, address, size };
        let bytes = self.layout.contents(address, size).ok_or(outside)?;
        Ok((array(bytes, Table::Symbols)?, Some(hash)))
    }

    fn hash(&self) -> Result<HashTable<'a>, ElfError> {
        type Reader<'a> = fn(&'a [u8]) -> Option<HashTable<'a>>;
        let readers: [(u64, Table, Reader<'a>); 2] = [
            (DT_HASH, Table::Hash, HashTable::system_v),
            (DT_GNU_HASH, Table::GnuHash, HashTable::gnu),
        ];
        for (tag, table, read) in readers {
            if let Some(address) = self.value(tag) {
                return self
                    .layout
                    .contents_from(address)
                    .and_then(read)
                    .ok_or(ElfError::HashTableOutside { table, address });
            }
        }
        Err(ElfError::NoHashTable)
    }

    /// The relocation tables `DT_RELA` and `DT_JMPREL`: empty where there is none.
    pub(super) fn relocations(&self) -> Result<[&'a [Relocation]; 2], ElfError> {
        let general = self.table(Table::Relocations, DT_RELA, DT_RELASZ)?;
        let plt = self.table(Table::PltRelocations, DT_JMPREL, DT_PLTRELSZ)?;
        if self.value(DT_RELA).is_some() {
            self.check_entry_size::<Relocation>(Table::Relocations, DT_RELAENT)?;
        }
        if self.value(DT_JMPREL).is_some() && self.value(DT_PLTREL) != Some(DT_RELA) {
            return Err(ElfError::RelocationFormat { tag: "DT_PLTREL" });
        }
        Ok([array(general, Table::Relocations)?, array(plt, Table::PltRelocations)?])
    }

    /// The value of the first entry with a tag.
    fn value(&self, tag: u64) -> Option<u64> {
        self.entries.iter().find(|entry| entry.tag.get() == tag).map(|entry| entry.value.get())
    }

    /// The bytes of a table whose address and size two entries give: none if it has no address.
    fn table(&self, table: Table, address: u64, size: u64) -> Result<&'a [u8], ElfError> {
        let Some(address) = self.value(address) else {
            return Ok(&[]);
        };
        let size = self.value(size).ok_or(ElfError::TableWithoutSize { table })?;
        self.layout.contents(address, size).ok_or(ElfError::TableOutside { table, address, size })
    }

    /// Makes sure that a table's entries have the size of `T`.
    fn check_entry_size<T>(&self, table: Table, tag: u64) -> Result<(), ElfError> {
        let expected = size_of::<T>();
        match self.value(tag) {
            Some(size) if size == expected as u64 => Ok(()),
            size => Err(ElfError::EntrySize { table, size: size.unwrap_or(0), expected }),
        }
    }
}

/// The name of a tag that stands for code to be run at load or unload time.
fn constructor(tag: u64) -> Option<&'static str> {
    match tag {
        DT_INIT => Some("DT_INIT"),
        DT_FINI => Some("DT_FINI"),
        DT_INIT_ARRAYSZ => Some("DT_INIT_ARRAY"),
        DT_FINI_ARRAYSZ => Some("DT_FINI_ARRAY"),
        DT_PREINIT_ARRAYSZ => Some("DT_PREINIT_ARRAY"),
        _ => None,
    }
}

/// Views bytes as a table of whole entries.
fn array<T>(bytes: &[u8], table: Table) -> Result<&[T], ElfError>
where
    T: FromBytes + Immutable + Unaligned,
{
    <[T]>::ref_from_bytes(bytes).map_err(|_| ElfError::TableSize {
        table,
        size: bytes.len(),
        entry: size_of::<T>(),
    })
}

/// The longest name. Without a limit, many symbols that share one long string would take ages.
const MAX_NAME_SIZE: usize = 1024;

/// The string table: empty, or its last byte is NUL.
#[derive(Clone, Copy, Debug)]
pub(super) struct Strings<'a>(&'a [u8]);

impl<'a> Strings<'a> {
    /// The string at an offset, if it is one.
    pub(super) fn get(self, offset: u64) -> Option<&'a str> {
        let tail = self.0.get(usize::try_from(offset).ok()?..)?;
        let end = tail.iter().take(MAX_NAME_SIZE).position(|&byte| byte == 0)?;
        str::from_utf8(tail.get(..end)?).ok()
    }
}
