//! Locks for tests that know what ring 0 demands: [`SpinLock`] and [`Mutex`] panic where a kernel would
//! sleep with a spinning lock held.
//!
//! In a process such a sleep goes unnoticed, since every lock sleeps there. They are here because a raw
//! lock is `unsafe` to implement and `sup-core`, whose tests want them, has none of that. Allocations of
//! this crate may sleep too, so they are looked at as well.
//!
//! Invariant: the count of a thread is that of the spinning locks which it holds.

extern crate std;

use core::cell::Cell;

use lock_api::{GuardNoSend, RawMutex};

std::thread_local! {
    /// Spinning locks that the thread holds.
    static SPINNING: Cell<u32> = const { Cell::new(0) };
}

/// Ends the test if this thread holds a spinning lock.
#[track_caller]
pub fn may_sleep() {
    // A lock that is released while the test ends is no second failure.
    if !std::thread::panicking() {
        assert!(SPINNING.get() == 0, "this may sleep, and a spinning lock is held");
    }
}

/// A lock that stands for a spinning one.
#[expect(missing_debug_implementations, reason = "a raw lock is part of one that is shown")]
pub struct SpinLock(parking_lot::RawMutex);

// SAFETY: every method hands on to a lock that excludes; the count beside it changes nothing of that.
unsafe impl RawMutex for SpinLock {
    const INIT: Self = Self(parking_lot::RawMutex::INIT);

    /// The count is the thread's.
    type GuardMarker = GuardNoSend;

    fn lock(&self) {
        self.0.lock();
        SPINNING.set(SPINNING.get().saturating_add(1));
    }

    fn try_lock(&self) -> bool {
        let is_taken = self.0.try_lock();
        if is_taken {
            SPINNING.set(SPINNING.get().saturating_add(1));
        }
        is_taken
    }

    unsafe fn unlock(&self) {
        SPINNING.set(SPINNING.get().saturating_sub(1));
        // SAFETY: by this trait's contract the caller holds the lock, which is this one.
        unsafe { self.0.unlock() };
    }
}

/// A lock that may be held across a sleep, and may itself sleep.
#[expect(missing_debug_implementations, reason = "a raw lock is part of one that is shown")]
pub struct Mutex(parking_lot::RawMutex);

// SAFETY: every method hands on to a lock that excludes; the look before it changes nothing of that.
unsafe impl RawMutex for Mutex {
    const INIT: Self = Self(parking_lot::RawMutex::INIT);

    type GuardMarker = GuardNoSend;

    #[track_caller]
    fn lock(&self) {
        may_sleep();
        self.0.lock();
    }

    fn try_lock(&self) -> bool {
        self.0.try_lock()
    }

    unsafe fn unlock(&self) {
        // SAFETY: by this trait's contract the caller holds the lock, which is this one.
        unsafe { self.0.unlock() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Lock<R> = lock_api::Mutex<R, ()>;

    #[test]
    fn spinning_locks_nest_in_sleeping_ones_and_in_each_other() {
        let (outer, one, two) =
            (Lock::<Mutex>::new(()), Lock::<SpinLock>::new(()), Lock::<SpinLock>::new(()));
        let _outer = outer.lock();
        {
            let _one = one.lock();
            let _two = two.try_lock().unwrap();
        }
        may_sleep();
    }

    #[test]
    #[should_panic(expected = "a spinning lock is held")]
    fn cannot_take_a_sleeping_lock_under_a_spinning_one() {
        let (outer, inner) = (Lock::<SpinLock>::new(()), Lock::<Mutex>::new(()));
        let _outer = outer.lock();
        let _inner = inner.lock();
    }

    #[test]
    #[should_panic(expected = "a spinning lock is held")]
    fn cannot_allocate_under_a_spinning_lock() {
        let lock = Lock::<SpinLock>::new(());
        let _held = lock.lock();
        let _memory = crate::Arc::try_new(1);
    }
}
