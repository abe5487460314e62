//! One signal of a manual-reset event that many threads sleep on, until the last of them has left.
//!
//! The threads go from one event to the other, so that nobody is made between two signals: while all
//! sleep on the one, the other is reset. Who still runs cannot be known from the driver, so the
//! kernel's word is taken for it that a thread sleeps.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::thread::{Pid, gettid};
use sup::{ManualResetEvent, Timeout};

use crate::figure::{Figure, Goal};
use crate::measure::{Routine, compare};
use crate::suites::open_session;

const MANY: usize = 1_000;
const FEW: usize = 100;
/// What the release of a thread among many may cost, in releases among few.
const LINEAR: f64 = 1.5;
const STACK_BYTES: usize = 64 << 10;
/// How long threads may take until they sleep.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn figures() -> Result<Vec<Figure>> {
    let (many, few) = (Sleepers::start(MANY)?, Sleepers::start(FEW)?);
    let pair = compare(many.releases(), few.releases())?;
    Ok(vec![Figure {
        name: format!("release of {MANY} sleepers, each"),
        unit: "us",
        compared_to: format!("each of {FEW}"),
        pair: pair.scaled(1e-3 / MANY as f64, 1e-3 / FEW as f64),
        goal: Some(Goal::Ratio(LINEAR)),
    }])
}

/// Threads that sleep on the same event. Dropping it ends them.
struct Sleepers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    ids: Vec<Pid>,
    /// When the last thread of each release was there.
    ends: Receiver<Instant>,
}

struct Shared {
    events: [ManualResetEvent; 2],
    /// Releases so far; the next one is by the event of this parity.
    turn: AtomicUsize,
    /// Threads released in this turn.
    released: AtomicUsize,
    is_over: AtomicBool,
}

impl Shared {
    fn event(&self, turn: usize) -> &ManualResetEvent {
        &self.events[turn % 2]
    }

    /// What a thread does.
    fn sleep(&self, count: usize, end: &Sender<Instant>) {
        for turn in 0_usize.. {
            let result = self.event(turn).wait(Timeout::Never);
            // Acquire: pairs with the release in `drop`.
            if result.is_err() || self.is_over.load(Ordering::Acquire) {
                return;
            }
            // Relaxed: the number is all that matters; the channel tells that the turn is over.
            if self.released.fetch_add(1, Ordering::Relaxed) + 1 == count {
                // Nobody listens once the measurement has failed.
                let _ = end.send(Instant::now());
            }
        }
    }
}

impl Sleepers {
    fn start(count: usize) -> Result<Self> {
        let session = open_session()?;
        let shared = Arc::new(Shared {
            events: [session.manual_reset_event()?, session.manual_reset_event()?],
            turn: AtomicUsize::new(0),
            released: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
        });
        let (end, ends) = channel();
        let (id, ids) = channel();
        let mut sleepers = Self { shared, threads: Vec::new(), ids: Vec::new(), ends };
        for _ in 0..count {
            let (shared, end, id) = (sleepers.shared.clone(), end.clone(), id.clone());
            let body = move || {
                let _ = id.send(gettid());
                shared.sleep(count, &end);
            };
            sleepers.threads.push(thread::Builder::new().stack_size(STACK_BYTES).spawn(body)?);
        }
        sleepers.ids = ids.iter().take(count).collect();
        Ok(sleepers)
    }

    fn releases(&self) -> impl Routine {
        move |iterations| {
            let mut total = Duration::ZERO;
            for _ in 0..iterations {
                total += self.release()?;
            }
            Ok(total)
        }
    }

    /// Releases all threads, and says how long that took.
    fn release(&self) -> Result<Duration> {
        self.settle()?;
        let shared = &self.shared;
        // Relaxed, here and below: only this thread changes it.
        let turn = shared.turn.load(Ordering::Relaxed);
        shared.event(turn + 1).reset()?;
        shared.released.store(0, Ordering::Relaxed);
        let start = Instant::now();
        shared.event(turn).signal()?;
        let end = self.ends.recv().context("the sleepers died")?;
        shared.turn.store(turn + 1, Ordering::Relaxed);
        Ok(end - start)
    }

    /// Waits until every thread sleeps. Twice in a row, because one that was seen waiting for a lock
    /// of the driver may run again while others are looked at.
    fn settle(&self) -> Result<()> {
        let start = Instant::now();
        let mut quiet = 0;
        while quiet < 2 {
            ensure!(start.elapsed() < PATIENCE, "the threads do not go to sleep");
            let mut are_asleep = true;
            for id in &self.ids {
                are_asleep &= is_asleep(*id)?;
            }
            quiet = if are_asleep { quiet + 1 } else { 0 };
            if !are_asleep {
                thread::sleep(Duration::from_millis(1));
            }
        }
        Ok(())
    }
}

impl Drop for Sleepers {
    fn drop(&mut self) {
        // Release: pairs with the acquire of each thread, of which some may be on either event.
        self.shared.is_over.store(true, Ordering::Release);
        for event in &self.shared.events {
            if event.signal().is_err() {
                return;
            }
        }
        for thread in self.threads.drain(..) {
            // One that panicked has said so.
            let _ = thread.join();
        }
    }
}

/// Reads the state of a thread of this process, see proc_pid_stat(5).
fn is_asleep(id: Pid) -> Result<bool> {
    let path = format!("/proc/self/task/{}/stat", id.as_raw_nonzero());
    let stat = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    // The name before it may hold anything.
    let (_, fields) = stat.rsplit_once(") ").context("the state of a thread is unreadable")?;
    Ok(fields.starts_with('S'))
}
