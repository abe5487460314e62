//! `cargo xtask vm`: programs in a QEMU guest that has the kernel's driver.
//!
//! `guest` prepares and watches one guest, `machine` is QEMU, `initramfs` what the guest boots from,
//! `job` what it is told and `record` what it answers. The other side of it is tests/guest/init.
//! `log` decides whether the kernel complained, `suite` and `results` read the conformance suite.
//! The kernel and its driver come from [`crate::kernel`] and [`crate::kmod`].

pub(crate) mod args;
mod cpio;
mod guest;
mod initramfs;
mod job;
mod log;
mod machine;
mod programs;
mod record;
mod results;
pub(crate) mod suite;
mod system;

use std::io;
use std::process::ExitCode;
use std::slice;

use anyhow::{Context, Result, bail};
use rustix::termios::tcgetwinsize;

use self::args::{Backend, VmCommand, VmRunArgs, VmShellArgs, VmTestArgs};
use self::guest::Driver;
use self::job::Job;
pub(crate) use self::programs::require;
use self::record::Piece;
use self::suite::Suite;
use crate::project::Project;
use crate::report;

pub(crate) fn run(project: &Project, command: &VmCommand) -> Result<ExitCode> {
    match command {
        VmCommand::Test(args) => test(project, args),
        VmCommand::Run(args) => run_command(project, args),
        VmCommand::Shell(args) => shell(project, args),
    }
}

fn test(project: &Project, args: &VmTestArgs) -> Result<ExitCode> {
    let backends = args.backend.as_ref().map_or(&Backend::ALL[..], slice::from_ref);
    let filter = args.filter.as_deref();
    let suites: Vec<_> =
        backends.iter().map(|backend| Suite::conformance(*backend, filter)).collect();
    suite::run(project, &args.guest, &suites)?.judge()?;
    Ok(ExitCode::SUCCESS)
}

fn run_command(project: &Project, args: &VmRunArgs) -> Result<ExitCode> {
    const RUN: &str = "command";
    let mut job = Job::default();
    let driver = if args.without_module {
        job.run(RUN, &args.guest.variables, &args.command);
        Driver::LeftOut
    } else {
        job.run_with_module(RUN, &args.guest.variables, &args.command);
        Driver::Included
    };
    let machine = guest::prepare(project, &args.guest, driver, &job)?;
    let oopses: &[&str] = if args.expect_oops { &[RUN] } else { &[] };
    let account = guest::run(&machine, oopses, |piece| {
        if let Piece::Text(text) = piece {
            report::bytes(text);
        }
    })?;
    if !account.problems.is_empty() {
        bail!("{}", account.problems.join("\n"));
    }
    let status = account.run(RUN).and_then(|run| run.status);
    Ok(ExitCode::from(status.context("the guest did not run the command")?))
}

fn shell(project: &Project, args: &VmShellArgs) -> Result<ExitCode> {
    // A stream that is no terminal has no size.
    let size = tcgetwinsize(io::stdout()).map_or((0, 0), |size| (size.ws_row, size.ws_col));
    let mut job = Job::default();
    let driver = if args.without_module {
        job.shell(size, &args.guest.variables);
        Driver::LeftOut
    } else {
        job.shell_with_module(size, &args.guest.variables);
        Driver::Included
    };
    let machine = guest::prepare(project, &args.guest, driver, &job)?;
    report::note(format_args!("`exit` or Ctrl-A X leaves the guest"));
    guest::run_on_terminal(&machine)?;
    Ok(ExitCode::SUCCESS)
}
