//! Sets of host processors, one bit for each index.
//!
//! [`RTCPUSET`] is a value. [`AtomicCpuSet`] has the same bytes and is for memory that others read
//! meanwhile: the global information page (`gip`) holds three.
//!
//! Invariant: an index beyond [`RTCPUSET_MAX_CPUS`] is in no set, and adding it changes nothing.

#![expect(non_snake_case, reason = "members keep the names they have in cpuset.h")]

#[cfg(test)]
mod tests;

use core::sync::atomic::{AtomicU64, Ordering};

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Indexes that a set can hold. Corresponds to `RTCPUSET_MAX_CPUS`.
pub const RTCPUSET_MAX_CPUS: usize = 256;

const WORDS: usize = RTCPUSET_MAX_CPUS / u64::BITS as usize;

/// A set of processor indexes. Corresponds to `RTCPUSET`.
///
/// ```
/// use sup_abi::RTCPUSET;
///
/// let mut set = RTCPUSET::EMPTY;
/// assert!(set.add(200) && set.contains(200));
/// assert_eq!(set.count(), 1);
/// assert!(!set.add(256), "beyond the set");
/// ```
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct RTCPUSET {
    /// Index `i` is bit `i % 64` of word `i / 64`.
    pub bmSet: [u64; WORDS],
}

impl RTCPUSET {
    /// The set without any processor.
    pub const EMPTY: Self = Self { bmSet: [0; WORDS] };

    /// Adds an index. Returns `false` if there is no such index.
    pub fn add(&mut self, index: usize) -> bool {
        let (word, bit) = position(index);
        self.bmSet.get_mut(word).map(|bits| *bits |= bit).is_some()
    }

    /// Takes an index out. Returns `false` if there is no such index.
    pub fn remove(&mut self, index: usize) -> bool {
        let (word, bit) = position(index);
        self.bmSet.get_mut(word).map(|bits| *bits &= !bit).is_some()
    }

    /// Tells whether the set holds the index.
    #[must_use]
    pub fn contains(&self, index: usize) -> bool {
        let (word, bit) = position(index);
        self.bmSet.get(word).is_some_and(|bits| bits & bit != 0)
    }

    /// Returns how many indexes the set holds.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.bmSet.iter().map(|bits| bits.count_ones()).sum()
    }

    /// Returns the indexes, lowest first.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        (0..RTCPUSET_MAX_CPUS).filter(|&index| self.contains(index))
    }
}

/// A set of processor indexes in shared memory. Corresponds to `RTCPUSET`.
///
/// Each word changes at once, the set as a whole does not: a reader may see one processor that has
/// come before another that came earlier.
#[derive(Debug, Default, FromBytes, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct AtomicCpuSet {
    /// As [`RTCPUSET::bmSet`].
    pub bmSet: [AtomicU64; WORDS],
}

impl AtomicCpuSet {
    /// Adds an index. Returns `false` if there is no such index.
    pub fn add(&self, index: usize) -> bool {
        let (word, bit) = position(index);
        // Release pairs with the acquire in `load`: who sees the processor also sees what was
        // written about it before.
        self.bmSet.get(word).map(|bits| bits.fetch_or(bit, Ordering::Release)).is_some()
    }

    /// Takes an index out. Returns `false` if there is no such index.
    pub fn remove(&self, index: usize) -> bool {
        let (word, bit) = position(index);
        // Release pairs with the acquire in `load`, as in `add`.
        self.bmSet.get(word).map(|bits| bits.fetch_and(!bit, Ordering::Release)).is_some()
    }

    /// Replaces the whole set, word by word.
    pub fn store(&self, set: RTCPUSET) {
        for (shared, bits) in self.bmSet.iter().zip(set.bmSet) {
            // Release pairs with the acquire in `load`, as in `add`.
            shared.store(bits, Ordering::Release);
        }
    }

    /// Copies the set, word by word.
    #[must_use]
    pub fn load(&self) -> RTCPUSET {
        // Acquire pairs with the release in `add`, `remove` and `store`.
        RTCPUSET { bmSet: self.bmSet.each_ref().map(|bits| bits.load(Ordering::Acquire)) }
    }
}

/// Splits an index into the number of its word, possibly none of the set's, and its bit there.
const fn position(index: usize) -> (usize, u64) {
    let bits = u64::BITS as usize;
    (index / bits, 1 << (index % bits))
}
