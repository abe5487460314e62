//! A fault in a module is told of with module, offset and function, and then ends the process by its signal; the
//! offset leads to the line.
//!
//! Neighbours: `sup_embedded` writes the report, `crash/wild.c` faults as it is told. Without binutils the
//! part that asks for lines counts as skipped.

#[path = "../../../modules/flags.rs"]
mod flags;

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};

use flags::{COMMON_FLAGS, RING0_FLAGS};
use libtest_mimic::{Arguments, Failed, Trial};

const FOLDER: &str = env!("CARGO_MANIFEST_DIR");
const SOURCE: &str = include_str!("crash/wild.c");

/// Numbers of signals, as Linux has them.
const SIGILL: i32 = 4;
const SIGFPE: i32 = 8;
const SIGSEGV: i32 = 11;

fn main() -> ExitCode {
    let lines = Trial::test("offsets_of_a_crash_lead_to_lines", || lead_to_lines(&wild("lines")?));
    let lines = if Command::new("addr2line").arg("--version").output().is_ok() {
        lines
    } else {
        let reason = "there is no addr2line; on Debian `apt install binutils`";
        lines.with_kind(reason).with_ignored_flag(true)
    };
    let trials = vec![
        Trial::test("a_fault_in_a_module_is_told_of_and_goes_its_way", || told_of(&wild("told")?)),
        Trial::test("the_report_can_be_switched_off", || switched_off(&wild("off")?)),
        lines,
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// Compiles the module, for one test.
fn wild(test: &str) -> Result<PathBuf, Failed> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("crash-{test}"));
    std::fs::create_dir_all(&folder)?;
    let module = folder.join("wild.r0");
    let made = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()))
        .args(COMMON_FLAGS)
        .args(RING0_FLAGS)
        .args(["-g", "-isystem"])
        .arg(Path::new(FOLDER).join("../../include"))
        .arg(Path::new(FOLDER).join("tests/crash/wild.c"))
        .arg("-o")
        .arg(&module)
        .output()?;
    assert!(made.status.success(), "{made:?}");
    Ok(module)
}

fn call(module: &Path, operation: &str, argument: &str, switch: &str) -> Result<Output, Failed> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_supctl"));
    command.args(["module", "call"]).arg(module).args(["wild", operation, "--arg", argument]);
    command.env("SUP_BACKEND", "embedded").env("SUP_MODULE_BACKTRACE", switch);
    command.env_remove("SUP_MODULE_POLICY");
    // Sanitizers have handlers of their own, which end the process otherwise than by the signal.
    for sanitizer in ["ASAN_OPTIONS", "TSAN_OPTIONS"] {
        command.env(sanitizer, "handle_segv=0:handle_sigbus=0:handle_sigfpe=0:handle_sigill=0");
    }
    Ok(command.output()?)
}

/// What follows a word in a text, up to the line's end.
fn behind<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    text.split_once(word)?.1.lines().next()
}

fn told_of(module: &Path) -> Result<(), Failed> {
    let faults = [
        ("0", "0x1f8", SIGSEGV, "SIGSEGV, address 0x1f8, in a module:", "(wildWrite+0x"),
        ("2", "0", SIGFPE, "SIGFPE, address 0x", "(wildDivide+0x"),
        ("3", "0", SIGILL, "SIGILL, address 0x", "(wildServiceReqHandler+0x"),
        // No instruction of the module's: it called what is no code.
        (
            "1",
            "0x2a8",
            SIGSEGV,
            "SIGSEGV, address 0x2a8, called from a module:",
            "called from wild+0x",
        ),
    ];
    for (operation, argument, signal, cause, place) in faults {
        let run = call(module, operation, argument, "on")?;
        let text = String::from_utf8_lossy(&run.stderr);
        assert_eq!(run.status.signal(), Some(signal), "{operation}: {text}");
        assert!(text.contains(&format!("supdrv: {cause}")), "{operation}: {text}");
        let rest = behind(&text, "supdrv:   ").ok_or_else(|| format!("no place: {text}"))?;
        assert!(rest.contains("wild+0x") && rest.contains(place), "{operation}: {text}");
        if operation != "3" {
            let caller = behind(&text, "called from wild+0x").unwrap_or_default();
            assert!(caller.contains("(wildServiceReqHandler+0x"), "{operation}: {text}");
        }
        // The fault and its report come once.
        assert_eq!(text.matches(cause).count(), 1, "{text}");
    }
    Ok(())
}

fn switched_off(module: &Path) -> Result<(), Failed> {
    let run = call(module, "0", "0x1f8", "off")?;
    let text = String::from_utf8_lossy(&run.stderr);
    assert_eq!((run.status.signal(), text.contains("wild+0x")), (Some(SIGSEGV), false), "{text}");
    Ok(())
}

fn lead_to_lines(module: &Path) -> Result<(), Failed> {
    // A caller's offset is where the call returns to: the call itself is one less.
    let lines = [
        ("0", "0x1f8", "wildWrite", "faults here", 0),
        ("1", "0x2a8", "wildServiceReqHandler", "calls here", 1),
        ("2", "0", "wildDivide", "divides here", 0),
    ];
    for (operation, argument, function, mark, less) in lines {
        let run = call(module, operation, argument, "on")?;
        let text = String::from_utf8_lossy(&run.stderr);
        let offset = behind(&text, "wild+0x").and_then(|rest| rest.split(' ').next());
        let offset = u64::from_str_radix(offset.ok_or("no offset")?, 16)? - less;
        let asked = Command::new("addr2line")
            .args(["-f", "-e"])
            .args([module.as_os_str(), format!("{offset:#x}").as_ref()])
            .output()?;
        let answer = String::from_utf8(asked.stdout)?;
        let line = SOURCE.lines().position(|line| line.contains(mark)).ok_or("no such line")? + 1;
        assert!(answer.starts_with(function), "{answer}: {text}");
        assert!(answer.contains(&format!("wild.c:{line}")), "line {line}, not {answer}: {text}");
    }
    Ok(())
}
