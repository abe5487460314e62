//! [`Summary`]: what is left of many samples.
//!
//! The median and the quartiles, because a sample that the scheduler spoiled then counts no more than
//! any other. Invariant: `lower <= median <= upper`.

/// The middle of a set of samples, and the middle half of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Summary {
    pub(crate) median: f64,
    /// First quartile.
    pub(crate) lower: f64,
    /// Third quartile.
    pub(crate) upper: f64,
}

impl Summary {
    /// Sums up samples in any order; `None` if there are none.
    pub(crate) fn of(mut samples: Vec<f64>) -> Option<Self> {
        samples.sort_unstable_by(f64::total_cmp);
        Some(Self {
            median: quantile(&samples, 0.5)?,
            lower: quantile(&samples, 0.25)?,
            upper: quantile(&samples, 0.75)?,
        })
    }

    /// The interquartile range.
    pub(crate) fn spread(&self) -> f64 {
        self.upper - self.lower
    }

    /// The same samples in another unit.
    pub(crate) fn scaled(self, factor: f64) -> Self {
        Self {
            median: self.median * factor,
            lower: self.lower * factor,
            upper: self.upper * factor,
        }
    }
}

/// The same of samples in any order; `None` if there are none.
pub(crate) fn quantile_of(samples: &mut [f64], fraction: f64) -> Option<f64> {
    samples.sort_unstable_by(f64::total_cmp);
    quantile(samples, fraction)
}

/// The value below which the part `fraction` of the sorted samples lies, interpolated between two.
fn quantile(sorted: &[f64], fraction: f64) -> Option<f64> {
    let position = sorted.len().checked_sub(1)? as f64 * fraction;
    let below = sorted.get(position.floor() as usize)?;
    let above = sorted.get(position.ceil() as usize)?;
    Some(below + (above - below) * position.fract())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_and_quartiles_are_samples_where_they_can_be() {
        let summary = Summary::of(vec![5.0, 1.0, 4.0, 2.0, 3.0]);
        assert_eq!(summary, Some(Summary { median: 3.0, lower: 2.0, upper: 4.0 }));
    }

    #[test]
    fn median_and_quartiles_lie_between_samples_otherwise() {
        let summary = Summary::of(vec![4.0, 1.0, 3.0, 2.0]);
        assert_eq!(summary, Some(Summary { median: 2.5, lower: 1.75, upper: 3.25 }));
    }

    #[test]
    fn one_spoiled_sample_moves_nothing() {
        let mut samples = vec![10.0; 100];
        samples.push(1e9);
        let summary = Summary::of(samples).unwrap();
        assert_eq!((summary.median, summary.spread()), (10.0, 0.0));
    }

    #[test]
    fn scaling_changes_the_unit_of_everything() {
        let summary = Summary { median: 2.0, lower: 1.0, upper: 4.0 }.scaled(10.0);
        assert_eq!((summary.median, summary.spread()), (20.0, 30.0));
    }

    #[test]
    fn the_ends_are_quantiles_too() {
        let samples = &mut [3.0, 1.0, 2.0];
        let quantiles = [0.0, 0.75, 1.0].map(|fraction| quantile_of(samples, fraction));
        assert_eq!(quantiles, [Some(1.0), Some(2.5), Some(3.0)]);
    }

    #[test]
    fn cannot_sum_up_nothing() {
        assert_eq!(quantile_of(&mut [], 0.5), None);
        assert_eq!(Summary::of(Vec::new()), None);
    }
}
