//! The start with privileges: the archive for start programs in C, the start program in Rust, and what tries them.
//!
//! [`build`] lays the two out in `target/capi`, [`trial`] what `sup-start-tests` installs in `target/start`.
//! Invariant: what is laid out needs nothing but the C library and stays under [`BYTES_MAX`].

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use object::Object;
use xshell::{Cmd, cmd};

use crate::cli::BenchArgs;
use crate::project::Project;
use crate::{capi, require};

/// The archive, and what cargo calls it.
pub(crate) const ARCHIVE: &str = "libsup_hardened.a";
const BUILT: &str = "libsup_start.a";
/// The start program in Rust.
pub(crate) const STUB: &str = "sup-stub";
/// No start program is larger: all of it runs as root.
pub(crate) const BYTES_MAX: u64 = 600 << 10;
/// The C library, and its loader, which has the memory of threads.
const ALLOWED: [&str; 2] = ["libc.so.6", "ld-linux-x86-64.so.2"];
/// The folder of the sources in C.
const SOURCES: &str = "tests/c/start";

/// The two, built and laid out.
#[derive(Debug)]
pub(crate) struct Start {
    pub(crate) archive: PathBuf,
    pub(crate) stub: PathBuf,
}

/// Builds both, without what only debuggers read.
///
/// # Errors
/// One does not build, or the folder cannot be written.
pub(crate) fn build(project: &Project) -> Result<Start> {
    let sh = &project.sh;
    require::program(project, "strip", "binutils")?;
    cmd!(sh, "cargo build --release --package sup-start --package sup-stub").run()?;
    let built = project.target.join("release");
    let folder = project.target.join("capi");
    sh.create_dir(&folder)?;
    let start = Start { archive: folder.join(ARCHIVE), stub: folder.join(STUB) };
    for (from, to, what) in
        [(BUILT, &start.archive, "--strip-debug"), (STUB, &start.stub, "--strip-all")]
    {
        let from = built.join(from);
        cmd!(sh, "strip {what} -o {to} {from}").quiet().run()?;
    }
    Ok(start)
}

/// Compiles the start program and the program in C, and lays out all that is installed.
///
/// # Errors
/// Something does not compile, or a start program needs more than it may, or is too large.
pub(crate) fn trial(project: &Project) -> Result<Trial> {
    capi::require(project)?;
    let seed = project.root.join(capi::SEED);
    let include = if seed.is_dir() { seed } else { project.root.join(capi::OURS) };
    let sh = &project.sh;
    let library = capi::build(project)?;
    let Start { archive, stub } = build(project)?;
    cmd!(sh, "cargo build --release --package supctl").run()?;
    let folder = project.target.join("start");
    sh.create_dir(&folder)?;
    let file = |name: &str| folder.join(name);
    let source = |name: &str| project.root.join(SOURCES).join(name);
    let warnings = ["-Wall", "-Wextra", "-Werror", "-O1"];

    let (from, to) = (source("main.c"), file("start-c"));
    cmd!(sh, "cc {warnings...} -I{include} {from} -o {to} {archive} -static-libgcc -Wl,--gc-sections,-z,now,-s").run()?;
    let (from, to, shared) = (source("program.c"), file("program.so"), &library.folder);
    cmd!(sh, "cc {warnings...} -I{include} -shared -fPIC {from} -o {to} -L{shared} -lsup").run()?;
    let (from, to) = (source("direct.c"), file("direct"));
    cmd!(sh, "cc {warnings...} {from} -o {to}").run()?;
    let to = file("nothing.so");
    cmd!(sh, "cc -shared -x c /dev/null -o {to}").run()?;
    for (from, name) in [
        (stub, STUB),
        (library.shared(), capi::SONAME),
        (project.target.join("release/supctl"), "supctl"),
    ] {
        let to = file(name);
        cmd!(sh, "strip --strip-unneeded -o {to} {from}").quiet().run()?;
    }
    for name in [STUB, "start-c"] {
        judge(&file(name))?;
    }
    cmd!(sh, "cargo build --release --package sup-start-tests").run()?;
    Ok(Trial { program: project.target.join("release/sup-start-tests"), folder })
}

/// What tries starts, and the files that it installs.
#[derive(Debug)]
pub(crate) struct Trial {
    program: PathBuf,
    folder: PathBuf,
}

impl Trial {
    /// Whether this user may do what it takes: mount, and install for root.
    pub(crate) fn is_possible(&self, project: &Project) -> bool {
        let sh = &project.sh;
        require::program(project, "setpriv", "util-linux").is_ok()
            && cmd!(sh, "unshare --mount true").quiet().ignore_stderr().run().is_ok()
    }

    /// The files that it installs.
    ///
    /// # Errors
    /// They cannot be listed.
    pub(crate) fn files(&self, project: &Project) -> Result<Vec<PathBuf>> {
        Ok(project.sh.read_dir(&self.folder)?)
    }

    /// The command that runs it, in mounts of its own.
    pub(crate) fn command<'a>(&self, project: &'a Project, options: &[&str]) -> Result<Cmd<'a>> {
        let Self { program, folder } = self;
        require::program(project, "unshare", "util-linux")?;
        let sh = &project.sh;
        Ok(cmd!(sh, "unshare --mount --propagation private {program} {folder} {options...}"))
    }
}

/// `cargo xtask bench start`.
pub(crate) fn bench(project: &Project, args: &BenchArgs) -> Result<ExitCode> {
    let trial = trial(project)?;
    ensure!(
        trial.is_possible(project),
        "set-user-id programs and mounts take root: run it as root"
    );
    let mut options = vec!["--bench"];
    options.extend(args.json.then_some("--json"));
    options.extend(args.check.then_some("--check"));
    let done = trial.command(project, &options)?.quiet().run();
    Ok(if done.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Looks at what a start program needs and how large it is, its symbols aside.
///
/// # Errors
/// It needs more than the C library, or is too large.
pub(crate) fn judge(path: &Path) -> Result<()> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let name = path.file_name().unwrap_or_default().display();
    let size = bytes.len() as u64;
    ensure!(size <= BYTES_MAX, "{name} has {size} bytes, and {BYTES_MAX} are allowed");
    let needs = needed(&bytes)?;
    let other: Vec<_> = needs.iter().filter(|need| !ALLOWED.contains(&need.as_str())).collect();
    ensure!(other.is_empty(), "{name} needs {other:?}, and may need the C library alone");
    Ok(())
}

/// The libraries that an object asks its loader for.
fn needed(bytes: &[u8]) -> Result<Vec<String>> {
    let file = object::read::elf::ElfFile64::<object::Endianness>::parse(bytes)?;
    ensure!(file.dynamic_symbol_table().is_some(), "no dynamic object");
    let endian = file.endian();
    let header = file.elf_header();
    use object::read::elf::{Dyn, FileHeader};
    let sections = header.sections(endian, bytes)?;
    let (entries, strings) =
        sections.dynamic(endian, bytes)?.context("an object without a dynamic section")?;
    let strings = sections.strings(endian, bytes, strings)?;
    let needed = entries.iter().filter(|entry| entry.tag32(endian) == Some(object::elf::DT_NEEDED));
    needed
        .map(|entry| Ok(String::from_utf8_lossy(entry.string(endian, strings)?).into_owned()))
        .collect()
}
