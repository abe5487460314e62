//! `pkg-config --cflags --libs sup-module` has the flags of the modules in the tree, and they make one.
//!
//! Neighbours: `packaging/sup-module.pc`. Where there is no pkg-config the
//! second test counts as skipped.

#[path = "../flags.rs"]
mod flags;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, ExitCode};

use flags::{COMMON_FLAGS, RING0_FLAGS};
use libtest_mimic::{Arguments, Failed, Trial};
use sup_ring0::elf::Elf;

const PC: &str = include_str!("../../packaging/sup-module.pc");

fn main() -> ExitCode {
    let has_pkg_config = Command::new("pkg-config").arg("--version").output().is_ok();
    let by_hand = Trial::test("hello_can_be_made_with_them", hello_can_be_made_with_them);
    let by_hand = if has_pkg_config {
        by_hand
    } else {
        by_hand.with_kind("there is no pkg-config").with_ignored_flag(true)
    };
    let flags = Trial::test("the_flags_are_those_of_the_tree", || {
        the_flags_are_those_of_the_tree();
        Ok(())
    });
    libtest_mimic::run(&Arguments::from_args(), vec![flags, by_hand]).exit_code()
}

fn the_flags_are_those_of_the_tree() {
    let of = |field| {
        let line = PC.lines().find_map(|line| line.strip_prefix(field)).unwrap();
        line.split_whitespace().collect::<Vec<_>>()
    };
    let mut found: BTreeSet<_> = of("Cflags:").into_iter().chain(of("Libs:")).collect();
    assert!(found.remove("-isystem") && found.remove("${includedir}"));
    let expected: BTreeSet<_> = COMMON_FLAGS.iter().chain(RING0_FLAGS).copied().collect();
    assert_eq!(found, expected);
    assert!(PC.lines().any(|line| line == concat!("Version: ", env!("CARGO_PKG_VERSION"))));
}

fn hello_can_be_made_with_them() -> Result<(), Failed> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let asked = Command::new("pkg-config")
        .args(["--cflags", "--libs", "sup-module"])
        .env("PKG_CONFIG_PATH", root.join("packaging"))
        .output()?;
    assert!(asked.status.success(), "{asked:?}");
    let module = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hello-by-hand.r0");
    let made = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()))
        .args(String::from_utf8(asked.stdout)?.split_whitespace())
        .arg(root.join("modules/hello/hello.c"))
        .arg("-o")
        .arg(&module)
        .output()?;
    assert!(made.status.success(), "{made:?}");
    let image = std::fs::read(module)?;
    assert!(
        Elf::parse(&image).is_ok_and(|elf| elf.find_symbol("helloServiceReqHandler").is_some())
    );
    Ok(())
}
