//! `pkg-config --cflags --libs sup-module` has the flags of the modules in the tree, and they make one.
//!
//! Neighbours: `packaging/sup-module.pc`. The second test is skipped where there is no pkg-config.

#[path = "../flags.rs"]
mod flags;

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::Path;
use std::process::Command;

use flags::{COMMON_FLAGS, RING0_FLAGS};
use sup_ring0::elf::Elf;

const PC: &str = include_str!("../../packaging/sup-module.pc");

#[test]
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

#[test]
fn hello_can_be_made_with_them() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let asked = Command::new("pkg-config")
        .args(["--cflags", "--libs", "sup-module"])
        .env("PKG_CONFIG_PATH", root.join("packaging"))
        .output();
    let Ok(asked) = asked else {
        // A test that cannot tell why it was skipped has nothing else to do.
        let _ = writeln!(io::stderr(), "skipped: there is no pkg-config");
        return;
    };
    assert!(asked.status.success(), "{asked:?}");
    let module = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hello-by-hand.r0");
    let made = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()))
        .args(String::from_utf8(asked.stdout).unwrap().split_whitespace())
        .arg(root.join("modules/hello/hello.c"))
        .arg("-o")
        .arg(&module)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let image = std::fs::read(module).unwrap();
    assert!(Elf::parse(&image).unwrap().find_symbol("helloServiceReqHandler").is_some());
}
