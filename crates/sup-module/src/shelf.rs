//! [`Shelf`]: memory of a client's session that hits of probes write, in any context: a block for each processor.
//!
//! Whoever uses the memory counts himself in before he looks whether it is there, and the thread that takes it away
//! looks at the counts after it has taken it: either the one finds nothing, or the other sees him and waits.
//!
//! ```text
//! hit: inside + 1 (SeqCst), then words?       take: words = null (SeqCst), then is anybody inside?   for each block
//! ```
//! Neighbours: `tracer` makes sure that the memory is taken from the shelf before its session ends. Invariant:
//! while somebody is inside and has found memory, it is mapped.

use core::fmt;
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use sup_abi::{R3Ptr, SUPDRVSESSION, Status};

use crate::nap::Nap;
use crate::tracer::Client;
use crate::{Result, raw};

const STRIPES: usize = 64;
/// Blocks that there can be.
const BLOCKS_MAX: usize = 256;

/// Who is inside, on some of the processors.
#[repr(align(64))]
struct Stripe(AtomicU32);

/// A block of memory, or none.
struct Block {
    words: AtomicPtr<AtomicU64>,
    r3: AtomicU64,
}

/// A place for one client's memory.
pub struct Shelf {
    blocks: [Block; BLOCKS_MAX],
    /// How many blocks there are, and words in each.
    count: AtomicUsize,
    words: AtomicUsize,
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
            blocks: [const { Block { words: AtomicPtr::new(ptr::null_mut()), r3: AtomicU64::new(0) } };
                BLOCKS_MAX],
            count: AtomicUsize::new(0),
            words: AtomicUsize::new(0),
            session: AtomicPtr::new(ptr::null_mut()),
            inside: [const { Stripe(AtomicU32::new(0)) }; STRIPES],
        }
    }

    /// Lets `work` use the block of a processor, if there is one, and tells it which. Where there are fewer blocks than
    /// processors, some share one.
    ///
    /// # Context
    /// Any, if `work` may be called there.
    #[inline]
    pub fn with<R>(&self, cpu: u16, work: impl FnOnce(usize, &[AtomicU64]) -> R) -> Option<R> {
        let Stripe(inside) = self.inside.get(usize::from(cpu) % STRIPES)?;
        // SeqCst, a full barrier: the argument at the top of this file.
        inside.fetch_add(1, Ordering::SeqCst);
        let result = self.with_counted(cpu.into(), work);
        // Release: what was done inside comes before what `take` does next.
        inside.fetch_sub(1, Ordering::Release);
        result
    }

    #[inline]
    fn with_counted<R>(
        &self,
        mut index: usize,
        work: impl FnOnce(usize, &[AtomicU64]) -> R,
    ) -> Option<R> {
        // Relaxed: an old count leads to another block, or to none.
        let count = self.count.load(Ordering::Relaxed);
        if index >= count {
            index = index.checked_rem(count)?;
        }
        // SeqCst: the argument at the top of this file. As an Acquire it pairs with the store in `put`.
        let words = self.blocks.get(index)?.words.load(Ordering::SeqCst);
        if words.is_null() {
            return None;
        }
        // Relaxed: written before the pointer was.
        let each = self.words.load(Ordering::Relaxed);
        // SAFETY: so many words are mapped there, since `put` got them from the driver, until `take` finds nobody
        // inside. Everybody accesses them by atomic operations.
        Some(work(index, unsafe { core::slice::from_raw_parts(words, each) }))
    }

    /// Makes so many blocks of so many words in memory of the client's session. When the shelf is the client's,
    /// `begin` is called; each block is seen after `prepare`. The client's close takes them away.
    ///
    /// # Errors
    /// `VERR_WRONG_ORDER` if the shelf is not empty; else it is empty again: `VERR_INVALID_PARAMETER` for none or
    /// more than 256 blocks and what [`Session::memory`](crate::Session::memory) refuses, `VERR_NO_MEMORY`.
    ///
    /// # Context
    /// May sleep.
    pub fn put(
        &'static self,
        client: &Client<'_>,
        (count, each): (u32, u32),
        nap: &Nap,
        begin: impl FnOnce(),
        prepare: impl Fn(&[AtomicU64]),
    ) -> Result<()> {
        let (none, session) = (ptr::null_mut(), client.session().as_raw());
        if !(1..=BLOCKS_MAX).contains(&(count as usize)) {
            return Err(Status::VERR_INVALID_PARAMETER);
        }
        // Acquire: pairs with the store in `take`. Who succeeds has the empty shelf alone.
        self.session
            .compare_exchange(none, session, Ordering::Acquire, Ordering::Relaxed)
            .map_err(|_| Status::VERR_WRONG_ORDER)?;
        begin();
        // Relaxed: the stores of the pointers publish both.
        self.count.store(count as usize, Ordering::Relaxed);
        self.words.store(each as usize, Ordering::Relaxed);
        for block in self.blocks.iter().take(count as usize) {
            let memory = match client.session().memory(each) {
                Ok(memory) => memory,
                Err(status) => {
                    self.take(session, nap);
                    return Err(status);
                }
            };
            prepare(memory.words());
            let words = memory.words().as_ptr().cast_mut();
            // Relaxed: read by calls of the session that makes it.
            block.r3.store(memory.into_r3_address().get(), Ordering::Relaxed);
            // SeqCst, and as a Release the pair of the load in `with`.
            block.words.store(words, Ordering::SeqCst);
        }
        Ok(())
    }

    /// Whose memory is there.
    #[must_use]
    pub fn is_of(&self, session: crate::Session<'_>) -> bool {
        // Acquire: pairs with the exchange in `put`; a module asks in a call of that session.
        self.session.load(Ordering::Acquire) == session.as_raw()
    }

    /// Where its process sees a block; nil if there is none.
    #[must_use]
    pub fn r3_address(&self, index: usize) -> R3Ptr {
        let block = self.blocks.get(index).filter(|_| index < self.count.load(Ordering::Relaxed));
        // Relaxed, both: asked by the session that has put it there.
        block.map_or(R3Ptr::NIL, |block| R3Ptr::new(block.r3.load(Ordering::Relaxed)))
    }

    /// Takes a session's memory away, if it is there: waits until nobody is inside, and frees it.
    pub(crate) fn take(&self, session: *mut SUPDRVSESSION, nap: &Nap) {
        // Acquire: pairs with the exchange in `put`.
        if session.is_null() || self.session.load(Ordering::Acquire) != session {
            return;
        }
        // Relaxed: whoever sees the old count finds no block there.
        self.count.store(0, Ordering::Relaxed);
        for block in &self.blocks {
            // SeqCst: the argument at the top of this file.
            let words = block.words.swap(ptr::null_mut(), Ordering::SeqCst);
            if words.is_null() {
                continue;
            }
            // SeqCst: the same. As an Acquire it pairs with the count of whoever has left.
            while self.inside.iter().any(|Stripe(inside)| inside.load(Ordering::SeqCst) != 0) {
                nap.take();
            }
            // SAFETY: the driver looks both up in its tables; nobody is inside who could have found the words, or
            // will find them.
            let _ = unsafe { raw::SUPR0MemFree(session, words.addr()) };
        }
        // Release: pairs with the exchange in `put`: the next one finds the shelf empty.
        self.session.store(ptr::null_mut(), Ordering::Release);
    }
}
