//! `supctl module`: what a person does with ring-0 modules, one file for each command.
//!
//! Neighbours: `cli/module.rs` parses for them. Invariant: a command takes its arguments, and prints
//! through `output` only.

mod build;
mod call;
mod check;
mod load;
mod new;

use crate::cli::ModuleCommand;
use crate::failure::Failure;

pub(crate) fn run(command: &ModuleCommand) -> Result<(), Failure> {
    match command {
        ModuleCommand::New(args) => new::new(args),
        ModuleCommand::Build(args) => build::build(args),
        ModuleCommand::Check(args) => check::check(args),
        ModuleCommand::Load(args) => load::load(args),
        ModuleCommand::Call(args) => call::call(args),
    }
}
