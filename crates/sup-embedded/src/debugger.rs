//! [`Registration`]: a module image that debuggers see, by the interface for code made at run time.
//!
//! gdb and lldb stop at [`__jit_debug_register_code`] and read [`__jit_debug_descriptor`]: a list of
//! object files in memory, whose addresses are those of the process. So a copy of the module's file is
//! kept, but for its code, with the addresses of its sections and symbols moved to where the image is. Lines and types
//! (`.debug_*`) hold addresses too; the linker tells where if it was asked to keep its relocations
//! (`--emit-relocs`, as `supctl module build` does). Without them they are left out, and names remain.
//!
//! Neighbours: `crash` holds the registration, and asks it for functions. Invariant: an entry of the list is
//! whole, and goes before the image that it describes.

use std::ffi::CStr;
use std::ptr;

use parking_lot::Mutex;
use sup_ring0::crash::Function;

/// Corresponds to `struct jit_code_entry` of gdb's manual.
#[repr(C)]
#[derive(Debug)]
struct Entry {
    next: *mut Entry,
    previous: *mut Entry,
    file: *const u8,
    file_bytes: u64,
}

/// Corresponds to `struct jit_descriptor` of gdb's manual.
#[repr(C)]
#[derive(Debug)]
struct Descriptor {
    version: u32,
    action: u32,
    relevant: *mut Entry,
    first: *mut Entry,
}

// SAFETY: the entries are reached only under `LOCK`, but by a debugger, which has stopped everything.
unsafe impl Sync for Descriptor {}

const ACTION_NONE: u32 = 0;
const ACTION_REGISTER: u32 = 1;
const ACTION_UNREGISTER: u32 = 2;

/// What a debugger reads. The name is the interface's.
#[unsafe(no_mangle)]
static mut __jit_debug_descriptor: Descriptor = Descriptor {
    version: 1,
    action: ACTION_NONE,
    relevant: ptr::null_mut(),
    first: ptr::null_mut(),
};

/// Where a debugger stops. The name is the interface's.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn __jit_debug_register_code() {
    // SAFETY: no instruction; it keeps the call from being optimised away.
    unsafe { std::arch::asm!("", options(nostack, preserves_flags)) };
}

/// Guards the descriptor and its list.
static LOCK: Mutex<()> = Mutex::new(());

/// A file that debuggers know of. Dropping it makes them forget.
#[derive(Debug)]
pub(crate) struct Registration {
    entry: *mut Entry,
    /// What the entry points to.
    file: Box<[u8]>,
}

// SAFETY: the entry is this registration's own, and reached only under `LOCK`.
unsafe impl Send for Registration {}
// SAFETY: a shared registration gives nothing out.
unsafe impl Sync for Registration {}

impl Registration {
    /// Shows `file`, which is mapped at `base`, to debuggers. `None` if it has no sections to show.
    pub(crate) fn new(file: &[u8], base: u64) -> Option<Self> {
        let file = relocated(file, base)?.into_boxed_slice();
        let entry = Box::into_raw(Box::new(Entry {
            next: ptr::null_mut(),
            previous: ptr::null_mut(),
            file: file.as_ptr(),
            file_bytes: file.len() as u64,
        }));
        let _guard = LOCK.lock();
        let list = &raw mut __jit_debug_descriptor;
        // SAFETY: the lock is held, so that this is the only reference to the descriptor.
        let list = unsafe { &mut *list };
        // SAFETY: the entry was just made, and nobody else knows it.
        let new = unsafe { &mut *entry };
        new.next = list.first;
        // SAFETY: the lock is held, and an entry in the list lives until it is taken out.
        if let Some(next) = unsafe { list.first.as_mut() } {
            next.previous = entry;
        }
        list.first = entry;
        list.tell(ACTION_REGISTER, entry);
        Some(Self { entry, file })
    }

    /// The function in which an address of the process lies, if the file still has its symbols. May be
    /// called in a signal handler: it only reads.
    pub(crate) fn function_at(&self, address: u64) -> Option<Function<'_>> {
        let file = &*self.file;
        let count = number(file, 60, 2)? as usize;
        let table = |kind| {
            (0..count.min(MAX_SECTIONS))
                .filter_map(|index| section(file, index))
                .find(|section| section.kind == kind)
        };
        let symbols = table(SHT_SYMTAB).or_else(|| table(SHT_DYNSYM))?;
        let names = usize::try_from(section(file, symbols.link as usize)?.offset).ok()?;
        entries(&symbols, 24)?.find_map(|place| {
            let start = number(file, place + 8, 8)?;
            let offset = address.checked_sub(start)?;
            let is_function = file.get(place + 4)? & 0xf == STT_FUNC;
            if !is_function || offset >= number(file, place + 16, 8)? {
                return None;
            }
            let name = names.checked_add(number(file, place, 4)? as usize)?;
            let name = CStr::from_bytes_until_nul(file.get(name..)?).ok()?.to_bytes();
            Some(Function { name, offset })
        })
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let _guard = LOCK.lock();
        let list = &raw mut __jit_debug_descriptor;
        // SAFETY: the lock is held, so that this is the only reference to the descriptor.
        let list = unsafe { &mut *list };
        // SAFETY: `new` made it with a box, and this is its only owner.
        let entry = unsafe { Box::from_raw(self.entry) };
        // SAFETY: the lock is held, and an entry in the list lives until it is taken out.
        match unsafe { entry.previous.as_mut() } {
            Some(previous) => previous.next = entry.next,
            None => list.first = entry.next,
        }
        // SAFETY: as for the one before: the lock is held and the neighbour is in the list.
        if let Some(next) = unsafe { entry.next.as_mut() } {
            next.previous = entry.previous;
        }
        list.tell(ACTION_UNREGISTER, self.entry);
    }
}

impl Descriptor {
    /// Lets a debugger look.
    fn tell(&mut self, action: u32, entry: *mut Entry) {
        self.action = action;
        self.relevant = entry;
        __jit_debug_register_code();
        self.action = ACTION_NONE;
        self.relevant = ptr::null_mut();
    }
}

const SHT_PROGBITS: u64 = 1;
const SHT_NOBITS: u32 = 8;
const SHT_SYMTAB: u64 = 2;
const SHT_RELA: u64 = 4;
const SHT_DYNSYM: u64 = 11;
const SHF_ALLOC: u64 = 2;
const SHF_EXECINSTR: u64 = 4;
const STT_FUNC: u8 = 2;
const R_X86_64_64: u64 = 1;

/// A section header, as far as it matters here, and where it is in the file.
#[derive(Clone, Copy)]
struct Section {
    place: usize,
    name: u64,
    kind: u64,
    flags: u64,
    address: u64,
    offset: u64,
    bytes: u64,
    link: u64,
    info: u64,
}

/// A copy of an ELF file with its addresses moved up by `base`.
fn relocated(file: &[u8], base: u64) -> Option<Vec<u8>> {
    let sections = sections(file)?;
    let names = *sections.get(number(file, 62, 2)? as usize)?;
    let is_debug = |section: &Section| {
        let start = usize::try_from(names.offset.checked_add(section.name)?).ok()?;
        let name = CStr::from_bytes_until_nul(file.get(start..)?).ok()?;
        Some(name.to_bytes().starts_with(b".debug_"))
    };
    let mut copy = without_code(file, &sections)?;
    move_segments(&mut copy, base)?;
    let mut has_debug_relocations = false;
    for section in &sections {
        match section.kind {
            SHT_SYMTAB | SHT_DYNSYM => move_symbols(&mut copy, section, base)?,
            SHT_RELA if section.flags & SHF_ALLOC == 0 => {
                let target = sections.get(section.info as usize)?;
                if is_debug(target)? {
                    has_debug_relocations = true;
                    let symbols = sections.get(section.link as usize)?;
                    move_debug(file, &mut copy, &sections, [section, target, symbols], base)?;
                }
            }
            _ => {}
        }
        if section.flags & SHF_ALLOC != 0 {
            put(&mut copy, section.place + 16, section.address.wrapping_add(base))?;
        }
    }
    if !has_debug_relocations {
        for section in sections.iter().filter(|section| is_debug(section) == Some(true)) {
            put(&mut copy, section.place + 32, 0)?;
        }
    }
    Some(copy)
}

/// A copy of a file but for its code, which debuggers read where it runs.
fn without_code(file: &[u8], sections: &[Section]) -> Option<Vec<u8>> {
    let mut copy = vec![0; file.len()];
    let mut keep = 0;
    let mut codes: Vec<&Section> =
        sections.iter().filter(|section| section.flags & SHF_EXECINSTR != 0).collect();
    codes.sort_by_key(|section| section.offset);
    for section in codes.iter().filter(|section| section.kind == SHT_PROGBITS) {
        let start = usize::try_from(section.offset).ok()?;
        let end = start.checked_add(usize::try_from(section.bytes).ok()?)?;
        // Sections that overlap, or leave the file, are none of a linker's.
        copy.get_mut(keep..start)?.copy_from_slice(file.get(keep..start)?);
        keep = end;
    }
    copy.get_mut(keep..)?.copy_from_slice(file.get(keep..)?);
    for section in codes {
        copy.get_mut(section.place + 4..section.place + 8)?
            .copy_from_slice(&SHT_NOBITS.to_le_bytes());
    }
    Some(copy)
}

/// Files with more sections than linkers make are not shown: each may be a table as long as the file.
const MAX_SECTIONS: usize = 128;

/// The section headers. The driver checked the file, but not these, which it has no use for.
fn sections(file: &[u8]) -> Option<Vec<Section>> {
    let count = number(file, 60, 2)? as usize;
    if count > MAX_SECTIONS {
        return None;
    }
    (0..count).map(|index| section(file, index)).collect()
}

fn section(file: &[u8], index: usize) -> Option<Section> {
    let start = usize::try_from(number(file, 40, 8)?).ok()?;
    let place = start.checked_add(index * number(file, 58, 2)? as usize)?;
    let field = |offset, bytes| number(file, place.checked_add(offset)?, bytes);
    Some(Section {
        place,
        name: field(0, 4)?,
        kind: field(4, 4)?,
        flags: field(8, 8)?,
        address: field(16, 8)?,
        offset: field(24, 8)?,
        bytes: field(32, 8)?,
        link: field(40, 4)?,
        info: field(44, 4)?,
    })
}

/// Moves the addresses of the program headers. The driver checked that they lie in the file.
fn move_segments(copy: &mut [u8], base: u64) -> Option<()> {
    let start = usize::try_from(number(copy, 32, 8)?).ok()?;
    for index in 0..number(copy, 56, 2)? as usize {
        let place = start.checked_add(index * 56)?;
        for address in [place.checked_add(16)?, place.checked_add(24)?] {
            put(copy, address, number(copy, address, 8)?.wrapping_add(base))?;
        }
    }
    Some(())
}

/// Where the entries of a table are, each `size` bytes.
fn entries(section: &Section, size: usize) -> Option<impl Iterator<Item = usize> + use<>> {
    let start = usize::try_from(section.offset).ok()?;
    let end = start.checked_add(usize::try_from(section.bytes).ok()?)?;
    Some((start..end.saturating_sub(size - 1)).step_by(size))
}

/// Sections with numbers from here on are none; 0 is an undefined symbol.
const SPECIAL_SECTIONS: u64 = 0xff00;

fn move_symbols(copy: &mut [u8], section: &Section, base: u64) -> Option<()> {
    for place in entries(section, 24)? {
        if (1..SPECIAL_SECTIONS).contains(&number(copy, place + 6, 2)?) {
            let value = number(copy, place + 8, 8)?;
            put(copy, place + 8, value.wrapping_add(base))?;
        }
    }
    Some(())
}

/// Moves the addresses in a `.debug_*` section to which the linker's relocations lead.
fn move_debug(
    file: &[u8],
    copy: &mut [u8],
    sections: &[Section],
    [relocations, target, symbols]: [&Section; 3],
    base: u64,
) -> Option<()> {
    for place in entries(relocations, 24)? {
        let information = number(file, place + 8, 8)?;
        if information & 0xffff_ffff != R_X86_64_64 {
            continue;
        }
        let symbol = symbols.offset.checked_add((information >> 32) * 24)?;
        let home = number(file, usize::try_from(symbol).ok()?.checked_add(6)?, 2)?;
        let is_mapped = sections.get(home as usize).is_some_and(|home| home.flags & SHF_ALLOC != 0);
        if is_mapped {
            let word = target.offset.checked_add(number(file, place, 8)?)?;
            let word = usize::try_from(word).ok()?;
            put(copy, word, number(copy, word, 8)?.wrapping_add(base))?;
        }
    }
    Some(())
}

/// A little-endian number of two, four or eight bytes.
#[inline]
fn number(file: &[u8], offset: usize, bytes: usize) -> Option<u64> {
    let field = file.get(offset..)?;
    Some(match bytes {
        2 => u16::from_le_bytes(*field.first_chunk()?).into(),
        4 => u32::from_le_bytes(*field.first_chunk()?).into(),
        _ => u64::from_le_bytes(*field.first_chunk()?),
    })
}

fn put(file: &mut [u8], offset: usize, value: u64) -> Option<()> {
    let field = file.get_mut(offset..offset.checked_add(8)?)?;
    field.copy_from_slice(&value.to_le_bytes());
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sup_modules::HELLO;

    use super::*;

    #[test]
    fn cannot_show_what_has_no_sections() {
        assert!(relocated(b"", 0).is_none());
        assert!(relocated(&[0; 64], 0x1000).is_none());
        assert!(relocated(&[0xff; 128], 0x1000).is_none());
    }

    #[test]
    fn symbols_and_sections_move_with_the_image() {
        const BASE: u64 = 0x7f00_0000_0000;
        let moved = relocated(HELLO.image, BASE).expect("hello has sections");
        let (before, after) = (sections(HELLO.image).unwrap(), sections(&moved).unwrap());
        assert_eq!(before.len(), after.len());
        for (old, new) in before.iter().zip(&after) {
            let is_mapped = old.flags & SHF_ALLOC != 0;
            assert_eq!(new.address, if is_mapped { old.address + BASE } else { old.address });
        }
    }

    proptest! {
        // The loader does not look at sections, so whatever they say has passed it.
        #[test]
        fn damage_to_a_file_is_survived(
            damage in prop::collection::vec((0..HELLO.image.len(), any::<u8>()), 1..20),
            headers in prop::collection::vec((0..64_usize, any::<u8>()), 0..4),
        ) {
            let mut file = HELLO.image.to_vec();
            let table = number(&file, 40, 8).unwrap() as usize;
            for (place, byte) in damage {
                file[place] = byte;
                // Most of a file is code: as much damage goes to the section headers.
                let in_table = table + place % (file.len() - table);
                file[in_table] = byte;
            }
            for (place, byte) in headers {
                file[place] = byte;
            }
            if let Some(copy) = relocated(&file, 0x7f00_0000_0000) {
                prop_assert_eq!(copy.len(), file.len());
            }
        }
    }
}
