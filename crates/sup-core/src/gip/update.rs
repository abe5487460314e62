//! The writer of the page: from clock and counter to a line that readers can follow.
//!
//! An [`Updater`] keeps a [`Line`]: nanoseconds as a function of the time stamp counter. At each tick
//! it compares the line with the clock and starts a new line:
//!
//! * **at the old line's own value**, so that time never jumps back; forward it jumps only if it is
//!   more than [`STEP`] behind, as after a stop of the whole machine;
//! * **with the counter's true rate**, measured over several seconds, so that the jitter of a single
//!   tick does not matter, **bent a little** so that the difference to the clock is gone after
//!   [`SLEW_TICKS`] ticks.
//!
//! The header's reader multiplies the counter's difference by `u32UpdateIntervalNS` and divides by
//! `u32UpdateIntervalTSC`; the first is a constant, so the slope is expressed in the second. Integers
//! only: ring 0 has no floating point.
//!
//! A rate is measured only while clock and counter run together: a baseline from before a suspension would
//! make a rate of the time that the counter stood.
//!
//! Invariant: a new line starts at or above every value that the old one gives for an earlier counter.

use core::sync::atomic::Ordering;

use sup_abi::{GIP_HISTORY_ENTRIES, Nanoseconds, SUPGIPCPU};

use super::transaction::Change;

/// A line is this far behind the clock: it is not bent but broken. Larger than any scheduling delay
/// could make the error of a running line, smaller than a suspension.
pub const STEP: u64 = 1_000_000;
/// Ticks in which a difference to the clock is worked off.
pub const SLEW_TICKS: i64 = 8;
/// The counter may run this long without a tick before a line is given up, in counter ticks.
pub const MAX_COUNTER_GAP: u64 = 1 << 36;
/// A rate is measured over at least this time before it replaces the host's first guess.
const MIN_BASELINE: u64 = 50_000_000;
/// A baseline is moved on after this time, so that a rate is measured over one to two of them.
const BASELINE: u64 = 4_000_000_000;
/// Fraction bits of a slope. An interval below 2^30 ns leaves room for them, and over
/// [`MAX_COUNTER_GAP`] they are good for 16 ns.
const SCALE_BITS: u32 = 32;
/// Fraction bits of [`Updater::rate`].
const RATE_BITS: u32 = 16;

/// Nanoseconds as a function of the time stamp counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// Nanoseconds at `tsc`. Corresponds to `u64NanoTS`.
    pub nanos: u64,
    /// Where the line starts. Corresponds to `u64TSC`.
    pub tsc: u64,
    /// Counter ticks in `interval_ns`. Corresponds to `u32UpdateIntervalTSC`.
    pub interval_tsc: u32,
    /// Corresponds to `u32UpdateIntervalNS`.
    pub interval_ns: u32,
}

impl Line {
    /// The line ready to be evaluated; `None` if it has no slope.
    #[inline]
    pub const fn scaled(&self) -> Option<ScaledLine> {
        let interval = (self.interval_ns as u64) << SCALE_BITS;
        match interval.checked_div(self.interval_tsc as u64) {
            Some(scale) => Some(ScaledLine { nanos: self.nanos, tsc: self.tsc, scale }),
            None => None,
        }
    }

    /// The line's value at `tsc`; `None` if the counter went back or too far for the line to be true.
    #[inline]
    pub const fn at(&self, tsc: u64) -> Option<u64> {
        match self.scaled() {
            Some(line) => line.at(tsc),
            None => None,
        }
    }
}

/// A [`Line`] whose division is done.
///
/// Readers that keep it and readers that make it anew get the same value for the same counter, and so
/// does the writer that starts the next line: none is ahead of another by a rounding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScaledLine {
    nanos: u64,
    tsc: u64,
    /// Nanoseconds a counter tick, with [`SCALE_BITS`] fraction bits.
    scale: u64,
}

impl ScaledLine {
    /// A line that has no value anywhere.
    pub const NONE: Self = Self { nanos: 0, tsc: u64::MAX / 2, scale: 0 };

    /// The line's value at `tsc`; `None` if the counter went back or too far for the line to be true.
    #[inline]
    pub const fn at(&self, tsc: u64) -> Option<u64> {
        let gone = tsc.wrapping_sub(self.tsc);
        if gone > MAX_COUNTER_GAP {
            return None;
        }
        // 36 and 62 bits: the product fits, and its upper part too unless the page is absurd.
        let nanos = (gone as u128).wrapping_mul(self.scale as u128) >> SCALE_BITS;
        Some(self.nanos.wrapping_add(nanos as u64))
    }
}

/// Clock and counter at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sample {
    now: u64,
    tsc: u64,
}

/// The writer's memory for one entry.
#[derive(Debug)]
pub struct Updater {
    line: Line,
    /// Counter ticks in an interval, with [`RATE_BITS`] fraction bits.
    rate: u64,
    /// Whether the rate was measured here, and is better than what the host believes.
    has_measured: bool,
    last: Option<Sample>,
    /// The rate is measured from here; `next_baseline` takes its place in time.
    baseline: Option<Sample>,
    next_baseline: Option<Sample>,
}

/// What a tick did, for the entry's fields that only describe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tick {
    /// The line from now on.
    pub line: Line,
    /// Counter frequency in Hz.
    pub hz: u64,
    /// Counter ticks since the last tick; what an interval has if this is the first of a run.
    pub counter_step: u32,
    /// Nanoseconds since the last tick; an interval if this is the first of a run.
    pub clock_step: u32,
    /// Whether the line had to be given up.
    pub is_error: bool,
}

impl Updater {
    /// A writer that knows nothing of the counter yet.
    pub fn new(interval: Nanoseconds) -> Self {
        let interval_ns = u32::try_from(interval.get()).unwrap_or(u32::MAX).max(1);
        Self {
            line: Line { nanos: 0, tsc: 0, interval_tsc: interval_ns, interval_ns },
            rate: u64::from(interval_ns) << RATE_BITS,
            has_measured: false,
            last: None,
            baseline: None,
            next_baseline: None,
        }
    }

    /// Believes the counter to run at `hz`, until it has measured.
    pub fn believe(&mut self, hz: u64) {
        if self.has_measured {
            return;
        }
        let per_interval = mul_div(hz, u64::from(self.line.interval_ns), 1_000_000_000);
        self.rate = per_interval.clamp(1, u64::from(u32::MAX)) << RATE_BITS;
    }

    /// The line that readers follow now.
    pub fn line(&self) -> Line {
        self.line
    }

    /// Forgets the last tick: the timer was stopped. The measured rate stays.
    pub fn restart(&mut self) {
        self.last = None;
        self.baseline = None;
        self.next_baseline = None;
    }

    /// Starts a new line at the current clock and counter.
    pub fn tick(&mut self, now: Nanoseconds, tsc: u64) -> Tick {
        let sample = Sample { now: now.get(), tsc };
        let (clock_step, counter_step) = match self.last {
            Some(last) => (sample.now.saturating_sub(last.now), tsc.wrapping_sub(last.tsc)),
            None => (u64::from(self.line.interval_ns), self.rate >> RATE_BITS),
        };
        let expected = self.last.and_then(|_| self.line.at(tsc));
        let is_error = self.last.is_some() && (expected.is_none() || clock_step == 0);
        if is_error {
            self.restart();
        } else {
            if self.last.is_some() && self.parted(clock_step, counter_step) {
                // What was measured across that says nothing of the counter's rate.
                self.baseline = None;
                self.next_baseline = None;
            }
            self.measure(sample);
        }
        self.last = Some(sample);

        let start = match expected {
            Some(expected) if sample.now.saturating_sub(expected) <= STEP => expected,
            // The first line of a run, or one that fell behind. It never starts below what the line
            // before it has reached.
            _ => sample.now.max(expected.unwrap_or(0)),
        };
        let interval_tsc = self.bent_rate(sample.now.wrapping_sub(start).cast_signed());
        self.line = Line { nanos: start, tsc, interval_tsc, ..self.line };
        Tick {
            line: self.line,
            hz: mul_div(self.rate, 1_000_000_000, u64::from(self.line.interval_ns)) >> RATE_BITS,
            counter_step: u32::try_from(counter_step).unwrap_or(u32::MAX),
            clock_step: u32::try_from(clock_step).unwrap_or(u32::MAX),
            is_error,
        }
    }

    /// Whether clock and counter went so different ways since the last tick that one of them stood or
    /// jumped: the machine was suspended, or a virtual one stopped.
    fn parted(&self, clock_step: u64, counter_step: u64) -> bool {
        let interval = u64::from(self.line.interval_ns) << RATE_BITS;
        mul_div(counter_step, interval, self.rate).abs_diff(clock_step) > STEP
    }

    /// Measures the rate from the baseline on.
    fn measure(&mut self, sample: Sample) {
        let (Some(baseline), Some(next)) = (self.baseline, self.next_baseline) else {
            self.baseline = Some(sample);
            self.next_baseline = Some(sample);
            return;
        };
        let elapsed = sample.now.saturating_sub(baseline.now);
        let ticks = sample.tsc.wrapping_sub(baseline.tsc);
        if elapsed >= MIN_BASELINE && ticks <= MAX_COUNTER_GAP {
            let interval = u64::from(self.line.interval_ns) << RATE_BITS;
            let rate = mul_div(ticks, interval, elapsed);
            self.rate = rate.clamp(1 << RATE_BITS, u64::from(u32::MAX) << RATE_BITS);
            self.has_measured = true;
        }
        if sample.now.saturating_sub(next.now) >= BASELINE {
            self.baseline = Some(next);
            self.next_baseline = Some(sample);
        }
    }

    /// Counter ticks an interval on a line that gains `behind` nanoseconds in [`SLEW_TICKS`] intervals.
    fn bent_rate(&self, behind: i64) -> u32 {
        let slew = i64::from(self.line.interval_ns).saturating_mul(SLEW_TICKS);
        // A line ahead of the clock may be slowed down to a half, one behind sped up by 1/64.
        let gain = behind.clamp((slew / 2).saturating_neg(), slew / 64);
        let (straight, bent) = (slew.unsigned_abs(), slew.saturating_add(gain).unsigned_abs());
        let rate = mul_div(self.rate, straight, bent) >> RATE_BITS;
        u32::try_from(rate).unwrap_or(u32::MAX).max(1)
    }
}

/// Updates an entry of the page as one transaction. `sample` takes clock and counter.
pub fn publish(
    entry: &SUPGIPCPU,
    updater: &mut Updater,
    sample: impl FnOnce() -> (Nanoseconds, u64),
) {
    // Relaxed: fields that describe; the change orders them with the line.
    let relaxed = Ordering::Relaxed;
    let change = Change::begin(entry);
    let (now, tsc) = sample();
    let tick = updater.tick(now, tsc);
    entry.u64CpuHz.store(tick.hz, relaxed);
    entry.u32PrevUpdateIntervalNS.store(tick.clock_step, relaxed);
    if tick.is_error {
        entry.cErrors.fetch_add(1, relaxed);
    }
    let head = entry.iTSCHistoryHead.load(relaxed).wrapping_add(1) as usize % GIP_HISTORY_ENTRIES;
    entry.iTSCHistoryHead.store(head as u32, relaxed);
    // The history begins with values that nobody measured. The second tick of the first run overwrites them
    // all, and the third does so again, as the first whole interval lies before it.
    let is_beginning = matches!(entry.u32TransactionId.load(relaxed), 5 | 7);
    for (index, slot) in entry.au32TSCHistory.iter().enumerate() {
        if is_beginning || index == head {
            slot.store(tick.counter_step, relaxed);
        }
    }
    change.end(tick.line);
}

/// `a * b / c`, rounded down; all ones if that does not fit or `c` is zero.
///
/// The product takes 128 bits. The kernel has no 128-bit division, so it is done here, bit by bit,
/// a few times a tick.
fn mul_div(a: u64, b: u64, c: u64) -> u64 {
    let product = u128::from(a).wrapping_mul(u128::from(b));
    let (mut high, low) = ((product >> 64) as u64, product as u64);
    if high >= c {
        return u64::MAX;
    }
    let mut quotient = 0_u64;
    for bit in (0..u64::BITS).rev() {
        let carry = high >> 63;
        high = high << 1 | low >> bit & 1;
        quotient <<= 1;
        if carry != 0 || high >= c {
            high = high.wrapping_sub(c);
            quotient |= 1;
        }
    }
    quotient
}

#[cfg(test)]
mod tests;
