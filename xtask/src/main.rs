//! Build, test and measure supdrv: one entry for everything but `cargo run`.
//!
//! [`cli`] parses, [`mod@test`], [`mod@bench`], [`mod@vm`] and [`modules`] act, [`report`] alone prints.
//! Nothing here is linked with the crates it checks: a tree that does not compile can still be tested,
//! and the report then says which step found it.
#![forbid(unsafe_code)]

mod api;
mod bench;
mod capi;
mod cli;
mod install;
mod kernel;
mod kmod;
mod modules;
mod project;
mod report;
mod require;
mod rules;
mod start;
mod steps;
mod test;
mod vm;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use crate::cli::{Cli, Command};
use crate::project::Project;

fn main() -> ExitCode {
    let cli = Cli::parse();
    run(cli.command).unwrap_or_else(|error| {
        report::error(&error);
        ExitCode::FAILURE
    })
}

fn run(command: Command) -> Result<ExitCode> {
    let project = Project::open()?;
    match command {
        Command::Test(args) => test::run(&project, &args),
        Command::Api => api::write(&project),
        Command::Install(args) => install::run(&project, &args),
        Command::Bench(args) => bench::run(&project, &args),
        Command::Vm(command) => vm::run(&project, &command),
        Command::Modules => modules::write(&project),
        Command::Kmod(args) => kmod::run(&project, &args),
    }
}
