//! [`Report`]: a trace summed up, in one pass over its events.
//!
//! Neighbours: `tally.rs` counts, `svg.rs` draws a report. Invariant: a report says of itself whether it is of all
//! that was recorded.

use std::io::{Read, Seek};

use serde::Serialize;

use crate::clock::Clock;
use crate::export::{ExportError, Step, for_each};
use crate::read::{Item, Trace};
use crate::tally::{CpuCount, Latency, ProbeCount, Tally};

/// A trace summed up. Times of events are nanoseconds after the first one.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The name of the machine.
    pub host: String,
    /// The release of its kernel.
    pub kernel: String,
    /// The driver's backend.
    pub backend: String,
    /// What was recorded.
    pub command: String,
    /// Whether the file is whole, in words.
    pub condition: String,
    /// Whether it is, for programs.
    pub is_whole: bool,
    /// `CLOCK_REALTIME` at the first event.
    pub start_realtime_ns: u64,
    /// From the first to the last event.
    pub duration_ns: u64,
    /// All events.
    pub events: u64,
    /// Those that were lost, with those in damaged blocks.
    pub lost: u64,
    /// Those in damaged blocks.
    pub damaged: u64,
    /// Those of probes that the table does not have.
    pub unknown: u64,
    /// By processor.
    pub cpus: Vec<CpuCount>,
    /// The probes that fired, the most frequent first.
    pub probes: Vec<ProbeCount>,
    /// The pairs that fired.
    pub latencies: Vec<Latency>,
    /// How long a bin of time is.
    pub bin_ns: u64,
}

impl Report {
    /// Sums a trace up. `step` is told how many events are done.
    ///
    /// # Errors
    ///
    /// The trace cannot be read, or `step` said to stop.
    pub fn of<R: Read + Seek>(
        trace: &mut Trace<R>,
        step: &mut dyn FnMut(u64) -> Step,
    ) -> Result<Self, ExportError> {
        let mut tally = Tally::new(Clock::of(trace.header()), trace.probes());
        let exported = for_each(trace, step, |item| {
            match item {
                Item::Event(event) => tally.event(event),
                Item::Lost { cpu, events } => tally.lost(*cpu, *events),
            }
            Ok(())
        })?;
        tally.forget();
        let (header, condition) = (trace.header(), trace.condition());
        let start_ns = tally.start_ns().unwrap_or_default();
        let offset = header.anchor_realtime_ns.saturating_sub(header.anchor_monotonic_ns);
        let mut probes = tally.probes(tally.duration_ns() as f64 / 1e9);
        probes.retain(|probe| probe.events > 0);
        // Of equals the one whose name comes first.
        probes.sort_by(|one, other| {
            (other.events, &one.provider, &one.probe).cmp(&(
                one.events,
                &other.provider,
                &other.probe,
            ))
        });
        Ok(Self {
            host: header.host.clone(),
            kernel: header.kernel.clone(),
            backend: header.backend.clone(),
            command: header.command.clone(),
            condition: condition.to_string(),
            is_whole: condition == crate::Condition::Whole && exported.damaged == 0,
            start_realtime_ns: start_ns.saturating_add(offset),
            duration_ns: tally.duration_ns(),
            events: exported.events,
            lost: exported.lost,
            damaged: exported.damaged,
            unknown: tally.unknown(),
            cpus: tally.cpus(),
            probes,
            latencies: tally.latencies(),
            bin_ns: tally.bin_ns(),
        })
    }
}
