//! All our Rust as one object file for ring 0.
//!
//! rustc writes it itself (`--emit=obj` with link-time optimisation over everything): a static library
//! would bring the compiler's own memcpy, which captures the C shim's calls too. The flags are those
//! that the kernel's loader and objtool demand of every kernel we build for.

use std::path::PathBuf;

use anyhow::{Context, Result};
use xshell::cmd;

use super::toolchain::Toolchain;
use crate::project::Project;
use crate::report;

const PACKAGE: &str = "sup-kmod";
const TARGET: &str = "x86_64-unknown-none";
/// The parts of Rust's library that are built, with our flags.
const LIBRARY: &str = "core,alloc,compiler_builtins";

/// What the release profile has to be, whatever the workspace wants for its programs.
const PROFILE: [&str; 5] =
    ["panic = 'abort'", "lto = 'fat'", "codegen-units = 1", "opt-level = 2", "debug = false"];

/// What each flag is for.
const FLAGS: [&str; 11] = [
    // The loader knows no global offset table: addresses are absolute, calls direct.
    "-Crelocation-model=static",
    "-Zplt=yes",
    // Sections would be 250 instead of 14, each shown in /sys/module.
    "-Zfunction-sections=no",
    // objtool makes the unwind tables.
    "-Cforce-unwind-tables=no",
    // Mitigations: returns and indirect calls go through the kernel's thunks, which it patches.
    "-Cjump-tables=no",
    "-Zfunction-return=thunk-extern",
    "-Zretpoline-external-thunk=yes",
    "-Zindirect-branch-cs-prefix=yes",
    // Functions that are called through pointers begin with ENDBR64.
    "-Zcf-protection=branch",
    // Room before each function, for kernels that count calls there.
    "-Zmin-function-alignment=16",
    "-Zpatchable-function-entry=16,16",
];

/// What KASAN has to see: each access is shown to the kernel's functions by a call.
const KASAN_FLAGS: [&str; 6] = [
    "-Zsanitizer=kernel-address",
    "-Zsanitizer-recover=kernel-address",
    "-Cllvm-args=-asan-mapping-offset=0xdffffc0000000000",
    "-Cllvm-args=-asan-instrumentation-with-call-threshold=0",
    "-Cllvm-args=-asan-stack=1",
    "-Cllvm-args=-asan-globals=0",
];

/// What the object is for. Each has a folder of its own: other flags build the world anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Variant {
    /// Every kernel without KASAN.
    Normal,
    /// A kernel with it.
    Kasan,
    /// No kernel: the compiler notes the size of each stack frame.
    StackSizes,
}

impl Variant {
    fn folder(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Kasan => "kasan",
            Self::StackSizes => "stack-sizes",
        }
    }

    fn flags(self) -> Vec<&'static str> {
        let more: &[&str] = match self {
            Self::Normal => &[],
            Self::Kasan => &KASAN_FLAGS,
            Self::StackSizes => &["-Zemit-stack-sizes=yes"],
        };
        [&FLAGS, more].concat()
    }
}

/// Builds the object.
pub(super) fn build(project: &Project, toolchain: &Toolchain, variant: Variant) -> Result<PathBuf> {
    let folder = project.target.join("kmod/rust").join(variant.folder());
    let object = folder.join("supdrv.o");
    let Toolchain { cargo, rustc, .. } = toolchain;
    let sh = &project.sh;
    let cargo = || cmd!(sh, "{cargo}").env("RUSTC", rustc).env("RUSTC_BOOTSTRAP", "1");
    if !folder.is_dir() {
        report::progress(format_args!(
            "compiling core, alloc and the driver for ring 0 (a minute)"
        ));
    } else if !object.is_file() {
        // Cargo does not know of this file, and would not write it again.
        cargo()
            .args(["clean", "--package", PACKAGE, "--target", TARGET, "--release"])
            .arg("--target-dir")
            .arg(&folder)
            .run()?;
    }
    sh.create_dir(&folder)?;
    cargo()
        .args(["rustc", "--package", PACKAGE, "--crate-type", "staticlib", "--release"])
        .args(["--target", TARGET])
        .arg(format!("-Zbuild-std={LIBRARY}"))
        .arg("--target-dir")
        .arg(&folder)
        .args(
            PROFILE
                .iter()
                .flat_map(|line| ["--config".to_owned(), format!("profile.release.{line}")]),
        )
        .arg("--")
        .arg(format!("--emit=obj={}", object.display()))
        .env("RUSTFLAGS", variant.flags().join(" "))
        // It would take the place of RUSTFLAGS.
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .quiet()
        .run()
        .context("the driver does not build for ring 0")?;
    Ok(object)
}

/// The same as cargo's configuration, for who builds without this program.
pub(super) fn cargo_config() -> String {
    let list =
        |words: &[&str]| words.iter().map(|word| format!("    {word:?},\n")).collect::<String>();
    format!(
        "[build]\ntarget = {TARGET:?}\ntarget-dir = \"build/rust\"\nrustflags = [\n{}]\n\n\
         [unstable]\nbuild-std = [\n{}]\n\n[profile.release]\n{}\n",
        list(&Variant::Normal.flags()),
        list(&LIBRARY.split(',').collect::<Vec<_>>()),
        PROFILE.join("\n"),
    )
}
