//! What a block occupies beside its pages: the driver's part and the owner's, as the allocator counts
//! them. The kernel's part, which it has for any mapping of a program, is not in it.
//!
//! Compared to a mapping of the system in a box of its own, counted the same way: a program that keeps
//! many of those needs as much.

use std::hint::black_box;

use anyhow::Result;
use sup::RingZeroView;

use super::system::Region;
use crate::figure::Figure;
use crate::measure::Pair;
use crate::suites::{bytes_each, open_session};

/// About what the driver keeps of a block for ring 3 alone.
pub(super) const BLOCK_BYTES: usize = 200;

/// As many as make everything that is shared by some of them disappear, and fewer than the mappings
/// that a process may have.
const COUNT: usize = 16_000;
const ROUNDS: usize = 3;

pub(super) fn figure() -> Result<Figure> {
    // Keeps the driver running while sessions come and go.
    let _keeper = open_session()?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        // A session of its own each time: a table does not shrink.
        let session = open_session()?;
        ours.push(bytes_each(COUNT, || session.shared_pages(1, RingZeroView::Mapped))?);
        theirs.push(bytes_each(COUNT, || black_box(Region::anonymous(1)).map(Box::new))?);
    }
    Ok(Figure {
        name: "overhead of a block for both rings, with its owner".into(),
        unit: "bytes",
        compared_to: "boxed mmap".into(),
        pair: Pair::of_neighbours(ours, theirs)?,
        goal: None,
    })
}
