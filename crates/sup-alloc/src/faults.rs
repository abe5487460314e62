//! Fault injection for tests: the n-th allocation of a thread fails.
//!
//! Every allocation of the driver goes through this crate, so a test that counts up from the first to
//! the last of an operation has seen every way in which memory can run out in it.

extern crate std;

use core::cell::Cell;

use crate::OutOfMemory;

std::thread_local! {
    /// Allocations that still succeed; `None`: all do.
    static REMAINING: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Runs `operation` with every allocation of this thread failing after the first `successes`; returns
/// its result and whether one failed.
///
/// ```
/// use sup_alloc::{OutOfMemory, Vec, faults};
///
/// let (result, has_failed) = faults::failing_after(1, || {
///     let mut vec = Vec::new();
///     vec.try_push(1)?;
///     vec.try_reserve(100)
/// });
/// assert_eq!((result, has_failed), (Err(OutOfMemory), true));
/// ```
pub fn failing_after<R>(successes: u64, operation: impl FnOnce() -> R) -> (R, bool) {
    /// One more than any count, so that "one failed" can be told from "none left".
    const FAILED: u64 = u64::MAX;
    REMAINING.set(Some(successes));
    let result = operation();
    let has_failed = REMAINING.replace(None) == Some(FAILED);
    (result, has_failed)
}

pub(crate) fn may_allocate() -> Result<(), OutOfMemory> {
    match REMAINING.get() {
        None => Ok(()),
        Some(0 | u64::MAX) => {
            REMAINING.set(Some(u64::MAX));
            Err(OutOfMemory)
        }
        Some(remaining) => {
            REMAINING.set(Some(remaining.saturating_sub(1)));
            Ok(())
        }
    }
}
