//! Event semaphores: `SUPSEMEVENT` (auto reset) and `SUPSEMEVENTMULTI` (manual reset).
//!
//! [`word`] holds the protocol, which ring 3 shares; [`gate`] is the driver's half of it, [`table`]
//! names a session's semaphores by handles, and `calls.rs` has the calls of both rings. Closing wakes
//! the waiters with `VERR_SEM_DESTROYED`; the memory lives until the last of them has left.
//!
//! Invariant: a semaphore's word lies in a page that lives as long as the semaphore.

use sup_abi::Status;
use sup_abi::request::SemaphoreKind;

use crate::Lock;
use crate::host::{Host, Wait, WordPage};
use crate::sync::AtomicU64;

mod calls;
mod gate;
pub(crate) mod table;
pub mod word;

use gate::Gate;
pub use table::word_position;
use word::StateWord;

/// The driver's side of one semaphore, shared by its handle and the calls on it.
pub(crate) struct Semaphore<H: Host> {
    page: H::WordPage,
    /// Index of the state word in `page`, within its bounds.
    index: usize,
    gate: Gate<Lock<H::SpinLock, u64>, H::WaitQueue>,
}

impl<H: Host> Semaphore<H> {
    /// A semaphore on word `index` of `page`; `None` if there is no such word.
    pub(crate) fn new(kind: SemaphoreKind, page: H::WordPage, index: usize) -> Option<Self> {
        let gate = Gate::open(StateWord::new(page.words().get(index)?), kind);
        Some(Self { page, index, gate })
    }

    pub(crate) fn kind(&self) -> SemaphoreKind {
        self.gate.kind()
    }

    /// Signals, and wakes who has to be woken. Never sleeps.
    pub(crate) fn signal(&self) {
        self.with_word(|word| self.gate.signal(word));
    }

    /// Wakes the sleepers for a signal that is in the word already. Never sleeps.
    pub(crate) fn wake(&self) {
        self.gate.wake();
    }

    pub(crate) fn reset(&self) {
        self.with_word(|word| self.gate.reset(word));
    }

    /// Waits.
    ///
    /// # Errors
    /// `VERR_SEM_DESTROYED`, `VERR_TIMEOUT`, `VERR_INTERRUPTED`.
    pub(crate) fn wait(&self, wait: Wait) -> Result<(), Status> {
        self.with_word(|word| self.gate.wait(word, wait))
            .unwrap_or(Err(Status::VERR_INTERNAL_ERROR))
    }

    /// Ends every wait, now and later, with `VERR_SEM_DESTROYED`.
    pub(crate) fn destroy(&self) {
        self.with_word(|word| self.gate.destroy(word));
    }

    fn with_word<R>(&self, operation: impl FnOnce(StateWord<'_>) -> R) -> Option<R> {
        let word: &AtomicU64 = self.page.words().get(self.index)?;
        Some(operation(StateWord::new(word)))
    }
}
