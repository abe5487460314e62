//! What keeping the page up to date costs while nobody reads it: processor time of the updater's
//! threads, as the kernel counts it, beside that of a thread which wakes up as often and does nothing.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::figure::{Figure, Goal};
use crate::measure::Pair;
use crate::suites::open_session;

const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_millis(500);
/// What the embedded backend calls its threads.
const NAME: &str = "supdrv-gip";
/// The thread that does nothing.
const IDLER: &str = "idler";

pub(super) fn figures() -> Result<Vec<Figure>> {
    ensure!(busy_ns(NAME)? == (0, 0), "the updater runs while no session has the page mapped");
    let gip = open_session()?.gip()?;
    let interval = Duration::from_secs(1) / gip.update_hz().max(1);
    let is_over = AtomicBool::new(false);
    let (updater, idler) = thread::scope(|scope| {
        thread::Builder::new()
            .name(IDLER.into())
            .spawn_scoped(scope, || idle(interval, &is_over))?;
        // A thread gives itself its name when it starts.
        thread::sleep(ROUND);
        let measured = (0..ROUNDS).map(|_| round()).collect::<Result<(Vec<_>, Vec<_>)>>();
        // Relaxed: it publishes nothing.
        is_over.store(true, Ordering::Relaxed);
        measured
    })?;
    let figure = |compared_to: &str, others: Vec<f64>, goal| {
        anyhow::Ok(Figure {
            name: "updater, processor time in a second".into(),
            unit: "µs",
            compared_to: compared_to.into(),
            pair: Pair::of_neighbours(updater.clone(), others)?,
            goal,
        })
    };
    let seconds = vec![1_000_000.0; updater.len()];
    Ok(vec![
        figure("the second", seconds, Some(Goal::Ratio(0.001)))?,
        figure("a thread that only wakes up", idler, None)?,
    ])
}

/// Wakes up again and again, to deadlines of its own.
fn idle(interval: Duration, is_over: &AtomicBool) {
    let mut next = Instant::now();
    while !is_over.load(Ordering::Relaxed) {
        next += interval;
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
}

/// Microseconds in a second of the updater and of the idler.
fn round() -> Result<(f64, f64)> {
    let start = Instant::now();
    let before = [busy_ns(NAME)?, busy_ns(IDLER)?];
    ensure!(
        before.iter().all(|(threads, _)| *threads > 0),
        "no thread is called {NAME} or {IDLER}"
    );
    thread::sleep(ROUND);
    let after = [busy_ns(NAME)?, busy_ns(IDLER)?];
    let seconds = start.elapsed().as_secs_f64();
    let spent = |which: usize| (after[which].1 - before[which].1) as f64 / seconds / 1_000.0;
    Ok((spent(0), spent(1)))
}

/// How many threads have that name, and how long they have run in all.
fn busy_ns(wanted: &str) -> Result<(usize, u64)> {
    let (mut threads, mut nanos) = (0, 0);
    for task in fs::read_dir("/proc/self/task")? {
        let path = task?.path();
        // A thread that ended meanwhile has no name.
        if fs::read_to_string(path.join("comm")).is_ok_and(|name| name.trim_end() == wanted) {
            let times = fs::read_to_string(path.join("schedstat"))?;
            let on_processor =
                times.split_ascii_whitespace().next().context("schedstat is empty")?;
            nanos += on_processor.parse::<u64>()?;
            threads += 1;
        }
    }
    Ok((threads, nanos))
}
