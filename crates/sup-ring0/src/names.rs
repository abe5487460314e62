//! [`Names`]: the symbols that an image exports, found by their names.
//!
//! Names are put into buckets by their hash, one bucket behind the other in one array; as many buckets as
//! names, so that a bucket has about one. Making the table takes a time that grows with the number of
//! names alone, and so does the worst look-up, in a table of names that were chosen to share a bucket: the
//! names come from a file, and there is no sorting that they could make slow.
//!
//! Neighbours: `mapper` fills it. Invariant: of names that are there twice the first is found.

use core::ops::Range;

use sup_alloc::{OutOfMemory, Vec};

/// A name and what it stands for.
#[derive(Debug, Clone, Copy, Default)]
struct Named {
    hash: u32,
    /// Where its bytes begin, and how many there are.
    start: u32,
    length: u32,
    offset: u64,
}

/// Image offsets by name.
#[derive(Debug)]
pub(crate) struct Names {
    bytes: Vec<u8>,
    /// Of a hash, what tells the bucket: there is a power of two of them.
    mask: usize,
    /// Where each bucket begins in `named`, and the end of the last.
    starts: Vec<u32>,
    named: Vec<Named>,
}

impl Names {
    /// A table of what `symbols` gives, which has to be the same both times.
    ///
    /// # Errors
    /// [`OutOfMemory`].
    #[inline(never)]
    pub(crate) fn of<'a, I>(symbols: impl Fn() -> I) -> Result<Self, OutOfMemory>
    where
        I: Iterator<Item = (&'a str, u64)>,
    {
        let (count, bytes) = symbols().fold((0_usize, 0_usize), |(count, bytes), (name, _)| {
            (count.saturating_add(1), bytes.saturating_add(name.len()))
        });
        let buckets = count.next_power_of_two();
        let mut names = Self {
            bytes: Vec::try_with_capacity(bytes)?,
            mask: buckets.saturating_sub(1),
            starts: Vec::new(),
            named: Vec::new(),
        };
        names.starts.try_resize(buckets.saturating_add(2), 0_u32)?;
        names.named.try_resize(count, Named::default())?;

        // How many each bucket has, two places behind its own. Summed up, that tells one place behind it
        // where the bucket begins. Filling it moves that to its end, which is where the next one begins.
        for (name, _) in symbols() {
            if let Some(count) = names.place_behind(hash(name), 2) {
                *count = count.saturating_add(1);
            }
        }
        let mut sum = 0_u32;
        for start in names.starts.iter_mut() {
            sum = sum.saturating_add(*start);
            *start = sum;
        }
        for (name, offset) in symbols() {
            let hash = hash(name);
            let start = u32::try_from(names.bytes.len()).map_err(|_| OutOfMemory)?;
            let length = u32::try_from(name.len()).map_err(|_| OutOfMemory)?;
            names.bytes.try_extend_from_slice(name.as_bytes())?;
            let Some(free) = names.place_behind(hash, 1) else { continue };
            let index = *free as usize;
            *free = free.saturating_add(1);
            if let Some(place) = names.named.get_mut(index) {
                *place = Named { hash, start, length, offset };
            }
        }
        Ok(names)
    }

    /// What a name stands for.
    pub(crate) fn find(&self, name: &str) -> Option<u64> {
        let hash = hash(name);
        let bucket = self.named.get(self.range(hash))?;
        let is_it = |named: &&Named| {
            let start = named.start as usize;
            let bytes = start..start.saturating_add(named.length as usize);
            named.hash == hash && self.bytes.get(bytes) == Some(name.as_bytes())
        };
        bucket.iter().find(is_it).map(|named| named.offset)
    }

    /// Number of names.
    pub(crate) fn len(&self) -> usize {
        self.named.len()
    }

    fn bucket(&self, hash: u32) -> usize {
        hash as usize & self.mask
    }

    /// The place so far behind that of a hash's bucket.
    fn place_behind(&mut self, hash: u32, distance: usize) -> Option<&mut u32> {
        let place = self.bucket(hash).saturating_add(distance);
        self.starts.get_mut(place)
    }

    /// The names in the bucket of a hash.
    fn range(&self, hash: u32) -> Range<usize> {
        let at = |index: usize| self.starts.get(index).map_or(0, |start| *start as usize);
        let bucket = self.bucket(hash);
        at(bucket)..at(bucket.saturating_add(1))
    }
}

/// A hash of a name, eight bytes at a time.
fn hash(name: &str) -> u32 {
    // That of the golden ratio: odd, and its bits look like none other's.
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |hash: u64, word: [u8; 8]| {
        let product = (hash ^ u64::from_le_bytes(word)).wrapping_mul(FACTOR);
        product ^ product >> 32
    };
    let (words, rest) = name.as_bytes().as_chunks::<8>();
    let mut last = [0; 8];
    last.iter_mut().zip(rest).for_each(|(place, byte)| *place = *byte);
    let hash = mix(words.iter().fold(FACTOR, |hash, word| mix(hash, *word)), last);
    (hash >> 16) as u32
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::format;
    use std::string::String;
    use std::time::{Duration, Instant};
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    fn table(symbols: &[(String, u64)]) -> Names {
        Names::of(|| symbols.iter().map(|(name, offset)| (name.as_str(), *offset))).unwrap()
    }

    proptest! {
        #[test]
        fn the_first_of_a_name_is_found_and_no_other(
            symbols in prop::collection::vec(("[ab]{0,10}", any::<u64>()), 0..60),
            others in prop::collection::vec("[abc]{0,10}", 0..20),
        ) {
            let names = table(&symbols);
            prop_assert_eq!(names.len(), symbols.len());
            let mut expected = HashMap::new();
            for (name, offset) in &symbols {
                expected.entry(name.as_str()).or_insert(*offset);
            }
            let all = symbols.iter().map(|(name, _)| name).chain(&others);
            for name in all {
                prop_assert_eq!(names.find(name), expected.get(name.as_str()).copied(), "{}", name);
            }
        }
    }

    #[test]
    fn nothing_is_found_where_nothing_is() {
        assert_eq!(table(&[]).find(""), None);
        assert_eq!(table(&[]).find("a"), None);
    }

    /// Names that share a bucket take no longer to put there.
    #[test]
    fn names_that_were_chosen_to_collide_are_put_away_in_time() {
        const COUNT: usize = 16_384;
        let same = |index: u64| (format!("twice{index}"), index);
        let twice: Vec<_> = (0..COUNT as u64).map(|index| same(index / (COUNT as u64))).collect();
        let start = Instant::now();
        let names = table(&twice);
        assert!(start.elapsed() < Duration::from_millis(100), "{:?}", start.elapsed());
        assert_eq!(names.find("twice0"), Some(0));
    }
}
