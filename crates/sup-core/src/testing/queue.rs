//! [`TestQueue`]: threads of a test that wait.
//!
//! Neighbour: `testing.rs` has the host. Invariant: who waits holds no spinning lock, which `sup-alloc` checks.

extern crate std;

use std::sync::{Condvar, Mutex};
use std::time::Duration;

use sup_abi::Nanoseconds;

use crate::host::{Wait, WaitEnd, WaitQueue};

/// A queue on a condition variable. Deadlines are in the test's time, which does not pass by itself,
/// so a wait with a deadline that is not over yet gives up after a moment.
#[derive(Debug, Default)]
pub(crate) struct TestQueue(Mutex<u64>, Condvar);

impl WaitQueue for TestQueue {
    fn wait<R>(&self, wait: Wait, mut ready: impl FnMut() -> Option<R>) -> Result<R, WaitEnd> {
        sup_alloc::locks::may_sleep();
        let mut wakes = self.0.lock().unwrap();
        loop {
            if let Some(value) = ready() {
                return Ok(value);
            }
            if wait.deadline.is_over(Nanoseconds::new(0)) {
                return Err(WaitEnd::TimedOut);
            }
            let (guard, result) = self.1.wait_timeout(wakes, Duration::from_millis(200)).unwrap();
            wakes = guard;
            if result.timed_out() && wait.deadline != crate::Deadline::Never {
                return ready().ok_or(WaitEnd::TimedOut);
            }
        }
    }

    fn wake_one(&self) {
        self.wake_all();
    }

    fn wake_all(&self) {
        *self.0.lock().unwrap() += 1;
        self.1.notify_all();
    }
}
