//! Crowds of threads, what disturbs them, and dice for each.

use std::fs;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::scope;

/// Runs `work` in `count` threads at once, each with its number, and joins them all.
///
/// A thread that panics ends the process: the others may wait for it for ever. Its message is shown
/// past the capture of the test's output, which is lost then.
pub fn crowd<T: Send>(count: u64, work: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let guarded = |number| {
        catch_unwind(AssertUnwindSafe(|| work(number))).unwrap_or_else(|panic| {
            let message = panic.downcast_ref::<String>().map(String::as_str);
            let message = message.or_else(|| panic.downcast_ref().copied()).unwrap_or_default();
            let _ = writeln!(io::stderr(), "thread {number} of {count}: {message}");
            std::process::abort()
        })
    };
    scope(|scope| {
        let guarded = &guarded;
        let threads: Vec<_> =
            (0..count).map(|number| scope.spawn(move || guarded(number))).collect();
        threads.into_iter().map(|thread| thread.join().expect("it does not panic")).collect()
    })
}

/// A thread of this process, by its number in the system; zero is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tid(pub i32);

impl Tid {
    /// The calling thread.
    pub fn current() -> Self {
        Self(rustix::thread::gettid().as_raw_nonzero().get())
    }

    /// Sends it SIGUSR1, after [`catch_pokes`]. A thread that has ended does not mind.
    pub fn poke(self) {
        // SAFETY: the call takes three numbers. The kernel delivers to threads of this process only,
        // in which the signal has a handler, and refuses zero.
        unsafe { libc::syscall(libc::SYS_tgkill, std::process::id(), self.0, libc::SIGUSR1) };
    }

    /// True if it sleeps in the kernel.
    pub fn is_asleep(self) -> bool {
        let stat = fs::read_to_string(format!("/proc/self/task/{}/stat", self.0));
        // The state follows the name, which is in parentheses and may hold any character.
        let stat = stat.unwrap_or_default();
        stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('S'))
    }
}

/// Installs a handler of SIGUSR1 that does nothing, and asks for system calls to be restarted, which
/// waits must not be (spec 3.5). It stays: every test that pokes wants the same.
pub fn catch_pokes() {
    extern "C" fn nothing(_signal: libc::c_int) {}
    let handler: extern "C" fn(libc::c_int) = nothing;
    // SAFETY: all zeros are a valid action with the default handler and an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as usize;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: the handler does nothing, so it may run anywhere; the kernel reads the action, and
    // writes nothing through the null pointer.
    unsafe { libc::sigaction(libc::SIGUSR1, &raw const action, std::ptr::null_mut()) };
}

/// Numbers that look random, the same in every run (SplitMix64).
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// The dice of a thread.
    pub fn new(thread: u64) -> Self {
        Self(thread)
    }

    /// A number below `limit`.
    pub fn roll(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}
