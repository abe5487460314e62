//! How far the page is from `CLOCK_MONOTONIC`, over a minute.
//!
//! Each sample is a read of the page between two of the clock; what the scheduler tore apart is left
//! out, as nobody can say what the clock was then.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::figure::{Figure, Goal};
use crate::measure::Pair;
use crate::stats::{Summary, quantile_of};
use crate::suites::open_session;

const TIME: Duration = Duration::from_secs(60);
/// Between two samples: several for each update, at changing places between two of them.
const PAUSE: Duration = Duration::from_micros(730);
/// A sample of which the two reads of the clock are further apart says too little.
const WIDEST_NS: u64 = 200;

pub(super) fn figures() -> Result<Vec<Figure>> {
    let gip = open_session()?.gip()?;
    std::thread::sleep(Duration::from_secs(1));
    let (mut errors, mut widths, mut taken) = (Vec::new(), Vec::new(), 0_u32);
    let start = Instant::now();
    while start.elapsed() < TIME {
        crate::report::progress("gip: accuracy", start.elapsed(), TIME);
        for _ in 0..64 {
            std::thread::sleep(PAUSE);
            // The first read warms up what the sleep has cooled down.
            gip.now_ns();
            let (before, now, after) = (monotonic_ns(), gip.now_ns(), monotonic_ns());
            taken += 1;
            if after - before <= WIDEST_NS {
                errors.push(now.abs_diff(before.midpoint(after)) as f64);
                widths.push(((after - before) / 2) as f64);
            }
        }
    }
    crate::report::progress_ends();
    ensure!(
        errors.len() > 1_000,
        "only {} of {taken} samples were narrower than {WIDEST_NS} ns: the machine is too busy to tell",
        errors.len()
    );
    let median = Pair::of_neighbours(errors.clone(), widths.clone())?;
    let p999 = quantile_of(&mut errors, 0.999).context("no sample")?;
    let widest = quantile_of(&mut widths, 0.999).context("no sample")?;
    let exactly = |value: f64| Summary { median: value, lower: value, upper: value };
    let tail = Pair { ours: exactly(p999), theirs: exactly(widest), ratio: p999 / widest };
    let figure = |name: &str, pair, most| Figure {
        name: name.into(),
        unit: "ns",
        compared_to: "half the distance of the clock's two reads".into(),
        pair,
        goal: Some(Goal::Median(most)),
    };
    Ok(vec![
        figure("error against CLOCK_MONOTONIC, median of 60 s", median, 50.0),
        figure("error against CLOCK_MONOTONIC, 99.9 %", tail, 1_000.0),
    ])
}

fn monotonic_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}
