//! The C library as programs get it, and the C programs that try it.
//!
//! [`build`] lays the library out in `target/capi` under the names that linkers and loaders look for;
//! [`program`] compiles one program of `tests/c` against it. The steps `c-programs`, `valgrind` and `api`,
//! and `install`, start from there.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use xshell::cmd;

use crate::project::Project;
use crate::require;

/// What a program asks its loader for; `crates/sup-capi/build.rs` writes it into the library.
pub(crate) const SONAME: &str = "libsup.so.0";
/// What a linker looks for.
pub(crate) const LINK_NAME: &str = "libsup.so";
/// The archive for static linking.
pub(crate) const ARCHIVE: &str = "libsup.a";
/// What cargo calls it, by its crate.
const BUILT: &str = "libsup_capi";
/// The folder of our headers, and that of the seed's, which not every machine has.
pub(crate) const OURS: &str = "include";
pub(crate) const SEED: &str = "../shared/seed/include";
/// The folder of the programs.
pub(crate) const PROGRAMS: &str = "tests/c";
/// The folders of the headers that programs share with ring-0 modules.
const MODULE_HEADERS: [&str; 2] = ["modules/hello", "modules/vmmr0"];

/// Which of the two libraries a program gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Linkage {
    Shared,
    /// The program needs no library at all to run.
    Static,
}

/// The library, built and laid out.
#[derive(Debug)]
pub(crate) struct Library {
    /// `target/capi`.
    pub(crate) folder: PathBuf,
}

impl Library {
    pub(crate) fn shared(&self) -> PathBuf {
        self.folder.join(SONAME)
    }

    pub(crate) fn archive(&self) -> PathBuf {
        self.folder.join(ARCHIVE)
    }
}

/// Builds the release library.
///
/// # Errors
/// It does not build, or the folder cannot be written.
pub(crate) fn build(project: &Project) -> Result<Library> {
    let sh = &project.sh;
    cmd!(sh, "cargo build --release --package sup-capi").run()?;
    let built = project.target.join("release");
    let folder = project.target.join("capi");
    sh.create_dir(&folder)?;
    sh.copy_file(built.join(format!("{BUILT}.so")), folder.join(SONAME))?;
    sh.copy_file(built.join(format!("{BUILT}.a")), folder.join(ARCHIVE))?;
    link(SONAME, &folder.join(LINK_NAME))?;
    Ok(Library { folder })
}

/// Makes a symbolic link, instead of one that was there.
pub(crate) fn link(target: &str, path: &Path) -> Result<()> {
    if path.is_symlink() {
        std::fs::remove_file(path).with_context(|| format!("cannot replace {}", path.display()))?;
    }
    symlink(target, path).with_context(|| format!("cannot link {}", path.display()))
}

/// The sources of the programs, sorted.
///
/// # Errors
/// There are none.
pub(crate) fn programs(project: &Project) -> Result<Vec<PathBuf>> {
    let mut sources = project.files_in(PROGRAMS, "c");
    sources.extend(project.files_in(PROGRAMS, "cpp"));
    sources.sort();
    ensure!(!sources.is_empty(), "no programs in {PROGRAMS}");
    Ok(sources)
}

/// Makes sure that there are compilers.
///
/// # Errors
/// One is missing, and this user cannot install it.
pub(crate) fn require(project: &Project) -> Result<()> {
    require::program(project, "cc", "gcc")?;
    require::program(project, "c++", "g++")
}

/// Compiles one program against the headers in `include`, without a warning, into `folder`.
///
/// # Errors
/// It does not compile.
pub(crate) fn program(
    project: &Project,
    library: &Library,
    source: &Path,
    include: &Path,
    linkage: Linkage,
    folder: &Path,
) -> Result<PathBuf> {
    let sh = &project.sh;
    let name = source.file_stem().context("a source without a name")?;
    let program = folder.join(name);
    let is_cpp = source.extension().is_some_and(|extension| extension == "cpp");
    let (compiler, standard) = if is_cpp { ("c++", "-std=c++17") } else { ("cc", "-std=gnu11") };
    let headers = MODULE_HEADERS.map(|folder| format!("-I{folder}"));
    let (path, rpath) = (&library.folder, format!("-Wl,-rpath,{}", library.folder.display()));
    let (archive, ours) = (library.archive(), project.root.join(OURS));
    let base = cmd!(
        sh,
        "{compiler} {standard} -g -O1 -Wall -Wextra -Werror -pthread -I{include} -idirafter {ours} {headers...} {source} -o {program}"
    );
    let command = match linkage {
        Linkage::Shared => base.arg("-L").arg(path).arg("-lsup").arg(rpath),
        Linkage::Static => base.arg("-static").arg("-DSTATIC").arg(archive),
    };
    command.quiet().run()?;
    Ok(program)
}
