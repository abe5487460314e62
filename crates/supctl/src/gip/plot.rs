//! `supctl gip --plot`: measures for a while, and draws how true the page was and what a read cost.

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use sup::Gip;

use super::{ahead_ns, monotonic_ns};
use crate::failure::Failure;
use crate::output;

/// Between two measurements: at another place between two updates each time.
const PAUSE: Duration = Duration::from_micros(7_300);
/// Reads that are timed together: one alone is as short as the clock is fine.
const BATCH: u32 = 16;
const BATCHES: usize = 32;
const BINS: usize = 60;
const SIZE: (u32, u32) = (1000, 1050);
const FONT: (&str, u32) = ("sans-serif", 18);

/// What was measured.
#[derive(Debug, Default)]
struct Measured {
    /// Seconds since the start, and nanoseconds ahead of the clock.
    errors: Vec<(f64, f64)>,
    /// Seconds since the start, and microseconds between the last two updates.
    intervals: Vec<(f64, f64)>,
    /// Nanoseconds a read, of [`BATCH`] reads each.
    costs: Vec<f64>,
}

pub(super) fn run(gip: &Gip, file: &Path, seconds: u64) -> Result<(), Failure> {
    let measured = measure(gip, Duration::from_secs(seconds));
    let text = draw(&measured).map_err(|error| Failure::Drawing(error.to_string()))?;
    fs::write(file, text).map_err(Failure::of_file(file))?;
    output::line(format_args!(
        "{}: {} measurements in {seconds} s; median error {:.0} ns, median read {:.1} ns",
        file.display(),
        measured.errors.len(),
        median(measured.errors.iter().map(|(_, error)| error.abs())),
        median(measured.costs.iter().copied()),
    ))
}

fn measure(gip: &Gip, time: Duration) -> Measured {
    let mut measured = Measured::default();
    let start = Instant::now();
    while start.elapsed() < time {
        output::progress("gip: measuring");
        sleep(PAUSE);
        let at = start.elapsed().as_secs_f64();
        measured.errors.push((at, ahead_ns(gip) as f64));
        let interval = gip.cpus().map(|cpu| cpu.previous_interval_ns).max().unwrap_or(0);
        measured.intervals.push((at, f64::from(interval) / 1_000.0));
        for _ in 0..BATCHES {
            let before = monotonic_ns();
            for _ in 0..BATCH {
                black_box(gip.now_ns());
            }
            let took = monotonic_ns().saturating_sub(before);
            measured.costs.push(took as f64 / f64::from(BATCH));
        }
    }
    output::progress_ends();
    measured
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    quantile(values, 0.5)
}

/// The value that this part of all is not above; zero if there is none.
fn quantile(values: impl Iterator<Item = f64>, part: f64) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    let index = (sorted.len().saturating_sub(1) as f64 * part) as usize;
    sorted.get(index).copied().unwrap_or(0.0)
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;
type Drawn<'a, T> = Result<T, DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>>;

/// The picture, as the text of an SVG file.
fn draw(measured: &Measured) -> Drawn<'static, String> {
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        if let [errors, intervals, costs] = root.split_evenly((3, 1)).as_slice() {
            over_time(errors, "Error against CLOCK_MONOTONIC", "ns ahead", &measured.errors)?;
            over_time(intervals, "Interval between updates", "µs", &measured.intervals)?;
            histogram(costs, &measured.costs)?;
        }
        root.present()?;
    }
    Ok(text)
}

fn over_time<'a>(
    area: &Area<'a>,
    caption: &str,
    unit: &str,
    points: &[(f64, f64)],
) -> Drawn<'a, ()> {
    let end = points.last().map_or(1.0, |(at, _)| at.max(0.001));
    let lowest = points.iter().map(|point| point.1).fold(f64::INFINITY, f64::min);
    let highest = points.iter().map(|point| point.1).fold(f64::NEG_INFINITY, f64::max);
    let (lowest, highest) = if lowest > highest { (0.0, 1.0) } else { (lowest, highest) };
    let margin = ((highest - lowest) / 20.0).max(1.0);
    let mut chart = chart(area, caption, 0.0..end, lowest - margin..highest + margin)?;
    chart.configure_mesh().x_desc("s").y_desc(unit).draw()?;
    chart.draw_series(LineSeries::new(points.iter().copied(), &BLUE))?;
    Ok(())
}

fn histogram<'a>(area: &Area<'a>, costs: &[f64]) -> Drawn<'a, ()> {
    let bins = bins(costs);
    let start = bins.first().map_or(0.0, |bin| bin.0);
    let end = bins.last().map_or(1.0, |bin| bin.1);
    let highest = bins.iter().map(|bin| bin.2).fold(1.0, f64::max);
    let caption = "What a read costs";
    let mut chart = chart(area, caption, start..end, 0.0..highest * 1.05)?;
    chart.configure_mesh().x_desc("ns a read").y_desc("batches").draw()?;
    let bar = |(from, to, count)| Rectangle::new([(from, 0.0), (to, count)], BLUE.filled());
    chart.draw_series(bins.into_iter().map(bar))?;
    Ok(())
}

/// Start, end and count of each bin; the slowest hundredth is left out, so that the rest can be seen.
fn bins(costs: &[f64]) -> Vec<(f64, f64, f64)> {
    let start = quantile(costs.iter().copied(), 0.0);
    let end = quantile(costs.iter().copied(), 0.99).max(start + 1.0);
    let width = (end - start) / BINS as f64;
    (0..BINS)
        .map(|bin| {
            let from = start + width * bin as f64;
            let to = from + width;
            let count = costs.iter().filter(|cost| (from..to).contains(cost)).count();
            (from, to, count as f64)
        })
        .collect()
}

fn chart<'a, 'b>(
    area: &'a Area<'b>,
    caption: &str,
    x: std::ops::Range<f64>,
    y: std::ops::Range<f64>,
) -> Drawn<'b, Chart<'a, 'b>> {
    ChartBuilder::on(area)
        .caption(caption, FONT)
        .margin(10)
        .x_label_area_size(35)
        .y_label_area_size(75)
        .build_cartesian_2d(x, y)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_batch_but_the_slowest_is_in_one_bin() {
        let costs: Vec<f64> = (0..1000).map(f64::from).collect();
        let bins = bins(&costs);
        assert_eq!(bins.len(), BINS);
        let counted: f64 = bins.iter().map(|bin| bin.2).sum();
        assert!((985.0..=990.0).contains(&counted), "{counted}");
        assert!(bins.windows(2).all(|pair| (pair[0].1 - pair[1].0).abs() < 1e-6));
    }

    #[test]
    fn medians_are_of_sorted_values() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), 2.0);
        assert_eq!(median([].into_iter()), 0.0);
    }

    #[test]
    fn a_picture_of_nothing_is_still_one() {
        let text = draw(&Measured::default()).unwrap();
        assert!(text.starts_with("<svg") && text.trim_end().ends_with("</svg>"), "{text}");
    }
}
