//! `supctl module`: what a person does with ring-0 modules, one file for each command.
//!
//! Neighbours: `cli/module.rs` parses for them. Invariant: a command takes its arguments, and prints
//! through `output` only.

mod build;
mod call;
mod check;
mod code;
mod keygen;
mod list;
mod load;
mod new;
mod sign;
mod verify;

use std::path::Path;

use crate::cli::ModuleCommand;
use crate::failure::Failure;

pub(crate) use self::list::{Listed, User};

pub(crate) fn run(command: &ModuleCommand) -> Result<(), Failure> {
    match command {
        ModuleCommand::New(args) => new::new(args),
        ModuleCommand::Build(args) => build::build(args),
        ModuleCommand::Check(args) => check::check(args),
        ModuleCommand::Keygen(args) => keygen::keygen(args),
        ModuleCommand::Sign(args) => sign::sign(args),
        ModuleCommand::Verify(args) => verify::verify(args),
        ModuleCommand::Load(args) => load::load(args),
        ModuleCommand::Call(args) => call::call(args),
        ModuleCommand::List(args) => list::list(args),
    }
}

/// The file's name without its ending.
fn module_name(file: &Path) -> String {
    file.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_named_after_their_file() {
        assert_eq!(module_name(Path::new("/tmp/hello.r0")), "hello");
        assert_eq!(module_name(Path::new("/")), "");
    }
}
