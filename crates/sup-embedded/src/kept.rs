//! Mappings that stay what they were made whatever is locked and unlocked over them.
//!
//! A process may lock a part of a block, or unmap memory that it has locked, and get a block in the same
//! place. Unlocking knows addresses alone: without this list it would unlock the block's pages, and let
//! children inherit them.
//!
//! Timeline: a mapping is made, noted here, and only then advised and locked; what an unlock does before it
//! is noted is undone by that, and afterwards an unlock leaves it out. Lock order: that of
//! `locked.rs`, then this one. Invariant: noted ranges are mapped, and do not overlap.
//!
//! In a forked child nobody may be left to give the lock back. The child has no driver, but may have
//! pages: it goes on without notes after [`PATIENCE`].

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use parking_lot::Mutex;

/// What an unlock has to leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Memory of the process alone: no child gets it.
    FromChildren,
    /// Memory of the driver: no child gets it, and it stays locked.
    Everything,
}

/// End and kind of each range, by its start.
static KEPT: Mutex<BTreeMap<u64, (u64, Keep)>> = Mutex::new(BTreeMap::new());

/// Far longer than anybody who is there has the lock.
const PATIENCE: Duration = Duration::from_secs(1);

/// Notes a mapping that was just made.
pub fn note(range: Range<u64>, keep: Keep) {
    if let Some(mut kept) = KEPT.try_lock_for(PATIENCE) {
        kept.insert(range.start, (range.end, keep));
    }
}

/// Forgets a mapping that is about to go.
pub fn forget(start: u64) {
    if let Some(mut kept) = KEPT.try_lock_for(PATIENCE) {
        kept.remove(&start);
    }
}

/// Calls `change` with each part of a range and what is to be kept there, while nothing is noted.
pub(crate) fn for_parts(range: &Range<u64>, mut change: impl FnMut(&Range<u64>, Option<Keep>)) {
    let kept = KEPT.lock();
    let before = kept.range(..range.start).next_back().filter(|(_, (end, _))| *end > range.start);
    let mut next = range.start;
    for (start, (end, keep)) in before.into_iter().chain(kept.range(range.clone())) {
        let part = (*start).max(range.start)..(*end).min(range.end);
        if next < part.start {
            change(&(next..part.start), None);
        }
        next = part.end;
        change(&part, Some(*keep));
    }
    if next < range.end {
        change(&(next..range.end), None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_falls_into_what_is_kept_and_what_is_not() {
        // Where no mapping of a process is.
        const BASE: u64 = 1 << 60;
        let at = |start: u64, end: u64| BASE + start..BASE + end;
        note(at(10, 20), Keep::Everything);
        note(at(20, 25), Keep::FromChildren);
        note(at(40, 50), Keep::Everything);
        let parts = |range: Range<u64>| {
            let mut parts = Vec::new();
            for_parts(&range, |part, keep| parts.push((part.start - BASE, part.end - BASE, keep)));
            parts
        };
        let (all, children) = (Some(Keep::Everything), Some(Keep::FromChildren));
        assert_eq!(
            parts(at(5, 45)),
            [(5, 10, None), (10, 20, all), (20, 25, children), (25, 40, None), (40, 45, all)]
        );
        assert_eq!(parts(at(12, 18)), [(12, 18, all)]);
        assert_eq!(parts(at(25, 40)), [(25, 40, None)]);
        for start in [10, 20, 40] {
            forget(BASE + start);
        }
        assert_eq!(parts(at(5, 45)), [(5, 45, None)]);
    }
}
