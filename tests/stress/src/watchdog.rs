//! [`watched`]: a lost wake-up fails the test instead of hanging it.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::thread::scope;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// So long nothing may change. Far more than a loaded machine needs for one step.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether the work is over, for a dog that looks now and then.
#[derive(Default)]
struct Leash {
    is_over: Mutex<bool>,
    changed: Condvar,
}

/// Lets the dog go even if the work panics.
struct Letting<'a>(&'a Leash);

impl Drop for Letting<'_> {
    fn drop(&mut self) {
        *self.0.is_over.lock() = true;
        self.0.changed.notify_all();
    }
}

/// Does `work`. If `state` says the same for a minute, shows it and where every thread is, and aborts.
///
/// # Panics
/// If `work` does.
pub fn watched<T>(state: impl Fn() -> String + Sync, work: impl FnOnce() -> T) -> T {
    let leash = Leash::default();
    scope(|scope| {
        let dog = scope.spawn(|| watch(&leash, &state));
        let result = {
            let _letting = Letting(&leash);
            work()
        };
        dog.join().expect("the watchdog does not panic");
        result
    })
}

fn watch(leash: &Leash, state: &impl Fn() -> String) {
    let mut seen = state();
    let mut is_over = leash.is_over.lock();
    while !*is_over {
        if !leash.changed.wait_for(&mut is_over, PATIENCE).timed_out() {
            continue;
        }
        let now = state();
        if now == seen {
            // Past the capture of the test's output, which dies with the process.
            let dump = format!("nothing moves any more: {now}\n{}", threads());
            let _ = io::stderr().write_all(dump.as_bytes());
            std::process::abort();
        }
        seen = now;
    }
}

/// A line for every thread of this process: number, name, state, and where in the kernel it is.
fn threads() -> String {
    let mut lines = String::new();
    for task in fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        let read = |name| fs::read_to_string(task.path().join(name)).unwrap_or_default();
        let status = read("status");
        let state = status.lines().find_map(|line| line.strip_prefix("State:")).unwrap_or_default();
        let (name, place) = (read("comm"), read("wchan"));
        let id = task.file_name();
        let _ = writeln!(lines, "{} {} {} {place}", id.display(), name.trim(), state.trim());
    }
    lines
}
