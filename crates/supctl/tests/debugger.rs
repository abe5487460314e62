//! gdb sees the functions of a module that runs in a process, by their names.
//!
//! Neighbours: `tutorial.rs` has gdb show lines of a module in Rust. Without gdb, or where nobody may
//! trace, the test is skipped and says so.

use std::fs;
use std::io::{self, Write};
use std::process::Command;

use sup_modules::HELLO;

#[test]
fn gdb_stops_in_a_module_and_names_its_function() {
    let skip = |reason: &str| {
        // A test that cannot tell why it was skipped has nothing else to do.
        let _ = writeln!(io::stderr(), "skipped: {reason}");
    };
    if Command::new("gdb").arg("--version").output().is_err() {
        return skip("there is no gdb; on Debian `apt install gdb`");
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let module = folder.path().join("hello.r0");
    fs::write(&module, HELLO.image).expect("the folder takes a file");
    let gdb = Command::new("gdb")
        .args(["-nx", "-batch", "-ex", "set breakpoint pending on"])
        .args(["-ex", "break helloServiceReqHandler", "-ex", "run", "-ex", "backtrace 2"])
        .args(["-ex", "info symbol $pc", "-ex", "kill", "--args"])
        .args([env!("CARGO_BIN_EXE_supctl"), "module", "call"])
        .arg(&module)
        .args(["hello", "0"])
        .env("SUP_BACKEND", "embedded")
        .output()
        .expect("gdb runs");
    let text = String::from_utf8_lossy(&gdb.stdout);
    let trouble = String::from_utf8_lossy(&gdb.stderr);
    if trouble.contains("ptrace") {
        return skip("this system lets nobody trace");
    }
    let frame = text.lines().find(|line| line.starts_with("#0"));
    assert!(frame.is_some_and(|line| line.contains("helloServiceReqHandler")), "{text}\n{trouble}");
    assert!(text.contains("helloServiceReqHandler in section .text"), "{text}\n{trouble}");
}
