//! [`Deadline`]: the point in time at which a wait ends.
//!
//! Every wait of the driver, however its timeout was given, becomes a deadline on the host's
//! monotonic clock once, at its start. Invariant: a sum that overflows means "for ever".

use sup_abi::Nanoseconds;

/// When a wait gives up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deadline {
    /// Never.
    Never,
    /// When the host's monotonic clock reaches this. A point in the past polls.
    At(Nanoseconds),
}

impl Deadline {
    /// A timeout in milliseconds from `now`; `u32::MAX` is for ever.
    pub const fn after_millis(now: Nanoseconds, millis: u32) -> Self {
        if millis == u32::MAX {
            return Self::Never;
        }
        match (millis as u64).checked_mul(1_000_000) {
            Some(nanos) => Self::after_nanos(now, nanos),
            None => Self::Never,
        }
    }

    /// A timeout in nanoseconds from `now`; `u64::MAX` and every overflow are for ever.
    pub const fn after_nanos(now: Nanoseconds, nanos: u64) -> Self {
        if nanos == u64::MAX {
            return Self::Never;
        }
        match now.get().checked_add(nanos) {
            Some(at) => Self::at_nanos(at),
            None => Self::Never,
        }
    }

    /// An absolute deadline in nanoseconds of the monotonic clock; `u64::MAX` is for ever.
    pub const fn at_nanos(at: u64) -> Self {
        if at == u64::MAX { Self::Never } else { Self::At(Nanoseconds::new(at)) }
    }

    /// True if the deadline is `now` or before.
    pub const fn is_over(self, now: Nanoseconds) -> bool {
        match self {
            Self::Never => false,
            Self::At(at) => at.get() <= now.get(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Nanoseconds = Nanoseconds::new(1_000);

    #[test]
    fn all_ones_and_overflow_are_for_ever() {
        assert_eq!(Deadline::after_millis(NOW, u32::MAX), Deadline::Never);
        assert_eq!(Deadline::after_nanos(NOW, u64::MAX), Deadline::Never);
        assert_eq!(Deadline::after_nanos(NOW, u64::MAX - 999), Deadline::Never);
        assert_eq!(Deadline::at_nanos(u64::MAX), Deadline::Never);
    }

    #[test]
    fn zero_is_over_at_once() {
        assert!(Deadline::after_millis(NOW, 0).is_over(NOW));
        assert!(Deadline::at_nanos(0).is_over(NOW));
        assert!(!Deadline::after_nanos(NOW, 1).is_over(NOW));
    }
}
