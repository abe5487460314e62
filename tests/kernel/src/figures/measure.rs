//! Counting: what a call costs, in instructions where the machine's clock counts them.
//!
//! Invariant: nothing is taken off a figure; a batch is long enough that reading the clock does not
//! matter.

use std::arch::asm;

use rustix::time::{ClockId, clock_gettime};

use crate::check::Verdict;

const BATCHES: usize = 41;

/// Calls of a batch.
const CALLS: u64 = 20;

/// What the monotonic clock shows.
pub(super) fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.cast_unsigned() * 1_000_000_000 + now.tv_nsec.cast_unsigned()
}

/// What a nanosecond of the clock is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clock {
    /// An instruction.
    CountsInstructions,
    /// As much time as on any machine.
    Runs,
}

impl Clock {
    /// Finds out by a loop whose instructions are known.
    pub(super) fn find() -> Self {
        const TURNS: u64 = 1_000_000;
        const INSTRUCTIONS: u64 = 2 * TURNS;
        /// For what interrupts the loop: ticks of the kernel's clock.
        const TOLERANCE: u64 = INSTRUCTIONS / 10;
        let is_counted = || {
            let begin = now_ns();
            // SAFETY: the loop touches the register that it names and the flags, and no memory.
            unsafe {
                asm!("2: dec {turns}", "jnz 2b", turns = inout(reg) TURNS => _, options(nomem, nostack));
            }
            (now_ns() - begin).abs_diff(INSTRUCTIONS) < TOLERANCE
        };
        // A machine whose two billion instructions a second happen to look like that does not do so always.
        if (0..5).all(|_| is_counted()) { Self::CountsInstructions } else { Self::Runs }
    }

    /// The unit of what [`now_ns`] measures.
    pub(super) fn unit(self) -> &'static str {
        match self {
            Self::CountsInstructions => "instructions",
            Self::Runs => "ns",
        }
    }
}

/// The middle one of an odd number of values.
pub(super) fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// What one call costs: the median of many batches.
pub(super) fn cost(call: impl FnMut() -> Verdict) -> Verdict<u64> {
    cost_of(CALLS, call)
}

/// The same, with batches of so many calls.
pub(super) fn cost_of(calls: u64, mut call: impl FnMut() -> Verdict) -> Verdict<u64> {
    // The first ones pay for what is made once.
    (0..calls).try_for_each(|_| call())?;
    let mut batches = Vec::with_capacity(BATCHES);
    for _ in 0..BATCHES {
        let begin = now_ns();
        (0..calls).try_for_each(|_| call())?;
        batches.push((now_ns() - begin) / calls);
    }
    Ok(median(batches))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spoiled_batch_moves_nothing() {
        assert_eq!(median(vec![3, u64::MAX, 1]), 3);
        assert_eq!(median(vec![7]), 7);
    }

    #[test]
    fn cannot_take_a_failure_for_a_figure() {
        let failure = cost(|| Err(crate::check::Stop::failed("no")));
        assert!(failure.is_err());
    }
}
