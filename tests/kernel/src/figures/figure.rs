//! [`Figure`]: one measured line, what it stands beside, and its goal.

use super::measure::Clock;

/// What a value counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// Of [`Clock`].
    Time,
    /// Of any clock.
    Nanoseconds,
    KiB,
    /// Times that somebody slept.
    Sleeps,
}

impl Unit {
    pub(super) fn name(self, clock: Clock) -> &'static str {
        match self {
            Self::Time => clock.unit(),
            Self::Nanoseconds => "ns",
            Self::KiB => "KiB",
            Self::Sleeps => "sleeps",
        }
    }
}

/// The most that a figure may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Goal {
    AtMost(u64),
    /// Of what the figure stands beside.
    TimesAtMost(f64),
}

/// What came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Measured(u64),
    /// It could not be measured, for this reason.
    Skipped(String),
}

/// A figure.
#[derive(Debug, Clone)]
pub(super) struct Figure {
    pub(super) name: String,
    pub(super) value: Value,
    pub(super) unit: Unit,
    /// Name and value of what it is compared to, from the same run.
    pub(super) beside: Option<(String, u64)>,
    /// `None` for a line that only explains others.
    pub(super) goal: Option<Goal>,
}

impl Figure {
    /// A figure in instructions.
    pub(super) fn new(name: impl Into<String>, value: u64) -> Self {
        let value = Value::Measured(value);
        Self { name: name.into(), value, unit: Unit::Time, beside: None, goal: None }
    }

    pub(super) fn skipped(name: &str, reason: impl Into<String>) -> Self {
        Self { value: Value::Skipped(reason.into()), ..Self::new(name, 0) }
    }

    pub(super) fn in_unit(self, unit: Unit) -> Self {
        Self { unit, ..self }
    }

    pub(super) fn beside(self, name: impl Into<String>, value: u64) -> Self {
        Self { beside: Some((name.into(), value)), ..self }
    }

    pub(super) fn goal(self, goal: Goal) -> Self {
        Self { goal: Some(goal), ..self }
    }

    /// What was measured.
    pub(super) fn measured(&self) -> Option<u64> {
        if let Value::Measured(value) = self.value { Some(value) } else { None }
    }

    /// How many times as much as what it stands beside.
    pub(super) fn ratio(&self) -> Option<f64> {
        let (_, beside) = self.beside.as_ref()?;
        Some(self.measured()? as f64 / *beside as f64)
    }

    /// Whether the goal is met; `None` without one, or where a clock that runs says nothing about it.
    pub(super) fn is_met(&self, clock: Clock) -> Option<bool> {
        if self.unit == Unit::Time && clock == Clock::Runs {
            return None;
        }
        Some(match self.goal? {
            Goal::AtMost(most) => self.measured()? <= most,
            Goal::TimesAtMost(most) => self.ratio()? <= most,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_the_most_that_is_allowed() {
        let figure = Figure::new("a", 30).beside("b", 10);
        for (goal, is_met) in [
            (Goal::AtMost(30), true),
            (Goal::AtMost(29), false),
            (Goal::TimesAtMost(3.0), true),
            (Goal::TimesAtMost(2.9), false),
        ] {
            let figure = figure.clone().goal(goal);
            assert_eq!(figure.is_met(Clock::CountsInstructions), Some(is_met), "{goal:?}");
        }
    }

    #[test]
    fn cannot_judge_without_a_goal_a_value_or_a_clock_that_counts() {
        let with_goal = Figure::new("a", 1).goal(Goal::AtMost(2));
        assert_eq!(with_goal.is_met(Clock::Runs), None);
        assert_eq!(with_goal.in_unit(Unit::KiB).is_met(Clock::Runs), Some(true));
        assert_eq!(Figure::new("a", 1).is_met(Clock::CountsInstructions), None);
        let skipped = Figure::skipped("a", "why").goal(Goal::AtMost(2));
        assert_eq!(skipped.is_met(Clock::CountsInstructions), None);
    }
}
