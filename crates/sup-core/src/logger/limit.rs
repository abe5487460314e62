//! [`Limit`]: how many lines a second somebody may put out, and how many were not.
//!
//! A budget that fills by the clock, kept as the time at which it will be full again:
//!
//! ```text
//!      now            full_at_ns         now + WINDOW_NS
//! ──────┼────────────────┼────────────────────┼───▶
//!       └──── spent ─────┴─ there is room for ┘
//! ```
//! A line moves `full_at_ns` on by the time in which one comes back; one that would move it beyond the window is
//! counted instead.
//!
//! One word, so that a line is judged in any context, an NMI included: nothing is locked, and a thread tries again
//! only when another one got on. What was counted is taken by exactly one of those who tell it.
//!
//! Neighbours: `printers` has one for each module. Invariant: every line is told, or counted once.

use core::num::{NonZeroU32, NonZeroU64};
use core::sync::atomic::Ordering;

use crate::sync::AtomicU64;

const SECOND_NS: u64 = 1_000_000_000;
/// Who was silent for so long has his whole budget: ten seconds' lines at once.
const WINDOW_NS: u64 = 10 * SECOND_NS;

/// The budget of one who puts lines out.
#[derive(Debug)]
pub(super) struct Limit {
    full_at_ns: AtomicU64,
    untold: AtomicU64,
}

impl Limit {
    pub(super) fn new() -> Self {
        Self { full_at_ns: AtomicU64::new(0), untold: AtomicU64::new(0) }
    }

    /// Spends a line. `None` if there is no room for it; else how many there was no room for since the last
    /// one, which the caller tells.
    ///
    /// # Context
    /// Any.
    pub(super) fn spend(&self, now_ns: u64, per_second: NonZeroU32) -> Option<u64> {
        let interval = SECOND_NS / NonZeroU64::from(per_second);
        let end = now_ns.saturating_add(WINDOW_NS);
        // Relaxed: the word stands for itself.
        let spent = self.full_at_ns.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |full_at| {
            let full_at = full_at.max(now_ns).saturating_add(interval);
            (full_at <= end).then_some(full_at)
        });
        if spent.is_err() {
            // Relaxed: a count, which is told once whoever takes it.
            self.untold.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(self.take_untold())
    }

    /// How many lines were not told since this was last asked.
    pub(super) fn take_untold(&self) -> u64 {
        // Relaxed, as above. Looked at first, because there seldom are any.
        if self.untold.load(Ordering::Relaxed) == 0 {
            return 0;
        }
        self.untold.swap(0, Ordering::Relaxed)
    }

    /// Gives whoever comes next a whole budget.
    pub(super) fn refill(&self) {
        // Relaxed: who comes next is led here by something else.
        self.full_at_ns.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(not(loom))]
    mod by_the_clock {
        use proptest::prelude::*;

        use super::*;

        proptest! {
            /// The model is a heap of tokens that grows by the clock.
            #[test]
            fn a_limit_is_a_budget_that_fills(
                per_second in 1_u32..5000,
                waits in proptest::collection::vec(prop_oneof![0..3_000_000_u64, 0..30_000_000_000_u64], 1..400),
            ) {
                let limit = Limit::new();
                let interval = SECOND_NS / u64::from(per_second);
                let (mut now, mut budget, mut untold) = (1 << 40, WINDOW_NS, 0);
                for wait in waits {
                    now += wait;
                    budget = (budget + wait).min(WINDOW_NS);
                    let told = limit.spend(now, NonZeroU32::new(per_second).unwrap());
                    if budget >= interval {
                        budget -= interval;
                        prop_assert_eq!(told, Some(untold));
                        untold = 0;
                    } else {
                        prop_assert_eq!(told, None);
                        untold += 1;
                    }
                }
                prop_assert_eq!(limit.take_untold(), untold);
            }
        }

        #[test]
        fn no_time_and_no_rate_is_too_much() {
            for now in [0, u64::MAX - 1, u64::MAX] {
                for per_second in [1, u32::MAX] {
                    let limit = Limit::new();
                    assert_eq!(limit.spend(now, NonZeroU32::new(per_second).unwrap()), Some(0));
                }
            }
        }
    }

    /// One thread spends what is left, others are counted: all that is told and counted is what was put out.
    #[test]
    #[cfg(loom)]
    fn loom_every_line_is_told_or_counted_once() {
        use loom::sync::Arc;

        loom::model(|| {
            // One line in each window.
            let rate = NonZeroU32::MIN;
            let limit = Arc::new(Limit::new());
            let full = |limit: &Limit| {
                (0..9).for_each(|_| assert_eq!(limit.spend(0, rate), Some(0)));
            };
            full(&limit);
            let threads = [SECOND_NS / 2, SECOND_NS].map(|now| {
                let limit = limit.clone();
                loom::thread::spawn(move || limit.spend(now, rate))
            });
            let mine = limit.spend(0, rate);
            let all = threads.map(|thread| thread.join().unwrap());
            let (mut told, mut counted) = (0, limit.take_untold());
            for spent in all.into_iter().chain([mine]) {
                told += u64::from(spent.is_some());
                counted += spent.unwrap_or(0);
            }
            assert_eq!(told + counted, 3, "{all:?} {mine:?}");
            assert!(told >= 1);
        });
    }
}
