//! How a test ends: for the suites that run where cargo is not, in a guest.
//!
//! A test is a function that returns a [`Verdict`]. It ends early with [`check!`] and [`same!`], or with
//! any error by `?`; the [`Stop`] says where. A suite prints a [line](Outcome::line) a test and the
//! [`Tally`] at the end, which `cargo xtask vm` reads (`xtask/src/vm/results.rs`).
//!
//! `kernel_log` reads what the kernel's driver logs.
//!
//! Invariant: a test that could not be carried out is skipped with the reason, and never passes.

mod kernel_log;

use std::fmt;
use std::panic::Location;
use std::process::ExitCode;

pub use kernel_log::KernelLog;

/// How a test ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The rule is kept.
    Passed,
    /// It is not, and this is how.
    Failed(String),
    /// Nobody knows: something that the test needs is missing.
    Skipped(String),
}

impl Outcome {
    /// The line of a test with this name.
    ///
    /// ```
    /// use sup_verdict::Outcome;
    ///
    /// assert_eq!(Outcome::Passed.line("a::b"), "ok a::b");
    /// assert_eq!(Outcome::Skipped("no root".into()).line("a::b"), "skipped a::b: no root");
    /// ```
    pub fn line(&self, name: &str) -> String {
        match self {
            Self::Passed => format!("ok {name}"),
            Self::Failed(why) => format!("FAILED {name}: {why}"),
            Self::Skipped(reason) => format!("skipped {name}: {reason}"),
        }
    }
}

/// Why a test ended early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// The rule is broken.
    Failed(String),
    /// Something that the test needs is missing.
    Skipped(String),
}

/// What a test returns, and what its helpers do.
pub type Verdict<T = ()> = Result<T, Stop>;

impl Stop {
    /// A failure, with the caller's file and line.
    #[track_caller]
    pub fn failed(why: impl fmt::Display) -> Self {
        let place = Location::caller();
        let file = place.file().rsplit('/').next().unwrap_or_default();
        Self::Failed(format!("{file}:{}: {why}", place.line()))
    }
}

impl<E: std::error::Error> From<E> for Stop {
    #[track_caller]
    fn from(error: E) -> Self {
        Self::failed(error)
    }
}

impl From<Verdict> for Outcome {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Ok(()) => Self::Passed,
            Err(Stop::Failed(why)) => Self::Failed(why),
            Err(Stop::Skipped(reason)) => Self::Skipped(reason),
        }
    }
}

/// Ends the test unless a condition holds.
#[macro_export]
macro_rules! check {
    ($condition:expr $(,)?) => {
        $crate::check!($condition, "not true: {}", stringify!($condition))
    };
    ($condition:expr, $($what:tt)+) => {
        if !$condition {
            return Err($crate::Stop::failed(format_args!($($what)+)));
        }
    };
}

/// Ends the test unless two values are the same.
#[macro_export]
macro_rules! same {
    ($found:expr, $expected:expr $(,)?) => {
        $crate::same!($found, $expected, "{}", stringify!($found))
    };
    ($found:expr, $expected:expr, $($what:tt)+) => {
        match (&$found, &$expected) {
            (found, expected) => $crate::check!(
                found == expected,
                "{}: {found:?} instead of {expected:?}",
                format_args!($($what)+)
            ),
        }
    };
}

/// How many tests ended which way. Shown as the last line of a suite.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Rules that are kept.
    pub passed: usize,
    /// Rules that are broken.
    pub failed: usize,
    /// Tests that could not be carried out.
    pub skipped: usize,
}

impl Tally {
    /// Counts one more.
    pub fn note(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Passed => self.passed += 1,
            Outcome::Failed(_) => self.failed += 1,
            Outcome::Skipped(_) => self.skipped += 1,
        }
    }

    /// Success if nothing failed.
    pub fn exit_code(self) -> ExitCode {
        if self.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { passed, failed, skipped } = self;
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(found: u32) -> Verdict {
        check!(found != 0, "nothing was found");
        same!(found, 7);
        Ok(())
    }

    #[test]
    fn stops_say_where_and_what() {
        assert_eq!(judge(7), Ok(()));
        let why = |found| match judge(found) {
            Err(Stop::Failed(why)) => why,
            other => panic!("{other:?}"),
        };
        assert!(why(0).starts_with("lib.rs:") && why(0).ends_with(": nothing was found"));
        assert!(why(8).ends_with(": found: 8 instead of 7"), "{}", why(8));
    }

    #[test]
    fn skipped_tests_neither_pass_nor_fail() {
        let mut tally = Tally::default();
        let skipped: Outcome = Err(Stop::Skipped("no root".to_owned())).into();
        for outcome in [&Outcome::Passed, &skipped] {
            tally.note(outcome);
        }
        assert_eq!(tally.to_string(), "1 passed, 0 failed, 1 skipped");
        assert_eq!(tally.exit_code(), ExitCode::SUCCESS);
        tally.note(&Outcome::Failed("it is broken".to_owned()));
        assert_eq!(tally.exit_code(), ExitCode::FAILURE);
    }
}
