//! The programs that the guest gets: ours, linked statically, and busybox; and a ring-0 module.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use xshell::cmd;

use crate::capi::{self, Linkage};
use crate::project::Project;
use crate::{report, require, start};

const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Our programs, by package and name. Another one needs no more than its line here.
const PROGRAMS: [(&str, &str); 4] = [
    ("sup-conformance", "sup-conformance"),
    ("sup-kernel-tests", "sup-kernel-tests"),
    ("sup-start-tests", "sup-start-tests"),
    ("supctl", "supctl"),
];

/// What a program that needs the dynamic loader has in it, and a static one has not.
const LOADER: &[u8] = b"/lib64/ld-linux-x86-64.so.2";

/// A program and its name in the guest.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) name: String,
    pub(super) path: PathBuf,
}

/// What must be on the machine, by program and Debian package.
const REQUIRED: [(&str, &str); 4] = [
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("busybox", "busybox-static"),
    ("setpriv", "util-linux"),
    ("cc", "gcc"),
];

/// Makes sure that all programs of other people are there.
///
/// # Errors
/// One is missing, and this user cannot install it; with the command that does.
pub(crate) fn require(project: &Project) -> Result<()> {
    REQUIRED.iter().try_for_each(|(program, package)| require::program(project, program, package))
}

/// Builds ours. They get a folder of their own, because their flags differ from everyone else's.
pub(super) fn build(project: &Project) -> Result<Vec<Program>> {
    let folder = project.target.join("vm/build");
    let selection =
        PROGRAMS.iter().flat_map(|(package, name)| ["--package", package, "--bin", name]);
    // Names stay for backtraces; lines would make the guest's first file system three times as large.
    let strip = "profile.release.strip='debuginfo'";
    cmd!(project.sh, "cargo build --release {selection...} --target {TARGET} --target-dir {folder} --config {strip}")
        .env("RUSTFLAGS", "-Ctarget-feature=+crt-static")
        .run()?;
    let built = folder.join(TARGET).join("release");
    let ours = PROGRAMS.map(|(_, name)| Program { name: name.to_owned(), path: built.join(name) });
    Ok(ours.into())
}

/// Builds a ring-0 module in Rust, `modules/NAME`, as its users do: by the `supctl` among `programs`, which runs
/// here as well as in the guest.
///
/// # Errors
/// It cannot be compiled; `kmod::require` makes sure of what that takes.
pub(super) fn rust_module(project: &Project, programs: &[Program], name: &str) -> Result<PathBuf> {
    let supctl = programs.iter().find(|program| program.name == "supctl").context("no supctl")?;
    let (supctl, folder) = (&supctl.path, project.root.join("modules").join(name));
    let told = cmd!(project.sh, "{supctl} module build {folder}").read()?;
    Ok(PathBuf::from(told.lines().last().unwrap_or_default().trim()))
}

/// Builds the programs of `tests/c`: against our header and, on machines that have it, the seed's.
///
/// # Errors
/// A compiler is missing, or one of them does not compile.
pub(super) fn in_c(project: &Project) -> Result<Vec<Program>> {
    capi::require(project)?;
    let library = capi::build(project)?;
    let mut programs = Vec::new();
    for (name, include) in [("ours", capi::OURS), ("seed", capi::SEED)] {
        let include = project.root.join(include);
        if !include.is_dir() {
            report::note(format_args!(
                "no programs with the seed's header: no {}",
                include.display()
            ));
            continue;
        }
        let folder = project.target.join("vm/c").join(name);
        project.sh.create_dir(&folder)?;
        for source in capi::programs(project)? {
            let path =
                capi::program(project, &library, &source, &include, Linkage::Static, &folder)?;
            let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            cmd!(project.sh, "strip {path}").quiet().run()?;
            programs.push(Program { name: format!("c/{name}/{file}"), path });
        }
    }
    Ok(programs)
}

/// What the start with privileges is tried with, and what runs programs that need libraries: by their places in
/// the guest.
///
/// # Errors
/// Something does not compile, or the C library is not where the compiler looks for it.
pub(super) fn starts(project: &Project) -> Result<Vec<(String, PathBuf)>> {
    let mut files = Vec::new();
    for path in start::trial(project)?.files(project)? {
        let name = path.file_name().context("a file without a name")?.to_string_lossy();
        files.push((format!("start/{name}"), path.clone()));
    }
    for (folder, name) in [
        ("lib64", "ld-linux-x86-64.so.2"),
        ("lib/x86_64-linux-gnu", "libc.so.6"),
        ("lib/x86_64-linux-gnu", "libm.so.6"),
        ("lib/x86_64-linux-gnu", "libgcc_s.so.1"),
    ] {
        let path = cmd!(project.sh, "cc -print-file-name={name}").quiet().read()?;
        files.push((format!("{folder}/{name}"), PathBuf::from(path.trim())));
    }
    Ok(files)
}

/// Finds busybox where Debian puts it.
pub(super) fn busybox(project: &Project) -> Result<Program> {
    let path = cmd!(project.sh, "sh -c 'command -v busybox'").quiet().read()?;
    Ok(Program { name: "busybox".to_owned(), path: PathBuf::from(path.trim()) })
}

/// Reads a program that runs without any library.
pub(super) fn read_static(path: &Path) -> Result<Vec<u8>> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let needs_loader = bytes.windows(LOADER.len()).any(|window| window == LOADER);
    ensure!(
        !needs_loader,
        "{} is not linked statically, and the guest has no libraries: for busybox, install the \
         package `busybox-static`",
        path.display()
    );
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cannot_take_a_program_that_needs_libraries() {
        let this_test = std::env::current_exe().unwrap();
        let error = read_static(&this_test).unwrap_err().to_string();
        assert!(error.contains("not linked statically"), "{error}");
    }
}
