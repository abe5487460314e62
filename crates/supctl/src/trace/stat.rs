//! `supctl trace stat`: how often probes fire, and how long from a begin to its end.
//!
//! Neighbours: `tally` counts. Invariant: what is said of losses comes after everything is switched off, when
//! the counts are exact.

mod tally;

use std::time::Duration;

use sup::ringtrace::{Record, TraceCounts};

use self::tally::{Summary, Tally};
use super::run::{Sink, run as run_with};
use super::{Opened, columns};
use crate::cli::TraceStatArgs;
use crate::failure::Failure;
use crate::output;

/// Counts records, and shows the counts on a terminal.
struct Counter {
    tally: Tally,
    live: Option<output::LiveText>,
    ticks_hz: u64,
}

impl Counter {
    fn summary(&self, elapsed: Duration, counts: TraceCounts) -> Summary {
        let hz = u128::from(self.ticks_hz);
        let ns = |ticks: u64| (u128::from(ticks) * 1_000_000_000 / hz) as u64;
        self.tally.summary(elapsed, counts, ns)
    }
}

impl Sink for Counter {
    fn take(&mut self, record: &Record) -> Result<(), Failure> {
        self.tally.add(record);
        Ok(())
    }

    fn tick(&mut self, elapsed: Duration, counts: TraceCounts) {
        let text = table(&self.summary(elapsed, counts));
        if let Some(live) = &mut self.live {
            live.show(&text);
        }
    }
}

pub(super) fn run(args: &TraceStatArgs) -> Result<(), Failure> {
    let mut opened = Opened::new(&args.run.tracer)?;
    let locations = opened.locations(&args.run.patterns)?;
    if locations.is_empty() {
        return output::line(opened.nothing());
    }
    let ticks_hz = opened.session.gip()?.cpu_hz().unwrap_or(1_000_000_000).max(1);
    let live = (!args.json).then(output::LiveText::default);
    let mut counter = Counter { tally: Tally::new(&locations), live, ticks_hz };
    let done = run_with(&mut opened, &args.run, &locations, &mut counter)?;
    if let Some(live) = &mut counter.live {
        live.clear();
    }
    done.called?;
    let summary = counter.summary(done.elapsed, done.counts.into_iter().sum());
    if args.json { output::json(&summary) } else { output::line(table(&summary)) }
}

/// What people read.
fn table(summary: &Summary) -> String {
    let mut rows = vec![["PROVIDER", "PROBE", "HITS", "PER SECOND"].map(str::to_owned)];
    rows.extend(summary.probes.iter().map(|probe| {
        let rate = format!("{:.0}", probe.per_second);
        [probe.provider.clone(), probe.probe.clone(), probe.hits.to_string(), rate]
    }));
    let mut text = columns(&rows);
    for pair in summary.pairs.iter().filter(|pair| pair.count > 0) {
        text += &format!(
            "\n\n{}:{}  {} times, half below {} ns, 99 % below {} ns, longest {} ns",
            pair.provider, pair.name, pair.count, pair.p50_ns, pair.p99_ns, pair.longest_ns
        );
        for bucket in &pair.histogram {
            let bar = "█".repeat((bucket.count * 40 / pair.count.max(1)) as usize);
            text += &format!("\n{:>12} ns  {:>10}  {bar}", bucket.below_ns, bucket.count);
        }
    }
    let TraceCounts { lost, overwritten, .. } = summary.counts;
    text += &format!("\n\n{} hits in {:.1} s", summary.hits, summary.seconds);
    if lost + overwritten > 0 {
        text += &format!(
            "; {lost} lost and {overwritten} overwritten: a larger --buffer or a --filter helps"
        );
    }
    text
}
