//! [`LoomQueue`]: a wait queue for the models that loom checks.
//!
//! Neighbours: the files `loom_tests.rs`. Invariant: a lost wake-up is a deadlock, which loom reports.

extern crate std;

use core::sync::atomic::Ordering;

use loom::sync::atomic::AtomicU32;
use loom::sync::{Condvar, Mutex};

use crate::Deadline;
use crate::host::{Wait, WaitEnd, WaitQueue};

/// The embedded host's queue over a model of the futex: the kernel compares the word and enqueues the
/// sleeper in one step.
#[derive(Debug, Default)]
pub(crate) struct LoomQueue {
    wakes: AtomicU32,
    futex: Mutex<()>,
    sleepers: Condvar,
}

impl LoomQueue {
    fn change(&self) {
        self.wakes.fetch_add(1, Ordering::Release);
        drop(self.futex.lock().unwrap());
    }
}

impl WaitQueue for LoomQueue {
    fn wait<R>(&self, wait: Wait, mut ready: impl FnMut() -> Option<R>) -> Result<R, WaitEnd> {
        loop {
            let seen = self.wakes.load(Ordering::Acquire);
            if let Some(value) = ready() {
                return Ok(value);
            }
            if wait.deadline != Deadline::Never {
                // The deadline may come at any point: loom interleaves others up to here.
                return ready().ok_or(WaitEnd::TimedOut);
            }
            let futex = self.futex.lock().unwrap();
            if self.wakes.load(Ordering::Relaxed) == seen {
                drop(self.sleepers.wait(futex).unwrap());
            }
        }
    }

    fn wake_one(&self) {
        self.change();
        self.sleepers.notify_one();
    }

    fn wake_all(&self) {
        self.change();
        self.sleepers.notify_all();
    }
}
