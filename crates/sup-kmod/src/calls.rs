//! [`TaskCalls`]: the calls into modules that each task is in.
//!
//! The kernel has no variable of a task for us, so frames, which lie on the stacks of their tasks, are noted
//! by task: the first call of a task in a slot that no other task has, which takes one atomic exchange;
//! what finds its slot taken (a call within a call, or a task that shares it) in a list behind a lock. Only
//! a panic of a module searches. It takes the frame that lies lowest on its stack: that began last.
//!
//! A task that dies in a module leaves its calls at once ([`forget_dead`]): its stack goes.
//!
//! Neighbours: `sup_ring0::calls` says what they are for. Lock order: a list's spin lock is innermost.
//! Invariant: slots and lists hold the frames of calls that have not returned, each once.

use core::ptr;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use lock_api::Mutex;
use sup_ring0::calls::{Calls, Frame};

use crate::lock::SpinLock;
use crate::shim::task;

/// The front of a list of frames.
struct List(Option<NonNull<Frame>>);

// SAFETY: the frames are read and written only under the lock of the list that they are in.
unsafe impl Send for List {}

/// Where calls are noted whose tasks have the same bits in their addresses.
struct Place {
    /// The task that has the slot, or 0.
    owner: AtomicUsize,
    /// The owner's frame; used by the owner alone.
    slot: AtomicPtr<Frame>,
    list: Mutex<SpinLock, List>,
}

const PLACE_COUNT: usize = 64;
static PLACES: [Place; PLACE_COUNT] = [const {
    Place {
        owner: AtomicUsize::new(0),
        slot: AtomicPtr::new(ptr::null_mut()),
        list: Mutex::from_raw(lock_api::RawMutex::INIT, List(None)),
    }
}; PLACE_COUNT];

/// The calls of the running task.
#[derive(Debug)]
pub(crate) enum TaskCalls {}

/// The place of a task. Tasks are a few kilobytes, so the bits below that say nothing.
fn place_of(task: usize) -> Option<&'static Place> {
    const TASK_BITS: u32 = 12;
    PLACES.get((task >> TASK_BITS) % PLACE_COUNT)
}

/// Walks a list from its front.
fn walk(list: &List) -> impl Iterator<Item = &Frame> {
    // SAFETY: by the invariant each frame in the list lives, and the borrowed list is locked.
    let at = |frame: NonNull<Frame>| unsafe { frame.as_ref() };
    core::iter::successors(list.0.map(at), move |frame| frame.next.get().map(at))
}

/// The first frame of a task.
fn first_of(list: &List, task: usize) -> Option<NonNull<Frame>> {
    walk(list).find(|frame| frame.thread.get() == task).map(NonNull::from)
}

/// Takes a frame out of the list, if it is in it.
fn unlink(list: &mut List, frame: &Frame) {
    let this = Some(NonNull::from(frame));
    if list.0 == this {
        list.0 = frame.next.get();
    } else if let Some(before) = walk(list).find(|other| other.next.get() == this) {
        before.next.set(frame.next.get());
    }
}

impl Place {
    /// Notes a frame for which there is no slot.
    #[inline(never)]
    fn add(&self, frame: &Frame) {
        let mut list = self.list.lock();
        frame.next.set(list.0);
        list.0 = Some(NonNull::from(frame));
    }

    #[inline(never)]
    fn remove(&self, frame: &Frame) {
        unlink(&mut self.list.lock(), frame);
    }

    /// The frame in the slot, if it is this task's.
    fn in_slot(&self, task: usize) -> Option<NonNull<Frame>> {
        // Relaxed, here and below: the task alone writes its own number here and takes it away, and the
        // frame in the slot is written and read by the owner alone.
        let is_mine = self.owner.load(Ordering::Relaxed) == task;
        if is_mine { NonNull::new(self.slot.load(Ordering::Relaxed)) } else { None }
    }
}

/// Forgets the calls of the running task, which has died in the innermost: nobody comes back to them, and the stack
/// that they lie on goes. Tells `visit` the function of each.
///
/// # Context
/// Any, also an NMI. If the task died while the list of its place was locked, what is in there stays.
///
/// # Safety
/// The task never goes on where it was.
pub(crate) unsafe fn forget_dead(mut visit: impl FnMut(u64)) {
    let task = task::current_address();
    let Some(place) = place_of(task) else { return };
    if let Some(mut list) = place.list.try_lock() {
        while let Some(frame) = first_of(&list, task) {
            // SAFETY: it was in the list, so that it lives, on the stack of this very task.
            let frame = unsafe { frame.as_ref() };
            visit(frame.callee);
            unlink(&mut list, frame);
        }
    }
    if let Some(frame) = place.in_slot(task) {
        // SAFETY: the frame was not left, and its stack is still this task's.
        visit(unsafe { frame.as_ref() }.callee);
        place.slot.store(ptr::null_mut(), Ordering::Relaxed);
        // Release: pairs with the acquire in `enter`.
        place.owner.store(0, Ordering::Release);
    }
}

// SAFETY: a frame is noted when it is entered and taken out when it is left. All frames of a task lie on
// its one stack, which grows downwards, so that the lowest is the innermost.
unsafe impl Calls for TaskCalls {
    #[inline]
    unsafe fn enter(frame: &Frame) {
        let task = task::current_address();
        frame.thread.set(task);
        let Some(place) = place_of(task) else { return };
        // Acquire: pairs with the release in `leave`; what the last owner did to the slot comes before.
        let taken =
            place.owner.compare_exchange(0, task, Ordering::Acquire, Ordering::Relaxed).is_ok();
        if taken {
            place.slot.store(ptr::from_ref(frame).cast_mut(), Ordering::Relaxed);
        } else {
            place.add(frame);
        }
    }

    #[inline]
    unsafe fn leave(frame: &Frame) {
        let Some(place) = place_of(frame.thread.get()) else { return };
        // Relaxed: no other task's frame is where this one is, and a slot that is given back is empty.
        if ptr::eq(place.slot.load(Ordering::Relaxed), frame) {
            place.slot.store(ptr::null_mut(), Ordering::Relaxed);
            // Release: pairs with the acquire in `enter`.
            place.owner.store(0, Ordering::Release);
        } else {
            place.remove(frame);
        }
    }

    fn innermost() -> Option<NonNull<Frame>> {
        let task = task::current_address();
        let place = place_of(task)?;
        let list = place.list.lock();
        let mine = walk(&list).filter(|frame| frame.thread.get() == task).map(NonNull::from);
        mine.chain(place.in_slot(task)).min()
    }
}
