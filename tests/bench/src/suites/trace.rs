//! The suite `trace`: what probes cost.
//!
//! A place that nobody wants to know of is measured in a loop beside the same loop without it; the goal is
//! for the difference. Both loops hand their counter to the optimiser's blind spot, which keeps them.

use std::hint::black_box;
use std::time::Instant;

use anyhow::{Result, ensure};
use sup_probe::{probe, probe_enabled};

use crate::figure::{Figure, Goal};
use crate::measure::compare;

sup_probe::provider! {
    /// Nobody registers it.
    mod benched;
    probe idle(value: u64, pointer: *const u64);
}

pub(super) fn run() -> Result<Vec<Figure>> {
    ensure!(!probe_enabled!(benched, idle), "the system's tracer is at work on this program");
    let pair = compare(
        |iterations| {
            let start = Instant::now();
            for iteration in 0..iterations {
                let value = black_box(iteration);
                probe!(benched, idle, value, &raw const value);
            }
            Ok(start.elapsed())
        },
        |iterations| {
            let start = Instant::now();
            for iteration in 0..iterations {
                black_box(iteration);
            }
            Ok(start.elapsed())
        },
    )?;
    let mut figures = vec![Figure {
        name: "a loop with a disabled probe".to_owned(),
        unit: "ns",
        compared_to: "the loop without it".to_owned(),
        pair,
        goal: Some(Goal::Beyond(0.5)),
    }];
    figures.extend(super::ringtrace::run()?);
    figures.extend(super::exports::run()?);
    Ok(figures)
}
