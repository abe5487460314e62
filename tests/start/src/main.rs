//! `sup-start-tests`: the start with privileges, tried for real.
//!
//! Set-user-id copies of both start programs, the one in Rust and one in C, are installed with a signed manifest,
//! and a user starts them: with hostile environment, arguments, descriptors and limits, and from installations
//! that are not as they were packed. The program that they start writes down what it finds.
//!
//! It changes `/usr`, `/etc` and `/dev`, so it runs in a mount namespace of its own, and refuses any other:
//! ```text
//! cargo xtask test start
//! unshare --mount sup-start-tests FOLDER          # with what that step lays out
//! ```
//! With `--guest` the machine is one that ends after the tests, and has the kernel's driver.
//!
//! It prints a line a test and the totals; the exit status is 0 if nothing failed. `--bench` prints how long
//! starts take instead.
//!
//! [`machine`] installs, [`start`] starts, [`cases`] are the tests. Invariant: each test begins with a whole
//! installation.

mod bench;
mod cases;
mod machine;
mod start;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use sup_verdict::{Outcome, Tally};

use crate::machine::{Driver, Machine};

const USAGE: &str =
    "usage: sup-start-tests FOLDER [--only NAME | --guest | --bench [--json] [--check]]";

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let Some(folder) = arguments.next().map(PathBuf::from) else {
        return refuse(USAGE);
    };
    let options: Vec<_> = arguments.map(|option| option.to_string_lossy().into_owned()).collect();
    let options: Vec<_> = options.iter().map(String::as_str).collect();
    let machine = match options.as_slice() {
        ["--guest"] => Machine::guest(folder),
        _ => Machine::prepare(folder),
    };
    let machine = match machine {
        Ok(machine) => machine,
        Err(why) => return refuse(&why),
    };
    match *options.as_slice() {
        ["--bench", ref how @ ..] => {
            bench::run(&machine, how).unwrap_or_else(|why| refuse(&format!("{why:?}")))
        }
        ["--only", name] => tests(&machine, |other| other == name),
        [] | ["--guest"] => tests(&machine, |_| true),
        _ => refuse(USAGE),
    }
}

fn tests(machine: &Machine, is_wanted: impl Fn(&str) -> bool) -> ExitCode {
    // What runs it in a guest looks for this.
    line(match machine.driver {
        Driver::None => "backend embedded",
        Driver::Kernel => "backend kernel",
    });
    let mut tally = Tally::default();
    for (name, case) in cases::CASES.into_iter().filter(|(name, _)| is_wanted(name)) {
        let outcome = Outcome::from(machine.install().and_then(|()| case(machine)));
        tally.note(&outcome);
        line(outcome.line(name));
    }
    if let Err(why) = machine.leave() {
        return refuse(&format!("{why:?}"));
    }
    line(tally);
    tally.exit_code()
}

/// Prints a line; if nobody reads it, the exit status still tells.
fn line(text: impl std::fmt::Display) {
    let _ = writeln!(io::stdout(), "{text}");
}

fn refuse(why: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "sup-start-tests: {why}");
    ExitCode::FAILURE
}
