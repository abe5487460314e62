//! Making and closing handles: one by one, and with their session.

use anyhow::{Context, Result};
use rustix::event::{EventfdFlags, eventfd};
use sup_embedded::{Client, EmbeddedHost};
use sup_ring0::Ring0;

use crate::figure::{Figure, Goal};
use crate::measure::{compare, each};
use crate::suites::open_session;
use crate::suites::slice::session::{Kind, LINEAR, Part, life};

/// Handles of the larger session.
const MANY: u32 = 32_000;
/// Handles of the smaller one.
const FEW: u32 = 3_200;

pub(super) fn figures() -> Result<Vec<Figure>> {
    let mut figures = vec![create_close()?];
    figures.extend(session_close()?);
    Ok(figures)
}

fn create_close() -> Result<Figure> {
    let session = open_session()?;
    let pair = compare(
        each(|| session.event().map(drop)),
        each(|| eventfd(0, EventfdFlags::CLOEXEC).map(drop)),
    )?;
    Ok(Figure {
        name: "create + close".into(),
        unit: "us",
        compared_to: "eventfd + close".into(),
        pair: pair.scaled(1e-3, 1e-3),
        goal: Some(Goal::Median(1.0)),
    })
}

fn session_close() -> Result<[Figure; 2]> {
    // Keeps the driver running while sessions come and go.
    let _keeper = Client::open()?;
    let driver = EmbeddedHost::driver().context("the driver is not running")?;
    let close = |count| life(&driver, Kind::Semaphore, count, Part::Close);
    let pair = compare(close(MANY), close(FEW))?;
    Ok([
        Figure {
            name: format!("close of a session with {MANY} handles"),
            unit: "ms",
            compared_to: format!("the same with {FEW}"),
            pair: pair.scaled(1e-6, 1e-6),
            goal: Some(Goal::Median(30.0)),
        },
        Figure {
            name: format!("the same, per handle of {MANY}"),
            unit: "ns",
            compared_to: format!("per handle of {FEW}"),
            pair: pair.scaled(1.0 / f64::from(MANY), 1.0 / f64::from(FEW)),
            goal: Some(Goal::Ratio(LINEAR)),
        },
    ])
}
