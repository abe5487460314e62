//! [`Ranges`]: which parts of a linear space are free.
//!
//! First or last fit over a map of the free ranges, neighbours joined. Invariant: no two free ranges
//! touch.

use std::collections::BTreeMap;

/// The free ranges of a space.
#[derive(Debug)]
pub(crate) struct Ranges {
    /// Start to end, exclusive.
    free: BTreeMap<u64, u64>,
}

impl Ranges {
    pub(crate) fn new(start: u64, end: u64) -> Self {
        Self { free: BTreeMap::from([(start, end)]) }
    }

    /// Takes the first free range of `length`; `None` if there is none.
    pub(crate) fn take(&mut self, length: u64) -> Option<u64> {
        let (&start, &end) = self.free.iter().find(|(start, end)| *end - *start >= length)?;
        self.free.remove(&start);
        if end - start > length {
            self.free.insert(start + length, end);
        }
        Some(start)
    }

    /// Takes the end of the last free range that has `length`; `None` if there is none.
    pub(crate) fn take_last(&mut self, length: u64) -> Option<u64> {
        let mut free = self.free.iter_mut().rev();
        let (&start, end) = free.find(|(start, end)| **end - **start >= length)?;
        *end -= length;
        let taken = *end;
        if taken == start {
            self.free.remove(&start);
        }
        Some(taken)
    }

    /// Gives a range back that was taken.
    pub(crate) fn give_back(&mut self, start: u64, length: u64) {
        let (mut start, mut end) = (start, start + length);
        if let Some((&before, &before_end)) = self.free.range(..start).next_back()
            && before_end == start
        {
            self.free.remove(&before);
            start = before;
        }
        if let Some(after_end) = self.free.remove(&end) {
            end = after_end;
        }
        self.free.insert(start, end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn freed_neighbours_join_again() {
        let mut ranges = Ranges::new(0, 100);
        let taken: Vec<_> = (0..10).map(|_| ranges.take(10).unwrap()).collect();
        assert_eq!(ranges.take(1), None);
        for start in taken.iter().step_by(2).chain(taken.iter().skip(1).step_by(2)) {
            ranges.give_back(*start, 10);
        }
        assert_eq!(ranges.take(100), Some(0));
    }

    #[test]
    fn first_fit_skips_what_is_too_small() {
        let mut ranges = Ranges::new(0, 100);
        let first = ranges.take(10).unwrap();
        ranges.take(10).unwrap();
        ranges.give_back(first, 10);
        assert_eq!(ranges.take(20), Some(20));
        assert_eq!(ranges.take(10), Some(0));
    }

    #[test]
    fn last_fit_comes_from_the_end_and_joins_again() {
        let mut ranges = Ranges::new(0, 100);
        assert_eq!([10, 20, 70].map(|length| ranges.take_last(length)), [90, 70, 0].map(Some));
        assert_eq!(ranges.take_last(1), None);
        for (start, length) in [(70, 20), (0, 70), (90, 10)] {
            ranges.give_back(start, length);
        }
        assert_eq!(ranges.take(100), Some(0));
    }
}
