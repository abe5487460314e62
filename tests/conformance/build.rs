//! Compiles the suite's own ring-0 modules, with the flags of all modules, `modules/flags.rs`.
//!
//! Unlike the tree's modules these exist to be misused: most of them must be refused. One source can
//! become several modules, each with definitions or flags of its own ([`MODULES`]).

#[path = "../../modules/flags.rs"]
mod flags;

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use flags::{COMMON_FLAGS, RING0_FLAGS};

/// Name of the module, its source, and what its command line has on top.
const MODULES: &[(&str, &str, &[&str])] = &[
    ("probe", "probe.c", &[]),
    ("fail_init", "init.c", &["-DSTATUS=-225"]),
    ("informed_init", "init.c", &["-DSTATUS=85"]),
    ("waiting_init", "init.c", &["-DSTATUS=0", "-DWAIT"]),
    ("panic", "panic.c", &[]),
    ("panic_init", "panic.c", &["-DIN_INIT"]),
    ("registering_init", "init.c", &["-DSTATUS=-225", "-DREGISTER"]),
    ("importing", "importing.c", &[]),
    ("probes", "probes.c", &[]),
    ("tracer", "tracer.c", &[]),
    ("traced", "traced.c", &[]),
    ("traced_twice", "traced.c", &["-DTWICE"]),
    ("traced_outside", "traced.c", &["-DOUTSIDE"]),
    ("thread_local", "refused.c", &["-DTHREAD_LOCAL"]),
    ("constructor", "refused.c", &["-DCONSTRUCTOR"]),
    ("missing_import", "refused.c", &["-DMISSING_IMPORT"]),
    ("weak_import", "refused.c", &["-DWEAK_IMPORT"]),
    ("needs_library", "refused.c", &["-Wl,--no-as-needed", "-lc"]),
];

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
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=modules");
    println!("cargo::rerun-if-changed=../../modules/flags.rs");
    println!("cargo::rerun-if-changed=../../include");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo gave no OUT_DIR")?);
    let compiler = cc::Build::new()
        .cargo_warnings(false)
        .try_get_compiler()
        .map_err(|error| format!("the C compiler cannot be determined: {error}"))?;
    for (name, source, flags) in MODULES {
        compile(compiler.path(), source, flags, &out.join(format!("{name}.r0")))?;
    }
    Ok(())
}

fn compile(compiler: &Path, source: &str, flags: &[&str], output: &Path) -> Result<(), String> {
    let run = Command::new(compiler)
        .args(COMMON_FLAGS)
        .args(RING0_FLAGS)
        .args(["-isystem", "../../include"])
        .arg(Path::new("modules").join(source))
        .args(flags)
        .arg("-o")
        .arg(output)
        .output()
        .map_err(|error| format!("`{}` cannot be run: {error}", compiler.display()))?;
    for line in String::from_utf8_lossy(&run.stderr).lines() {
        println!("cargo::warning={line}");
    }
    if run.status.success() {
        return Ok(());
    }
    Err(format!("`{}` could not build {}", compiler.display(), output.display()))
}
