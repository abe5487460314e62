//! [`TaskCalls`]: the calls into modules that each task is in.
//!
//! The kernel has no variable of a task for us, so the frames, which lie on the stacks of their tasks, are
//! linked in lists by task. Only a panic of a module searches; a call enters and leaves at the front of a
//! short list.
//!
//! Neighbours: `sup_ring0::calls` says what they are for. Lock order: a list's spin lock is innermost.
//! Invariant: a list holds the frames of calls that have not returned, each task's innermost first.

use core::ptr::NonNull;

use lock_api::Mutex;
use sup_ring0::calls::{Calls, Frame};

use crate::lock::SpinLock;
use crate::shim::task;

/// The front of a list of frames.
struct List(Option<NonNull<Frame>>);

// SAFETY: the frames are read and written only under the lock of the list that they are in.
unsafe impl Send for List {}

const LIST_COUNT: usize = 64;
static LISTS: [Mutex<SpinLock, List>; LIST_COUNT] =
    [const { Mutex::from_raw(lock_api::RawMutex::INIT, List(None)) }; LIST_COUNT];

/// The calls of the running task.
#[derive(Debug)]
pub(crate) enum TaskCalls {}

/// The list of a task. Tasks are a few kilobytes, so the bits below that say nothing.
fn list_of(task: usize) -> Option<&'static Mutex<SpinLock, List>> {
    const TASK_BITS: u32 = 12;
    LISTS.get((task >> TASK_BITS) % LIST_COUNT)
}

/// Walks a list from its front.
fn walk(list: &List) -> impl Iterator<Item = &Frame> {
    // SAFETY: by the invariant each frame in the list lives, and the borrowed list is locked.
    let at = |frame: NonNull<Frame>| unsafe { frame.as_ref() };
    core::iter::successors(list.0.map(at), move |frame| frame.next.get().map(at))
}

// SAFETY: frames are entered at the front of their task's list and taken out when they are left, so that
// the first one of a task is its innermost.
unsafe impl Calls for TaskCalls {
    unsafe fn enter(frame: &Frame) {
        let task = task::current_address();
        frame.thread.set(task);
        let Some(list) = list_of(task) else { return };
        let mut list = list.lock();
        frame.next.set(list.0);
        list.0 = Some(NonNull::from(frame));
    }

    unsafe fn leave(frame: &Frame) {
        let Some(list) = list_of(frame.thread.get()) else { return };
        let mut list = list.lock();
        let this = Some(NonNull::from(frame));
        if list.0 == this {
            list.0 = frame.next.get();
        } else if let Some(before) = walk(&list).find(|other| other.next.get() == this) {
            before.next.set(frame.next.get());
        }
    }

    fn innermost() -> Option<NonNull<Frame>> {
        let task = task::current_address();
        let list = list_of(task)?.lock();
        walk(&list).find(|frame| frame.thread.get() == task).map(NonNull::from)
    }
}
