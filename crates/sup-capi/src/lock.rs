//! [`Lock`]: a lock that a forked child can start over with.
//!
//! At a fork another thread may hold any lock, and in the child nobody is left to give it back. The locks
//! of the standard library cannot be renewed there, and a queue of waiters would have to be. What this one
//! guards is short or rare (opening a session, the list of process pages), so waiters ask again.
//!
//! Invariant: one thread at a time has the value.

use std::cell::UnsafeCell;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Yields before a waiter begins to sleep: opening a session takes a millisecond.
const YIELDS: u32 = 100;
const SLEEP: Duration = Duration::from_micros(50);

/// A value that one thread at a time has.
pub(crate) struct Lock<T> {
    is_taken: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached through a guard only, of which there is one at a time.
unsafe impl<T: Send> Sync for Lock<T> {}

impl<T> Lock<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self { is_taken: AtomicBool::new(false), value: UnsafeCell::new(value) }
    }

    /// Waits until nobody else has the value.
    pub(crate) fn lock(&self) -> Guard<'_, T> {
        let mut turns = 0_u32;
        loop {
            if let Some(guard) = self.try_lock() {
                return guard;
            }
            turns += 1;
            if turns < YIELDS { std::thread::yield_now() } else { std::thread::sleep(SLEEP) }
        }
    }

    /// The value, unless somebody has it.
    pub(crate) fn try_lock(&self) -> Option<Guard<'_, T>> {
        // Acquire: pairs with the release of the guard before.
        let taken =
            self.is_taken.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed);
        // Lazily: a guard that is made and dropped frees the lock of another.
        taken.is_ok().then(|| Guard(self))
    }

    /// Starts over in a forked child. The old value may be half changed and is left as it is.
    ///
    /// # Safety
    /// No other thread exists, and this one has no guard.
    pub(crate) unsafe fn renew(&self, value: T) {
        // SAFETY: nobody reads or writes the value but this thread, which has no guard; the old one is not
        // dropped.
        unsafe { self.value.get().write(value) };
        // Release: pairs with the next acquire.
        self.is_taken.store(false, Ordering::Release);
    }
}

/// The right to the value.
pub(crate) struct Guard<'a, T>(&'a Lock<T>);

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: this guard is the only one.
        unsafe { &*self.0.value.get() }
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: this guard is the only one, and borrowed exclusively.
        unsafe { &mut *self.0.value.get() }
    }
}

impl<T> Drop for Guard<'_, T> {
    fn drop(&mut self) {
        // Release: pairs with the acquire of the next one.
        self.0.is_taken.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thread_at_a_time_has_the_value() {
        static COUNT: Lock<u64> = Lock::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..10_000).for_each(|_| *COUNT.lock() += 1));
            }
        });
        assert_eq!(*COUNT.lock(), 40_000);
    }

    #[test]
    fn a_child_starts_over() {
        let lock = Lock::new(1);
        std::mem::forget(lock.lock());
        assert!(lock.try_lock().is_none());
        // The attempt before did not free it.
        assert!(lock.try_lock().is_none());
        // SAFETY: the test has one thread, and its guard is gone.
        unsafe { lock.renew(2) };
        assert_eq!(*lock.lock(), 2);
    }
}
