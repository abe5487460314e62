//! The command of supdrv: check a machine, look at its clock, load and call ring-0 modules.
//!
//! `cli` parses, one module for each command acts, `output` prints. Nothing here panics: what goes
//! wrong becomes one sentence on standard error, or a failed line of the doctor.
//!
//! The exit status is 0 if all went well, 1 if something failed, and 2 if the command line was wrong.

#![forbid(unsafe_code)]

mod cli;
mod doctor;
mod failure;
mod gip;
mod install;
mod installation;
mod keys;
mod log;
mod loggers;
mod module;
mod output;
mod status;
mod trace;
mod verify;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::cli::{Cli, Command, DoctorArgs};
use crate::failure::Failure;

fn main() -> ExitCode {
    let cli = Cli::parse();
    log::start(cli.verbose);
    match run(cli.command.unwrap_or(Command::Doctor(DoctorArgs::default()))) {
        Ok(code) => code,
        Err(failure) => {
            output::failure(&failure);
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Doctor(args) => return doctor::run(&args),
        Command::Verify(args) => return verify::run(&args),
        Command::Module(command) => module::run(&command)?,
        Command::Trace(command) => trace::run(&command)?,
        Command::Installation(command) => installation::run(&command)?,
        Command::Install(args) => install::install(&args)?,
        Command::Uninstall(args) => install::uninstall(&args)?,
        Command::Log(args) => loggers::run(&args)?,
        Command::Gip(args) => gip::run(&args)?,
        Command::Status(args) => status::run(&args)?,
        Command::Completions(args) => {
            // Into memory first: the generator panics when its writer fails.
            let mut script = Vec::new();
            clap_complete::generate(args.shell, &mut Cli::command(), "supctl", &mut script);
            output::bytes(&script)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
