//! The transaction of an entry: how its line is changed while others read it, without a lock.
//!
//! ```text
//! writer                                reader
//! id = odd            (relaxed)         id                  (acquire)
//! fence               (SeqCst)          line                (acquire, each field)
//! clock and counter are taken           counter is read, and then
//! line                (relaxed)         id again            (relaxed)
//! id = next even      (release)
//! ```
//!
//! A reader has the line and a counter value that belongs to it if it found the same even number twice.
//!
//! * The line is not torn: a field of a later update, loaded with acquire, brings the odd number along,
//!   by the writer's fence, and the second look finds it. One of an earlier update is excluded by the first
//!   look's acquire, which pairs with the release at the end.
//! * The line was the newest when the counter was read: had the writer taken its counter before, its odd
//!   number would have been visible then, by the fence, and the second look comes after the counter. So on
//!   the common line no reader gets a time that the next line, which starts at the writer's counter, falls
//!   behind.
//!
//! Loom tries this with the cells of a model ([`Cells`]); the header's structure has the others. Neighbours:
//! `update.rs` writes, `read.rs` reads. Invariant: one writer at a time.

use core::sync::atomic::Ordering;

use super::update::Line;
use crate::sync::fence;

/// The cells that a transaction is about.
pub(super) trait Cells {
    /// Loads the number of the transaction.
    fn id(&self, order: Ordering) -> u32;
    /// Stores the number of the transaction.
    fn set_id(&self, id: u32, order: Ordering);
    /// Loads what is in the entry of a line, each field with `order`; the interval is the page's.
    fn line(&self, interval_ns: u32, order: Ordering) -> Line;
    /// Stores it, each field with `order`.
    fn set_line(&self, line: Line, order: Ordering);
}

/// A change of an entry that others can see. Ends with [`end`](Self::end).
#[must_use]
pub(super) struct Change<'a, C> {
    cells: &'a C,
    /// The even number before.
    id: u32,
}

impl<'a, C: Cells> Change<'a, C> {
    /// From here on readers wait. The writer takes its counter afterwards.
    pub(super) fn begin(cells: &'a C) -> Self {
        let id = cells.id(Ordering::Relaxed) & !1;
        cells.set_id(id.wrapping_add(1), Ordering::Relaxed);
        // SeqCst: the odd number is visible before the counter is read, and before the stores of the line;
        // pairs with the acquire of the line in `read`.
        fence(Ordering::SeqCst);
        Self { cells, id }
    }

    /// Gives readers the new line.
    pub(super) fn end(self, line: Line) {
        self.cells.set_line(line, Ordering::Relaxed);
        // Release: pairs with the acquire of the number in `read`.
        self.cells.set_id(self.id.wrapping_add(2), Ordering::Release);
    }
}

/// The number of an entry, and then what may be its line: if the number is even, and is found again.
#[inline]
pub(super) fn read(cells: &impl Cells, interval_ns: u32) -> (u32, Line) {
    // Acquire: pairs with the release of `Change::end`; the fields are not older.
    let id = cells.id(Ordering::Acquire);
    // Acquire: the fields are not younger than the number that is loaded next; pairs with the fence of
    // `Change::begin`.
    (id, cells.line(interval_ns, Ordering::Acquire))
}

/// Whether what was read under the first number is whole, when the second was loaded after it.
#[inline]
pub(super) fn is_whole(id: u32, again: u32) -> bool {
    id & 1 == 0 && id == again
}

#[cfg(all(test, loom))]
mod loom_tests;
