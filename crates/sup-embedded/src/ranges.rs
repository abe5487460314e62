//! [`Ranges`]: which parts of a linear space are free.
//!
//! First or last fit over a map of the free ranges, neighbours joined. Invariant: no two free ranges
//! touch.

use std::collections::BTreeMap;
use std::ops::Range;

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

    /// Takes the first free range of `length` that starts at a multiple of `alignment`; `None` if there
    /// is none.
    pub(crate) fn take(&mut self, length: u64, alignment: u64) -> Option<u64> {
        let (range, taken) = self.free.iter().find_map(|(&start, &end)| {
            let taken = start.next_multiple_of(alignment);
            (taken < end && end - taken >= length).then_some((start..end, taken))
        })?;
        self.cut(range, taken..taken + length);
        Some(taken)
    }

    /// Takes as much of the end of the last free range that has `length` at a multiple of `alignment`;
    /// `None` if there is none.
    pub(crate) fn take_last(&mut self, length: u64, alignment: u64) -> Option<u64> {
        let (range, taken) = self.free.iter().rev().find_map(|(&start, &end)| {
            let taken = end.checked_sub(length)? / alignment * alignment;
            (taken >= start).then_some((start..end, taken))
        })?;
        self.cut(range, taken..taken + length);
        Some(taken)
    }

    /// Takes a part out of a free range.
    fn cut(&mut self, range: Range<u64>, taken: Range<u64>) {
        if taken.start == range.start {
            self.free.remove(&range.start);
        } else {
            self.free.insert(range.start, taken.start);
        }
        if taken.end < range.end {
            self.free.insert(taken.end, range.end);
        }
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
        let taken: Vec<_> = (0..10).map(|_| ranges.take(10, 1).unwrap()).collect();
        assert_eq!(ranges.take(1, 1), None);
        for start in taken.iter().step_by(2).chain(taken.iter().skip(1).step_by(2)) {
            ranges.give_back(*start, 10);
        }
        assert_eq!(ranges.take(100, 1), Some(0));
    }

    #[test]
    fn first_fit_skips_what_is_too_small() {
        let mut ranges = Ranges::new(0, 100);
        let first = ranges.take(10, 1).unwrap();
        ranges.take(10, 1).unwrap();
        ranges.give_back(first, 10);
        assert_eq!(ranges.take(20, 1), Some(20));
        assert_eq!(ranges.take(10, 1), Some(0));
    }

    #[test]
    fn last_fit_comes_from_the_end_and_joins_again() {
        let mut ranges = Ranges::new(0, 100);
        assert_eq!([10, 20, 70].map(|length| ranges.take_last(length, 1)), [90, 70, 0].map(Some));
        assert_eq!(ranges.take_last(1, 1), None);
        for (start, length) in [(70, 20), (0, 70), (90, 10)] {
            ranges.give_back(start, length);
        }
        assert_eq!(ranges.take(100, 1), Some(0));
    }

    #[test]
    fn what_is_taken_lies_where_it_was_asked_for() {
        let mut ranges = Ranges::new(3, 100);
        assert_eq!(ranges.take(16, 16), Some(16));
        assert_eq!(ranges.take(13, 1), Some(3));
        assert_eq!(ranges.take_last(10, 16), Some(80));
        assert_eq!(ranges.take_last(20, 16), Some(48));
        assert_eq!(ranges.take_last(90, 16), None);
        assert_eq!(ranges.take(40, 32), None);
        for (start, length) in [(16, 16), (48, 20), (80, 10), (3, 13)] {
            ranges.give_back(start, length);
        }
        assert_eq!(ranges.take(97, 1), Some(3));
    }
}
