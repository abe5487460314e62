//! gdb sees the functions of a module that runs in a process, by their names.
//!
//! Neighbours: `tutorial.rs` has gdb show lines of a module in Rust. Without gdb the test counts as
//! skipped, and so it does where nobody may trace.

use std::fs;
use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use sup_modules::HELLO;

fn main() -> ExitCode {
    let has_gdb = Command::new("gdb").arg("--version").output().is_ok();
    let name = "gdb_stops_in_a_module_and_names_its_function";
    let trial = Trial::ignorable_test(name, stops_in_a_module);
    let trial = if has_gdb {
        trial
    } else {
        trial.with_kind("there is no gdb; on Debian `apt install gdb`").with_ignored_flag(true)
    };
    libtest_mimic::run(&Arguments::from_args(), vec![trial]).exit_code()
}

fn stops_in_a_module() -> Result<Completion, Failed> {
    let folder = tempfile::tempdir()?;
    let module = folder.path().join("hello.r0");
    fs::write(&module, HELLO.image)?;
    let gdb = Command::new("gdb")
        .args(["-nx", "-batch", "-ex", "set breakpoint pending on"])
        .args(["-ex", "break helloServiceReqHandler", "-ex", "run", "-ex", "backtrace 2"])
        .args(["-ex", "info symbol $pc", "-ex", "kill", "--args"])
        .args([env!("CARGO_BIN_EXE_supctl"), "module", "call"])
        .arg(&module)
        .args(["hello", "0"])
        .env("SUP_BACKEND", "embedded")
        .output()?;
    let text = String::from_utf8_lossy(&gdb.stdout);
    let trouble = String::from_utf8_lossy(&gdb.stderr);
    if trouble.contains("ptrace") {
        return Ok(Completion::ignored_with("this system lets nobody trace"));
    }
    let frame = text.lines().find(|line| line.starts_with("#0"));
    let is_named = frame.is_some_and(|line| line.contains("helloServiceReqHandler"));
    if is_named && text.contains("helloServiceReqHandler in section .text") {
        Ok(Completion::Completed)
    } else {
        Err(format!("gdb does not name the function:\n{text}\n{trouble}").into())
    }
}
