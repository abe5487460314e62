//! [`compare`]: two things measured side by side.
//!
//! A figure here is a ratio before it is a time, on machines that change their speed while they
//! measure. So both sides are sampled in turn, and the ratio is the median of the ratios of
//! neighbouring samples: what slows the machine down for a while slows both sides of a pair.
//!
//! Why not one of the well-kept harnesses: criterion and divan measure one routine after the other,
//! and give out a report rather than samples; tango-bench does pair, but only two builds of one
//! program, each in a process of its own. None of them can time a part of an iteration on both sides
//! of a pair, as closing a session without opening it needs.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::stats::Summary;

/// No sample is shorter: the clock's own cost and resolution vanish in it.
const SAMPLE: Duration = Duration::from_millis(1);
/// Pairs to take, if there is time. Odd, so that the median is one of them.
const ROUNDS: usize = 301;
/// Pairs to take in any case.
const ROUNDS_MIN: usize = 31;
/// After this time no more pairs are taken.
const BUDGET: Duration = Duration::from_secs(1);

/// Both sides, in nanoseconds an iteration.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pair {
    pub(crate) ours: Summary,
    pub(crate) theirs: Summary,
    /// Ours to theirs, sample by sample.
    pub(crate) ratio: f64,
}

impl Pair {
    /// Sums up samples of which those with the same index were taken side by side.
    ///
    /// # Errors
    /// There are none.
    pub(crate) fn of_neighbours(ours: Vec<f64>, theirs: Vec<f64>) -> Result<Self> {
        const NONE: &str = "no sample was taken";
        let ratios = ours.iter().zip(&theirs).map(|(ours, theirs)| ours / theirs);
        let ratio = Summary::of(ratios.collect()).context(NONE)?.median;
        let (ours, theirs) = (Summary::of(ours).context(NONE)?, Summary::of(theirs).context(NONE)?);
        Ok(Self { ours, theirs, ratio })
    }

    /// Both sides in another unit, each by its own factor.
    pub(crate) fn scaled(self, ours: f64, theirs: f64) -> Self {
        Self {
            ours: self.ours.scaled(ours),
            theirs: self.theirs.scaled(theirs),
            ratio: self.ratio * ours / theirs,
        }
    }
}

/// A routine that does an operation as often as it is told, and says how long that took. What it
/// leaves out of that time is not measured.
pub(crate) trait Routine: FnMut(u64) -> Result<Duration> {}
impl<F: FnMut(u64) -> Result<Duration>> Routine for F {}

/// How much of the processor this thread has had. For what takes so long that other programs have their
/// turns meanwhile, which a short operation beside it is spared.
///
/// # Errors
/// There are none.
pub(crate) fn processor_time() -> Result<Duration> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Ok(Duration::new(time.tv_sec.try_into()?, time.tv_nsec.try_into()?))
}

/// The routine that does nothing but `operation`.
pub(crate) fn each<E, F>(mut operation: F) -> impl Routine
where
    F: FnMut() -> Result<(), E>,
    anyhow::Error: From<E>,
{
    move |iterations| {
        let start = Instant::now();
        for _ in 0..iterations {
            operation()?;
        }
        Ok(start.elapsed())
    }
}

/// Measures both routines in turn.
///
/// # Errors
/// The first of a routine.
pub(crate) fn compare(ours: impl Routine, theirs: impl Routine) -> Result<Pair> {
    compare_at_least(ROUNDS_MIN, ours, theirs)
}

/// Measures both routines in turn; so few rounds are enough where one of them takes seconds.
///
/// # Errors
/// The first of a routine.
pub(crate) fn compare_at_least(
    rounds: usize,
    mut ours: impl Routine,
    mut theirs: impl Routine,
) -> Result<Pair> {
    let ours_iterations = calibrate(&mut ours)?;
    let theirs_iterations = calibrate(&mut theirs)?;
    let (mut our_samples, mut their_samples) = (Vec::new(), Vec::new());
    let start = Instant::now();
    while our_samples.len() < ROUNDS && (our_samples.len() < rounds || start.elapsed() < BUDGET) {
        // Each side comes first in every other pair, in case that is an advantage.
        if our_samples.len() % 2 == 0 {
            our_samples.push(sample(&mut ours, ours_iterations)?);
            their_samples.push(sample(&mut theirs, theirs_iterations)?);
        } else {
            their_samples.push(sample(&mut theirs, theirs_iterations)?);
            our_samples.push(sample(&mut ours, ours_iterations)?);
        }
    }
    Pair::of_neighbours(our_samples, their_samples)
}

/// Iterations that fill a sample. Warms caches and branch predictors up on the way.
fn calibrate(routine: &mut impl Routine) -> Result<u64> {
    let mut iterations = 1;
    while routine(iterations)? < SAMPLE {
        iterations *= 2;
    }
    Ok(iterations)
}

/// Nanoseconds an iteration.
fn sample(routine: &mut impl Routine, iterations: u64) -> Result<f64> {
    Ok(routine(iterations)?.as_nanos() as f64 / iterations as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    /// Claims to take `nanos` an iteration, and is done at once.
    fn claims(nanos: u64) -> impl Routine {
        move |iterations| Ok(Duration::from_nanos(nanos * iterations))
    }

    #[test]
    fn figures_are_for_one_iteration() {
        let pair = compare(claims(300), claims(100)).unwrap();
        assert_eq!((pair.ours.median, pair.theirs.median), (300.0, 100.0));
        assert_eq!(pair.ratio, 3.0);
    }

    #[test]
    fn sides_can_have_iterations_of_different_size() {
        let pair = compare(claims(300), claims(100)).unwrap().scaled(0.1, 0.01);
        assert_eq!((pair.ours.median, pair.theirs.median), (30.0, 1.0));
        assert!((pair.ratio - 30.0).abs() < 1e-9);
    }

    #[test]
    fn the_ratio_is_that_of_neighbours() {
        // Two speeds in turn, pair by pair: the medians fall on one of them, the ratio stays exact.
        let calls = RefCell::new([0_u32; 2]);
        let side = |index: usize, nanos: u64| {
            let calls = &calls;
            move |iterations: u64| {
                calls.borrow_mut()[index] += 1;
                let speed = 1 + u64::from(calls.borrow()[index] % 2);
                Ok(Duration::from_nanos(nanos * speed * iterations))
            }
        };
        let pair = compare(side(0, 2_000_000), side(1, 1_000_000)).unwrap();
        assert_eq!(pair.ratio, 2.0);
    }

    #[test]
    fn a_thread_that_sleeps_has_nothing_of_the_processor() {
        const NAP: Duration = Duration::from_millis(50);
        let start = processor_time().unwrap();
        std::thread::sleep(NAP);
        assert!(processor_time().unwrap() - start < NAP / 2);
    }

    #[test]
    fn cannot_measure_what_fails() {
        let failing = each(|| Err(anyhow::anyhow!("out of order")));
        assert!(compare(claims(1), failing).is_err());
    }
}
