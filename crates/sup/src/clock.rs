//! [`Clock`]: the time as something that a program is given, so that a test can give another one.
//!
//! [`Gip`](crate::Gip) is the real one; [`ManualClock`] stands still until it is told otherwise.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A source of nanoseconds that never goes back.
pub trait Clock {
    /// Nanoseconds since an instant that stays the same.
    fn now_ns(&self) -> u64;
}

impl<C: Clock + ?Sized> Clock for &C {
    fn now_ns(&self) -> u64 {
        (**self).now_ns()
    }
}

/// A clock for tests.
///
/// ```
/// use std::time::Duration;
/// use sup::{Clock, ManualClock};
///
/// struct Lease<C> { clock: C, ends_ns: u64 }
/// impl<C: Clock> Lease<C> {
///     fn is_over(&self) -> bool { self.clock.now_ns() >= self.ends_ns }
/// }
///
/// let clock = ManualClock::at(1_000);
/// let lease = Lease { clock: &clock, ends_ns: 2_000 };
/// assert!(!lease.is_over());
/// clock.advance(Duration::from_micros(1));
/// assert!(lease.is_over());
/// ```
#[derive(Debug, Default)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// A clock that stands at `now_ns`.
    pub const fn at(now_ns: u64) -> Self {
        Self(AtomicU64::new(now_ns))
    }

    /// Lets time pass; up to the largest value, where the clock stays.
    pub fn advance(&self, by: Duration) {
        let by = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        let later = |now: u64| Some(now.saturating_add(by));
        // Relaxed: the time orders nothing but itself. The closure always has a value.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, later);
    }
}

impl Clock for ManualClock {
    fn now_ns(&self) -> u64 {
        // Relaxed: see `advance`.
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_stops_at_its_end_and_never_goes_back() {
        let clock = ManualClock::at(u64::MAX - 1);
        clock.advance(Duration::MAX);
        assert_eq!(clock.now_ns(), u64::MAX);
        clock.advance(Duration::from_nanos(1));
        assert_eq!(clock.now_ns(), u64::MAX);
    }
}
