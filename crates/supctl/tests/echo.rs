//! modules/echo, built for ring 0 and called: what the kit wraps works against a driver, a panic is told with
//! its place, and an offset in the image leads to a line of the source.
//!
//! Neighbours: `tutorial.rs` runs docs/modules.md. Without the sources of Rust's library, with which modules
//! are compiled, or without binutils the test counts as skipped.

mod sources;

use std::path::Path;
use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Failed, Trial};
use sup_ring0::elf::Elf;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../modules/echo");

/// What the test needs and this machine has not.
fn missing() -> Option<&'static str> {
    if !sources::are_there() {
        return Some(sources::MISSING);
    }
    let has_addr2line = Command::new("addr2line").arg("--version").output().is_ok();
    (!has_addr2line).then_some("there is no addr2line; on Debian `apt install binutils`")
}

fn main() -> ExitCode {
    let trial = Trial::test("the_kits_wrappers_work_and_offsets_lead_to_lines", wrappers_and_lines);
    let trial = match missing() {
        Some(reason) => trial.with_kind(reason).with_ignored_flag(true),
        None => trial,
    };
    libtest_mimic::run(&Arguments::from_args(), vec![trial]).exit_code()
}

fn wrappers_and_lines() -> Result<(), Failed> {
    let module = build("")?;
    builds_whatever_rustflags_says(&module)?;
    let call = |operation: &str, argument: &str| {
        supctl(&["-v", "module", "call", &module, "echo", operation, "--arg", argument])
    };
    // Events that reset themselves, memory, events that do not; and the log on the way.
    for (operation, argument) in [("2", "0"), ("4", "0x1122334455667788"), ("5", "0")] {
        let done = call(operation, argument)?;
        assert_eq!(done.stdout, "VINF_SUCCESS (0)\n", "{operation}: {}", done.stderr);
        for line in ["echo: hello from ring 0", "echo: 0 echoes, goodbye"] {
            assert!(done.stderr.contains(line), "no '{line}' in {}", done.stderr);
        }
    }
    let panicked = call("3", "9")?;
    assert!(panicked.stderr.contains("VERR_INTERNAL_ERROR (-225)"), "{}", panicked.stderr);
    for word in ["module 'echo' panicked", "src/lib.rs:", "the len is 8 but the index is 9"] {
        assert!(panicked.stderr.contains(word), "no '{word}' in {}", panicked.stderr);
    }
    leads_to_a_line(&module)
}

/// Builds the module with `RUSTFLAGS`, and says where it is.
fn build(flags: &str) -> Result<String, Failed> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_supctl"));
    let built = command.args(["module", "build", FOLDER]).env("RUSTFLAGS", flags).output()?;
    let (stdout, stderr) = (String::from_utf8(built.stdout)?, String::from_utf8(built.stderr)?);
    Ok(stdout.lines().last().ok_or(stderr)?.trim().to_owned())
}

/// `RUSTFLAGS` are for the machine's programs; in ring 0 they would change what was checked. None of cargo's
/// commands sees them: every one ends with these flags, which no compiler takes.
fn builds_whatever_rustflags_says(module: &str) -> Result<(), Failed> {
    let image = std::fs::read(module)?;
    // Without it there is one command more, which cleans up first.
    std::fs::remove_file(Path::new(module).with_extension("o"))?;
    let again = build("-Cno-such-option")?;
    assert_eq!((again.as_str(), std::fs::read(module)? == image), (module, true));
    Ok(())
}

/// The offset of a function in the image, as a debugger or the kernel's log tell it less the module's base.
fn leads_to_a_line(module: &str) -> Result<(), Failed> {
    let image = std::fs::read(module)?;
    let elf = Elf::parse(&image).map_err(|error| error.to_string())?;
    let handler = elf.find_symbol("echoServiceReqHandler").ok_or("the handler is not exported")?;
    let offset = format!("{:#x}", handler.offset);
    let asked = Command::new("addr2line").args(["-f", "-i", "-e", module, &offset]).output()?;
    let text = String::from_utf8(asked.stdout)?;
    assert!(text.contains("echoServiceReqHandler"), "{text}");
    let is_line = |line: &str| line.contains("lib.rs:") || line.contains("entry.rs:");
    assert!(text.lines().any(is_line), "{text}");
    Ok(())
}

/// What a command wrote.
struct Run {
    stdout: String,
    stderr: String,
}

fn supctl(args: &[&str]) -> Result<Run, Failed> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_supctl"));
    command.args(args).env("SUP_BACKEND", "embedded");
    for variable in ["SUP_MODULE_POLICY", "RUST_LOG"] {
        command.env_remove(variable);
    }
    let output = command.output()?;
    let (stdout, stderr) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
    Ok(Run { stdout, stderr })
}
