//! The figures of the clock page: what a read costs, and how far it is from the system's clock.

use std::hint::black_box;
use std::thread::sleep;
use std::time::Duration;

use sup::Session;
use sup::backend::Kind;

use super::figure::{Figure, Goal, Unit};
use super::measure::{cost_of, now_ns};
use crate::check::{Verdict, check};

/// Reads of a batch: one takes less than a look at the system's clock.
const READS: u64 = 1000;
/// Looks at the distance, and the time between them: over many updates of the page.
const LOOKS: u64 = 500;
const PAUSE: Duration = Duration::from_millis(3);
/// Pairs of looks at the system's clock of which the tightest counts.
const TRIES: usize = 5;
/// The updater's first guess of the counter's rate is corrected by then.
const SETTLED: Duration = Duration::from_millis(500);

pub(super) fn figures() -> Verdict<Vec<Figure>> {
    let session = Session::open_in(Kind::Kernel)?;
    let gip = session.gip()?;
    sleep(SETTLED);
    let read = cost_of(READS, || {
        black_box(gip.now_ns());
        Ok(())
    })?;
    let system = cost_of(READS, || {
        black_box(now_ns());
        Ok(())
    })?;
    let mut sum = 0;
    for _ in 0..LOOKS {
        sleep(PAUSE);
        sum += distance(|| gip.now_ns());
    }
    check!(gip.try_now_ns().is_some(), "the page does not say the time");
    Ok(vec![
        Figure::new("read of the clock page, library", read)
            .beside("clock_gettime", system)
            .goal(Goal::AtMost(60)),
        Figure::new("distance of the clock page from CLOCK_MONOTONIC, mean", sum / LOOKS)
            .in_unit(Unit::Nanoseconds)
            .goal(Goal::AtMost(1000)),
    ])
}

/// How far `read` is from the middle of two looks at the system's clock, in nanoseconds.
fn distance(read: impl Fn() -> u64) -> u64 {
    let looks = (0..TRIES).map(|_| {
        let (before, now, after) = (now_ns(), read(), now_ns());
        (after - before, now.abs_diff(before + (after - before) / 2))
    });
    looks.min().map_or(0, |(_, distance)| distance)
}
