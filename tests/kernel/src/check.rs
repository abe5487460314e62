//! [`Test`]: one rule and the function that looks whether it is kept; [`Report`]: the lines and totals.
//!
//! Each test runs in a process of its own. So it may give up rights, lock its memory and die, a test that
//! hangs is killed, and afterwards the driver must hold what it held before: whatever the test was about,
//! a process that has ended leaves nothing.

use std::io::{self, Write};
use std::process::ExitCode;

use sup_verdict::Tally;
pub(crate) use sup_verdict::{Outcome, Stop, Verdict, check, same};

use crate::observer::Observer;
use crate::process::Child;

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
        in_a_process(observer, || (self.run)(observer))
    }
}

/// Does `work` in a process of its own, and looks at the driver before and afterwards.
pub(crate) fn in_a_process(observer: &Observer, work: impl FnOnce() -> Verdict) -> Outcome {
    let verdict = observer.look().and_then(|before| {
        Child::start(work)?.finish()?;
        observer.wait_for(&before)
    });
    verdict.into()
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

pub(crate) use tests;

/// Prints a line a test, and counts.
#[derive(Debug, Default)]
pub(crate) struct Report(Tally);

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
        self.0.note(outcome);
        writeln!(io::stdout(), "{}", outcome.line(name))
    }

    /// Prints the totals.
    ///
    /// # Errors
    /// Standard output is gone.
    pub(crate) fn end(self) -> io::Result<ExitCode> {
        writeln!(io::stdout(), "{}", self.0)?;
        Ok(self.0.exit_code())
    }
}
