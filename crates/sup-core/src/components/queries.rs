//! The queries that run: who is inside which factory, and who waits for which to be left.
//!
//! ```text
//! thread ── asks ──▶ factory ◀── waits for ── thread that takes it back
//! ```
//! A thread that waits for a factory waits for every thread inside it, and these perhaps for others. So
//! before a thread waits, [`Queries::start_wait`] follows these arrows: a way that leads back to the thread
//! would be a wait for ever, and is refused. All of it happens under the table's lock, so that of several
//! threads which close a ring together the last one sees it. Only who is inside a factory can be waited
//! for: waits are noted at the queries of their thread, and take no memory.
//!
//! [`Inside`] is the wait itself, outside of the lock. Neighbours: `components.rs` has both in one table.
//! Invariant: while no wait was started by [`Queries::force_wait`], the arrows have no ring.

use core::sync::atomic::Ordering;

use sup_abi::{R0Ptr, Status};
use sup_alloc::Vec;

use crate::host::{Interruption, ThreadId, Wait, WaitQueue};
use crate::sync::{AtomicBool, AtomicU64, fence};
use crate::{Deadline, SessionHandle};

/// What there is to know of a factory without calling it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// The record's: grows from record to record.
    pub(super) number: u64,
    pub(super) owner: SessionHandle,
    /// The structure that the module registered.
    pub(super) address: R0Ptr,
    /// Its function.
    pub(super) entry: R0Ptr,
}

/// Factories that somebody takes back together.
#[derive(Debug, Clone, Copy)]
pub(super) enum Target {
    /// One record.
    Record(u64),
    /// Those of a session.
    Owner(SessionHandle),
    /// Those that lie in an image, or run there.
    Image { base: R0Ptr, bytes: usize },
}

impl Target {
    pub(super) fn is(&self, place: &Place) -> bool {
        match *self {
            Self::Record(number) => place.number == number,
            Self::Owner(owner) => place.owner == owner,
            Self::Image { base, bytes } => [place.address, place.entry].into_iter().any(|at| {
                at.get().checked_sub(base.get()).is_some_and(|offset| offset < bytes as u64)
            }),
        }
    }
}

/// How far a search has come with a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Untouched,
    /// The searching thread would wait for it.
    Reached,
    /// So it would for what its thread waits for.
    Followed,
}

/// A thread inside a factory.
#[derive(Debug)]
struct Query {
    thread: ThreadId,
    place: Place,
    /// What the thread waits for meanwhile: the same at each query of a thread.
    waits_for: Option<Target>,
    mark: Mark,
}

/// The queries that run.
#[derive(Debug)]
pub(super) struct Queries(Vec<Query>);

impl Queries {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    /// Notes that a thread goes into a factory.
    ///
    /// # Errors
    /// `VERR_NO_MEMORY`.
    pub(super) fn begin(&mut self, thread: ThreadId, place: Place) -> Result<(), Status> {
        self.0.try_push(Query { thread, place, waits_for: None, mark: Mark::Untouched })?;
        Ok(())
    }

    /// Takes one note of [`begin`](Self::begin) back.
    pub(super) fn forget(&mut self, thread: ThreadId, number: u64) {
        let is_it = |query: &Query| query.thread == thread && query.place.number == number;
        if let Some(index) = self.0.iter().position(is_it) {
            self.0.remove(index);
        }
    }

    /// Notes that a thread waits until nobody is inside some factories.
    ///
    /// # Errors
    /// `VERR_WRONG_ORDER` if it would wait for itself, be it by way of others.
    pub(super) fn start_wait(&mut self, thread: ThreadId, target: Target) -> Result<(), Status> {
        if self.leads_to(thread, target) {
            return Err(Status::VERR_WRONG_ORDER);
        }
        self.force_wait(thread, target);
        Ok(())
    }

    /// The same for a wait that nobody can be refused.
    pub(super) fn force_wait(&mut self, thread: ThreadId, target: Target) {
        self.note(thread, Some(target));
    }

    /// The thread waits no more.
    pub(super) fn end_wait(&mut self, thread: ThreadId) {
        self.note(thread, None);
    }

    fn note(&mut self, thread: ThreadId, waits_for: Option<Target>) {
        for query in self.0.iter_mut().filter(|query| query.thread == thread) {
            query.waits_for = waits_for;
        }
    }

    /// Whether a wait for `target` would be one for `thread`. Each query is reached and followed once.
    fn leads_to(&mut self, thread: ThreadId, target: Target) -> bool {
        for query in self.0.iter_mut() {
            query.mark = Mark::Untouched;
        }
        let mut next = Some(target);
        while let Some(target) = next {
            for query in self.0.iter_mut() {
                if query.mark == Mark::Untouched && target.is(&query.place) {
                    if query.thread == thread {
                        return true;
                    }
                    query.mark = Mark::Reached;
                }
            }
            next =
                self.0.iter_mut().filter(|query| query.mark == Mark::Reached).find_map(|query| {
                    query.mark = Mark::Followed;
                    query.waits_for
                });
        }
        false
    }

    #[cfg(test)]
    #[cfg(not(loom))]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// How many queries run in a factory, and who waits until none does.
#[derive(Debug, Default)]
pub(super) struct Inside<Q> {
    running: AtomicU64,
    /// Set when somebody waits for `running` to become zero.
    is_draining: AtomicBool,
    drained: Q,
}

impl<Q: WaitQueue> Inside<Q> {
    /// Counts a query. Under the table's lock, while the factory is listed.
    pub(super) fn enter(&self) {
        // Relaxed: the table's lock orders it before the record is taken out.
        self.running.fetch_add(1, Ordering::Relaxed);
    }

    /// A query has left.
    pub(super) fn leave(&self) {
        // Release: pairs with the load in `drain`, behind which what the query used may go.
        let was_last = self.running.fetch_sub(1, Ordering::Release) == 1;
        // Pairs with the fence in `drain`: either this thread sees that somebody waits, or that one sees
        // that nothing runs.
        fence(Ordering::SeqCst);
        // Relaxed: between the fences.
        if was_last && self.is_draining.load(Ordering::Relaxed) {
            self.drained.wake_all();
        }
    }

    /// Waits until no query runs. The factory is in the list no more, so that none can begin.
    pub(super) fn drain(&self) {
        // Relaxed: the fence orders it.
        self.is_draining.store(true, Ordering::Relaxed);
        // Pairs with the fence in `leave`.
        fence(Ordering::SeqCst);
        let wait = Wait { deadline: Deadline::Never, interruption: Interruption::Ignored };
        // Acquire: pairs with the count in `leave`.
        let is_idle = || (self.running.load(Ordering::Acquire) == 0).then_some(());
        // An uninterruptible wait without a deadline ends only with what it waits for.
        let _ = self.drained.wait(wait, is_idle);
    }
}

#[cfg(all(test, loom))]
mod loom_tests;
