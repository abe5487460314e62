//! Proof that closed sessions leave nothing in the process.

use std::fs;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use super::check::{Finding, Outcome, require};

/// What the process holds, as `/proc` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Process {
    descriptors: usize,
    /// Mappings of the driver's memory.
    mappings: usize,
    /// Threads of the driver's.
    threads: usize,
}

/// The names of the driver's files and threads begin with this.
const DRIVER: &str = "supdrv";

impl Process {
    pub(super) fn look() -> io::Result<Self> {
        let descriptors = fs::read_dir("/proc/self/fd")?.count();
        let maps = fs::read_to_string("/proc/self/maps")?;
        let mappings = maps.lines().filter(|line| line.contains(DRIVER)).count();
        let mut threads = 0;
        for task in fs::read_dir("/proc/self/task")? {
            // A thread may end between the two reads.
            let name = fs::read_to_string(task?.path().join("comm")).unwrap_or_default();
            threads += usize::from(name.starts_with(DRIVER));
        }
        Ok(Self { descriptors, mappings, threads })
    }
}

/// The process holds what it held before the first session was opened.
pub(super) fn compare(before: io::Result<Process>) -> Outcome {
    // The kernel lists a thread for a moment after it was joined.
    const MOMENT: Duration = Duration::from_millis(500);
    let before = before?;
    let deadline = Instant::now() + MOMENT;
    let mut after = Process::look()?;
    while after != before && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(1));
        after = Process::look()?;
    }
    require(after == before, || format!("the process held {before:?}, and now {after:?}"))?;
    let detail = format!(
        "{} descriptors as before, {} mappings, {} threads",
        after.descriptors, after.mappings, after.threads
    );
    Ok(Finding { figure: 0.0, detail })
}
