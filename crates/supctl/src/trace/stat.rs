//! `supctl trace stat`: how often probes fire, and how long from a begin to its end.
//!
//! Neighbours: `sup_trace::Tally` counts, as for a report. Invariant: what is said of losses comes after everything
//! is switched off, when the counts are exact.

use std::time::Duration;

use serde::Serialize;
use sup::ringtrace::{Record, TraceCounts};
use sup_trace::{Clock, Header, Latency, Tally};

use super::run::{Sink, run as run_with};
use super::{Opened, probe};
use crate::cli::TraceStatArgs;
use crate::failure::Failure;
use crate::output;

/// What was counted.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    pub(crate) seconds: f64,
    pub(crate) hits: u64,
    #[serde(serialize_with = "losses")]
    pub(crate) counts: TraceCounts,
    pub(crate) probes: Vec<ProbeHits>,
    pub(crate) pairs: Vec<Latency>,
}

#[derive(Debug, Serialize)]
pub(crate) struct ProbeHits {
    pub(crate) provider: String,
    pub(crate) probe: String,
    pub(crate) hits: u64,
    pub(crate) per_second: f64,
}

fn losses<S: serde::Serializer>(counts: &TraceCounts, serializer: S) -> Result<S::Ok, S::Error> {
    let all =
        [("written", counts.written), ("lost", counts.lost), ("overwritten", counts.overwritten)];
    serializer.collect_map(all)
}

impl Summary {
    fn of(tally: &Tally, elapsed: Duration, counts: TraceCounts) -> Self {
        let seconds = elapsed.as_secs_f64();
        let probes = tally.probes(seconds).into_iter().map(|probe| ProbeHits {
            provider: probe.provider,
            probe: probe.probe,
            hits: probe.events,
            per_second: probe.rate_hz,
        });
        let probes: Vec<_> = probes.collect();
        let hits = probes.iter().map(|probe| probe.hits).sum();
        Self { seconds, hits, counts, probes, pairs: tally.latencies() }
    }
}

/// Counts records, and shows the counts on a terminal.
struct Counter {
    tally: Tally,
    live: Option<output::LiveText>,
}

impl Sink for Counter {
    fn take(&mut self, record: &Record) -> Result<(), Failure> {
        self.tally.event(record);
        Ok(())
    }

    fn tick(&mut self, elapsed: Duration, counts: TraceCounts) {
        if let Some(live) = &mut self.live {
            live.show(&output::trace_hits_text(&Summary::of(&self.tally, elapsed, counts)));
        }
    }
}

pub(super) fn run(args: &TraceStatArgs) -> Result<(), Failure> {
    let mut opened = Opened::new(&args.run.tracer)?;
    let locations = opened.traced(&args.run.patterns)?;
    if locations.is_empty() {
        return output::line(opened.nothing());
    }
    let clock = Clock::of(&Header { tsc_hz: opened.tsc_hz()?, ..Header::default() });
    let probes = locations.iter().map(|at| (at.id, probe(at))).collect();
    let live = (!args.json).then(output::LiveText::default);
    let mut counter = Counter { tally: Tally::new(clock, &probes), live };
    let done = run_with(&mut opened, &args.run, &locations, &mut counter)?;
    if let Some(live) = &mut counter.live {
        live.clear();
    }
    done.called?;
    let summary = Summary::of(&counter.tally, done.elapsed, done.counts.into_iter().sum());
    if args.json { output::json(&summary) } else { output::trace_hits(&summary) }
}
