//! [`FutexQueue`]: threads waiting on a futex.
//!
//! The queue is one word that counts wake-ups. A waiter reads it, evaluates its condition, and sleeps
//! only if the word still has that value; a waker changes the word after it changed the condition:
//!
//! ```text
//! waiter                          waker
//! s = word   (acquire)            change the condition
//! condition? ── yes: done         word += 1  (release)
//! sleep while word == s           wake
//! ```
//! If the waiter read the word before the increment, the sleep ends at once or is woken. If after, the
//! acquire sees the release, and the condition with it.

use std::sync::atomic::{AtomicU32, Ordering};

use rustix::io::Errno;
use rustix::thread::futex;
use rustix::time::Timespec;
use sup_core::Deadline;
use sup_core::host::{Interruption, Wait, WaitEnd, WaitQueue};

/// A queue of waiting threads.
#[derive(Debug, Default)]
pub struct FutexQueue {
    wakes: AtomicU32,
}

impl FutexQueue {
    fn wake(&self, threads: u32) {
        // Release: see the file's introduction.
        self.wakes.fetch_add(1, Ordering::Release);
        // Waking a word of this process cannot fail.
        let _ = futex::wake(&self.wakes, futex::Flags::PRIVATE, threads);
    }

    /// Sleeps while the word is `seen`.
    fn sleep(&self, seen: u32, wait: Wait) -> Result<(), Errno> {
        let nanos = match (wait.deadline, wait.interruption) {
            (Deadline::At(at), _) => Some(at.get()),
            // A time that never comes: the kernel restarts a wait without a timeout after a signal
            // whose handler has SA_RESTART, and reports any other one as interrupted.
            (Deadline::Never, Interruption::Allowed) => Some(u64::MAX),
            (Deadline::Never, Interruption::Ignored) => None,
        };
        let until = nanos.map(|nanos| Timespec {
            tv_sec: (nanos / 1_000_000_000).try_into().unwrap_or(i64::MAX),
            tv_nsec: (nanos % 1_000_000_000).cast_signed(),
        });
        // With a bit set, the timeout is absolute on the monotonic clock.
        futex::wait_bitset(
            &self.wakes,
            futex::Flags::PRIVATE,
            seen,
            until.as_ref(),
            std::num::NonZeroU32::MAX,
        )
    }
}

impl WaitQueue for FutexQueue {
    fn wait<R>(&self, wait: Wait, mut ready: impl FnMut() -> Option<R>) -> Result<R, WaitEnd> {
        loop {
            // Acquire: see the file's introduction.
            let seen = self.wakes.load(Ordering::Acquire);
            if let Some(value) = ready() {
                return Ok(value);
            }
            let end = match self.sleep(seen, wait) {
                Err(Errno::TIMEDOUT) => WaitEnd::TimedOut,
                Err(Errno::INTR) if wait.interruption == Interruption::Allowed => {
                    WaitEnd::Interrupted
                }
                // Woken, or the word had changed already, or a signal that does not count.
                _ => continue,
            };
            return ready().ok_or(end);
        }
    }

    fn wake_one(&self) {
        self.wake(1);
    }

    fn wake_all(&self) {
        self.wake(i32::MAX.cast_unsigned());
    }
}
