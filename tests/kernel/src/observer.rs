//! [`Observer`]: a session that does nothing but look at what the driver holds.

use std::fs;
use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

use sup::backend::Kind;
use sup::{Counts, Session};

use crate::check::{Stop, Verdict};

/// How long the kernel may take to clear up after a process that has ended.
const CLEARING_UP: Duration = Duration::from_secs(5);

/// A session of its own.
#[derive(Debug)]
pub(crate) struct Observer(Session);

/// What the driver holds at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sight {
    /// In all sessions together, the observer's included.
    pub(crate) counts: Counts,
    /// Files and mappings that keep the module in the kernel.
    pub(crate) module_references: u64,
}

impl Observer {
    /// # Errors
    /// There is no driver, with what to do.
    pub(crate) fn open() -> io::Result<Self> {
        Session::open_in(Kind::Kernel).map(Self).map_err(io::Error::other)
    }

    /// What the driver holds now.
    #[track_caller]
    pub(crate) fn look(&self) -> Verdict<Sight> {
        Ok(Sight { counts: self.0.statistics()?.driver, module_references: module_references()? })
    }

    /// Open sessions.
    #[track_caller]
    pub(crate) fn sessions(&self) -> Verdict<u64> {
        Ok(self.look()?.counts.sessions)
    }

    /// Returns when the driver holds what it held before.
    #[track_caller]
    pub(crate) fn wait_for(&self, before: &Sight) -> Verdict {
        let end = Instant::now() + CLEARING_UP;
        loop {
            let now = self.look()?;
            if now == *before {
                return Ok(());
            }
            if Instant::now() > end {
                return Err(Stop::failed(format_args!(
                    "the driver holds {now:?}, and held {before:?} before"
                )));
            }
            sleep(Duration::from_millis(1));
        }
    }
}

/// The reference count of supdrv in `/proc/modules`.
fn module_references() -> Verdict<u64> {
    let modules = fs::read_to_string("/proc/modules")?;
    let line = modules.lines().find(|line| line.starts_with("supdrv "));
    let count = line.and_then(|line| line.split(' ').nth(2)?.parse().ok());
    count.ok_or_else(|| Stop::failed("/proc/modules has no line of supdrv with a reference count"))
}
