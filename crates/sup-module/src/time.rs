//! The processor's clock and its number, in any context.
//!
//! Neighbours: `ringtrace` stamps its records with it. Invariant: nothing is changed and nobody is asked.

/// A moment on a processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The time-stamp counter.
    pub tsc: u64,
    /// The processor's number, as the system numbers it.
    pub cpu: u16,
}

/// Bits of the processor's number in the word that Linux has the processor deliver; its node is above.
const CPU_BITS: u32 = 0xfff;

/// Whether the processor has what [`moment`] takes: RDTSCP.
#[must_use]
pub fn has_moments() -> bool {
    const EXTENDED_FEATURES: u32 = 0x8000_0001;
    const RDTSCP: u32 = 1 << 27;
    core::arch::x86_64::__cpuid(EXTENDED_FEATURES).edx & RDTSCP != 0
}

/// Now, and here. After [`has_moments`].
///
/// # Context
/// Any, NMIs too.
#[inline]
#[must_use]
pub fn moment() -> Moment {
    let mut word = 0;
    // SAFETY: RDTSCP reads two counters of the processor and writes the variable; without the instruction it would
    // be an invalid opcode, which is a fault and nothing worse.
    let tsc = unsafe { core::arch::x86_64::__rdtscp(&raw mut word) };
    Moment { tsc, cpu: (word & CPU_BITS) as u16 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_does_not_stand_still() {
        if has_moments() {
            let first = moment();
            assert!((0..1000).any(|_| moment().tsc > first.tsc));
        }
    }
}
