//! `supctl install` and `supctl uninstall`: the kernel's driver, step by step.
//!
//! Neighbours: `sup-install` does it. Invariant: each step is a line on standard output as soon as it has
//! ended; what runs meanwhile is told on standard error.

use sup_install::{Event, Machine, Mode, Outcome};

use crate::cli::{InstallArgs, UninstallArgs};
use crate::failure::Failure;
use crate::output;

pub(crate) fn install(args: &InstallArgs) -> Result<(), Failure> {
    go(mode(args.dry_run), "installed", sup_install::install)
}

pub(crate) fn uninstall(args: &UninstallArgs) -> Result<(), Failure> {
    go(mode(args.dry_run), "uninstalled", sup_install::uninstall)
}

fn mode(is_dry: bool) -> Mode {
    if is_dry { Mode::DryRun } else { Mode::ForReal }
}

type Way = fn(&dyn sup_install::System, Mode, &mut dyn FnMut(&Event)) -> Result<(), sup::Status>;

fn go(mode: Mode, what: &'static str, way: Way) -> Result<(), Failure> {
    let mut shown = Ok(());
    let result = way(&Machine, mode, &mut |event| {
        let line = match event {
            Event::Runs(command) => return output::note(format_args!("running `{command}`")),
            Event::Ended { step, outcome, sentence } => {
                output::line(format_args!("{step:<10}  {:<7}  {sentence}", word(*outcome)))
            }
        };
        // The steps go on if nobody reads; the command fails at the end.
        if let (Ok(()), Err(failure)) = (&shown, line) {
            shown = Err(failure);
        }
    });
    result.map_err(|status| Failure::Step { what, status })?;
    shown
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Done => "done",
        Outcome::Already => "ok",
        Outcome::Planned => "planned",
        Outcome::Skipped => "skipped",
        Outcome::Failed(_) => "FAILED",
    }
}
