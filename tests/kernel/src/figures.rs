//! The figures of the kernel's driver, counted in instructions, each beside bare calls of the same run.
//!
//! Under QEMU's `-icount shift=0` a nanosecond of the monotonic clock is an instruction, so that figures
//! repeat to a few percent on any host; `cargo xtask bench kernel` runs this so. On another machine the
//! figures are times, and are shown without verdicts.
//!
//! [`measure`] counts, [`figure`] compares with the goal, [`report`] prints; the other files hold what is
//! measured, by subject.

mod calls;
mod clock;
mod exit;
mod figure;
mod measure;
mod memory;
mod module;
mod ping_pong;
mod report;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use self::figure::Figure;
use self::measure::Clock;
use self::report::Tally;
use crate::check::{Stop, Verdict};

/// What to measure, and how to say it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The driver's file, which is inserted anew
    #[arg(long, default_value = "/lib/supdrv.ko", value_name = "FILE")]
    module: PathBuf,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
    /// Exit with 1 if a goal is missed
    #[arg(long)]
    check: bool,
}

fn measure_all(args: &Args) -> Verdict<Vec<Figure>> {
    // Before the others, because nobody may have a session.
    let module = module::figures(&args.module)?;
    let mut figures = calls::figures()?;
    figures.extend(clock::figures()?);
    figures.extend(memory::figures()?);
    figures.extend(exit::figures()?);
    figures.extend(ping_pong::figures()?);
    figures.extend(module);
    Ok(figures)
}

/// Measures everything. Missed goals are no error, unless `--check` says so.
///
/// # Errors
/// Something cannot be measured, or standard output is gone.
pub(crate) fn run(args: &Args) -> io::Result<ExitCode> {
    let clock = Clock::find();
    let figures = measure_all(args).map_err(|stop| match stop {
        Stop::Failed(why) | Stop::Skipped(why) => io::Error::other(why),
    })?;
    if args.json {
        report::json(&figures, clock)?;
    } else {
        report::table(&figures, clock)?;
    }
    let Tally { goals, goals_met } = Tally::of(&figures, clock);
    Ok(if args.check && goals_met < goals { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
