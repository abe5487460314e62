//! Threads that sleep in a request, and what can be done to them from outside.

use std::fs;
use std::sync::mpsc;
use std::thread::{Scope, ScopedJoinHandle, sleep};
use std::time::{Duration, Instant};

use crate::case::{Stop, Verdict};

/// No wait of a case takes longer, so that a failure ends too.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// [`PATIENCE`] as a relative timeout in nanoseconds.
pub(crate) const PATIENCE_NS: u64 = PATIENCE.as_nanos() as u64;

/// A thread that is expected to go to sleep.
#[derive(Debug)]
pub(crate) struct Sleeper<'scope, T> {
    thread: ScopedJoinHandle<'scope, T>,
    id: libc::pid_t,
}

impl<'scope, T: Send + 'scope> Sleeper<'scope, T> {
    /// Starts `work` in a thread.
    pub(crate) fn start<'env>(
        scope: &'scope Scope<'scope, 'env>,
        work: impl FnOnce() -> T + Send + 'scope,
    ) -> Verdict<Self> {
        let (sender, receiver) = mpsc::channel();
        let thread = scope.spawn(move || {
            // The receiver waits below.
            let _ = sender.send(rustix::thread::gettid().as_raw_nonzero().get());
            work()
        });
        Ok(Self { thread, id: receiver.recv()? })
    }

    /// Returns once the thread sleeps in the kernel, and has done so for a moment.
    pub(crate) fn wait_until_asleep(&self) -> Verdict {
        let end = Instant::now() + PATIENCE;
        let mut seen = 0;
        while seen < 4 {
            if Instant::now() > end || self.is_over() {
                return Err(Stop::failed("the thread does not sleep"));
            }
            sleep(Duration::from_millis(1));
            seen = if is_asleep(self.id) { seen + 1 } else { 0 };
        }
        Ok(())
    }

    /// True if the thread has ended.
    pub(crate) fn is_over(&self) -> bool {
        self.thread.is_finished()
    }

    /// Sends it SIGUSR1.
    pub(crate) fn poke(&self) {
        let process = std::process::id();
        // SAFETY: the call takes three numbers; the thread is one of this process, and the signal has
        // a handler as long as a case that pokes runs. A thread that has ended is an error without
        // effect.
        unsafe { libc::syscall(libc::SYS_tgkill, process, self.id, libc::SIGUSR1) };
    }

    /// Pokes it until it ends, which should be at once; false if it does not.
    pub(crate) fn poke_until_over(&self) -> bool {
        let end = Instant::now() + PATIENCE / 10;
        while !self.is_over() && Instant::now() < end {
            self.poke();
            sleep(Duration::from_millis(5));
        }
        self.is_over()
    }

    /// What its work came to.
    pub(crate) fn join(self) -> Verdict<T> {
        self.thread.join().map_err(|_| Stop::failed("the thread panicked"))
    }
}

fn is_asleep(thread: libc::pid_t) -> bool {
    let stat = fs::read_to_string(format!("/proc/self/task/{thread}/stat")).unwrap_or_default();
    // The state follows the name, which is in parentheses and may hold any character. A wait in the
    // kernel that no signal interrupts is a state of its own, and may be an idle one.
    stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with(['S', 'D', 'I']))
}

/// A handler of SIGUSR1 that does nothing; dropping it restores the earlier one.
pub(crate) struct QuietSignal(libc::sigaction);

impl QuietSignal {
    /// `flags` are those of `sigaction`.
    pub(crate) fn install(flags: libc::c_int) -> Self {
        extern "C" fn nothing(_signal: libc::c_int) {}
        let handler: extern "C" fn(libc::c_int) = nothing;
        // SAFETY: all zeros are a valid action with the default handler and an empty mask.
        let (mut new, mut old): (libc::sigaction, libc::sigaction) = unsafe { std::mem::zeroed() };
        new.sa_sigaction = handler as usize;
        new.sa_flags = flags;
        // SAFETY: both point to actions of this function; the handler does nothing, so it may run
        // anywhere, and the call writes the old action.
        unsafe { libc::sigaction(libc::SIGUSR1, &raw const new, &raw mut old) };
        Self(old)
    }
}

impl Drop for QuietSignal {
    fn drop(&mut self) {
        // SAFETY: the action is the one that the signal had; nothing is written through the null
        // pointer.
        unsafe { libc::sigaction(libc::SIGUSR1, &raw const self.0, std::ptr::null_mut()) };
    }
}
