//! How late a wait ends that nobody signals, against the system's own sleep.
//!
//! Both sleep the same duration in turn, on one thread with one timer slack. The overshoot is the time
//! from the moment asked for to the return, read from the same clock. Blocks of such sleeps are summed
//! up by their median and by their 99th percentile; a figure is the median of the blocks.

use std::time::Duration;

use anyhow::{Result, ensure};
use rustix::thread::clock_nanosleep_absolute;
use rustix::time::{ClockId, Timespec, clock_gettime};
use sup::{EventSemaphore, Timeout, WaitError};

use crate::figure::{Figure, Goal};
use crate::measure::Pair;
use crate::stats::quantile_of;
use crate::suites::open_session;

/// Sleeps of each side in a block: enough for a 99th percentile.
const SLEEPS: usize = 100;
const BLOCKS: usize = 15;
const DURATIONS: [Duration; 2] = [Duration::from_micros(200), Duration::from_millis(1)];
/// What is read from a block: its name, its quantile, and the most that the ratio may be.
const QUANTILES: [(&str, f64, f64); 2] = [("median", 0.5, 1.1), ("p99", 0.99, 1.25)];

/// How a wait is told when to end.
#[derive(Debug, Clone, Copy)]
enum Given {
    Relative,
    Absolute,
}

pub(super) fn figures() -> Result<Vec<Figure>> {
    let event = open_session()?.event()?;
    let mut figures = Vec::new();
    for duration in DURATIONS {
        for given in [Given::Relative, Given::Absolute] {
            figures.extend(overshoots(&event, duration, given)?);
        }
    }
    Ok(figures)
}

fn overshoots(event: &EventSemaphore, duration: Duration, given: Given) -> Result<Vec<Figure>> {
    let mut blocks = Vec::new();
    for _ in 0..BLOCKS {
        let mut sides = [Vec::with_capacity(SLEEPS), Vec::with_capacity(SLEEPS)];
        for _ in 0..SLEEPS {
            sides[0].push(overshoot(duration, |deadline| wait(event, duration, deadline, given))?);
            sides[1].push(overshoot(duration, sleep)?);
        }
        blocks.push(sides);
    }
    let kind = match given {
        Given::Relative => "relative",
        Given::Absolute => "absolute",
    };
    QUANTILES
        .into_iter()
        .map(|(name, fraction, most)| {
            let mut quantiles = |side: usize| -> Vec<f64> {
                blocks.iter_mut().filter_map(|b| quantile_of(&mut b[side], fraction)).collect()
            };
            let pair = Pair::of_neighbours(quantiles(0), quantiles(1))?;
            Ok(Figure {
                name: format!("overshoot of a wait of {duration:?}, {kind}, {name}"),
                unit: "us",
                compared_to: format!("clock_nanosleep, {name}"),
                pair: pair.scaled(1e-3, 1e-3),
                goal: Some(Goal::Ratio(most)),
            })
        })
        .collect()
}

/// Nanoseconds from the moment asked for to the return of `sleep`.
fn overshoot(duration: Duration, sleep: impl FnOnce(u64) -> Result<()>) -> Result<f64> {
    let deadline = now() + u64::try_from(duration.as_nanos())?;
    sleep(deadline)?;
    let late = now().checked_sub(deadline);
    ensure!(late.is_some(), "a sleep ended before its time");
    Ok(late.unwrap_or(0) as f64)
}

fn wait(event: &EventSemaphore, duration: Duration, deadline: u64, given: Given) -> Result<()> {
    let timeout = match given {
        Given::Relative => Timeout::After(duration),
        Given::Absolute => Timeout::Deadline(deadline),
    };
    let result = event.wait(timeout);
    ensure!(result == Err(WaitError::TimedOut), "a wait was to time out, and ended: {result:?}");
    Ok(())
}

fn sleep(deadline: u64) -> Result<()> {
    let until = Timespec {
        tv_sec: i64::try_from(deadline / 1_000_000_000)?,
        tv_nsec: i64::try_from(deadline % 1_000_000_000)?,
    };
    Ok(clock_nanosleep_absolute(ClockId::Monotonic, &until)?)
}

/// Nanoseconds of the clock that deadlines are on.
fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.cast_unsigned() * 1_000_000_000 + now.tv_nsec.cast_unsigned()
}
