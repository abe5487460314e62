//! What a read costs, against the clocks that a program has otherwise.
//!
//! A read that must not go back across threads has to keep the processor from reading its counter
//! early. That fence and the bare counter are lines of their own: the first is the least that any such
//! reader can cost, `clock_gettime` included, the second what a reader costs that has no order. The
//! readers without order stand beside `now_ns_unordered`, which has none between threads either.

use std::arch::x86_64::{__rdtscp, _mm_lfence, _rdtsc};
use std::convert::Infallible;
use std::hint::black_box;

use anyhow::Result;
use sup::Gip;

use crate::figure::{Figure, Goal};
use crate::measure::{Pair, compare, each};
use crate::suites::open_session;

fn bare_counter() -> u64 {
    // SAFETY: every x86-64 processor has the instruction.
    unsafe { _rdtsc() }
}

fn ordered_counter() -> u64 {
    // SAFETY: every x86-64 processor has the instruction.
    unsafe { _mm_lfence() };
    bare_counter()
}

/// The other instruction that waits for earlier loads by itself.
fn waiting_counter() -> u64 {
    let mut processor = 0;
    // SAFETY: the driver's processors have the instruction, as all since 2008, and the place is writable.
    unsafe { __rdtscp(&raw mut processor) }
}

fn clock_gettime() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}

fn pair(ours: impl Fn() -> u64, theirs: impl Fn() -> u64) -> Result<Pair> {
    let read = |clock: &dyn Fn() -> u64| {
        black_box(clock());
        Ok::<(), Infallible>(())
    };
    // Both sides through the same indirection, so that it counts for neither.
    compare(each(|| read(&ours)), each(|| read(&theirs)))
}

pub(super) fn figures() -> Result<Vec<Figure>> {
    let gip = open_session()?.gip()?;
    let now = |gip: &Gip| black_box(gip).now_ns();
    let unordered = |gip: &Gip| black_box(gip).now_ns_unordered();
    let quanta = quanta::Clock::new();
    let figure = |name: &str, compared_to: &str, pair, goal| Figure {
        name: name.into(),
        unit: "ns",
        compared_to: compared_to.into(),
        pair,
        goal,
    };
    Ok(vec![
        figure(
            "now_ns",
            "clock_gettime(CLOCK_MONOTONIC), vDSO",
            pair(|| now(&gip), clock_gettime)?,
            Some(Goal::Ratio(0.7)),
        ),
        figure(
            "the least: lfence + rdtsc",
            "clock_gettime(CLOCK_MONOTONIC), vDSO",
            pair(ordered_counter, clock_gettime)?,
            None,
        ),
        figure(
            "now_ns",
            "quanta, raw and converted; no order",
            pair(|| now(&gip), || quanta.delta_as_nanos(0, quanta.raw()))?,
            Some(Goal::Ratio(1.0)),
        ),
        figure(
            "now_ns",
            "rdtsc; no order",
            pair(|| now(&gip), bare_counter)?,
            Some(Goal::Ratio(1.5)),
        ),
        figure("now_ns", "lfence + rdtsc", pair(|| now(&gip), ordered_counter)?, None),
        figure("rdtscp", "lfence + rdtsc", pair(waiting_counter, ordered_counter)?, None),
        figure(
            "now_ns_unordered",
            "clock_gettime(CLOCK_MONOTONIC), vDSO",
            pair(|| unordered(&gip), clock_gettime)?,
            Some(Goal::Ratio(0.7)),
        ),
        figure(
            "now_ns_unordered",
            "quanta, raw and converted; no order",
            pair(|| unordered(&gip), || quanta.delta_as_nanos(0, quanta.raw()))?,
            Some(Goal::Ratio(1.0)),
        ),
        figure(
            "now_ns_unordered",
            "rdtsc; no order",
            pair(|| unordered(&gip), bare_counter)?,
            Some(Goal::Ratio(1.5)),
        ),
    ])
}
