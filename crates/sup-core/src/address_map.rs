//! [`AddressMap`]: finds what starts at an address, in constant time.
//!
//! Several things may start at one address: pages can be locked twice, and a process that unmapped a
//! block may get another one at the same place. Who looks says which of them it means. What can be told
//! by the key alone should be: a look at a value is one more access to memory that no cache holds.
//!
//! A session's memory blocks are named by their start addresses. The map is an open-addressing hash
//! table with linear probing and backward-shift deletion (no tombstones, so a long-lived session
//! stays as fast as a new one), at most three quarters full. The hash is seeded for each session, so
//! that a process which chooses its addresses cannot choose collisions.
//!
//! Invariant: between an entry's home bucket and its place no bucket is empty.

use sup_alloc::{OutOfMemory, Vec};

use crate::sort::heap_sort;

const MIN_BUCKETS: usize = 16;

/// A map from addresses to values.
pub(crate) struct AddressMap<V> {
    seed: u64,
    /// A power of two of buckets, or none at all.
    buckets: Vec<Option<(u64, V)>>,
    count: usize,
}

impl<V> AddressMap<V> {
    pub(crate) const fn new(seed: u64) -> Self {
        Self { seed, buckets: Vec::new(), count: 0 }
    }

    /// Makes sure that `additional` insertions need no memory.
    pub(crate) fn reserve(&mut self, additional: usize) -> Result<(), OutOfMemory> {
        let needed = self.count.saturating_add(additional);
        let mut size = self.buckets.len().max(MIN_BUCKETS);
        while needed > size.saturating_sub(size / 4) {
            size = size.checked_mul(2).ok_or(OutOfMemory)?;
        }
        if size == self.buckets.len() {
            return Ok(());
        }
        let mut larger = Vec::try_with_capacity(size)?;
        for _ in 0..size {
            larger.try_push(None)?;
        }
        let old = core::mem::replace(&mut self.buckets, larger);
        for (address, value) in old.into_iter().flatten() {
            self.place(address, value);
        }
        Ok(())
    }

    /// Inserts, beside what is at the address already.
    pub(crate) fn try_insert(&mut self, address: u64, value: V) -> Result<(), OutOfMemory> {
        self.reserve(1)?;
        self.place(address, value);
        self.count = self.count.saturating_add(1);
        Ok(())
    }

    pub(crate) fn get(&self, address: u64, is_meant: impl Fn(&V) -> bool) -> Option<&V> {
        match self.buckets.get(self.find(address, is_meant)?)? {
            Some((_, value)) => Some(value),
            None => None,
        }
    }

    pub(crate) fn remove(&mut self, address: u64, is_meant: impl Fn(&V) -> bool) -> Option<V> {
        let mut hole = self.find(address, is_meant)?;
        let (_, value) = self.buckets.get_mut(hole)?.take()?;
        self.count = self.count.saturating_sub(1);
        // Close the gap: move every later entry of the run back that may stand in the hole.
        let mut probe = hole;
        loop {
            probe = self.next(probe);
            let Some(Some((next, _))) = self.buckets.get(probe) else { break };
            let from_home = self.distance(self.home(*next), probe);
            if from_home >= self.distance(hole, probe) {
                let moved = self.buckets.get_mut(probe).and_then(Option::take);
                if let Some(bucket) = self.buckets.get_mut(hole) {
                    *bucket = moved;
                }
                hole = probe;
            }
        }
        Some(value)
    }

    /// Drops all values, in the order of their addresses.
    pub(crate) fn drop_in_order(self) {
        let mut entries = self.buckets;
        entries.retain(Option::is_some);
        heap_sort(&mut entries, |entry| entry.as_ref().map(|(address, _)| *address));
        entries.into_iter().for_each(drop);
    }

    /// Puts an entry into the first free bucket from its home; there is one.
    fn place(&mut self, address: u64, value: V) {
        let mut index = self.home(address);
        while let Some(Some(_)) = self.buckets.get(index) {
            index = self.next(index);
        }
        if let Some(bucket) = self.buckets.get_mut(index) {
            *bucket = Some((address, value));
        }
    }

    fn find(&self, address: u64, is_meant: impl Fn(&V) -> bool) -> Option<usize> {
        let mut index = self.home(address);
        loop {
            match self.buckets.get(index)? {
                Some((found, value)) if *found == address && is_meant(value) => return Some(index),
                Some(_) => index = self.next(index),
                None => return None,
            }
        }
    }

    fn mask(&self) -> usize {
        self.buckets.len().saturating_sub(1)
    }

    fn home(&self, address: u64) -> usize {
        // Fibonacci hashing; the low bits of a page address carry little.
        let mixed = (address ^ self.seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ (mixed >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
        (mixed >> 32) as usize & self.mask()
    }

    fn next(&self, index: usize) -> usize {
        index.wrapping_add(1) & self.mask()
    }

    /// Buckets from `from` on to `to`, around the end.
    fn distance(&self, from: usize, to: usize) -> usize {
        to.wrapping_sub(from) & self.mask()
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    #[derive(Debug, Clone)]
    enum Operation {
        Insert(u64),
        Remove(u64),
        Get(u64),
    }

    fn operations() -> impl Strategy<Value = std::vec::Vec<Operation>> {
        let address = (0..64_u64).prop_map(|page| page << 12);
        let operation = prop_oneof![
            3 => address.clone().prop_map(Operation::Insert),
            2 => address.clone().prop_map(Operation::Remove),
            1 => address.prop_map(Operation::Get),
        ];
        prop::collection::vec(operation, 0..400)
    }

    proptest! {
        #[test]
        fn answers_like_the_standard_map(seed: u64, operations in operations()) {
            let mut map = AddressMap::new(seed);
            let mut model = HashMap::new();
            for (step, operation) in operations.into_iter().enumerate() {
                match operation {
                    Operation::Insert(address) if !model.contains_key(&address) => {
                        map.try_insert(address, step).unwrap();
                        model.insert(address, step);
                    }
                    Operation::Insert(address) | Operation::Get(address) => {
                        prop_assert_eq!(map.get(address, |_| true), model.get(&address));
                    }
                    Operation::Remove(address) => {
                        prop_assert_eq!(map.remove(address, |_| true), model.remove(&address));
                    }
                }
                prop_assert_eq!(map.count, model.len());
            }
        }
    }

    #[test]
    fn empty_map_finds_nothing() {
        let mut map = AddressMap::<u32>::new(7);
        assert_eq!(map.get(4096, |_| true), None);
        assert_eq!(map.remove(4096, |_| true), None);
    }

    #[test]
    fn things_at_one_address_are_told_apart() {
        let mut map = AddressMap::<u32>::new(7);
        (0..40).for_each(|value| map.try_insert(4096, value).unwrap());
        for value in [17, 0, 39] {
            assert_eq!(map.get(4096, |found| *found == value), Some(&value));
            assert_eq!(map.remove(4096, |found| *found == value), Some(value));
            assert_eq!(map.remove(4096, |found| *found == value), None);
        }
        assert_eq!(map.count, 37);
        let left = (0..40).filter(|value| map.get(4096, |found| found == value).is_some());
        assert_eq!(left.count(), 37);
    }

    #[test]
    fn values_are_dropped_in_the_order_of_their_addresses() {
        struct Noted<'a>(u64, &'a std::cell::RefCell<std::vec::Vec<u64>>);
        impl Drop for Noted<'_> {
            fn drop(&mut self) {
                self.1.borrow_mut().push(self.0);
            }
        }
        let dropped = std::cell::RefCell::default();
        let mut map = AddressMap::new(7);
        for page in (0..200_u64).map(|page| page * 7 % 200) {
            map.try_insert(page << 12, Noted(page, &dropped)).unwrap();
        }
        map.drop_in_order();
        assert!(dropped.into_inner().into_iter().eq(0..200));
    }
}
