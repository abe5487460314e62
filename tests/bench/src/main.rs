//! The figures of supdrv: each measured side by side with what it is compared to, and held to a goal.
//!
//! `cargo xtask bench [SUITE]` runs this in the release build. [`suites`] holds what is measured,
//! [`measure`] takes the samples, [`stats`] sums them up, [`figure`] compares with the goal, [`report`]
//! alone prints. A new suite is one file below `suites` and one row in [`suites::SUITES`].
//!
//! The exit status is 0 when everything could be measured, whether or not the goals are met: figures
//! are for reading, and a busy machine is no error. With `--check` a missed goal makes it 1.

mod cli;
mod figure;
mod measure;
mod report;
mod stats;
mod suites;

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;

use crate::cli::Cli;
use crate::figure::{Line, Tally};
use crate::suites::SUITES;

fn main() -> ExitCode {
    run(&Cli::parse()).unwrap_or_else(|error| {
        report::error(&error);
        ExitCode::FAILURE
    })
}

fn run(cli: &Cli) -> Result<ExitCode> {
    if cli.list {
        report::suites(&SUITES);
        return Ok(ExitCode::SUCCESS);
    }
    let (mut lines, mut skips) = (Vec::new(), Vec::new());
    for suite in SUITES.iter().filter(|suite| cli.wants(suite.name)) {
        let figures =
            (suite.run)().with_context(|| format!("the suite '{}' cannot be run", suite.name))?;
        skips.extend((suite.skips)());
        lines.extend(figures.into_iter().map(|figure| Line { suite: suite.name, figure }));
    }
    let tally = Tally::of(&lines);
    if cli.json {
        report::json(&lines, &skips, tally)?;
    } else {
        report::table(&lines, &skips, tally);
    }
    let is_failure = cli.check && tally.met < tally.goals;
    Ok(if is_failure { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
