//! Compiles the suite's own ring-0 modules, as all modules are, by `modules/compiler.rs`.
//!
//! Unlike the tree's modules these exist to be misused: most of them must be refused. One source can
//! become several modules, each with definitions or flags of its own ([`MODULES`]).

#[path = "../../modules/compiler.rs"]
mod compiler;

use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use compiler::{Compiler, RING0_FLAGS};

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
    // The header's own way to the page is a relocation of code, of which linkers warn.
    ("gip", "gip.c", &["-Wl,-z,notext"]),
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
    compiler::main(build)
}

fn build() -> Result<(), String> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=modules");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo gave no OUT_DIR")?);
    let compiler = Compiler::find("../../include".into())?;
    for (name, source, flags) in MODULES {
        let source = Path::new("modules").join(source);
        compiler.build(
            &[RING0_FLAGS, flags].concat(),
            &[source],
            &out.join(format!("{name}.r0")),
        )?;
    }
    Ok(())
}
