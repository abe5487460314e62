//! [`Child`]: a process that runs a function of this program and tells how that went.
//!
//! It is a fork, so it has the descriptors and the memory of its parent, but for what the driver keeps
//! from children. Its parent's death is its own.
//!
//! Invariant: whoever forks has one thread; a child of several could find a lock taken for ever.

use std::io::{self, PipeReader, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::io::ioctl_fionbio;
use rustix::process::{
    Pid, Signal, WaitOptions, WaitStatus, kill_process, set_parent_process_death_signal, waitpid,
};

use crate::check::{Stop, Verdict};

/// A process that has not ended after this time hangs. An emulated processor with a debug kernel is slow.
const PATIENCE: Duration = Duration::from_secs(240);

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Exited(i32),
    Killed(i32),
}

impl End {
    /// True for the end of a process that touched memory which is not there for it.
    pub(crate) fn is_fault(self) -> bool {
        [libc::SIGSEGV, libc::SIGBUS].map(Self::Killed).contains(&self)
    }
}

/// A running function. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Child {
    process: Pid,
    verdict: PipeReader,
    end: Option<End>,
}

/// The first byte of what a child tells; what follows is a sentence.
mod tag {
    pub(super) const PASSED: u8 = b'p';
    pub(super) const FAILED: u8 = b'f';
    pub(super) const SKIPPED: u8 = b's';
}

impl Child {
    /// Starts `work` in a process of its own.
    pub(crate) fn start(work: impl FnOnce() -> Verdict) -> Verdict<Self> {
        let (reader, mut writer) = io::pipe()?;
        ioctl_fionbio(&reader, true)?;
        // SAFETY: the process has one thread by the invariant of this module, so every lock and the
        // allocator are in a good state in the child; which ends by `_exit` below, whatever `work` does.
        let process = unsafe { libc::fork() };
        if process == 0 {
            drop(reader);
            // If that is refused, a test that is killed leaves a process behind, and no more.
            let _ = set_parent_process_death_signal(Some(Signal::KILL));
            let verdict = catch_unwind(AssertUnwindSafe(work))
                .unwrap_or_else(|_| Err(Stop::Failed("it panicked, see above".to_owned())));
            let (tag, text) = match verdict {
                Ok(()) => (tag::PASSED, String::new()),
                Err(Stop::Failed(why)) => (tag::FAILED, why),
                Err(Stop::Skipped(reason)) => (tag::SKIPPED, reason),
            };
            // The parent notices that it was told nothing.
            let _ = writer.write_all(&[&[tag], text.as_bytes()].concat());
            // SAFETY: the call takes a number and ends the process; what is open is the kernel's to close.
            unsafe { libc::_exit(0) };
        }
        let process = Pid::from_raw(process).filter(|process| process.as_raw_nonzero().get() > 0);
        let process = process.ok_or_else(io::Error::last_os_error)?;
        Ok(Self { process, verdict: reader, end: None })
    }

    /// Its number.
    pub(crate) fn id(&self) -> Pid {
        self.process
    }

    /// Sends it a signal.
    pub(crate) fn send(&self, signal: Signal) -> Verdict {
        Ok(kill_process(self.process, signal)?)
    }

    /// How it ended; `None` if it runs.
    pub(crate) fn try_end(&mut self) -> Verdict<Option<End>> {
        if self.end.is_none() {
            let changed = waitpid(Some(self.process), WaitOptions::NOHANG)?;
            self.end = changed.and_then(|(_, status)| end_of(status));
        }
        Ok(self.end)
    }

    /// Waits until it has ended.
    #[track_caller]
    pub(crate) fn wait(&mut self) -> Verdict<End> {
        let limit = Instant::now() + PATIENCE;
        loop {
            if let Some(end) = self.try_end()? {
                return Ok(end);
            }
            if Instant::now() > limit {
                let process = self.process.as_raw_nonzero();
                return Err(Stop::failed(format_args!("process {process} hangs and is killed")));
            }
            sleep(Duration::from_millis(1));
        }
    }

    /// Waits until it has ended, and takes its verdict.
    #[track_caller]
    pub(crate) fn finish(mut self) -> Verdict {
        let end = self.wait()?;
        let mut told = Vec::new();
        // A process that it left behind may have the pipe open: what there is was written before the end.
        let read = self.verdict.read_to_end(&mut told);
        if let Err(error) = read.or_else(|error| match error.kind() {
            io::ErrorKind::WouldBlock => Ok(0),
            _ => Err(error),
        }) {
            return Err(error.into());
        }
        let text = |told: &[u8]| String::from_utf8_lossy(told).into_owned();
        match told.split_first() {
            Some((&tag::PASSED, _)) => Ok(()),
            Some((&tag::FAILED, why)) => Err(Stop::Failed(text(why))),
            Some((&tag::SKIPPED, reason)) => Err(Stop::Skipped(text(reason))),
            _ => Err(Stop::failed(format_args!("the process ended without a verdict: {end:?}"))),
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.end.is_none() {
            // It may have ended already; then there is only its exit status to be taken.
            let _ = kill_process(self.process, Signal::KILL);
            let _ = waitpid(Some(self.process), WaitOptions::empty());
        }
    }
}

fn end_of(status: WaitStatus) -> Option<End> {
    let exited = status.exit_status().map(End::Exited);
    exited.or_else(|| status.terminating_signal().map(End::Killed))
}
