//! The locks of the kernel: [`SpinLock`] and [`Mutex`], small values that are free when zero.
//!
//! Rust values move, and one object serves kernels whose `spinlock_t` and `struct mutex` have different
//! sizes. So the locks here are words: the spin lock is the kernel's queued one underneath
//! (`arch_spinlock_t`), with interrupts off; the sleeping lock counts in its word and lets the kernel's
//! hashed wait queues hold who sleeps.

use core::cell::UnsafeCell;
use core::ffi::c_ulong;
use core::sync::atomic::{AtomicU32, Ordering};

use lock_api::{GuardNoSend, RawMutex};

use crate::shim::{raw, task};

/// A lock for a few instructions, with interrupts off while it is held; the timer may take it too.
///
/// Two of them are released in the reverse order of taking, since each restores the interrupt flag that
/// it found.
pub(crate) struct SpinLock {
    word: AtomicU32,
    /// The interrupt flag before the lock was taken; the holder's.
    flags: UnsafeCell<c_ulong>,
}

// SAFETY: `flags` is touched by the holder of the lock alone, and there is one at a time.
unsafe impl Sync for SpinLock {}

// SAFETY: the shim's lock excludes everybody else on every processor, and the timer on this one, until
// it is unlocked.
unsafe impl RawMutex for SpinLock {
    const INIT: Self = Self { word: AtomicU32::new(0), flags: UnsafeCell::new(0) };

    /// The interrupt flag is this processor's.
    type GuardMarker = GuardNoSend;

    #[inline]
    fn lock(&self) {
        // SAFETY: the word is a lock of the shim's, zero from the start, and lives as long as `self`.
        let flags = unsafe { raw::supdrv_spin_lock(self.word.as_ptr()) };
        // SAFETY: the lock is held, so nobody else touches the cell.
        unsafe { self.flags.get().write(flags) };
    }

    #[inline]
    fn try_lock(&self) -> bool {
        let mut flags = 0;
        // SAFETY: the word is a lock of the shim's and lives as long as `self`; `flags` is writable.
        let is_taken = unsafe { raw::supdrv_spin_try_lock(self.word.as_ptr(), &raw mut flags) };
        if is_taken {
            // SAFETY: the lock is held, so nobody else touches the cell.
            unsafe { self.flags.get().write(flags) };
        }
        is_taken
    }

    #[inline]
    unsafe fn unlock(&self) {
        // SAFETY: by this trait's contract the caller holds the lock, so nobody else touches the cell.
        let flags = unsafe { self.flags.get().read() };
        // SAFETY: the caller holds the lock, and the flags are those that taking it returned.
        unsafe { raw::supdrv_spin_unlock(self.word.as_ptr(), flags) };
    }
}

const FREE: u32 = 0;
const TAKEN: u32 = 1;
/// Taken, and somebody may sleep for it.
const AWAITED: u32 = 2;

/// A lock that may be held across a sleep.
///
/// ```text
/// lock:    FREE -> TAKEN, else sleep until swap(AWAITED) finds FREE
/// unlock:  swap(FREE); if it was AWAITED, wake one
/// ```
/// Whoever slept leaves AWAITED behind, since others may sleep still: at worst one wake for nobody.
pub(crate) struct Mutex {
    word: AtomicU32,
}

// SAFETY: the word leaves FREE in one atomic step, for one thread, and returns to it only in `unlock`.
unsafe impl RawMutex for Mutex {
    const INIT: Self = Self { word: AtomicU32::new(FREE) };

    type GuardMarker = GuardNoSend;

    #[inline]
    fn lock(&self) {
        task::might_sleep();
        if !self.try_lock() {
            // SAFETY: the word is a lock of the shim's protocol and lives as long as `self`.
            unsafe { raw::supdrv_mutex_sleep(self.word.as_ptr()) };
        }
    }

    #[inline]
    fn try_lock(&self) -> bool {
        // Acquire: pairs with the release in `unlock`.
        let result = self.word.compare_exchange(FREE, TAKEN, Ordering::Acquire, Ordering::Relaxed);
        result.is_ok()
    }

    #[inline]
    unsafe fn unlock(&self) {
        // The address alone, because the lock may be gone as soon as it is free.
        let word = self.word.as_ptr();
        // Release: pairs with the acquire in `try_lock`, and the shim's exchange, which is a full barrier.
        if self.word.swap(FREE, Ordering::Release) == AWAITED {
            // SAFETY: the owner just freed an awaited lock; the shim uses the address as a name only.
            unsafe { raw::supdrv_mutex_wake(word) };
        }
    }
}
