//! Threads and processes as seen from outside: whether they sleep, are stopped, or gone.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::Pid;

use crate::check::{Stop, Verdict};

/// Nothing that is waited for takes longer, so that a failure ends too.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The state of a task, as in `/proc/PID/stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// In the kernel, until something happens.
    Asleep,
    /// By a signal.
    Stopped,
}

impl State {
    fn letters(self) -> &'static [char] {
        match self {
            // A wait that no signal interrupts is a state of its own, and so is one that is not load.
            Self::Asleep => &['S', 'D', 'I'],
            Self::Stopped => &['T'],
        }
    }
}

/// This thread's number, for [`until`].
pub(crate) fn this_thread() -> Pid {
    rustix::thread::gettid()
}

/// Returns once a task of any process has been in a state for a moment.
#[track_caller]
pub(crate) fn until(task: Pid, state: State) -> Verdict {
    let end = Instant::now() + PATIENCE;
    let mut seen = 0;
    while seen < 4 {
        sleep(Duration::from_millis(1));
        seen = if is_in(task, state) { seen + 1 } else { 0 };
        if Instant::now() > end {
            let task = task.as_raw_nonzero();
            return Err(Stop::failed(format_args!("task {task} does not come to be {state:?}")));
        }
    }
    Ok(())
}

fn is_in(task: Pid, state: State) -> bool {
    // The folder is there for every task, also for one that does not lead its process.
    let stat = fs::read_to_string(format!("/proc/{}/stat", task.as_raw_nonzero()));
    // The state follows the name, which is in parentheses and may hold any character.
    let stat = stat.unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with(state.letters()))
}
