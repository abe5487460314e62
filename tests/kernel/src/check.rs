//! [`Test`]: one rule and the function that looks whether it is kept; [`Report`]: the lines and totals.
//!
//! Each test runs in a process of its own. So it may give up rights, lock its memory and die, a test that
//! hangs is killed, and afterwards the driver must hold what it held before: whatever the test was about,
//! a process that has ended leaves nothing.

use std::fmt;
use std::io::{self, Write};
use std::panic::Location;
use std::process::ExitCode;

use crate::observer::Observer;
use crate::process::Child;

/// How a test ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The rule is kept.
    Passed,
    /// It is not, and this is how.
    Failed(String),
    /// Nobody knows: something that the test needs is missing.
    Skipped(String),
}

/// Why a test ended early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stop {
    Failed(String),
    Skipped(String),
}

/// What a test returns.
pub(crate) type Verdict<T = ()> = Result<T, Stop>;

impl Stop {
    #[track_caller]
    pub(crate) fn failed(why: impl fmt::Display) -> Self {
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

/// One rule, by the name of the function that tests it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Test {
    /// Subject and name.
    pub(crate) name: &'static str,
    pub(crate) run: fn(&Observer) -> Verdict,
}

impl Test {
    /// Runs the test in a process of its own, and looks at the driver before and afterwards.
    pub(crate) fn execute(&self, observer: &Observer) -> Outcome {
        let verdict = observer.look().and_then(|before| {
            Child::start(|| (self.run)(observer))?.finish()?;
            observer.wait_for(&before)
        });
        verdict.into()
    }
}

/// Lists the tests of a file, which are functions of the same names.
macro_rules! tests {
    ($subject:literal: $($name:ident,)*) => {
        pub(super) static TESTS: &[$crate::check::Test] = &[$($crate::check::Test {
            name: concat!($subject, "::", stringify!($name)),
            run: $name,
        },)*];
    };
}

/// Ends the test unless a condition holds.
macro_rules! check {
    ($condition:expr $(,)?) => {
        $crate::check::check!($condition, "not true: {}", stringify!($condition))
    };
    ($condition:expr, $($what:tt)+) => {
        if !$condition {
            return Err($crate::check::Stop::failed(format_args!($($what)+)));
        }
    };
}

/// Ends the test unless two values are the same.
macro_rules! same {
    ($found:expr, $expected:expr $(,)?) => {
        $crate::check::same!($found, $expected, "{}", stringify!($found))
    };
    ($found:expr, $expected:expr, $($what:tt)+) => {
        match (&$found, &$expected) {
            (found, expected) => $crate::check::check!(
                found == expected,
                "{}: {found:?} instead of {expected:?}",
                format_args!($($what)+)
            ),
        }
    };
}

pub(crate) use {check, same, tests};

/// Prints a line a test, and counts.
#[derive(Debug, Default)]
pub(crate) struct Report {
    passed: usize,
    failed: usize,
    skipped: usize,
}

impl Report {
    /// # Errors
    /// Standard output is gone.
    pub(crate) fn start() -> io::Result<Self> {
        // Whoever reads the results wants to know which driver they are about.
        writeln!(io::stdout(), "backend kernel")?;
        Ok(Self::default())
    }

    /// Prints how a test ended.
    ///
    /// # Errors
    /// Standard output is gone.
    pub(crate) fn note(&mut self, name: &str, outcome: &Outcome) -> io::Result<()> {
        let mut out = io::stdout().lock();
        match outcome {
            Outcome::Passed => {
                self.passed += 1;
                writeln!(out, "ok {name}")
            }
            Outcome::Failed(why) => {
                self.failed += 1;
                writeln!(out, "FAILED {name}: {why}")
            }
            Outcome::Skipped(reason) => {
                self.skipped += 1;
                writeln!(out, "skipped {name}: {reason}")
            }
        }
    }

    /// Prints the totals.
    ///
    /// # Errors
    /// Standard output is gone.
    pub(crate) fn end(self) -> io::Result<ExitCode> {
        let Self { passed, failed, skipped } = self;
        writeln!(io::stdout(), "{passed} passed, {failed} failed, {skipped} skipped")?;
        Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
