//! Sessions with many blocks: finding one, and closing with all of them.
//!
//! The blocks are one page for ring 3 alone, made by packets: the owners of the ring-3 library would
//! give each back before the close. A block is found by a request to map a part that it does not have:
//! that finds its record, takes a share in the block, looks at its length, and refuses.
//!
//! What finding one of so many costs is mostly what memory costs that no cache holds. So it is compared to
//! a map of the standard library with as many shared owners of as many bytes, asked in the same order.

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sup_abi::request::{PageAllocEx, PageAllocExIn, PageMapKernel, PageMapKernelIn};
use sup_abi::{PAGE_SIZE, R3Ptr, Status};

use crate::figure::{Figure, Goal};
use crate::measure::{Routine, compare, compare_at_least, each, processor_time};
use crate::suites::open_session;
use crate::suites::raw::RawSession;
use crate::suites::slice::session::LINEAR;

/// What the larger session is compared to.
const FEW: usize = 1_000;
const MANY: usize = 100_000;

pub(super) fn figures() -> Result<Vec<Figure>> {
    // Keeps the driver running while sessions come and go.
    let _keeper = open_session()?;
    let mut figures = find()?;
    figures.push(close()?);
    Ok(figures)
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

    /// The blocks in an order that no cache foresees.
    fn order(&self) -> impl Iterator<Item = R3Ptr> + use<> {
        // A step that has no divisor in common with the number of blocks comes to each of them.
        const STEP: usize = 7_919;
        let count = self.blocks.len();
        let order: Vec<R3Ptr> = (0..count).map(|index| self.blocks[index * STEP % count]).collect();
        order.into_iter().cycle()
    }

    /// Finds the blocks one after the other.
    fn finder(&self) -> impl Routine {
        const PAGE: u32 = PAGE_SIZE as u32;
        let mut order = self.order();
        each(move || {
            let r3 = black_box(order.next().context("no blocks")?);
            let input = PageMapKernelIn { r3, offset: PAGE, bytes: PAGE, flags: 0, reserved: 0 };
            let status = self.session.status_of::<PageMapKernel>(&input)?;
            ensure!(status == Status::VERR_INVALID_PARAMETER, "a page has two: {status}");
            Ok(())
        })
    }

    /// Finds as many things in a map of the standard library, and takes a share in each.
    fn finder_in_map(&self) -> impl Routine {
        let mut things = HashMap::with_capacity(self.blocks.len());
        for start in &self.blocks {
            things.insert(start.get(), Arc::new([0_u8; super::overhead::BLOCK_BYTES]));
        }
        let mut order = self.order();
        each(move || {
            let start = black_box(order.next().context("no blocks")?);
            let thing = things.get(&start.get()).context("it is not there")?;
            drop(black_box(thing.clone()));
            Ok::<_, anyhow::Error>(())
        })
    }
}

fn find() -> Result<Vec<Figure>> {
    let (many, few) = (Crowd::of(MANY)?, Crowd::of(FEW)?);
    let name = format!("a block found among {MANY}, with its request");
    let figure = |compared_to: String, pair, goal| Figure {
        name: name.clone(),
        unit: "ns",
        compared_to,
        pair,
        goal,
    };
    Ok(vec![
        figure(
            format!("HashMap of {MANY} Arcs"),
            compare(many.finder(), many.finder_in_map())?,
            Some(Goal::Median(200.0)),
        ),
        figure(format!("the same among {FEW}"), compare(many.finder(), few.finder())?, None),
    ])
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

/// Closes sessions that have so many blocks, in processor time: closing the larger one takes many turns.
fn closes(count: usize) -> impl Routine {
    move |iterations| {
        let mut total = Duration::ZERO;
        for _ in 0..iterations {
            let crowd = Crowd::of(count)?;
            let start = processor_time()?;
            drop(crowd);
            total += processor_time()? - start;
        }
        Ok(total)
    }
}
