//! What keeping the page up to date costs while nobody reads it: processor time of the updater's
//! threads, as the kernel counts it.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::figure::{Figure, Goal};
use crate::measure::Pair;
use crate::suites::open_session;

const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_millis(500);
/// What the embedded backend calls its threads.
const NAME: &str = "supdrv-gip";

pub(super) fn figure() -> Result<Figure> {
    ensure!(updater_ns()? == (0, 0), "the updater runs while no session has the page mapped");
    let _gip = open_session()?.gip()?;
    // A thread gives itself its name when it starts.
    std::thread::sleep(ROUND);
    let (mut busy, mut passed) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (start, (threads, before)) = (Instant::now(), updater_ns()?);
        ensure!(threads > 0, "no thread is called {NAME}");
        std::thread::sleep(ROUND);
        busy.push((updater_ns()?.1 - before) as f64 / start.elapsed().as_secs_f64() / 1_000.0);
        passed.push(1_000_000.0);
    }
    Ok(Figure {
        name: "updater, processor time in a second".into(),
        unit: "µs",
        compared_to: "the second".into(),
        pair: Pair::of_neighbours(busy, passed)?,
        goal: Some(Goal::Ratio(0.001)),
    })
}

/// How many threads update, and how long they have run in all.
fn updater_ns() -> Result<(usize, u64)> {
    let (mut threads, mut nanos) = (0, 0);
    for task in fs::read_dir("/proc/self/task")? {
        let path = task?.path();
        // A thread that ended meanwhile has no name.
        if fs::read_to_string(path.join("comm")).is_ok_and(|name| name.trim_end() == NAME) {
            let times = fs::read_to_string(path.join("schedstat"))?;
            let on_processor =
                times.split_ascii_whitespace().next().context("schedstat is empty")?;
            nanos += on_processor.parse::<u64>()?;
            threads += 1;
        }
    }
    Ok((threads, nanos))
}
