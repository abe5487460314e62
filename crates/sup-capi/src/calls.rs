//! [`Call`]: a call that is in the library, and may use the session until it returns.
//!
//! `SUPR3Term` may run while other threads are in calls, and what they use must stay. A count that all
//! threads share would cost each call more than its work, so every thread has a slot of its own, beyond
//! [`OWN`] threads a common one:
//!
//! 1. A call adds one to its thread's slot, and then reads which session is open. It does not wait until
//!    others see the first before it does the second: that would be a third of a short call.
//! 2. `SUPR3Term` takes the session away, has the kernel put a fence into every thread that runs
//!    (`membarrier`), and then looks at all slots. Whatever a thread did before its fence is seen here; what
//!    it does afterwards finds no session. So a call whose slot is not seen has none.
//! 3. Once each slot was seen empty, no call has the old session, and it is closed. Calls take
//!    microseconds; only one that sleeps keeps the session longer than [`PATIENCE`]. Then it is retired,
//!    and closed by the first call that returns after the sleeper did.
//!
//! A slot of one thread's own is changed with plain stores: a signal handler that calls into the library
//! meanwhile leaves the count as it was. Where the kernel has no such fence, and in the common slot, a call
//! brings its own ([`CALLS_FENCE`]).
//!
//! Invariant: a session is dropped only after every call that could have found it has returned.

use std::cell::Cell;
use std::ops::Deref;
use std::ptr;
use std::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, compiler_fence,
};
use std::time::{Duration, Instant};

use sup_abi::Status;

use crate::lock::Lock;
use crate::process::Open;

/// Threads with a slot of their own.
const OWN: usize = 128;
/// The slot of all others.
const COMMON: usize = OWN;
/// The mark of a thread that has made no call yet.
const NONE_YET: usize = usize::MAX;
/// How long the end of a session waits for calls: the grace that the original gives in any case.
const PATIENCE: Duration = Duration::from_millis(50);

/// How many calls are in the library, of one thread or of all that have no slot of their own.
#[repr(align(64))]
struct Slot(AtomicU32);

static SLOTS: [Slot; OWN + 1] = [const { Slot(AtomicU32::new(0)) }; OWN + 1];
/// Which slots have a thread, a bit each.
static TAKEN: [AtomicU64; OWN / 64] = [const { AtomicU64::new(0) }; OWN / 64];
/// The session that calls use; NULL before `SUPR3Init` and after `SUPR3Term`.
static OPEN: AtomicPtr<Open> = AtomicPtr::new(ptr::null_mut());
/// Whether calls need a fence of their own. It becomes false at most once, before the first session is there.
static CALLS_FENCE: AtomicBool = AtomicBool::new(true);
/// Sessions that are over but for calls which sleep in them.
static RETIRED: Lock<Vec<Retired>> = Lock::new(Vec::new());
/// How many those are.
static RETIRED_COUNT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static SLOT: Cell<usize> = const { Cell::new(NONE_YET) };
    static OWNER: Owner = const { Owner(Cell::new(COMMON)) };
}

/// Gives a thread's slot back when the thread ends.
struct Owner(Cell<usize>);

impl Drop for Owner {
    fn drop(&mut self) {
        let index = self.0.get();
        // Destructors that run later may call once more.
        SLOT.set(COMMON);
        if let Some(bits) = TAKEN.get(index / 64) {
            // Release: pairs with the acquire of the next thread that takes it.
            bits.fetch_and(!(1 << (index % 64)), Ordering::Release);
        }
    }
}

/// A slot for a thread that has none.
#[cold]
fn assign() -> usize {
    let index = take_free().unwrap_or(COMMON);
    // At the end of a thread there is nothing any more that would give it back.
    let is_kept = index != COMMON && OWNER.try_with(|owner| owner.0.set(index)).is_ok();
    let index = if is_kept { index } else { COMMON };
    SLOT.set(index);
    index
}

fn take_free() -> Option<usize> {
    TAKEN.iter().enumerate().find_map(|(word, bits)| {
        let free = |bits: u64| (bits != u64::MAX).then(|| bits | bits.wrapping_add(1));
        // Acquire: pairs with the release of the thread that had it.
        let before = bits.fetch_update(Ordering::Acquire, Ordering::Relaxed, free).ok()?;
        Some(word * 64 + before.trailing_ones() as usize)
    })
}

/// The right to use the open session, until this is dropped.
pub(crate) struct Call {
    slot: usize,
    open: *const Open,
}

impl Call {
    /// Begins a call.
    ///
    /// # Errors
    /// `VERR_INVALID_HANDLE` while no session is open.
    #[inline(always)]
    pub(crate) fn begin() -> Result<Self, Status> {
        let slot = match SLOT.get() {
            NONE_YET => assign(),
            slot => slot,
        };
        let count = &SLOTS[slot].0;
        // Relaxed: who sees the session below sees what was stored before it.
        if slot == COMMON || CALLS_FENCE.load(Ordering::Relaxed) {
            // SeqCst, as the load below: see the top.
            count.fetch_add(1, Ordering::SeqCst);
        } else {
            // Relaxed: no other thread changes it, and the fence of `retire` orders it.
            count.store(count.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
            // The processor may exchange this store and the load, until that fence; the compiler may not.
            compiler_fence(Ordering::SeqCst);
        }
        let call = Self { slot, open: OPEN.load(Ordering::SeqCst) };
        // A call without a session is dropped here, and gives its slot back.
        if call.open.is_null() { Err(Status::VERR_INVALID_HANDLE) } else { Ok(call) }
    }
}

impl Deref for Call {
    type Target = Open;

    #[inline]
    fn deref(&self) -> &Open {
        // SAFETY: not null, by `begin`; the slot keeps `SUPR3Term` from dropping it.
        unsafe { &*self.open }
    }
}

impl Drop for Call {
    #[inline(always)]
    fn drop(&mut self) {
        let count = &SLOTS[self.slot].0;
        // Release: what the call did comes before the end of the session, which acquires.
        if self.slot == COMMON {
            count.fetch_sub(1, Ordering::Release);
        } else {
            // Relaxed: no other thread changes it, and a handler on this one leaves it as it was.
            count.store(count.load(Ordering::Relaxed) - 1, Ordering::Release);
        }
        // Relaxed: a retired session that is missed here is found by the next call.
        if RETIRED_COUNT.load(Ordering::Relaxed) != 0 {
            close_retired();
        }
    }
}

/// Asks the kernel for something about fences; whether it can.
fn membarrier(command: libc::c_int) -> bool {
    // SAFETY: the call has no arguments that point anywhere.
    unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
}

/// Makes a session the one that calls use. There must be none.
pub(crate) fn publish(open: Box<Open>) {
    if membarrier(libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) {
        // Relaxed: the store below orders it for whoever finds the session.
        CALLS_FENCE.store(false, Ordering::Relaxed);
    }
    // SeqCst: in one order with the loads of calls.
    OPEN.store(Box::into_raw(open), Ordering::SeqCst);
}

/// Takes the session from calls that begin from now on, and closes it as soon as no call has it.
pub(crate) fn retire() {
    // SeqCst: see the top.
    let open = OPEN.swap(ptr::null_mut(), Ordering::SeqCst);
    if open.is_null() {
        return;
    }
    // Relaxed: what `publish` stored was ordered by the lock of `SUPR3Init` and `SUPR3Term`.
    if !CALLS_FENCE.load(Ordering::Relaxed) && !membarrier(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED) {
        // A filter of system calls came meanwhile. A store is seen within microseconds all the same.
        std::thread::sleep(PATIENCE);
    }
    // SAFETY: `publish` made it from a box, and the swap gave it to nobody else.
    let open = unsafe { Box::from_raw(open) };
    let mut retired = Retired { _open: open, busy: [u64::MAX; OWN / 64], is_common_busy: true };
    let start = Instant::now();
    while !retired.is_over() {
        if start.elapsed() > PATIENCE {
            RETIRED.lock().push(retired);
            RETIRED_COUNT.fetch_add(1, Ordering::SeqCst);
            return;
        }
        std::thread::yield_now();
    }
}

/// Closes the retired sessions that no call has any more.
#[cold]
pub(crate) fn close_retired() {
    // Whoever has the list does it.
    let Some(mut list) = RETIRED.try_lock() else { return };
    let over: Vec<Retired> = list.extract_if(.., |retired| retired.is_over()).collect();
    RETIRED_COUNT.store(list.len(), Ordering::SeqCst);
    // The end of a session runs code of modules, which may call.
    drop(list);
    drop(over);
}

/// Forgets all calls and sessions in a forked child, where the threads of the calls are not. Returns the
/// session that was open, and whether there was a retired one.
///
/// # Safety
/// No other thread exists, and this one is in no call.
pub(crate) unsafe fn renew_in_child() -> (Option<Box<Open>>, bool) {
    for slot in &SLOTS {
        slot.0.store(0, Ordering::SeqCst);
    }
    let had_retired = RETIRED_COUNT.swap(0, Ordering::SeqCst) != 0;
    // SAFETY: the caller's promise.
    unsafe { RETIRED.renew(Vec::new()) };
    let open = OPEN.swap(ptr::null_mut(), Ordering::SeqCst);
    // SAFETY: `publish` made it from a box, and the swap gave it to nobody else.
    let open = (!open.is_null()).then(|| unsafe { Box::from_raw(open) });
    (open, had_retired)
}

/// A session that no call finds any more, and the slots that were not seen empty since.
struct Retired {
    _open: Box<Open>,
    busy: [u64; OWN / 64],
    is_common_busy: bool,
}

impl Retired {
    /// Looks at the slots that were busy, and says whether none is left.
    fn is_over(&mut self) -> bool {
        // SeqCst: after the swap that took the session away; acquire: what calls did is done.
        let is_empty = |index: usize| SLOTS[index].0.load(Ordering::SeqCst) == 0;
        for (word, bits) in self.busy.iter_mut().enumerate() {
            let mut rest = *bits;
            while rest != 0 {
                let bit = rest.trailing_zeros() as usize;
                rest &= rest - 1;
                if is_empty(word * 64 + bit) {
                    *bits &= !(1 << bit);
                }
            }
        }
        self.is_common_busy = self.is_common_busy && !is_empty(COMMON);
        !self.is_common_busy && self.busy.iter().all(|bits| *bits == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_have_slots_of_their_own_and_give_them_back() {
        let slot = || {
            let _ = Call::begin().err();
            SLOT.get()
        };
        let mine = slot();
        assert_eq!(slot(), mine);
        // More threads than slots, one after the other: each gets one of its own.
        for _ in 0..2 * OWN {
            let other = std::thread::spawn(slot).join().unwrap();
            assert!(other < OWN && other != mine, "{other}");
        }
    }
}
