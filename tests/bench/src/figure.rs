//! [`Figure`]: one measured line, with its comparison and its goal; [`Skip`]: one that this machine
//! cannot give.

use serde::Serialize;

use crate::measure::Pair;

/// What was measured, compared to what, and what it should be.
#[derive(Debug, Clone)]
pub(crate) struct Figure {
    pub(crate) name: String,
    /// The unit of both sides.
    pub(crate) unit: &'static str,
    pub(crate) compared_to: String,
    pub(crate) pair: Pair,
    /// `None` for a line that only explains another.
    pub(crate) goal: Option<Goal>,
}

/// The most that a figure may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Goal {
    /// Of the median, in the figure's unit.
    Median(f64),
    /// Of the ratio to what it is compared to.
    Ratio(f64),
    /// Of what the median has beyond that of what it is compared to, in the figure's unit.
    Beyond(f64),
}

impl Figure {
    /// Whether the goal is met; `None` without one.
    pub(crate) fn is_met(&self) -> Option<bool> {
        Some(match self.goal? {
            Goal::Median(most) => self.pair.ours.median <= most,
            Goal::Ratio(most) => self.pair.ratio <= most,
            Goal::Beyond(most) => self.pair.ours.median - self.pair.theirs.median <= most,
        })
    }
}

/// A figure of a suite.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) suite: &'static str,
    pub(crate) figure: Figure,
}

/// A figure that cannot be taken on this machine.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Skip {
    pub(crate) name: &'static str,
    /// Why, and what to do about it.
    pub(crate) reason: String,
}

/// How many goals there are, and how many of them are met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) goals: usize,
    pub(crate) met: usize,
}

impl Tally {
    pub(crate) fn of(lines: &[Line]) -> Self {
        let verdicts = || lines.iter().filter_map(|line| line.figure.is_met());
        Self { goals: verdicts().count(), met: verdicts().filter(|is_met| *is_met).count() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Summary;

    /// A median of 30 against 10.
    fn line(goal: Option<Goal>) -> Line {
        let ours = Summary { median: 30.0, lower: 29.0, upper: 31.0 };
        let pair = Pair { ours, theirs: ours.scaled(1.0 / 3.0), ratio: 3.0 };
        let figure = Figure { name: "a".into(), unit: "ns", compared_to: "b".into(), pair, goal };
        Line { suite: "test", figure }
    }

    #[test]
    fn a_goal_is_the_most_that_is_allowed() {
        for (goal, is_met) in [
            (None, None),
            (Some(Goal::Ratio(3.0)), Some(true)),
            (Some(Goal::Ratio(2.9)), Some(false)),
            (Some(Goal::Median(30.0)), Some(true)),
            (Some(Goal::Median(29.0)), Some(false)),
            (Some(Goal::Beyond(20.0)), Some(true)),
            (Some(Goal::Beyond(19.0)), Some(false)),
        ] {
            assert_eq!(line(goal).figure.is_met(), is_met, "{goal:?}");
        }
    }

    #[test]
    fn lines_without_a_goal_do_not_count() {
        let lines = [line(None), line(Some(Goal::Ratio(4.0))), line(Some(Goal::Ratio(2.0)))];
        assert_eq!(Tally::of(&lines), Tally { goals: 2, met: 1 });
    }
}
