//! What `stat` and `record` have in common: open, switch on, read until the end, switch off.
//!
//! Invariant: what is said of losses comes after everything is switched off, when the counts are exact.

use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, getpgrp, kill_process};
use rustix::termios::tcgetpgrp;
use sup::ringtrace::{Policy, ProbeLocation, Record, TraceCounts};

use super::Opened;
use super::ends::Ends;
use crate::cli::{FullPolicy, TraceRunArgs};
use crate::failure::Failure;

/// Between two looks at empty rings.
const NAP: Duration = Duration::from_millis(2);
/// Records between two looks at whether it is time to end: they may come faster than they are taken.
const BATCH: usize = 1 << 16;
/// Between two reports on a terminal.
const INTERVAL: Duration = Duration::from_secs(1);

/// Who gets the records.
pub(super) trait Sink {
    /// A record.
    fn take(&mut self, record: &Record) -> Result<(), Failure>;
    /// A second has passed.
    fn tick(&mut self, elapsed: Duration, counts: TraceCounts);
}

/// What became of a run.
pub(super) struct Run {
    pub(super) elapsed: Duration,
    /// Of each ring.
    pub(super) counts: Vec<TraceCounts>,
    /// What the operation that was called came to.
    pub(super) called: sup::Result<()>,
}

/// Runs with these locations switched on, until Ctrl-C, the end of the command, of the call or of the time. A command
/// that runs longer is told to end, and waited for; so is a call, which nothing ends but itself.
pub(super) fn run(
    opened: &mut Opened,
    args: &TraceRunArgs,
    locations: &[ProbeLocation],
    sink: &mut dyn Sink,
) -> Result<Run, Failure> {
    let ends = Ends::at_signals()?;
    let policy = match args.policy {
        FullPolicy::Drop => Policy::Drop,
        FullPolicy::Overwrite => Policy::Overwrite,
    };
    opened.tracer.make_rings(args.buffer, policy)?;
    for location in locations {
        opened.tracer.switch_on(location.id, args.condition)?;
    }
    // Now that nothing of it is missed. What is on goes with the session if the command cannot be run.
    let child = args.command.split_first().map(|(program, rest)| {
        Command::new(program).args(rest).spawn().map_err(Failure::of_file(program.as_ref()))
    });
    let mut child = child.transpose()?;
    let started = Instant::now();
    let Opened { tracer, modules, .. } = opened;
    let mut failed = None;
    let called = thread::scope(|scope| {
        let call = args.call.zip(modules.last()).map(|((operation, argument), module)| {
            scope.spawn(move || module.call(operation, argument).map(|_| ()))
        });
        let mut next = started + INTERVAL;
        while failed.is_none() {
            // Asked before the rings are read, so that what came before the end is read.
            let is_over = ends.signal().is_some()
                || args.seconds.is_some_and(|limit| started.elapsed().as_secs() >= limit)
                || call.as_ref().is_some_and(thread::ScopedJoinHandle::is_finished)
                || child.as_mut().is_some_and(has_ended);
            let count = tracer.read(BATCH, |record| {
                if failed.is_none() {
                    failed = sink.take(record).err();
                }
            });
            if is_over {
                break;
            }
            if Instant::now() >= next {
                next += INTERVAL;
                sink.tick(started.elapsed(), tracer.counts().unwrap_or_default());
            }
            if count == 0 {
                thread::sleep(NAP);
            }
        }
        if let Some(child) = &mut child {
            end(child, ends.signal().unwrap_or(Signal::TERM));
        }
        call.map(|call| call.join().unwrap_or(Ok(())))
    });
    let elapsed = started.elapsed();
    for location in locations {
        // One that has gone is off.
        let _ = tracer.switch_off(location.id);
    }
    tracer.read(usize::MAX >> 1, |record| {
        if failed.is_none() {
            failed = sink.take(record).err();
        }
    });
    if let Some(mut child) = child {
        // Its status is its own business.
        let _ = child.wait();
    }
    if let Some(failure) = failed {
        return Err(failure);
    }
    Ok(Run { elapsed, counts: tracer.ring_counts()?, called: called.unwrap_or(Ok(())) })
}

/// Tells a command that still runs to end, in the way in which this program was told.
fn end(child: &mut Child, signal: Signal) {
    // A terminal tells all of its foreground.
    let knows =
        signal == Signal::INT && tcgetpgrp(std::io::stdin()).is_ok_and(|front| front == getpgrp());
    if !knows && !has_ended(child) {
        // It may end just now.
        let _ = kill_process(Pid::from_child(child), signal);
    }
}

fn has_ended(child: &mut Child) -> bool {
    !matches!(child.try_wait(), Ok(None))
}
