//! [`Segments`]: an array that grows without moving, and whose growth needs no memory under a lock.
//!
//! Tables behind a spin lock must not allocate while it is held, because allocating may sleep. So a
//! table that is full says what it needs ([`Grow::need`]), the room is made with no lock held
//! ([`Grow::make`]) and handed over under the lock ([`Grow::add`]). [`lock_with_room`] does the three.
//!
//! Segment `k` holds `64 << k` elements, so the directory is small and fixed, an index resolves in a
//! few instructions, and growing costs no copy.
//!
//! Invariant: a segment is filled before the next one gets an element.

use lock_api::{MutexGuard, RawMutex};
use sup_alloc::{OutOfMemory, Vec};

use crate::Lock;

const FIRST_BITS: u32 = 6;
const SEGMENTS: usize = 20;

/// A table that can be full.
pub(crate) trait Grow {
    /// What is missing.
    type Need;
    /// What the missing is made of.
    type Room;
    /// What has to be added before the next insertion; `None` if there is room for one.
    fn need(&self) -> Option<Self::Need>;
    /// Makes it; may sleep.
    fn make(need: Self::Need) -> Result<Self::Room, OutOfMemory>;
    /// Adds it, or returns it if another thread was quicker.
    fn add(&mut self, room: Self::Room) -> Option<Self::Room>;
}

/// Locks a table that has room for at least one insertion.
///
/// # Errors
/// [`OutOfMemory`]; the lock is not held.
pub(crate) fn lock_with_room<R: RawMutex, T: Grow>(
    lock: &Lock<R, T>,
) -> Result<MutexGuard<'_, R, T>, OutOfMemory> {
    loop {
        let need = {
            let table = lock.lock();
            match table.need() {
                None => return Ok(table),
                Some(need) => need,
            }
        };
        let room = T::make(need)?;
        let surplus = lock.lock().add(room);
        drop(surplus);
    }
}

/// The number of the segment that has to be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Missing(usize);

/// A segment to be added, and with the first one the directory of all.
pub(crate) struct Room<T> {
    number: usize,
    segment: Vec<T>,
    directory: Vec<Vec<T>>,
}

/// An array in segments of doubling size.
pub(crate) struct Segments<T> {
    /// Has the capacity for all segments once there is one.
    directory: Vec<Vec<T>>,
    length: usize,
}

impl<T> Segments<T> {
    pub(crate) const fn new() -> Self {
        Self { directory: Vec::new(), length: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// Which segment is missing for one more element.
    pub(crate) fn missing(&self) -> Option<Missing> {
        let (segment, _) = position(self.length);
        (segment >= self.directory.len()).then_some(Missing(segment))
    }

    /// Makes a missing segment.
    pub(crate) fn make(Missing(number): Missing) -> Result<Room<T>, OutOfMemory> {
        if number >= SEGMENTS {
            return Err(OutOfMemory);
        }
        let directory = if number == 0 { Vec::try_with_capacity(SEGMENTS)? } else { Vec::new() };
        Ok(Room { number, segment: Vec::try_with_capacity(1 << FIRST_BITS << number)?, directory })
    }

    /// Adds a segment, or returns it if it exists already.
    pub(crate) fn add(&mut self, room: Room<T>) -> Option<Room<T>> {
        if room.number != self.directory.len() {
            return Some(room);
        }
        if room.number == 0 {
            self.directory = room.directory;
        }
        // The capacity is there, so this does not allocate.
        let _ = self.directory.try_push(room.segment);
        None
    }

    /// Appends an element, if there is room; returns its index.
    pub(crate) fn push(&mut self, value: T) -> Option<usize> {
        if self.missing().is_some() {
            return None;
        }
        let index = self.length;
        let (segment, _) = position(index);
        // Room was just found, so this does not allocate.
        self.directory.get_mut(segment)?.try_push(value).ok()?;
        self.length = index.wrapping_add(1);
        Some(index)
    }

    pub(crate) fn get(&self, index: usize) -> Option<&T> {
        let (segment, offset) = position(index);
        self.directory.get(segment)?.get(offset)
    }

    pub(crate) fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        let (segment, offset) = position(index);
        self.directory.get_mut(segment)?.get_mut(offset)
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.directory.iter_mut().flat_map(|segment| segment.iter_mut())
    }
}

/// The segment of an index, and the offset in it.
fn position(index: usize) -> (usize, usize) {
    // Segment k starts at (64 << k) - 64, so the index plus 64 has its leading bit at 6 + k.
    let shifted = index.saturating_add(1 << FIRST_BITS);
    let leading = shifted.ilog2();
    (leading.saturating_sub(FIRST_BITS) as usize, shifted ^ (1 << leading))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_fill_one_segment_after_the_other() {
        assert_eq!(position(0), (0, 0));
        assert_eq!(position(63), (0, 63));
        assert_eq!(position(64), (1, 0));
        assert_eq!(position(191), (1, 127));
        assert_eq!(position(192), (2, 0));
    }

    #[test]
    fn push_needs_the_segment_that_is_missing_and_only_once() {
        let mut segments = Segments::new();
        for value in 0..1_000 {
            if let Some(missing) = segments.missing() {
                assert_eq!(segments.push(value), None);
                let room = Segments::make(missing).unwrap();
                assert!(segments.add(room).is_none());
                assert!(segments.add(Segments::make(missing).unwrap()).is_some());
            }
            assert_eq!(segments.push(value), Some(value));
        }
        assert!((0..1_000).all(|index| segments.get(index) == Some(&index)));
        assert_eq!(segments.get(1_000), None);
        assert_eq!(segments.iter_mut().count(), 1_000);
    }
}
