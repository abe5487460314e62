//! Event semaphores: `SUPSEMEVENT` (auto reset) and `SUPSEMEVENTMULTI` (manual reset).
//!
//! [`word`] holds the protocol, which ring 3 shares; a [`Semaphore`] is the driver's side of one, and
//! [`table`] names a session's semaphores by handles. Closing wakes the waiters with
//! `VERR_SEM_DESTROYED`; the memory lives until the last of them has left.
//!
//! Decisions in a wait, in this order: destroyed, signalled, deadline over, interrupted, sleep.
//!
//! Invariant: `destroyed` goes from false to true once; `waiters` counts the threads between
//! announcing themselves and leaving, and the word's `WAITERS` bit is set while it is not zero
//! (unless the process spoiled its own word).

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use sup_abi::Status;
use sup_abi::request::SemaphoreKind;

use crate::Lock;
use crate::host::{Host, Wait, WaitQueue, WordPage};

mod calls;
pub(crate) mod table;
pub mod word;

pub use table::word_position;
use word::{Fast, StateWord};

/// The driver's side of one semaphore, shared by its handle and the calls on it.
pub(crate) struct Semaphore<H: Host> {
    kind: SemaphoreKind,
    page: H::WordPage,
    /// Index of the state word in `page`.
    index: usize,
    queue: H::WaitQueue,
    waiters: Lock<H::SpinLock, u64>,
    destroyed: AtomicBool,
}

impl<H: Host> Semaphore<H> {
    pub(crate) fn new(kind: SemaphoreKind, page: H::WordPage, index: usize) -> Self {
        let semaphore = Self {
            kind,
            page,
            index,
            queue: H::WaitQueue::default(),
            waiters: Lock::new(0),
            destroyed: AtomicBool::new(false),
        };
        semaphore.word(|word| word.open(kind));
        semaphore
    }

    pub(crate) fn kind(&self) -> SemaphoreKind {
        self.kind
    }

    /// Signals, and wakes who has to be woken. Never sleeps.
    pub(crate) fn signal(&self) {
        // A word that is not ours any more was spoiled by its own process, or the semaphore was just
        // closed: the waiters look for themselves.
        let found = self.word(|word| word.signal(self.kind));
        if !matches!(found, Some(Ok(Fast::Done))) {
            self.wake();
        }
    }

    /// Wakes the sleepers for a signal that is in the word already.
    pub(crate) fn wake(&self) {
        match self.kind {
            SemaphoreKind::Event => self.queue.wake_one(),
            SemaphoreKind::EventMulti => self.queue.wake_all(),
        }
    }

    pub(crate) fn reset(&self) {
        // A spoiled word has nothing to reset.
        let _ = self.word(|word| word.reset(self.kind));
    }

    /// Waits.
    ///
    /// # Errors
    /// `VERR_SEM_DESTROYED`, `VERR_TIMEOUT`, `VERR_INTERRUPTED`.
    pub(crate) fn wait(&self, wait: Wait) -> Result<(), Status> {
        if let Some(result) = self.poll() {
            return result;
        }
        let generation = {
            let mut waiters = self.waiters.lock();
            *waiters = waiters.saturating_add(1);
            self.word(|word| word.announce_waiter())
        };
        let passed = || match (self.kind, generation) {
            (SemaphoreKind::EventMulti, Some(generation)) => {
                self.word(|word| word.passed(generation)) == Some(true)
            }
            _ => false,
        };
        let result = self
            .queue
            .wait(wait, || self.poll().or_else(|| passed().then_some(Ok(()))))
            .unwrap_or_else(|end| Err(end.into()));

        let mut waiters = self.waiters.lock();
        *waiters = waiters.saturating_sub(1);
        if *waiters == 0 && !self.destroyed.load(Ordering::Acquire) {
            self.word(|word| word.no_waiters());
        }
        result
    }

    /// Ends every wait, now and later, with `VERR_SEM_DESTROYED`. The word belongs to nobody afterwards.
    ///
    /// Returns whether anybody was waiting.
    pub(crate) fn destroy(&self) -> bool {
        let waiters = {
            // Under the lock: a leaving waiter must not touch the word once it is given away.
            let waiters = self.waiters.lock();
            // Release: pairs with the acquire in `poll`.
            self.destroyed.store(true, Ordering::Release);
            self.word(|word| word.close());
            *waiters
        };
        if waiters != 0 {
            self.queue.wake_all();
        }
        waiters != 0
    }

    /// The decisions that need no sleep; `None` if there is nothing to take.
    fn poll(&self) -> Option<Result<(), Status>> {
        // Acquire: pairs with the release in `destroy`.
        if self.destroyed.load(Ordering::Acquire) {
            return Some(Err(Status::VERR_SEM_DESTROYED));
        }
        match self.word(|word| word.try_take(self.kind)) {
            Some(Ok(Fast::Done)) => Some(Ok(())),
            _ => None,
        }
    }

    fn word<R>(&self, operation: impl FnOnce(StateWord<'_>) -> R) -> Option<R> {
        let word: &AtomicU64 = self.page.words().get(self.index)?;
        Some(operation(StateWord::new(word)))
    }
}
