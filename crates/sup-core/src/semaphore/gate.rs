//! [`Gate`]: the driver's half of the protocol in [`word`](super::word): who waits, and who is woken.
//!
//! Decisions in a wait, in this order: destroyed, signalled, deadline over, interrupted, sleep.
//!
//! Apart from the word it needs a locked count and a queue, so that loom can put its own in their
//! place (`gate/loom_tests.rs`).
//!
//! Invariant: `is_destroyed` goes from false to true once; `waiters` counts the threads between
//! announcing themselves and leaving, and the word's `WAITERS` bit is set while it is not zero
//! (unless the process spoiled its own word).

use core::sync::atomic::Ordering;

use lock_api::RawMutex;
use sup_abi::Status;
use sup_abi::request::SemaphoreKind;

use super::word::{Fast, Meant, StateWord};
use crate::Lock;
use crate::host::{Wait, WaitQueue};
use crate::sync::AtomicBool;

/// A number behind a lock.
pub(super) trait LockedCount: Default {
    /// Changes the number, with the lock held.
    fn with<R>(&self, change: impl FnOnce(&mut u64) -> R) -> R;
}

impl<L: RawMutex> LockedCount for Lock<L, u64> {
    fn with<R>(&self, change: impl FnOnce(&mut u64) -> R) -> R {
        change(&mut self.lock())
    }
}

/// Who waits for a semaphore.
pub(super) struct Gate<C, Q> {
    kind: SemaphoreKind,
    /// This semaphore, and not a later owner of its word.
    meant: Meant,
    queue: Q,
    waiters: C,
    is_destroyed: AtomicBool,
}

impl<C: LockedCount, Q: WaitQueue> Gate<C, Q> {
    /// Opens the word for a new semaphore.
    pub(super) fn open(word: StateWord<'_>, kind: SemaphoreKind) -> Self {
        Self {
            kind,
            meant: word.open(kind),
            queue: Q::default(),
            waiters: C::default(),
            is_destroyed: AtomicBool::new(false),
        }
    }

    pub(super) fn kind(&self) -> SemaphoreKind {
        self.kind
    }

    /// Signals, and wakes who has to be woken. Never sleeps.
    pub(super) fn signal(&self, word: StateWord<'_>) {
        // A word that is not ours any more was spoiled by its own process, or the semaphore was just
        // closed: the waiters look for themselves.
        if !matches!(word.signal(self.kind, self.meant), Ok(Fast::Done)) {
            self.wake();
        }
    }

    /// Wakes the sleepers for a signal that is in the word already. Never sleeps.
    pub(super) fn wake(&self) {
        match self.kind {
            SemaphoreKind::Event => self.queue.wake_one(),
            SemaphoreKind::EventMulti => self.queue.wake_all(),
        }
    }

    pub(super) fn reset(&self, word: StateWord<'_>) {
        // A spoiled word has nothing to reset.
        let _ = word.reset(self.meant);
    }

    /// Waits.
    ///
    /// # Errors
    /// `VERR_SEM_DESTROYED`, `VERR_TIMEOUT`, `VERR_INTERRUPTED`.
    pub(super) fn wait(&self, word: StateWord<'_>, wait: Wait) -> Result<(), Status> {
        if let Some(result) = self.poll(word) {
            return result;
        }
        let generation = self.waiters.with(|waiters| {
            *waiters = waiters.saturating_add(1);
            // Relaxed: the lock orders it after `destroy`. A destroyed semaphore's word is another's.
            let is_ours = !self.is_destroyed.load(Ordering::Relaxed);
            is_ours.then(|| word.announce_waiter())
        });
        let has_passed = || {
            let is_multi = self.kind == SemaphoreKind::EventMulti;
            is_multi && generation.is_some_and(|generation| word.has_passed(generation))
        };
        let ready = || self.poll(word).or_else(|| has_passed().then_some(Ok(())));
        let result = self.queue.wait(wait, ready).unwrap_or_else(|end| Err(end.into()));

        self.waiters.with(|waiters| {
            *waiters = waiters.saturating_sub(1);
            // Relaxed: the lock orders it after `destroy`.
            if *waiters == 0 && !self.is_destroyed.load(Ordering::Relaxed) {
                word.no_waiters();
            }
        });
        result
    }

    /// Ends every wait, now and later, with `VERR_SEM_DESTROYED`. The word is nobody's afterwards.
    pub(super) fn destroy(&self, word: StateWord<'_>) {
        let has_waiters = self.waiters.with(|waiters| {
            // Under the lock: a waiter that comes or leaves must not touch a word that is given away.
            // Release: pairs with the acquire in `poll`.
            self.is_destroyed.store(true, Ordering::Release);
            word.close();
            *waiters != 0
        });
        if has_waiters {
            self.queue.wake_all();
        }
    }

    /// The decisions that need no sleep; `None` if there is nothing to take.
    fn poll(&self, word: StateWord<'_>) -> Option<Result<(), Status>> {
        // Acquire: pairs with the release in `destroy`.
        if self.is_destroyed.load(Ordering::Acquire) {
            return Some(Err(Status::VERR_SEM_DESTROYED));
        }
        match word.try_take(self.kind, self.meant) {
            Ok(Fast::Done) => Some(Ok(())),
            _ => None,
        }
    }
}

#[cfg(test)]
#[cfg(loom)]
mod loom_tests;
