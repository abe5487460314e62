//! [`Nap`]: a little sleep for code that belongs to no session, and [`NapLock`], a lock whose waiters take it.
//!
//! Only sessions have events, so the module opens one of its own (`SUPR0IdcOpen`), which ends with its image.
//!
//! Neighbours: `provider` and `shelf` wait so. Invariant: the value behind a lock is reached by one thread at
//! a time.

use core::cell::UnsafeCell;
use core::ffi::c_void;
use core::fmt;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use sup_abi::{SUPDRVIDCHANDLE, Status};

use crate::object::check;
use crate::{Result, raw};

const NAP_NS: u64 = 100_000;

/// Lets threads of the module sleep a little. Before [`start`](Self::start) and on the host they spin.
pub struct Nap {
    handle: UnsafeCell<SUPDRVIDCHANDLE>,
    is_started: AtomicBool,
    event: AtomicPtr<c_void>,
}

// SAFETY: the handle is written by the driver, in `start` and at the module's end; `is_started` lets one thread
// there.
unsafe impl Sync for Nap {}

impl fmt::Debug for Nap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nap").finish_non_exhaustive()
    }
}

impl Nap {
    /// For a `static` of the module.
    pub const fn new() -> Self {
        Self {
            handle: UnsafeCell::new(SUPDRVIDCHANDLE::CLOSED),
            is_started: AtomicBool::new(false),
            event: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// Opens a session for the module. It must be a `static`, because the driver remembers where it is.
    ///
    /// # Errors
    /// `VERR_WRONG_ORDER` the second time, `VERR_NO_MEMORY`.
    ///
    /// # Context
    /// `ModuleInit`.
    pub fn start(&'static self) -> Result<()> {
        // Acquire and Release as for a lock that is never given back.
        if self.is_started.swap(true, Ordering::AcqRel) {
            return Err(Status::VERR_WRONG_ORDER);
        }
        let (handle, none) = (self.handle.get(), ptr::null_mut());
        // SAFETY: the handle is a static of the module, and this thread's alone, as the exchange above says.
        check(unsafe { raw::SUPR0IdcOpen(handle, 0, 0, none, none, none) }).map(|_| ())?;
        // SAFETY: the handle is the static that the driver has just filled, and still this thread's alone.
        let session = unsafe { raw::SUPR0IdcGetSession(handle) };
        let mut event = ptr::null_mut();
        // SAFETY: the place is a local variable; the driver looks the session up in its table.
        check(unsafe { raw::SUPSemEventCreate(session, &raw mut event) }).map(|_| ())?;
        // Release: pairs with the load in `take`.
        self.event.store(event, Ordering::Release);
        Ok(())
    }

    /// Sleeps a little, or not at all.
    ///
    /// # Context
    /// A thread that holds no lock of the driver's that spins.
    pub fn take(&self) {
        // Acquire: pairs with the store in `start`.
        let event = self.event.load(Ordering::Acquire);
        if event.is_null() {
            core::hint::spin_loop();
            return;
        }
        // SAFETY: `start` has written the handle, and it stays as it is while code of the module runs.
        let session = unsafe { raw::SUPR0IdcGetSession(self.handle.get()) };
        // SAFETY: the driver looks both up in its tables. Nobody signals this event, so that a timeout or a signal
        // of the thread's is what comes.
        let _ = unsafe { raw::SUPSemEventWaitNsRelIntr(session, event, NAP_NS) };
    }
}

impl Default for Nap {
    fn default() -> Self {
        Self::new()
    }
}

/// A value that one thread at a time reaches. For threads only: not for hits of probes.
pub struct NapLock<T> {
    is_held: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: `with` lets one thread at a time to the value.
unsafe impl<T: Send> Sync for NapLock<T> {}

impl<T> fmt::Debug for NapLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NapLock").finish_non_exhaustive()
    }
}

impl<T> NapLock<T> {
    /// For a `static` of the module.
    pub const fn new(value: T) -> Self {
        Self { is_held: AtomicBool::new(false), value: UnsafeCell::new(value) }
    }

    /// Changes the value. Who waits naps. A call that is abandoned in here keeps the lock.
    ///
    /// # Context
    /// May sleep.
    pub fn with<R>(&self, nap: &Nap, change: impl FnOnce(&mut T) -> R) -> R {
        // Acquire: pairs with the store below, behind which are the changes of the last one.
        while self
            .is_held
            .compare_exchange_weak(false, true, Ordering::Acquire, Ordering::Relaxed)
            .is_err()
        {
            nap.take();
        }
        // SAFETY: the exchange let this thread alone in, until the store below.
        let result = change(unsafe { &mut *self.value.get() });
        // Release: pairs with the exchange above.
        self.is_held.store(false, Ordering::Release);
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thread_at_a_time() {
        static NAP: Nap = Nap::new();
        static COUNT: NapLock<(u64, u64)> = NapLock::new((0, 0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        COUNT.with(&NAP, |(first, second)| {
                            *first += 1;
                            *second = *first;
                        });
                    }
                });
            }
        });
        assert_eq!(COUNT.with(&NAP, |both| *both), (4000, 4000));
    }

    #[test]
    fn cannot_start_without_a_driver() {
        static NAP: Nap = Nap::new();
        assert!(NAP.start().is_err());
        NAP.take();
    }
}
