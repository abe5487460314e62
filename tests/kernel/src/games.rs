//! The tests that play with what a process has: one file a subject.

pub(crate) mod exec;
mod locked;
mod mappings;
mod packets;
mod passing;
mod protection;
mod rights;
mod rust_module;
mod sharing;
mod signals;
mod threads;

use std::io::{self, Write};
use std::process::ExitCode;

use crate::check::{Report, Test};
use crate::observer::Observer;

/// What to play.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Takes only the tests whose name contains this
    #[arg(long, value_name = "SUBSTR", default_value = "")]
    filter: String,
    /// Prints the names and runs nothing
    #[arg(long)]
    list: bool,
}

const SUBJECTS: [&[Test]; 11] = [
    sharing::TESTS,
    passing::TESTS,
    exec::TESTS,
    rights::TESTS,
    mappings::TESTS,
    locked::TESTS,
    protection::TESTS,
    packets::TESTS,
    threads::TESTS,
    signals::TESTS,
    rust_module::TESTS,
];

/// Runs the tests, each in a process of its own.
///
/// # Errors
/// There is no driver, or standard output is gone.
pub(crate) fn run(args: &Args) -> io::Result<ExitCode> {
    let chosen = SUBJECTS.iter().copied().flatten().filter(|test| test.name.contains(&args.filter));
    if args.list {
        chosen.into_iter().try_for_each(|test| writeln!(io::stdout(), "{}", test.name))?;
        return Ok(ExitCode::SUCCESS);
    }
    let observer = Observer::open()?;
    let mut report = Report::start()?;
    for test in chosen {
        report.note(test.name, &test.execute(&observer))?;
    }
    report.end()
}
