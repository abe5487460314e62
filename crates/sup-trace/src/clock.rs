//! [`Clock`]: from time stamps to nanoseconds.
//!
//! Invariant: a later time stamp is never an earlier time, and no frequency or distance overflows.

use crate::header::Header;

/// Bits behind the point of [`Clock::ns_per_tick`].
const FRACTION_BITS: u32 = 48;
const NS_PER_S: u128 = 1_000_000_000;

/// What turns time stamps into the system's times.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// Nanoseconds a tick, times 2^[`FRACTION_BITS`]: below 2^78, so that 2^48 ticks and more fit.
    ns_per_tick: u128,
    anchor_tsc: u64,
    anchor_monotonic_ns: i64,
}

impl Clock {
    /// The clock of a file.
    #[must_use]
    pub fn of(header: &Header) -> Self {
        Self {
            ns_per_tick: (NS_PER_S << FRACTION_BITS) / u128::from(header.tsc_hz.max(1)),
            anchor_tsc: header.anchor_tsc,
            anchor_monotonic_ns: i64::try_from(header.anchor_monotonic_ns).unwrap_or(i64::MAX),
        }
    }

    /// What `CLOCK_MONOTONIC` said at this time stamp; kept between 0 and 2^63 - 1.
    #[must_use]
    pub fn monotonic_ns(&self, tsc: u64) -> u64 {
        let ns = match tsc.checked_sub(self.anchor_tsc) {
            Some(ticks) => self.anchor_monotonic_ns.saturating_add(self.ns(ticks)),
            None => self.anchor_monotonic_ns.saturating_sub(self.ns(self.anchor_tsc - tsc)),
        };
        u64::try_from(ns).unwrap_or(0)
    }

    /// How long so many ticks take.
    #[must_use]
    pub fn ticks_ns(&self, ticks: u64) -> u64 {
        self.ns(ticks).unsigned_abs()
    }

    fn ns(&self, ticks: u64) -> i64 {
        let product = u128::from(ticks).saturating_mul(self.ns_per_tick);
        i64::try_from(product >> FRACTION_BITS).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(tsc_hz: u64) -> Clock {
        let header = Header { tsc_hz, anchor_tsc: 1_000, ..Header::default() };
        Clock::of(&Header { anchor_monotonic_ns: 5_000_000_000, ..header })
    }

    #[test]
    fn a_second_has_as_many_ticks_as_the_frequency_says() {
        for tsc_hz in [1, 1_000_000, 2_999_999_999, 3_000_000_000, 5_200_000_000] {
            let ns = clock(tsc_hz).ticks_ns(tsc_hz);
            assert!((999_999_999..=1_000_000_000).contains(&ns), "{tsc_hz}: {ns}");
        }
        let day = clock(3_000_000_000).ticks_ns(86_400 * 3_000_000_000);
        assert!(86_400_000_000_000 - day < 10, "{day}");
    }

    #[test]
    fn time_goes_both_ways_from_the_anchor_and_stops_at_its_ends() {
        let clock = clock(1_000_000_000);
        assert_eq!(clock.monotonic_ns(1_000), 5_000_000_000);
        assert_eq!(clock.monotonic_ns(1_100), 5_000_000_100);
        assert_eq!(clock.monotonic_ns(900), 4_999_999_900);
        assert_eq!(clock.monotonic_ns(u64::MAX), i64::MAX as u64);
        let late = Header { tsc_hz: 1, anchor_tsc: u64::MAX, ..Header::default() };
        assert_eq!(Clock::of(&late).monotonic_ns(0), 0);
    }
}
