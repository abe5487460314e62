//! [`Vec`]: a growable array whose growth can fail.
//!
//! A thin layer over the standard vector that offers only what cannot panic and cannot abort.
//! Reading and sorting are the slice's methods, through `Deref`.

use core::ops::{Deref, DerefMut};

use crate::OutOfMemory;

/// A growable array. See the [file's introduction](self).
///
/// ```
/// let mut numbers = sup_alloc::Vec::new();
/// numbers.try_push(3)?;
/// numbers.try_push(4)?;
/// assert_eq!(numbers.iter().sum::<i32>(), 7);
/// assert_eq!(numbers.pop(), Some(4));
/// # Ok::<(), sup_alloc::OutOfMemory>(())
/// ```
pub struct Vec<T>(alloc::vec::Vec<T>);

impl<T> Vec<T> {
    /// An empty array; allocates nothing.
    pub const fn new() -> Self {
        Self(alloc::vec::Vec::new())
    }

    /// An empty array with room for `capacity` elements.
    ///
    /// # Errors
    /// [`OutOfMemory`].
    pub fn try_with_capacity(capacity: usize) -> Result<Self, OutOfMemory> {
        let mut vec = Self::new();
        crate::may_allocate()?;
        vec.0.try_reserve_exact(capacity).map_err(|_| OutOfMemory)?;
        Ok(vec)
    }

    /// Number of elements that fit without growing.
    pub fn capacity(&self) -> usize {
        self.0.capacity()
    }

    /// Makes room for at least `additional` more elements.
    ///
    /// # Errors
    /// [`OutOfMemory`]; the array is unchanged.
    pub fn try_reserve(&mut self, additional: usize) -> Result<(), OutOfMemory> {
        if self.0.capacity().wrapping_sub(self.0.len()) < additional {
            crate::may_allocate()?;
        }
        self.0.try_reserve(additional).map_err(|_| OutOfMemory)
    }

    /// Appends `value`.
    ///
    /// # Errors
    /// [`OutOfMemory`]; the value is dropped, the array unchanged.
    pub fn try_push(&mut self, value: T) -> Result<(), OutOfMemory> {
        self.try_reserve(1)?;
        let length = self.0.len();
        let slot = self.0.spare_capacity_mut().first_mut().ok_or(OutOfMemory)?;
        slot.write(value);
        // SAFETY: the element at `length` lies within the capacity and was initialised just above;
        // `length` is below the capacity, so adding one cannot overflow.
        unsafe { self.0.set_len(length.wrapping_add(1)) };
        Ok(())
    }

    /// Appends clones of all of `values`, or none.
    ///
    /// # Errors
    /// [`OutOfMemory`]; the array is unchanged.
    pub fn try_extend_from_slice(&mut self, values: &[T]) -> Result<(), OutOfMemory>
    where
        T: Copy,
    {
        self.try_reserve(values.len())?;
        let length = self.0.len();
        let spare = self.0.spare_capacity_mut().get_mut(..values.len()).ok_or(OutOfMemory)?;
        spare.write_copy_of_slice(values);
        // SAFETY: so many elements behind `length` lie within the capacity and were initialised just
        // above; a capacity cannot overflow.
        unsafe { self.0.set_len(length.wrapping_add(values.len())) };
        Ok(())
    }

    /// Grows or shrinks to `length` elements; new ones are copies of `value`.
    ///
    /// # Errors
    /// [`OutOfMemory`]; the array is unchanged.
    pub fn try_resize(&mut self, length: usize, value: T) -> Result<(), OutOfMemory>
    where
        T: Copy,
    {
        self.truncate(length);
        let missing = length.saturating_sub(self.len());
        self.try_reserve(missing)?;
        for _ in 0..missing {
            self.try_push(value)?;
        }
        Ok(())
    }

    /// Removes and returns the last element.
    pub fn pop(&mut self) -> Option<T> {
        self.0.pop()
    }

    /// Removes the element at `index` and puts the last one in its place; `None` if there is none.
    pub fn swap_remove(&mut self, index: usize) -> Option<T> {
        let last = self.0.len().checked_sub(1)?;
        if index > last {
            return None;
        }
        self.0.swap(index, last);
        self.0.pop()
    }

    /// Removes the element at `index` and keeps the order of the others; `None` if there is none.
    pub fn remove(&mut self, index: usize) -> Option<T> {
        let tail = self.0.get_mut(index..).filter(|tail| !tail.is_empty())?;
        tail.rotate_left(1);
        self.0.pop()
    }

    /// Drops all elements from `length` on; does nothing if there are fewer.
    pub fn truncate(&mut self, length: usize) {
        self.0.truncate(length);
    }

    /// Drops all elements.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Keeps the elements for which `keep` is true, in their order.
    pub fn retain(&mut self, keep: impl FnMut(&T) -> bool) {
        self.0.retain(keep);
    }
}

impl<T> Default for Vec<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Deref for Vec<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T> DerefMut for Vec<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.0
    }
}

impl<T> IntoIterator for Vec<T> {
    type Item = T;
    type IntoIter = alloc::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<T: core::fmt::Debug> core::fmt::Debug for Vec<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;

    fn of(values: &[u32]) -> Vec<u32> {
        let mut vec = Vec::new();
        vec.try_extend_from_slice(values).unwrap();
        vec
    }

    #[test]
    fn grows_shrinks_and_keeps_order() {
        let mut vec = of(&[1, 2, 3, 4]);
        assert_eq!(vec.remove(1), Some(2));
        assert_eq!(*vec, [1, 3, 4]);
        assert_eq!(vec.remove(3), None);
        assert_eq!(vec.remove(4), None);
        assert_eq!(vec.swap_remove(0), Some(1));
        assert_eq!(*vec, [4, 3]);
        assert_eq!(vec.swap_remove(2), None);
        vec.try_resize(4, 9).unwrap();
        assert_eq!(*vec, [4, 3, 9, 9]);
        vec.try_resize(1, 0).unwrap();
        assert_eq!(*vec, [4]);
    }

    #[test]
    fn impossible_reserve_is_refused_and_changes_nothing() {
        let mut vec = of(&[5]);
        assert_eq!(vec.try_reserve(usize::MAX), Err(OutOfMemory));
        assert_eq!(*vec, [5]);
    }
}
