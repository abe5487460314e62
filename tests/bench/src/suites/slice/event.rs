//! An event that nobody waits for: signal, then a wait that succeeds at once.

use std::convert::Infallible;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use sup::Timeout;

use crate::figure::{Figure, Goal};
use crate::measure::{compare, each};
use crate::suites::open_session;

pub(super) fn figure() -> Result<Figure> {
    let event = open_session()?.event()?;
    let word = CacheLine(AtomicU64::new(0));
    let pair = compare(
        each(|| -> Result<()> {
            let event = black_box(&event);
            event.signal()?;
            Ok(event.wait(Timeout::Never)?)
        }),
        each(|| -> Result<(), Infallible> {
            let CacheLine(word) = black_box(&word);
            // The orderings that a hand-over needs; no other thread is there to pair with.
            black_box(word.swap(1, Ordering::AcqRel));
            black_box(word.load(Ordering::Acquire));
            Ok(())
        }),
    )?;
    Ok(Figure {
        name: "event signal + wait, uncontended".into(),
        unit: "ns",
        compared_to: "atomic swap + load".into(),
        pair,
        goal: Some(Goal::Ratio(3.0)),
    })
}

/// A word that shares its cache line with nothing.
#[repr(align(64))]
struct CacheLine(AtomicU64);
