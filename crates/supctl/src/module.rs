//! `supctl module`: what a person does with ring-0 modules, one file for each command.
//!
//! Neighbours: `cli/module.rs` parses for them. Invariant: a command takes its arguments, and prints
//! through `output` only.

mod call;
mod load;

use crate::cli::ModuleCommand;
use crate::failure::Failure;

pub(crate) fn run(command: &ModuleCommand) -> Result<(), Failure> {
    match command {
        ModuleCommand::Load(args) => load::load(args),
        ModuleCommand::Call(args) => call::call(args),
    }
}
