//! [`heap_sort`]: sorting in place that cannot panic.
//!
//! The standard library's sorts notice an order that contradicts itself, and panic; ring 0 has no place
//! for that branch. Time is O(n log n) whatever the input, which matters where that comes from a file.

/// Sorts by a key, which should be the same at each call for the same element.
pub fn heap_sort<T, K: Ord>(items: &mut [T], key: impl Fn(&T) -> K) {
    // Invariant of both loops: every node of the heap below `start` has a greatest key above it.
    for start in (0..items.len() / 2).rev() {
        sift_down(items, start, items.len(), &key);
    }
    for end in (1..items.len()).rev() {
        swap(items, 0, end);
        sift_down(items, 0, end, &key);
    }
}

/// Moves the item at `root` down until no child in `..end` has a greater key.
fn sift_down<T, K: Ord>(items: &mut [T], root: usize, end: usize, key: &impl Fn(&T) -> K) {
    let mut root = root;
    loop {
        let left = root.saturating_mul(2).saturating_add(1);
        let right = left.saturating_add(1);
        let key_at = |index: usize| items.get(index).filter(|_| index < end).map(key);
        let child = if key_at(right) > key_at(left) { right } else { left };
        if key_at(child) <= key_at(root) {
            return;
        }
        swap(items, root, child);
        root = child;
    }
}

/// `slice::swap` for indices that are in bounds, and nothing for others.
fn swap<T>(items: &mut [T], low: usize, high: usize) {
    if let Some((head, tail)) = items.split_at_mut_checked(high)
        && let (Some(low), Some(high)) = (head.get_mut(low), tail.first_mut())
    {
        core::mem::swap(low, high);
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn sorts_like_the_standard_library(mut items: std::vec::Vec<u16>) {
            let mut expected = items.clone();
            expected.sort_unstable();
            heap_sort(&mut items, |item| *item);
            prop_assert_eq!(items, expected);
        }
    }

    #[test]
    fn survives_keys_that_change() {
        let calls = core::cell::Cell::new(0_u32);
        let random = |_: &u32| {
            calls.set(calls.get().wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
            calls.get() >> 16
        };
        let mut items: std::vec::Vec<u32> = (0..1000).collect();
        heap_sort(&mut items, random);
        items.sort_unstable();
        assert!(items.iter().copied().eq(0..1000));
    }
}
