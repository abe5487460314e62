//! The tables of `supctl trace`.
//!
//! Neighbours: `tables.rs` has what all tables share. Invariant: a name of a trace file is shown without its
//! control characters.

use comfy_table::Cell;
use sup::ringtrace::ProbeLocation;
use sup_trace::{Latency, Report};

use super::tables::{Medium, align_right, heading};
use crate::trace::stat::Summary;

/// A time in nanoseconds, for people on a terminal, as it is in a pipe.
fn time(ns: u64, medium: Medium) -> Cell {
    if medium == Medium::Pipe {
        return Cell::new(ns);
    }
    Cell::new(match ns {
        0..10_000 => format!("{ns} ns"),
        10_000..10_000_000 => format!("{:.1} µs", ns as f64 / 1e3),
        10_000_000..10_000_000_000 => format!("{:.1} ms", ns as f64 / 1e6),
        _ => format!("{:.1} s", ns as f64 / 1e9),
    })
}

fn name(provider: &str, name: &str) -> Cell {
    Cell::new(format!("{}:{}", provider.escape_debug(), name.escape_debug()))
}

/// Where probes can fire.
pub(super) fn locations(locations: &[ProbeLocation], medium: Medium) -> String {
    let mut table = medium.table();
    table.set_header(["probe", "arguments", "where"].map(heading));
    for at in locations {
        let types: Vec<_> = at.arguments.iter().map(|argument| &*argument.type_text).collect();
        let types = format!("({})", types.join(", "));
        // The driver's own places have no lines.
        let line = if at.line == 0 { String::new() } else { format!(":{}", at.line) };
        let place = format!("{} {}{line}", at.module, at.function);
        table.add_row([
            name(&at.provider, &at.probe),
            Cell::new(types.escape_debug()),
            Cell::new(place.escape_debug()),
        ]);
    }
    table.trim_fmt()
}

/// Probes with their hits, while they are counted.
pub(super) fn hits(summary: &Summary, medium: Medium) -> String {
    let mut table = medium.table();
    table.set_header(["probe", "hits", "per s"].map(heading));
    for probe in &summary.probes {
        table.add_row([
            name(&probe.provider, &probe.probe),
            Cell::new(probe.hits),
            Cell::new(format!("{:.0}", probe.per_second)),
        ]);
    }
    (1..3).for_each(|column| align_right(&mut table, column));
    table.trim_fmt()
}

/// Probes with their counts.
pub(super) fn probes(report: &Report, medium: Medium) -> String {
    let mut table = medium.table();
    let headings = ["probe", "events", "per s", "places", "first", "last", "longest gap"];
    table.set_header(headings.map(heading));
    for probe in &report.probes {
        table.add_row([
            name(&probe.provider, &probe.probe),
            Cell::new(probe.events),
            Cell::new(format!("{:.0}", probe.rate_hz)),
            Cell::new(probe.places),
            time(probe.first_ns, medium),
            time(probe.last_ns, medium),
            time(probe.longest_gap_ns, medium),
        ]);
    }
    (1..7).for_each(|column| align_right(&mut table, column));
    table.trim_fmt()
}

/// How long pairs took, each with a small histogram of doublings.
pub(super) fn latencies(latencies: &[Latency], medium: Medium) -> String {
    let mut table = medium.table();
    let headings =
        ["pair", "times", "least", "median", "99 %", "most", "incomplete", "1 ns to 1 s"];
    table.set_header(headings.map(heading));
    for latency in latencies {
        table.add_row([
            name(&latency.provider, &latency.name),
            Cell::new(latency.count),
            time(latency.min_ns, medium),
            time(latency.median_ns, medium),
            time(latency.p99_ns, medium),
            time(latency.max_ns, medium),
            Cell::new(latency.without_end.saturating_add(latency.without_begin)),
            Cell::new(sparkline(latency)),
        ]);
    }
    (1..7).for_each(|column| align_right(&mut table, column));
    table.trim_fmt()
}

/// A character for each two doublings from a nanosecond; what is longer than a second is in the last one.
fn sparkline(latency: &Latency) -> String {
    const CHARACTERS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let mut counts = [0_u64; 16];
    for bucket in &latency.histogram {
        let doubling = bucket.from_ns.max(1).ilog2() as usize / 2;
        if let Some(count) = counts.get_mut(doubling.min(15)) {
            *count = count.saturating_add(bucket.count);
        }
    }
    let most = counts.iter().copied().max().unwrap_or(1).max(1);
    let character = |count: u64| match count {
        0 => '·',
        _ => {
            let step = (u128::from(count) * 7 / u128::from(most)) as usize;
            CHARACTERS.get(step).copied().unwrap_or('█')
        }
    };
    counts.into_iter().map(character).collect()
}

/// Processors with what they lost.
pub(super) fn cpus(report: &Report, medium: Medium) -> String {
    let mut table = medium.table();
    table.set_header(["processor", "events", "lost"].map(heading));
    for cpu in &report.cpus {
        table.add_row([Cell::new(cpu.cpu), Cell::new(cpu.events), Cell::new(cpu.lost)]);
    }
    (0..3).for_each(|column| align_right(&mut table, column));
    table.trim_fmt()
}
