//! The string table of a VTG object: [`name`] reads a name, [`Names`] checks all that records mention.
//!
//! Records may share names: half a million arguments of 4095 characters each fit into an object, and looking
//! at them all takes seconds, which a process would have the kernel spend. So the table is looked at once.
//! If all names in it are good, which is so in what compilers emit, none is looked at again. If one is bad
//! that perhaps nobody mentions, names are looked at as they are mentioned, up to a limit.
//!
//! Invariant: a name that passed ends inside its table; and checking an object takes a time that its size
//! bounds.

use sup_abi::Status;

/// A name and its NUL have at most so many bytes.
const STRING_BYTES_MAX: usize = 4096;

/// So many characters of mentioned names are looked at in a table that has bad ones: 16 of the largest tables.
const CHARACTERS_MAX: usize = 16 << 20;

/// The string table of an object that is being checked.
pub(super) struct Names<'a> {
    table: &'a [u8],
    /// Whether a name is good wherever it begins.
    are_all_good: bool,
    /// How many characters may still be looked at.
    characters_left: usize,
}

impl<'a> Names<'a> {
    pub(super) fn new(table: &'a [u8]) -> Self {
        let are_all_good = are_all_good(table);
        Self { table, are_all_good, characters_left: CHARACTERS_MAX }
    }

    /// Checks the name that begins at `offset`.
    ///
    /// # Errors
    /// Those of [`name`]; `VERR_SUPDRV_TRACER_TOO_LARGE` if too much was looked at.
    pub(super) fn check(&mut self, offset: u32) -> Result<(), Status> {
        if self.are_all_good && (offset as usize) < self.table.len() {
            return Ok(());
        }
        let name = name(self.table, offset)?;
        let left = self.characters_left.checked_sub(name.len());
        self.characters_left = left.ok_or(Status::VERR_SUPDRV_TRACER_TOO_LARGE)?;
        Ok(())
    }
}

/// Whether names are all that a table has, none is too long, and the last one ends.
fn are_all_good(table: &[u8]) -> bool {
    let mut characters = 0_usize;
    for byte in table {
        characters = match byte {
            0 => 0,
            _ => characters.saturating_add(1),
        };
        if *byte != 0 && !is_of_names(*byte) || characters >= STRING_BYTES_MAX {
            return false;
        }
    }
    characters == 0
}

/// The name that begins at `offset`.
///
/// # Errors
/// `VERR_SUPDRV_VTG_STRTAB_OFF` outside the table, `VERR_SUPDRV_VTG_BAD_STRING` for a character that
/// names do not have, `VERR_SUPDRV_VTG_STRING_TOO_LONG` if that many bytes, or the table, end before it.
/// (The original reads on behind the table. Such a name is longer than there is room for.)
pub(super) fn name(table: &[u8], offset: u32) -> Result<&str, Status> {
    let tail = table.get(offset as usize..).unwrap_or_default();
    if tail.is_empty() {
        return Err(Status::VERR_SUPDRV_VTG_STRTAB_OFF);
    }
    let tail = tail.get(..STRING_BYTES_MAX).unwrap_or(tail);
    // The first byte that no name has decides: it is the end, or wrong.
    let end = tail.iter().position(|byte| !is_of_names(*byte));
    match end.and_then(|end| tail.split_at_checked(end)) {
        Some((name, [0, ..])) => {
            str::from_utf8(name).map_err(|_| Status::VERR_SUPDRV_VTG_BAD_STRING)
        }
        Some(_) => Err(Status::VERR_SUPDRV_VTG_BAD_STRING),
        None => Err(Status::VERR_SUPDRV_VTG_STRING_TOO_LONG),
    }
}

const fn is_of_names(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b' ' | b'_' | b'-' | b'(' | b')' | b',' | b'*' | b'&')
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec;
    use std::vec::Vec;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// Names of all lengths around the limit, and here and there something bad.
    fn tables() -> impl Strategy<Value = Vec<u8>> {
        let name = prop_oneof![8 => 0..40_usize, 1 => 4093..4098_usize];
        let end = prop_oneof![40 => Just(0), 1 => Just(b'.'), 1 => Just(b'x')];
        let names = vec((name, end), 1..12);
        names.prop_map(|names| {
            let piece = |(length, end)| [vec![b'x'; length], vec![end]].concat();
            names.into_iter().flat_map(piece).collect()
        })
    }

    proptest! {
        #[test]
        fn looking_once_finds_what_looking_each_time_does(table in tables()) {
            let mut names = Names::new(&table);
            let offsets = 0..table.len() as u32 + 2;
            let mut is_good = true;
            for offset in offsets {
                let found = names.check(offset);
                prop_assert_eq!(found, name(&table, offset).map(drop));
                // Nobody else looks so often.
                names.characters_left = CHARACTERS_MAX;
                is_good &= found.is_ok() || offset as usize >= table.len();
            }
            prop_assert_eq!(names.are_all_good, is_good);
        }
    }

    #[test]
    fn a_table_with_a_bad_name_is_looked_at_up_to_a_limit() {
        let good = [vec![b'x'; 4095], vec![0]].concat();
        let bad = [&good[..], b"."].concat();
        let times = CHARACTERS_MAX / 4095;
        let (mut good, mut bad) = (Names::new(&good), Names::new(&bad));
        for _ in 0..times {
            assert_eq!((good.check(0), bad.check(0)), (Ok(()), Ok(())));
        }
        assert_eq!(good.check(0), Ok(()));
        assert_eq!(bad.check(0), Err(Status::VERR_SUPDRV_TRACER_TOO_LARGE));
    }
}
