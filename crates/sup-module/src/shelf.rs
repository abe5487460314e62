//! [`Shelf`]: memory of a client's session that hits of probes write, in any context.
//!
//! Whoever uses the memory counts himself in before he looks whether it is there, and the thread that takes it away
//! looks at the counts after it has taken it: either the one finds nothing, or the other sees him and waits.
//!
//! ```text
//! hit: inside + 1 (SeqCst), then words?       take: words = null (SeqCst), then is anybody inside?
//! ```
//! Neighbours: `tracer` makes sure that the memory is taken from the shelf before its session ends. Invariant:
//! while somebody is inside and has found memory, it is mapped.

use core::fmt;
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use sup_abi::{R3Ptr, SUPDRVSESSION, Status};

use crate::nap::Nap;
use crate::tracer::Client;
use crate::{Memory, Result, raw};

const STRIPES: usize = 64;

/// Who is inside, on some of the processors.
#[repr(align(64))]
struct Stripe(AtomicU32);

/// A place for one block of memory.
pub struct Shelf {
    words: AtomicPtr<AtomicU64>,
    count: AtomicUsize,
    r3: AtomicU64,
    /// Whose it is; null while the shelf is empty.
    session: AtomicPtr<SUPDRVSESSION>,
    inside: [Stripe; STRIPES],
}

impl fmt::Debug for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shelf").field("count", &self.count).finish_non_exhaustive()
    }
}

impl Default for Shelf {
    fn default() -> Self {
        Self::new()
    }
}

impl Shelf {
    /// For a `static` of the module.
    pub const fn new() -> Self {
        Self {
            words: AtomicPtr::new(ptr::null_mut()),
            count: AtomicUsize::new(0),
            r3: AtomicU64::new(0),
            session: AtomicPtr::new(ptr::null_mut()),
            inside: [const { Stripe(AtomicU32::new(0)) }; STRIPES],
        }
    }

    /// Lets `work` use the memory, if there is some. Processors with different numbers do not hinder each other.
    ///
    /// # Context
    /// Any, if `work` may be called there.
    #[inline]
    pub fn with<R>(&self, cpu: u16, work: impl FnOnce(&[AtomicU64]) -> R) -> Option<R> {
        let Stripe(inside) = self.inside.get(usize::from(cpu) % STRIPES)?;
        // SeqCst, a full barrier: the argument at the top of this file.
        inside.fetch_add(1, Ordering::SeqCst);
        // SeqCst: the same. As an Acquire it pairs with the store in `put`.
        let words = self.words.load(Ordering::SeqCst);
        let result = (!words.is_null()).then(|| {
            // Relaxed: written before the words were.
            let count = self.count.load(Ordering::Relaxed);
            // SAFETY: so many words are mapped there, since `put` got them from the driver, until `take` finds
            // nobody inside. Everybody accesses them by atomic operations.
            work(unsafe { core::slice::from_raw_parts(words, count) })
        });
        // Release: what was done inside comes before what `take` does next.
        inside.fetch_sub(1, Ordering::Release);
        result
    }

    /// Puts memory there, and makes it seen after `prepare`. The client's close takes it away.
    ///
    /// # Errors
    /// `VERR_WRONG_ORDER` if the shelf is not empty; then the memory is freed.
    ///
    /// # Context
    /// May sleep.
    pub fn put(
        &'static self,
        client: &Client<'_>,
        memory: Memory<'_>,
        prepare: impl FnOnce(&[AtomicU64]),
    ) -> Result<()> {
        let session = client.session().as_raw();
        if memory.session_raw() != session {
            return Err(Status::VERR_INVALID_PARAMETER);
        }
        let none = ptr::null_mut();
        // Acquire: pairs with the store in `take`. Who succeeds has the empty shelf alone.
        self.session
            .compare_exchange(none, session, Ordering::Acquire, Ordering::Relaxed)
            .map_err(|_| Status::VERR_WRONG_ORDER)?;
        prepare(memory.words());
        let (words, count) = (memory.words().as_ptr().cast_mut(), memory.words().len());
        // Relaxed: the store of the words publishes both.
        self.count.store(count, Ordering::Relaxed);
        self.r3.store(memory.into_r3_address().get(), Ordering::Relaxed);
        // SeqCst, and as a Release the pair of the load in `with`.
        self.words.store(words, Ordering::SeqCst);
        Ok(())
    }

    /// Whose memory is there.
    #[must_use]
    pub fn is_of(&self, session: crate::Session<'_>) -> bool {
        // Acquire: pairs with the exchange in `put`; a module asks in a call of that session.
        self.session.load(Ordering::Acquire) == session.as_raw()
    }

    /// Where its process sees it.
    #[must_use]
    pub fn r3_address(&self) -> R3Ptr {
        // Relaxed: asked by the session that has put it there.
        R3Ptr::new(self.r3.load(Ordering::Relaxed))
    }

    /// Takes a session's memory away, if it is there: waits until nobody is inside, and frees it.
    pub(crate) fn take(&self, session: *mut SUPDRVSESSION, nap: &Nap) {
        // Acquire: pairs with the exchange in `put`.
        if session.is_null() || self.session.load(Ordering::Acquire) != session {
            return;
        }
        // SeqCst: the argument at the top of this file.
        let words = self.words.swap(ptr::null_mut(), Ordering::SeqCst);
        // SeqCst: the same. As an Acquire it pairs with the count of whoever has left.
        while self.inside.iter().any(|Stripe(inside)| inside.load(Ordering::SeqCst) != 0) {
            nap.take();
        }
        if !words.is_null() {
            // SAFETY: the driver looks both up in its tables; nobody is inside, or will find the words.
            let _ = unsafe { raw::SUPR0MemFree(session, words.addr()) };
        }
        // Release: pairs with the exchange in `put`: the next one finds the shelf empty.
        self.session.store(ptr::null_mut(), Ordering::Release);
    }
}
