//! [`Pair`]: two probes of which one begins what the other ends.
//!
//! Two probes of one provider are a pair if their names differ only in the last word, after a `-` or `_`:
//! `begin` and `end`, `entry` and `return`, `start` and `done`. The pair is called by what is before.
//!
//! Neighbours: `report.rs` measures pairs, the exports make slices of them. Invariant: a probe is in one pair at
//! most, and what is open is bounded by [`OPEN_MAX`].

use std::collections::{BTreeMap, HashMap};

use crate::event::Event;
use crate::header::Probe;

/// The last words of the names of the two.
const WORDS: [(&str, &str); 3] = [("begin", "end"), ("entry", "return"), ("start", "done")];

/// The most that is open at once; what begins beyond it is not noted.
const OPEN_MAX: usize = 1 << 16;

/// Which of the two a probe is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// It begins something.
    Begin,
    /// It ends that.
    End,
}

/// Two probes that belong together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pair {
    /// The provider of both.
    pub provider: String,
    /// What both are called, without the last word.
    pub name: String,
}

/// Which probes of a table are which side of which pair.
#[derive(Debug, Default)]
pub(crate) struct Pairs {
    pub(crate) pairs: Vec<Pair>,
    /// By the probe's number.
    pub(crate) sides: HashMap<u32, (usize, Side)>,
}

impl Pairs {
    /// The pairs of which both probes are in the table.
    pub(crate) fn of(probes: &BTreeMap<u32, Probe>) -> Self {
        // By name and words: the probes that begin, and those that end. A probe has a number for each place.
        let mut found: BTreeMap<(Pair, usize), [Vec<u32>; 2]> = BTreeMap::new();
        for (id, probe) in probes {
            for (index, (begin, end)) in WORDS.into_iter().enumerate() {
                for (side, word) in [begin, end].into_iter().enumerate() {
                    let name = probe.probe.strip_suffix(word);
                    let name = name.and_then(|name| name.strip_suffix(['-', '_']));
                    if let Some(name) = name.filter(|name| !name.is_empty()) {
                        let (provider, name) = (probe.provider.clone(), name.to_owned());
                        let sides = found.entry((Pair { provider, name }, index)).or_default();
                        sides[side].push(*id);
                    }
                }
            }
        }
        let mut all = Self::default();
        for ((pair, _), [begins, ends]) in found {
            if begins.is_empty() || ends.is_empty() {
                continue;
            }
            let number = all.pairs.len();
            all.pairs.push(pair);
            all.sides.extend(begins.into_iter().map(|id| (id, (number, Side::Begin))));
            all.sides.extend(ends.into_iter().map(|id| (id, (number, Side::End))));
        }
        all
    }
}

/// Who begins and ends: a thread, or a processor where nobody knows the thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Track {
    Thread(u64),
    Cpu(u16),
}

impl Track {
    pub(crate) fn of(event: &Event) -> Self {
        match event.who {
            0 => Self::Cpu(event.cpu),
            who => Self::Thread(who),
        }
    }
}

/// What is open, in the order in which it began. `K` says of what the order is: of a track for slices,
/// which have to be nested; of a pair on a track for times.
#[derive(Debug)]
pub(crate) struct Open<K, V> {
    stacks: HashMap<K, Vec<V>>,
    count: usize,
}

impl<K: std::hash::Hash + Eq, V> Open<K, V> {
    pub(crate) fn new() -> Self {
        Self { stacks: HashMap::new(), count: 0 }
    }

    /// Notes that something began; false if there is too much already.
    pub(crate) fn begin(&mut self, key: K, value: V) -> bool {
        if self.count >= OPEN_MAX {
            return false;
        }
        self.count += 1;
        self.stacks.entry(key).or_default().push(value);
        true
    }

    /// Takes the last one that began if it is the wanted one.
    pub(crate) fn end(&mut self, key: &K, is_wanted: impl FnOnce(&V) -> bool) -> Option<V> {
        let stack = self.stacks.get_mut(key)?;
        let value = stack.pop_if(|value| is_wanted(value))?;
        self.count -= 1;
        if stack.is_empty() && self.stacks.len() > OPEN_MAX {
            self.stacks.remove(key);
        }
        Some(value)
    }

    /// Forgets all, and says how much that was.
    pub(crate) fn clear(&mut self) -> usize {
        self.stacks.clear();
        std::mem::take(&mut self.count)
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.stacks.values().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(names: &[(&str, &str)]) -> BTreeMap<u32, Probe> {
        let probe = |id, (provider, probe): &(&str, &str)| Probe {
            id,
            provider: (*provider).into(),
            probe: (*probe).into(),
            ..Probe::default()
        };
        names.iter().zip(0..).map(|(names, id)| (id, probe(id, names))).collect()
    }

    #[test]
    fn names_that_differ_in_the_last_word_are_a_pair() {
        let pairs = Pairs::of(&table(&[
            ("a", "io-begin"),
            ("a", "io-end"),
            ("b", "io_entry"),
            ("b", "io-return"),
            ("b", "io-start"),
            ("c", "io-end"),
            ("c", "begin"),
            ("c", "end"),
            ("a", "io-end"),
        ]));
        let names: Vec<_> = pairs.pairs.iter().map(|pair| (&*pair.provider, &*pair.name)).collect();
        assert_eq!(names, [("a", "io"), ("b", "io")]);
        let mut sides: Vec<_> = pairs.sides.into_iter().collect();
        sides.sort_by_key(|side| side.0);
        let (begin, end) = (Side::Begin, Side::End);
        let expected =
            [(0, (0, begin)), (1, (0, end)), (2, (1, begin)), (3, (1, end)), (8, (0, end))];
        assert_eq!(sides, expected);
    }

    #[test]
    fn what_is_open_is_bounded() {
        let mut open = Open::new();
        assert!((0..OPEN_MAX).all(|number| open.begin(number, number)));
        assert!(!open.begin(0, 0));
        assert_eq!(open.end(&3, |_| false), None);
        assert_eq!(open.end(&3, |_| true), Some(3));
        assert!(open.begin(0, 7));
        assert_eq!(open.clear(), OPEN_MAX);
        assert_eq!(open.values().count(), 0);
    }
}
