//! [`Queue`]: tasks that wait for a condition.
//!
//! A queue is a list of nodes on the waiters' stacks under a spin lock. A waker takes a node out of the
//! list before it wakes its task, so a wake-up is spent on exactly one waiter:
//!
//! ```text
//! waiter                                   waker
//! ready? -- yes: done
//! loop                                     change the condition
//!   put the node into the list             lock; take the first node out; node.woken = 1; wake; unlock
//!   ready? -- yes: leave, done
//!   sleep until node.woken, deadline, signal
//!   leave: lock; take the node out, unless a waker did; unlock
//!   ready? -- yes: done
//!   deadline or signal: give up
//! ```
//! * The condition is looked at while the node is in the list, so a change after that look finds it.
//! * After `leave` no wake-up can be spent on this waiter. One that came before it is not lost: the
//!   last look sees the change that it told of, or somebody else took what there was to take.
//! * A waiter that finds its condition while it is in the list may have been chosen for another change
//!   in the same moment; it then passes the wake-up on.
//! * The waker wakes under the lock, and a waiter takes the lock before it goes: so neither node nor
//!   task is gone while the waker uses it.
//!
//! `ready` runs with no lock held and may sleep. Lock order: the queue's lock is the innermost.
//!
//! Invariant: a node is in the list only while its owner is in [`Queue::wait`].

use core::cell::Cell;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, Ordering};

use lock_api::MutexGuard;
use sup_core::host::{Wait, WaitEnd, WaitQueue};

use crate::Lock;
use crate::lock::SpinLock;
use crate::shim::task::{self, Task};
use crate::shim::time;

/// A waiting task. All but `woken` is guarded by the queue's lock.
struct Node {
    task: Task,
    /// Set once by the waker that took the node out; read by the sleeping task too.
    woken: AtomicU32,
    /// Older than every wake-all with a higher number.
    epoch: Cell<u64>,
    next: Cell<Option<NonNull<Node>>>,
    previous: Cell<Option<NonNull<Node>>>,
}

#[derive(Default)]
struct List {
    first: Option<NonNull<Node>>,
    last: Option<NonNull<Node>>,
    /// Number of wake-alls so far.
    epoch: u64,
}

// SAFETY: the list refers to nodes of several tasks, and whoever holds its lock may use them: nodes
// contain nothing that belongs to a thread.
unsafe impl Send for List {}

/// A queue of waiting tasks.
#[derive(Default)]
pub(crate) struct Queue {
    list: Lock<SpinLock, List>,
}

/// Whether a waker took the node out.
#[derive(PartialEq, Eq)]
enum Left {
    Woken,
    Unwoken,
}

type Locked<'a> = MutexGuard<'a, SpinLock, List>;

impl List {
    /// The neighbour's place where the link to what follows `previous` stands.
    fn set_next(&mut self, previous: Option<NonNull<Node>>, next: Option<NonNull<Node>>) {
        match previous {
            // SAFETY: a node in the list is on the stack of a task in `wait`, which cannot leave without
            // the lock that this exclusive borrow proves to be held.
            Some(previous) => unsafe { previous.as_ref() }.next.set(next),
            None => self.first = next,
        }
    }

    fn set_previous(&mut self, next: Option<NonNull<Node>>, previous: Option<NonNull<Node>>) {
        match next {
            // SAFETY: a node in the list is on the stack of a task in `wait`, which cannot leave without
            // the lock that this exclusive borrow proves to be held.
            Some(next) => unsafe { next.as_ref() }.previous.set(previous),
            None => self.last = previous,
        }
    }

    fn push(&mut self, node: &Node) {
        node.woken.store(0, Ordering::Relaxed);
        node.epoch.set(self.epoch);
        node.next.set(None);
        node.previous.set(self.last);
        let pointer = Some(NonNull::from(node));
        self.set_next(self.last, pointer);
        self.last = pointer;
    }

    fn remove(&mut self, node: &Node) {
        self.set_next(node.previous.get(), node.next.get());
        self.set_previous(node.next.get(), node.previous.get());
    }

    /// Takes the first node out and wakes its task, if `is_meant`.
    fn wake_first(&mut self, is_meant: impl FnOnce(&Node) -> bool) -> bool {
        let Some(first) = self.first else { return false };
        // SAFETY: a node in the list is on the stack of a task in `wait`, which cannot leave without the
        // lock that this exclusive borrow proves to be held.
        let node = unsafe { first.as_ref() };
        if !is_meant(node) {
            return false;
        }
        self.remove(node);
        // Release: pairs with the acquire in `leave`; the task itself orders by the kernel's barriers.
        node.woken.store(1, Ordering::Release);
        // SAFETY: the task is in `wait`, which it cannot leave without the lock, so it has not ended.
        unsafe { node.task.wake() };
        true
    }
}

impl Queue {
    fn lock(&self) -> Locked<'_> {
        self.list.lock()
    }

    /// Takes the node out unless a waker did.
    fn leave(&self, node: &Node) -> Left {
        let mut list = self.lock();
        // Acquire: pairs with the release in `wake_first`.
        if node.woken.load(Ordering::Acquire) != 0 {
            return Left::Woken;
        }
        list.remove(node);
        Left::Unwoken
    }
}

/// Takes its node out of the list at the latest when it is dropped.
struct Waiting<'a> {
    queue: &'a Queue,
    node: &'a Node,
}

impl Waiting<'_> {
    fn leave(self) -> Left {
        let left = self.queue.leave(self.node);
        core::mem::forget(self);
        left
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.queue.leave(self.node);
    }
}

impl WaitQueue for Queue {
    fn wait<R>(&self, wait: Wait, mut ready: impl FnMut() -> Option<R>) -> Result<R, WaitEnd> {
        if let Some(value) = ready() {
            return Ok(value);
        }
        if wait.deadline.is_over(time::now()) {
            return Err(WaitEnd::TimedOut);
        }
        let Some(task) = task::current() else { return Err(WaitEnd::Interrupted) };
        let node = Node {
            task,
            woken: AtomicU32::new(0),
            epoch: Cell::new(0),
            next: Cell::new(None),
            previous: Cell::new(None),
        };
        loop {
            self.lock().push(&node);
            let waiting = Waiting { queue: self, node: &node };
            if let Some(value) = ready() {
                if waiting.leave() == Left::Woken {
                    self.wake_one();
                }
                return Ok(value);
            }
            let slept = task::sleep(&node.woken, wait.deadline, wait.interruption);
            waiting.leave();
            if let Some(value) = ready() {
                return Ok(value);
            }
            slept?;
        }
    }

    fn wake_one(&self) {
        self.lock().wake_first(|_| true);
    }

    /// Takes the lock anew for each, so that interrupts are not off for long.
    fn wake_all(&self) {
        let epoch = {
            let mut list = self.lock();
            list.epoch = list.epoch.wrapping_add(1);
            list.epoch
        };
        while self.lock().wake_first(|node| node.epoch.get() < epoch) {}
    }
}
