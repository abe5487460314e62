//! Compiles the ring-0 module that faults as it is told, the one of `crates/supctl/tests/crash.rs`.

#[path = "../../modules/flags.rs"]
mod flags;

use std::env;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use flags::{COMMON_FLAGS, RING0_FLAGS};

const SOURCE: &str = "../../crates/supctl/tests/crash/wild.c";

fn main() -> ExitCode {
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            println!("cargo::error={message}");
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<(), String> {
    for input in ["build.rs", SOURCE, "../../modules/flags.rs", "../../include"] {
        println!("cargo::rerun-if-changed={input}");
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo gave no OUT_DIR")?);
    let compiler = cc::Build::new()
        .cargo_warnings(false)
        .try_get_compiler()
        .map_err(|error| format!("the C compiler cannot be determined: {error}"))?;
    let run = Command::new(compiler.path())
        .args(COMMON_FLAGS)
        .args(RING0_FLAGS)
        .args(["-isystem", "../../include", SOURCE, "-o"])
        .arg(out.join("wild.r0"))
        .output()
        .map_err(|error| format!("`{}` cannot be run: {error}", compiler.path().display()))?;
    for line in String::from_utf8_lossy(&run.stderr).lines() {
        println!("cargo::warning={line}");
    }
    if run.status.success() {
        return Ok(());
    }
    Err(format!("`{}` could not build {SOURCE}", compiler.path().display()))
}
