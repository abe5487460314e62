//! docs/modules.md works as written: its commands are run word for word, in one folder, in order.
//!
//! A block `sh` is run by a shell that stops at the first failure; the lines of the block `text` that
//! follows at once must be found in what it printed, in that order. `sh-gdb` is the same where gdb is
//! installed and may trace. Without the sources of Rust's library the test is skipped, and says so.

use std::io::{self, Write};
use std::path::Path;
use std::process::Command;

/// The page.
const PAGE: &str = include_str!("../../../docs/modules.md");

/// Commands of the page, and what they are to print.
struct Step {
    needs_gdb: bool,
    commands: String,
    expected: Vec<String>,
}

/// The fenced blocks of the page, with the word behind the fence.
fn blocks() -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut lines = PAGE.lines();
    while let Some(line) = lines.next() {
        if let Some(kind) = line.strip_prefix("```") {
            let body: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
            blocks.push((kind.to_owned(), body.join("\n")));
        }
    }
    blocks
}

fn steps() -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut is_open = false;
    for (kind, body) in blocks() {
        match kind.as_str() {
            "sh" | "sh-gdb" => {
                let needs_gdb = kind == "sh-gdb";
                steps.push(Step { needs_gdb, commands: body, expected: Vec::new() });
                is_open = true;
            }
            "text" if is_open => {
                let step = steps.last_mut().expect("a step is open");
                step.expected = body.lines().map(str::to_owned).collect();
                is_open = false;
            }
            _ => is_open = false,
        }
    }
    steps
}

fn skip(reason: &str) {
    // A test that cannot tell why it was skipped has nothing else to do.
    let _ = writeln!(io::stderr(), "skipped: {reason}");
}

fn has_library_sources() -> bool {
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).output();
    let current = sysroot.ok().and_then(|run| String::from_utf8(run.stdout).ok());
    let places = [current.unwrap_or_default(), "/usr".to_owned()];
    places.iter().any(|place| Path::new(place.trim()).join("lib/rustlib/src/rust/library").is_dir())
}

#[test]
fn the_tutorial_works_word_for_word() {
    if !has_library_sources() {
        return skip("the sources of Rust's library are missing: `rustup component add rust-src`");
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let supctl = Path::new(env!("CARGO_BIN_EXE_supctl")).parent().expect("supctl is in a folder");
    let before = std::env::var("PATH").expect("there is a search path");
    let path = format!("{}:{before}", supctl.display());
    let steps = steps();
    assert!(steps.len() >= 7, "the page has lost its commands");
    for Step { needs_gdb, commands, expected } in steps {
        if needs_gdb && Command::new("gdb").arg("--version").output().is_err() {
            skip("there is no gdb; on Debian `apt install gdb`");
            continue;
        }
        let run = Command::new("bash")
            .args(["-e", "-c", &commands])
            .current_dir(&folder)
            .env("PATH", &path)
            .env_remove("SUP_BACKEND")
            .output()
            .expect("bash runs");
        let text = String::from_utf8_lossy(&run.stdout);
        let trouble = String::from_utf8_lossy(&run.stderr);
        if needs_gdb && trouble.contains("ptrace") {
            skip("this system lets nobody trace");
            continue;
        }
        assert!(run.status.success(), "{commands}\n{text}\n{trouble}");
        let mut rest = &*text;
        for line in &expected {
            let place = rest.find(line.as_str());
            assert!(place.is_some(), "`{line}` is not printed by\n{commands}\n{text}\n{trouble}");
            rest = &rest[place.unwrap_or_default() + line.len()..];
        }
    }
}
