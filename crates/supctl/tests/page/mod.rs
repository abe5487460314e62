//! Pages of the documentation that work as written: their commands are run word for word, in one folder, in order.
//!
//! A block `sh` is run by a shell that stops at the first failure; the lines of the block `text` that
//! follows at once must be found in what it printed, in that order. `sh-gdb` needs gdb besides. `$SUPDRV` is
//! the tree.
//!
//! Neighbours: `tutorial.rs` and `session.rs` each have a page. Without the sources of Rust's library the test
//! counts as skipped, and so it does where nobody may trace: a page of which a part was not run has not been
//! tested.

use std::path::Path;
use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Completion, Failed, Trial};

use crate::sources;

/// The tree.
const TREE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// Runs the commands that the blocks in `text` hold, at least `steps` of them, as the test `name`. `missing` says
/// what the page needs and this machine has not.
pub(crate) fn main(
    name: &'static str,
    text: &'static str,
    steps: usize,
    missing: Option<&'static str>,
) -> ExitCode {
    let trial = Trial::ignorable_test(name, move || works_word_for_word(text, steps));
    let missing = missing.or_else(|| (!sources::are_there()).then_some(sources::MISSING));
    let trial = match missing {
        Some(reason) => trial.with_kind(reason).with_ignored_flag(true),
        None => trial,
    };
    libtest_mimic::run(&Arguments::from_args(), vec![trial]).exit_code()
}

/// Commands of a page, and what they are to print.
struct Step {
    needs_gdb: bool,
    commands: String,
    expected: Vec<String>,
}

/// The fenced blocks of a page, with the word behind the fence.
fn blocks(page: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(kind) = line.strip_prefix("```") {
            let body: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
            blocks.push((kind.to_owned(), body.join("\n")));
        }
    }
    blocks
}

fn steps(page: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut is_open = false;
    for (kind, body) in blocks(page) {
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

fn works_word_for_word(page: &str, least: usize) -> Result<Completion, Failed> {
    let folder = tempfile::tempdir()?;
    let supctl = Path::new(env!("CARGO_BIN_EXE_supctl")).parent().ok_or("supctl has a folder")?;
    let path = format!("{}:{}", supctl.display(), std::env::var("PATH")?);
    let steps = steps(page);
    if steps.len() < least {
        return Err("the page has lost its commands".into());
    }
    for Step { needs_gdb, commands, expected } in steps {
        let run = Command::new("bash")
            .args(["-e", "-c", &commands])
            .current_dir(&folder)
            .env("PATH", &path)
            .env("SUPDRV", TREE)
            .env("PKG_CONFIG_PATH", Path::new(TREE).join("packaging"))
            // The page makes a key, which is not to be the user's own.
            .env("XDG_CONFIG_HOME", folder.path().join("config"))
            .env_remove("SUP_BACKEND")
            .env_remove("SUP_MODULE_POLICY")
            .output()?;
        let text = String::from_utf8_lossy(&run.stdout);
        let trouble = String::from_utf8_lossy(&run.stderr);
        if needs_gdb && trouble.contains("ptrace") {
            return Ok(Completion::ignored_with("this system lets nobody trace"));
        }
        if !run.status.success() {
            return Err(format!("{commands}\n{text}\n{trouble}").into());
        }
        let mut rest = &*text;
        for line in &expected {
            let Some((_, behind)) = rest.split_once(line.as_str()) else {
                let what = format!("`{line}` is not printed by\n{commands}\n{text}\n{trouble}");
                return Err(what.into());
            };
            rest = behind;
        }
    }
    Ok(Completion::Completed)
}
