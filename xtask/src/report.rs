//! The one place that prints. Colours reach terminals only: `anstream` strips them elsewhere.
//!
//! A reader that went away (`cargo xtask test | head`) is no error, so failed writes are let go.

use std::fmt::{self, Display};
use std::io::{self, Write};
use std::time::Duration;

use anstyle::{AnsiColor, Style};

use crate::rules::Violation;
use crate::steps::{STEPS, Verdict};
use crate::test::{Ended, Tally};
use crate::vm::suite::{Outcome, Row};

const HEADING: Style = Style::new().bold();
const RED: Style = AnsiColor::Red.on_default().bold();
const GREEN: Style = AnsiColor::Green.on_default().bold();
const YELLOW: Style = AnsiColor::Yellow.on_default().bold();

pub(crate) fn line(text: fmt::Arguments<'_>) {
    let _ = writeln!(anstream::stdout().lock(), "{text}");
}

pub(crate) fn error(error: &anyhow::Error) {
    let _ = writeln!(anstream::stderr().lock(), "{RED}error{RED:#}: {error:#}");
}

/// What takes a while now. On the other stream, because programs read what a command prints.
pub(crate) fn progress(text: fmt::Arguments<'_>) {
    let _ = writeln!(anstream::stderr().lock(), "{HEADING}...{HEADING:#} {text}");
}

pub(crate) fn violation(violation: &Violation) {
    line(format_args!("{violation}"));
}

pub(crate) fn step_list() {
    for step in &STEPS {
        let when = if step.is_long { " (with --full)" } else { "" };
        line(format_args!("{:<14} {}{when}", step.name, step.about));
    }
}

pub(crate) fn step_begins(name: &str) {
    line(format_args!("{HEADING}==> {name}{HEADING:#}"));
}

/// One line, and for a failure its causes below.
pub(crate) fn step_ended(step: &Ended) {
    line(format_args!("{HEADING}<== {}{HEADING:#} {}", step.name, Summary(step)));
    let causes = step.verdict.as_ref().err().map(|error| error.chain().skip(1));
    for cause in causes.into_iter().flatten() {
        line(format_args!("    {cause}"));
    }
}

/// The table of steps, then the totals alone on the last line.
pub(crate) fn table(steps: &[Ended]) {
    line(format_args!(""));
    for step in steps {
        line(format_args!("{:<14} {}", step.name, Summary(step)));
    }
    let tally = Tally::of(steps);
    line(format_args!(
        "{} passed, {} failed, {} skipped",
        tally.passed, tally.failed, tally.skipped
    ));
}

/// For the user beside the output: on standard error, where it mixes with nobody's results.
pub(crate) fn note(text: fmt::Arguments<'_>) {
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}

/// A program's output as it comes, which need not end a line.
pub(crate) fn bytes(bytes: &[u8]) {
    // Unfiltered: it may be no text.
    let mut out = io::stdout().lock();
    let _ = out.write_all(bytes);
    let _ = out.flush();
}

/// What a guest's run of the conformance suite showed: a line a driver, and what else went wrong.
pub(crate) fn suite(outcome: &Outcome) {
    line(format_args!("{HEADING}on Linux {}{HEADING:#}", outcome.release));
    for Row { name, counts, elapsed } in &outcome.rows {
        let (style, text) = match counts {
            Ok(counts) => (GREEN, counts.to_string()),
            Err(error) => (RED, format!("{error:#}")),
        };
        let seconds = Seconds(*elapsed);
        line(format_args!("  {style}{name:<9}{style:#} {seconds}  {text}"));
    }
    for problem in &outcome.problems {
        line(format_args!("{RED}problem{RED:#}: {problem}"));
    }
}

/// How a step ended: `passed   12.3 s  the note`.
struct Summary<'a>(&'a Ended);

impl Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (style, word, note) = match &self.0.verdict {
            Ok(Verdict::Passed(note)) => (GREEN, "passed", note.clone()),
            Ok(Verdict::Skipped(reason)) => (YELLOW, "skipped", reason.clone()),
            Err(error) => (RED, "failed", error.to_string()),
        };
        let seconds = Seconds(self.0.elapsed);
        let text = format!("{style}{word:<7}{style:#} {seconds}  {note}");
        f.write_str(text.trim_end())
    }
}

/// Seconds with a tenth, right-aligned.
struct Seconds(Duration);

impl Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>7.1} s", self.0.as_secs_f64())
    }
}
