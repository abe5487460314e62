//! Runs the built `supctl` as a user does, with its output in pipes.

use std::process::{Command, Output};

use tempfile::NamedTempFile;

/// How a run of `supctl` ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) exit: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The command with `args`, in an environment that says nothing.
pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_supctl"));
    command.args(args);
    for variable in [
        "SUP_BACKEND",
        "SUP_GIP_MODE",
        "SUP_MODULE_POLICY",
        "SUP_PRINT_LIMIT",
        "RUST_LOG",
        "NO_COLOR",
        "CLICOLOR_FORCE",
    ] {
        command.env_remove(variable);
    }
    command
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Run {
    let Output { status, stdout, stderr } = command.output().expect("supctl starts");
    let text = |bytes| String::from_utf8(bytes).expect("supctl writes UTF-8");
    Run { exit: status.code(), stdout: text(stdout), stderr: text(stderr) }
}

/// Runs `supctl` with `args`.
pub(crate) fn supctl(args: &[&str]) -> Run {
    run(&mut command(args))
}

/// A file with these bytes, as long as the value lives.
pub(crate) fn file(bytes: &[u8]) -> NamedTempFile {
    let file = NamedTempFile::with_suffix(".r0").expect("a temporary file");
    std::fs::write(file.path(), bytes).expect("the file takes the bytes");
    file
}

/// The file's path as an argument.
pub(crate) fn path(file: &NamedTempFile) -> &str {
    file.path().to_str().expect("temporary files have plain names")
}
