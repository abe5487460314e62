//! Compiles the ring-0 modules with the system's C compiler.
//!
//! Every folder beside this file that holds C sources is one module: `hello/*.c` becomes
//! `hello.r0`, an ordinary ELF shared object built with the flags of `flags.rs`. The same sources also
//! become `hello.so`, a shared object as any program would build it, which the benchmarks open
//! with `dlopen` for comparison; `shared/` holds the stand-ins for its imports and is no module.

mod compiler;

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use compiler::{Compiler, RING0_FLAGS};

/// The folder that adds to the plain shared objects, and is no module.
const SHARED_FOLDER: &str = "shared";

fn main() -> ExitCode {
    compiler::main(build)
}

fn build() -> Result<(), String> {
    let manifest = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(variable("OUT_DIR")?);
    let include = manifest.join("../include");
    println!("cargo::rerun-if-changed=build.rs");

    let compiler = Compiler::find(include)?;
    let stubs = sources(&manifest.join(SHARED_FOLDER))?;
    for folder in module_folders(&manifest)? {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut files = sources(&folder)?;
        compiler.build(RING0_FLAGS, &files, &out.join(format!("{name}.r0")))?;
        files.extend_from_slice(&stubs);
        compiler.build(&[], &files, &out.join(format!("{name}.so")))?;
    }
    Ok(())
}

/// The folders that are modules: those with C sources, but for [`SHARED_FOLDER`].
fn module_folders(manifest: &Path) -> Result<Vec<PathBuf>, String> {
    let mut folders = Vec::new();
    for path in entries(manifest)? {
        let is_candidate = path.is_dir() && path.file_name() != Some(OsStr::new(SHARED_FOLDER));
        if is_candidate && !sources(&path)?.is_empty() {
            folders.push(path);
        }
    }
    Ok(folders)
}

/// The C sources of a folder. Cargo is told to watch the folder, headers included.
fn sources(folder: &Path) -> Result<Vec<PathBuf>, String> {
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut files = entries(folder)?;
    files.retain(|path| path.extension() == Some(OsStr::new("c")));
    Ok(files)
}

/// What a folder holds, sorted: the order of files must not depend on the file system.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let unreadable = |error| format!("the folder {} cannot be read: {error}", folder.display());
    let mut paths = fs::read_dir(folder)
        .map_err(unreadable)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(unreadable)?;
    paths.sort();
    Ok(paths)
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|error| format!("cargo's variable {name} is not usable: {error}"))
}
