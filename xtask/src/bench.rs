//! `cargo xtask bench`: hands its arguments to the package `sup-bench`, and its exit status back; the
//! suite `kernel` instead to `sup-kernel-tests` in a guest whose clock counts instructions.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};

use crate::capi;
use crate::cli::BenchArgs;
use crate::modules;
use crate::project::Project;
use crate::start;
use crate::vm;
use crate::vm::args::{GuestArgs, VmCommand, VmRunArgs};
use crate::{report, require};

/// The suite that needs the C library, and where it is told to look for it.
const C_LIBRARY: &str = "capi";
const C_LIBRARY_VARIABLE: &str = "SUP_BENCH_LIBRARY";
/// The suite that needs the modules in Rust.
const TRACE: &str = "trace";
/// The suite that needs a guest, and runs only when it is named.
const KERNEL: &str = "kernel";
/// The suite that needs root and a mount namespace, and runs only when it is named.
const START: &str = "start";

pub(crate) fn run(project: &Project, args: &BenchArgs) -> Result<ExitCode> {
    if args.suite.as_deref() == Some(KERNEL) && !args.list {
        return in_guest(project, args);
    }
    if args.suite.as_deref() == Some(START) && !args.list {
        return start::bench(project, args);
    }
    let ended = on_host(project, args)?;
    if args.list {
        report::line(format_args!(
            "{KERNEL:<12} the kernel's driver, in instructions, in a guest; only when it is named"
        ));
        report::line(format_args!(
            "{START:<12} a start with privileges beside one without, as root; only when it is named"
        ));
    }
    Ok(ended)
}

/// One processor and a clock that counts make the figures repeatable.
fn in_guest(project: &Project, args: &BenchArgs) -> Result<ExitCode> {
    let guest = GuestArgs { icount: true, ..GuestArgs::with_kernel(&args.kernel) };
    let mut command = vec!["sup-kernel-tests", "figures"];
    command.extend(args.json.then_some("--json"));
    command.extend(args.check.then_some("--check"));
    let command = command.into_iter().map(str::to_owned).collect();
    vm::run(
        project,
        &VmCommand::Run(VmRunArgs { guest, without_module: false, expect_oops: false, command }),
    )
}

fn on_host(project: &Project, args: &BenchArgs) -> Result<ExitCode> {
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
    if !args.list && args.suite.as_deref().is_none_or(|suite| suite == C_LIBRARY) {
        command.env(C_LIBRARY_VARIABLE, capi::build(project)?.shared());
    }
    if !args.list && args.suite.as_deref().is_none_or(|suite| suite == TRACE) {
        for why in [modules::in_rust(project), lttng(project)].into_iter().flatten() {
            report::note(format_args!("{why}"));
        }
    }
    let status = command.status().context("cannot run cargo")?;
    // No code means that a signal ended it.
    let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
    Ok(ExitCode::from(code))
}

/// Sees to it that LTTng-UST is there to be compared with; or why it is not.
fn lttng(project: &Project) -> Option<String> {
    const HEADER: &str = "/usr/include/x86_64-linux-gnu/lttng/tracepoint.h";
    let tools = require::program(project, "lttng", "lttng-tools");
    let found = tools.and_then(|()| require::file(project, HEADER, "liblttng-ust-dev"));
    found.err().map(|error| format!("{error:#}"))
}
