//! Compiles the ring-0 module that faults as it is told, the one of `crates/supctl/tests/crash.rs`.

#[path = "../../modules/compiler.rs"]
mod compiler;

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

use compiler::{Compiler, RING0_FLAGS};

const SOURCE: &str = "../../crates/supctl/tests/crash/wild.c";

fn main() -> ExitCode {
    compiler::main(|| {
        for input in ["build.rs", SOURCE] {
            println!("cargo::rerun-if-changed={input}");
        }
        let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo gave no OUT_DIR")?);
        let compiler = Compiler::find("../../include".into())?;
        compiler.build(RING0_FLAGS, &[SOURCE.into()], &out.join("wild.r0"))
    })
}
