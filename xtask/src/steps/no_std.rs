//! Proof that the crates of ring 0 link no standard library.
//!
//! `#![no_std]` in a crate says nothing about its dependencies. So a probe crate depends on all of
//! ring 0 and defines its own panic handler: the compiler refuses a second one, which is the
//! standard library's. This needs no bare-metal target to be installed.

use anyhow::{Context, Result};
use xshell::cmd;

use super::Verdict;
use crate::project::Project;
use crate::rules::RING0_CRATES;

const PROBE: &str = "
#![no_std]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
";

pub(super) fn run(project: &Project) -> Result<Verdict> {
    let sh = &project.sh;
    let folder = project.target.join("no-std-probe");
    sh.write_file(folder.join("Cargo.toml"), manifest(project))?;
    sh.write_file(folder.join("lib.rs"), source())?;
    // The same versions as everywhere else, and nothing to resolve anew.
    sh.copy_file("Cargo.lock", folder.join("Cargo.lock"))?;

    let manifest = folder.join("Cargo.toml");
    let target = folder.join("target");
    cmd!(sh, "cargo check --quiet --manifest-path {manifest} --target-dir {target}")
        .run()
        .context("ring 0 does not build without the standard library")?;
    Verdict::passed_with(RING0_CRATES.join(", "))
}

/// A workspace of its own, so that no other member's features are switched on.
fn manifest(project: &Project) -> String {
    let mut text = String::from(
        "[package]\nname = \"no-std-probe\"\nedition = \"2024\"\n\
         [lib]\npath = \"lib.rs\"\n[workspace]\n[dependencies]\n",
    );
    for name in RING0_CRATES {
        let path = project.root.join("crates").join(name);
        text += &format!("{name} = {{ path = {path:?} }}\n");
    }
    text
}

/// Names each crate, because one that nobody uses is not linked.
fn source() -> String {
    let uses = RING0_CRATES.map(|name| format!("use {} as _;\n", name.replace('-', "_")));
    format!("{PROBE}{}", uses.concat())
}
