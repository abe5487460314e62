//! `cargo xtask bench`: hands its arguments to the package `sup-bench`, and its exit status back.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};

use crate::cli::BenchArgs;
use crate::project::Project;

pub(crate) fn run(project: &Project, args: &BenchArgs) -> Result<ExitCode> {
    ensure!(
        project.root.join("tests/bench/Cargo.toml").is_file(),
        "this tree has no figures to take: the package `sup-bench` (tests/bench) is missing"
    );
    let mut command = Command::new("cargo");
    command.current_dir(&project.root);
    command.args(["run", "--quiet", "--release", "--package", "sup-bench", "--"]);
    command.args(&args.suite);
    command.args(args.json.then_some("--json"));
    command.args(args.list.then_some("--list"));
    command.args(args.check.then_some("--check"));
    let status = command.status().context("cannot run cargo")?;
    // No code means that a signal ended it.
    let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
    Ok(ExitCode::from(code))
}
