//! The compiler of ring-0 modules in C, for the build scripts here and of the tests that have modules of their own.
//!
//! Neighbour: `flags.rs`. Invariant: a module is compiled with these flags, whoever has it compiled.

#[path = "flags.rs"]
mod flags;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use flags::COMMON_FLAGS;
pub(crate) use flags::RING0_FLAGS;

/// Ends a build script as `build` ended.
pub(crate) fn main(build: impl FnOnce() -> Result<(), String>) -> ExitCode {
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            println!("cargo::error={message}");
            ExitCode::FAILURE
        }
    }
}

/// The system's C compiler, the one that `CC` names or else the platform's default.
pub(crate) struct Compiler {
    program: PathBuf,
    include: PathBuf,
}

impl Compiler {
    /// Finds it; `include` is the folder of the header. Cargo is told to watch it.
    pub(crate) fn find(include: PathBuf) -> Result<Self, String> {
        println!("cargo::rerun-if-changed={}", include.display());
        // Only the program is taken, not the CFLAGS around it: sanitizers and the like, meant for
        // the C code of ring 3, would put calls into the image that ring 0 cannot answer.
        let tool = cc::Build::new()
            .cargo_warnings(false)
            .try_get_compiler()
            .map_err(|error| format!("the C compiler cannot be determined: {error}"))?;
        let program = tool.path().to_owned();
        match Command::new(&program).arg("--version").output() {
            Ok(_) => Ok(Self { program, include }),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(format!(
                "no C compiler: the ring-0 modules are compiled with gcc or clang, and `{}` was \
                 not found; install one, or name it in the environment variable CC",
                program.display()
            )),
            Err(error) => {
                Err(format!("the C compiler `{}` cannot be run: {error}", program.display()))
            }
        }
    }

    /// Compiles and links `files` in one step. Diagnostics become cargo's warnings.
    pub(crate) fn build(
        &self,
        flags: &[&str],
        files: &[PathBuf],
        output: &Path,
    ) -> Result<(), String> {
        let run = Command::new(&self.program)
            .args(COMMON_FLAGS)
            .args(flags)
            // The header is not ours to correct: as a system header it causes no warnings.
            .arg("-isystem")
            .arg(&self.include)
            .args(files)
            .arg("-o")
            .arg(output)
            .output()
            .map_err(|error| format!("`{}` cannot be run: {error}", self.program.display()))?;
        let diagnostics = String::from_utf8_lossy(&run.stderr);
        let severity = if run.status.success() { "warning" } else { "error" };
        for line in diagnostics.lines() {
            println!("cargo::{severity}={line}");
        }
        if run.status.success() {
            Ok(())
        } else {
            Err(format!("`{}` could not build {}", self.program.display(), output.display()))
        }
    }
}
