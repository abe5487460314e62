//! A set-user-id copy of `supctl`, started by a user: it loads no module that the user can have written.
//!
//! It takes root to make one.

mod common;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use common::{Run, file, path, run, supctl};
use libtest_mimic::{Arguments, Trial};

/// Nobody.
const USER: u32 = 65_534;

fn main() -> ExitCode {
    let trial = Trial::test("cannot_have_a_set_user_id_program_load_what_a_user_wrote", || {
        cannot_have_it_load();
        Ok(())
    });
    let is_root = rustix::process::geteuid().is_root();
    let trial = match is_root {
        true => trial,
        false => trial.with_kind("a set-user-id program takes root").with_ignored_flag(true),
    };
    libtest_mimic::run(&Arguments::from_args(), vec![trial]).exit_code()
}

/// Starts a program as the user, in an environment that says nothing.
fn as_user(program: &Path, args: &[&str]) -> Run {
    run(Command::new(program).args(args).uid(USER).gid(USER).env_clear())
}

fn cannot_have_it_load() {
    let folder = tempfile::tempdir().expect("a folder");
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("a mode");
    };
    mode(folder.path(), 0o755);
    let program = folder.path().join("supctl");
    fs::copy(env!("CARGO_BIN_EXE_supctl"), &program).expect("a copy");

    let module = file(sup_modules::HELLO.image);
    mode(module.path(), 0o644);
    let load = ["module", "load", path(&module)];
    assert_eq!(supctl(&load).exit, Some(0), "root may load it");
    mode(&program, 0o755);
    let plain = as_user(&program, &load);
    assert_eq!(plain.exit, Some(0), "its own rights are enough: {}", plain.stderr);

    mode(&program, 0o4755);
    let refused = as_user(&program, &load);
    assert_eq!(refused.exit, Some(1), "{}", refused.stdout);
    assert!(refused.stderr.contains("everybody may write"), "{}", refused.stderr);
}
