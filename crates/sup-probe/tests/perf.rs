//! What perf says of a program's probes: an independent reader of the notes.
//!
//! Without perf the test counts as skipped. Neighbours: `probes.rs` reads the notes by itself.

use std::path::Path;
use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Failed, Trial};
use sup_probe::probe;

sup_probe::provider! {
    mod perfed;
    probe read__done(fd: i32, bytes: u64, buffer: *const u8, flags: u16);
}

fn main() -> ExitCode {
    probe!(perfed, read__done, 3, 4, std::ptr::null(), 5);
    let trial = Trial::test("perf_lists_the_probes_and_finds_their_arguments", perf_finds_them);
    let has_perf =
        Command::new("perf").arg("--version").output().is_ok_and(|run| run.status.success());
    let trial = if has_perf {
        trial
    } else {
        trial
            .with_kind("there is no perf; on Debian `apt install linux-perf`")
            .with_ignored_flag(true)
    };
    libtest_mimic::run(&Arguments::from_args(), vec![trial]).exit_code()
}

/// Runs perf with a cache of its own, and returns what it wrote.
fn perf(home: &Path, args: &[&str]) -> Result<String, Failed> {
    let output = Command::new("perf").args(args).env("HOME", home).output()?;
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    if output.status.success() { Ok(text) } else { Err(format!("perf {args:?}: {text}").into()) }
}

fn perf_finds_them() -> Result<(), Failed> {
    let home = tempfile::tempdir()?;
    let program = std::env::current_exe()?;
    let program = program.to_str().ok_or("a path that is no text")?;
    perf(home.path(), &["buildid-cache", "--add", program])?;
    let list = perf(home.path(), &["list", "sdt"])?;
    assert!(list.contains("sdt_perfed:read__done"), "{list}");
    // What perf would ask the kernel for, with the place of the semaphore in parentheses.
    let definition = perf(home.path(), &["probe", "-D", "sdt_perfed:read__done"])?;
    for argument in ["arg1=%si:s32", "arg2=%dx:u64", "arg3=%cx:u64", "arg4=%r8:u16"] {
        assert!(definition.contains(argument), "no {argument} in {definition}");
    }
    assert!(definition.contains('('), "no semaphore in {definition}");
    Ok(())
}
