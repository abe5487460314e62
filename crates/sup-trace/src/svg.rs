//! [`draw`]: one picture of a report, as SVG.
//!
//! Above, events over time, a row for each of the most frequent probes; below, how long pairs took, a row for
//! each, from a nanosecond to the longest on a scale of doublings. The text has the colour of the page's text by
//! the reader's choice of light or dark, and all other colours can be seen on both.
//!
//! Neighbours: `report.rs`. Invariant: the picture is well-formed XML whatever the names are.

use std::fmt::Write;

use crate::report::Report;
use crate::tally::{Latency, ProbeCount, TIME_BINS};

const WIDTH: usize = 1000;
const LEFT: usize = 260;
const RIGHT: usize = 20;
const PLOT: usize = WIDTH - LEFT - RIGHT;
const ROW: usize = 34;
const BAR: usize = 26;
const TOP: usize = 70;
/// The most probes, and the most pairs, that have a row.
const ROWS_MAX: usize = 16;
const NAME_CHARACTERS_MAX: usize = 34;
const COLOURS: [&str; 6] = ["#3b82c4", "#d9822b", "#2e9e6b", "#c2517a", "#8467c9", "#8a8f24"];

const STYLE: &str = "\
  text { font: 12px sans-serif; fill: #222; }
  .title { font-size: 16px; font-weight: bold; }
  .dim { fill: #777; }
  .axis { stroke: #888; stroke-width: 1; }
  .page { fill: #fff; }
  @media (prefers-color-scheme: dark) {
    text { fill: #ddd; }
    .dim { fill: #999; }
    .page { fill: #181a1b; }
  }
";

/// The picture.
#[must_use]
pub fn draw(report: &Report) -> String {
    let probes = report.probes.iter().take(ROWS_MAX);
    let latencies = report.latencies.iter().filter(|latency| latency.count > 0).take(ROWS_MAX);
    let latency_top = TOP + (probes.len().max(1) + 1) * ROW + 40;
    let height = latency_top + (latencies.clone().count().max(1) + 1) * ROW + 20;
    let mut svg = String::new();
    // Writing into a string does not fail.
    let mut line = |text: std::fmt::Arguments<'_>| {
        let _ = svg.write_fmt(text);
        svg.push('\n');
    };
    line(format_args!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\">"
    ));
    line(format_args!("<style>\n{STYLE}</style>"));
    line(format_args!("<rect class=\"page\" width=\"{WIDTH}\" height=\"{height}\"/>"));
    let title = format!(
        "{} events in {}, {} lost",
        report.events,
        duration(report.duration_ns),
        report.lost
    );
    heading(&mut line, "title", 28, &title);
    let about =
        [&*report.host, &report.kernel, &report.backend, &report.command, &report.condition]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join(", ");
    heading(&mut line, "dim", 48, &about);
    let longest = report.bin_ns.saturating_mul(TIME_BINS as u64);
    for (row, probe) in probes.enumerate() {
        over_time(&mut line, row, probe);
    }
    let bottom = latency_top - 40 - ROW + 12;
    axis(&mut line, bottom, |part| duration((longest as f64 * part) as u64));
    heading(&mut line, "title", latency_top - 12, "How long pairs took");
    if latencies.clone().next().is_none() {
        heading(&mut line, "dim", latency_top + 12, "no pair of probes came to its end");
    }
    let doublings = latencies.clone().map(|latency| f64::from(latency.max_ns.max(2).ilog2() + 1));
    let doublings = doublings.fold(1.0, f64::max);
    let rows = latencies.clone().count();
    for (row, latency) in latencies.enumerate() {
        histogram(&mut line, latency_top + row * ROW, row, latency, doublings);
    }
    if rows > 0 {
        let ns = |part: f64| duration((doublings * part).exp2() as u64);
        axis(&mut line, latency_top + rows * ROW + 2, ns);
    }
    line(format_args!("</svg>"));
    svg
}

fn heading(line: &mut dyn FnMut(std::fmt::Arguments<'_>), class: &str, y: usize, text: &str) {
    let text = escaped(text);
    line(format_args!("<text class=\"{class}\" x=\"20\" y=\"{y}\">{text}</text>"));
}

fn over_time(line: &mut dyn FnMut(std::fmt::Arguments<'_>), row: usize, probe: &ProbeCount) {
    let base = TOP + (row + 1) * ROW;
    let name = format!("{}:{}", probe.provider, probe.probe);
    label(line, base, &name, &format!("{} events, {:.0} a second", probe.events, probe.rate_hz));
    let most = probe.over_time.iter().copied().max().unwrap_or(1).max(1);
    let colour = COLOURS[row % COLOURS.len()];
    for (bin, count) in probe.over_time.iter().enumerate().filter(|bin| *bin.1 > 0) {
        let height = (*count as f64 / most as f64 * BAR as f64).max(1.0);
        bar(line, bin as f64 / TIME_BINS as f64, 1.0 / TIME_BINS as f64, base, height, colour);
    }
}

fn histogram(
    line: &mut dyn FnMut(std::fmt::Arguments<'_>),
    top: usize,
    row: usize,
    latency: &Latency,
    doublings: f64,
) {
    let base = top + ROW - 4;
    let name = format!("{}:{}", latency.provider, latency.name);
    let figures = format!(
        "{} times, median {}, 99 % {}",
        latency.count,
        duration(latency.median_ns),
        duration(latency.p99_ns)
    );
    label(line, base, &name, &figures);
    let place = |ns: u64| (ns.max(1) as f64).log2() / doublings;
    // Bins become narrower beside each other, so that it is the height that counts.
    let most = latency.histogram.iter().map(|bin| bin.count).max().unwrap_or(1).max(1);
    let colour = COLOURS[row % COLOURS.len()];
    for bin in &latency.histogram {
        let height = (bin.count as f64 / most as f64 * BAR as f64).max(1.0);
        let from = place(bin.from_ns);
        let width = (place(bin.to_ns) - from).max(0.001);
        bar(line, from.min(0.999), width.min(1.0 - from.min(0.999)), base, height, colour);
    }
}

fn bar(
    line: &mut dyn FnMut(std::fmt::Arguments<'_>),
    from: f64,
    width: f64,
    base: usize,
    height: f64,
    colour: &str,
) {
    line(format_args!(
        "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{height:.1}\" fill=\"{colour}\"/>",
        LEFT as f64 + from * PLOT as f64,
        base as f64 - height,
        (width * PLOT as f64).max(0.5),
    ));
}

/// Two lines left of a row: a name, and figures.
fn label(line: &mut dyn FnMut(std::fmt::Arguments<'_>), base: usize, name: &str, figures: &str) {
    let mut short: String = name.chars().take(NAME_CHARACTERS_MAX).collect();
    if short.len() < name.len() {
        short.push('…');
    }
    line(format_args!(
        "<text x=\"{x}\" y=\"{y}\" text-anchor=\"end\"><title>{full}</title>{short}</text>",
        x = LEFT - 10,
        y = base - 14,
        full = escaped(name),
        short = escaped(&short),
    ));
    let (x, figures) = (LEFT - 10, escaped(figures));
    line(format_args!(
        "<text class=\"dim\" x=\"{x}\" y=\"{base}\" text-anchor=\"end\">{figures}</text>"
    ));
}

fn axis(line: &mut dyn FnMut(std::fmt::Arguments<'_>), y: usize, says: impl Fn(f64) -> String) {
    line(format_args!(
        "<line class=\"axis\" x1=\"{LEFT}\" y1=\"{y}\" x2=\"{}\" y2=\"{y}\"/>",
        LEFT + PLOT
    ));
    for quarter in 0..=4_usize {
        let x = LEFT + PLOT * quarter / 4;
        let anchor = if quarter == 4 { "end" } else { "middle" };
        let says = escaped(&says(quarter as f64 / 4.0));
        line(format_args!(
            "<text class=\"dim\" x=\"{x}\" y=\"{}\" text-anchor=\"{anchor}\">{says}</text>",
            y + 16
        ));
    }
}

/// A time for people, with three digits or more.
fn duration(ns: u64) -> String {
    let (divisor, unit) = match ns {
        0..10_000 => return format!("{ns} ns"),
        10_000..10_000_000 => (1e3, "µs"),
        10_000_000..10_000_000_000 => (1e6, "ms"),
        _ => (1e9, "s"),
    };
    format!("{:.1} {unit}", ns as f64 / divisor)
}

/// Text of XML. What XML does not have becomes a replacement character.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\t' | ' '..='\u{fffd}' | '\u{10000}'.. => escaped.push(character),
            _ => escaped.push('\u{fffd}'),
        }
    }
    escaped
}
