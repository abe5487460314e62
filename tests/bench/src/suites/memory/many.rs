//! Sessions with many blocks: finding one, and closing with all of them.
//!
//! The blocks are one page for ring 3 alone, made by packets: the owners of the ring-3 library would
//! give each back before the close. A block is found by a request to free it as what it is not: that
//! finds its record, sees the other service, and refuses.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sup_abi::request::{AddressIn, LowFree, PageAllocEx, PageAllocExIn};
use sup_abi::{R3Ptr, Status};

use crate::figure::{Figure, Goal};
use crate::measure::{Routine, compare, compare_at_least, each};
use crate::suites::open_session;
use crate::suites::raw::RawSession;
use crate::suites::slice::session::LINEAR;

/// What the larger session is compared to.
const FEW: usize = 1_000;
const MANY: usize = 100_000;

pub(super) fn figures() -> Result<Vec<Figure>> {
    // Keeps the driver running while sessions come and go.
    let _keeper = open_session()?;
    Ok(vec![find()?, close()?])
}

/// A session, and where its blocks are.
struct Crowd {
    session: RawSession,
    blocks: Vec<R3Ptr>,
}

impl Crowd {
    fn of(count: usize) -> Result<Self> {
        let session = RawSession::open()?;
        let input =
            PageAllocExIn { pages: 1, kernel_mapping: 0, user_mapping: 1, reserved: [0; 2] };
        let block = |_| session.allocate::<PageAllocEx>(&input, 1).map(|output| output.r3);
        let blocks = (0..count).map(block).collect::<Result<_>>()?;
        Ok(Self { session, blocks })
    }

    /// Finds the blocks one after the other, in an order that no cache foresees.
    fn finder(&self) -> impl Routine {
        // A step that has no divisor in common with the number of blocks comes to each of them.
        const STEP: usize = 7_919;
        let count = self.blocks.len();
        let order: Vec<R3Ptr> = (0..count).map(|index| self.blocks[index * STEP % count]).collect();
        let mut next = order.into_iter().cycle();
        each(move || {
            let input = AddressIn { r3: black_box(next.next().context("no blocks")?) };
            let status = self.session.status_of::<LowFree>(&input)?;
            ensure!(
                status == Status::VERR_INVALID_PARAMETER,
                "a page went as low memory: {status}"
            );
            Ok(())
        })
    }
}

fn find() -> Result<Figure> {
    let (many, few) = (Crowd::of(MANY)?, Crowd::of(FEW)?);
    Ok(Figure {
        name: format!("a block found among {MANY}, with its request"),
        unit: "ns",
        compared_to: format!("the same among {FEW}"),
        pair: compare(many.finder(), few.finder())?,
        goal: Some(Goal::Median(200.0)),
    })
}

fn close() -> Result<Figure> {
    // A session with so many takes seconds to fill.
    const ROUNDS: usize = 5;
    let pair = compare_at_least(ROUNDS, closes(MANY), closes(FEW))?;
    Ok(Figure {
        name: format!("close of a session with {MANY} blocks"),
        unit: "ns/block",
        compared_to: format!("the same with {FEW}"),
        pair: pair.scaled(1.0 / MANY as f64, 1.0 / FEW as f64),
        goal: Some(Goal::Ratio(LINEAR)),
    })
}

/// Closes sessions that have so many blocks.
fn closes(count: usize) -> impl Routine {
    move |iterations| {
        let mut total = Duration::ZERO;
        for _ in 0..iterations {
            let crowd = Crowd::of(count)?;
            let start = Instant::now();
            drop(crowd);
            total += start.elapsed();
        }
        Ok(total)
    }
}
