//! The figures of memory: a block allocated by the library and given back, which is what a program pays.
//!
//! A round is the call that allocates, with its list of physical addresses, and the drop of the owner.
//! On return of the former every page is there, zeroed and mapped in both rings, so that no first touch
//! costs more: the zeroing is in the figure, and the rows that touch show that nothing was put off.

use sup::backend::Kind;
use sup::{RingZeroView, Session};

use super::figure::{Figure, Goal};
use super::measure::cost_of;
use crate::check::{Verdict, same};

/// Blocks of a batch: some have hundreds of pages.
const BLOCKS: u64 = 5;

/// What the C original takes for the same, in instructions.
#[derive(Debug, Clone, Copy)]
struct Original(u64);

impl Original {
    /// Seven tenths of it.
    fn goal(self) -> Goal {
        Goal::AtMost(self.0 * 7 / 10)
    }
}

/// What allocates so many pages and gives them back.
type Round = fn(&Session, u32) -> Verdict;

fn anywhere(session: &Session, pages: u32) -> Verdict {
    Ok(session.shared_pages(pages, RingZeroView::Mapped).map(drop)?)
}

fn low(session: &Session, pages: u32) -> Verdict {
    Ok(session.low_memory(pages).map(drop)?)
}

fn contiguous(session: &Session, pages: u32) -> Verdict {
    Ok(session.contiguous_memory(pages).map(drop)?)
}

/// The same as [`anywhere`], and each page is read and written once in between.
fn anywhere_touched(session: &Session, pages: u32) -> Verdict {
    let memory = session.shared_pages(pages, RingZeroView::Mapped)?;
    for word in memory.words().iter().step_by(sup::PAGE_SIZE / size_of::<u64>()) {
        same!(word.swap(1, std::sync::atomic::Ordering::Relaxed), 0);
    }
    Ok(())
}

const ROWS: [(&str, Round, u32, Option<Original>); 8] = [
    ("PageAllocEx, both rings, and free", anywhere, 1, Some(Original(48_000))),
    ("PageAllocEx, both rings, and free", anywhere, 256, Some(Original(2_700_000))),
    ("the same, each page touched", anywhere_touched, 256, None),
    ("LowAlloc and free", low, 16, Some(Original(144_000))),
    ("LowAlloc and free", low, 255, Some(Original(1_640_000))),
    ("ContAlloc and free", contiguous, 1, Some(Original(45_000))),
    ("ContAlloc and free", contiguous, 4, None),
    ("ContAlloc and free", contiguous, 64, Some(Original(403_000))),
];

pub(super) fn figures() -> Verdict<Vec<Figure>> {
    let session = Session::open_in(Kind::Kernel)?;
    ROWS.into_iter()
        .map(|(name, round, pages, original)| {
            let cost = cost_of(BLOCKS, || round(&session, pages))?;
            let figure = Figure::new(format!("{name}, {pages} pages"), cost);
            Ok(match original {
                Some(original) => figure.beside("the C original", original.0).goal(original.goal()),
                None => figure,
            })
        })
        .collect()
}
