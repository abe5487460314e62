//! docs/modules.md works as written.

mod page;
mod sources;

use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let has_gdb = Command::new("gdb").arg("--version").output().is_ok();
    let missing = (!has_gdb).then_some("there is no gdb; on Debian `apt install gdb`");
    let text = include_str!("../../../docs/modules.md");
    page::main("the_tutorial_works_word_for_word", text, 8, missing)
}
