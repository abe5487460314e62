//! `cargo xtask install`: the library in C with its headers, the command, and what start programs are made of,
//! below a prefix.
//!
//! Neighbours: [`capi`] builds the library; `packaging/sup.pc` says where it is to `pkg-config`, and
//! `packaging/sup-module.pc` how ring-0 modules are compiled.
//! Invariant: everything goes below the prefix, and nothing that is installed names the build's folders.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Args;
use rustix::fs::Mode;
use rustix::process::umask;
use xshell::cmd;

use crate::project::Project;
use crate::{capi, report, require, start};

/// Install the libraries for C, their headers, the files for pkg-config, sup-stub, supctl and ringtrace.r0
#[derive(Debug, Args)]
pub(crate) struct InstallArgs {
    /// Where they will be
    #[arg(long, value_name = "DIR", default_value = "/usr/local")]
    pub(crate) prefix: PathBuf,
    /// A folder that stands for the root while a package is made
    #[arg(long, value_name = "DIR")]
    pub(crate) destdir: Option<PathBuf>,
    /// The secret key that signs the manifest of the files; without one there is none
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
}

impl InstallArgs {
    /// Where the files go.
    fn root(&self) -> PathBuf {
        match &self.destdir {
            // The prefix is absolute, and joined it would replace the folder.
            Some(folder) => folder.join(self.prefix.strip_prefix("/").unwrap_or(&self.prefix)),
            None => self.prefix.clone(),
        }
    }
}

/// Builds and installs, and prints each path.
pub(crate) fn run(project: &Project, args: &InstallArgs) -> Result<ExitCode> {
    // Whoever may write a folder or file may exchange what is verified, so that is nobody but its owner.
    let mask = umask(Mode::WGRP | Mode::WOTH);
    let installed = install(project, args);
    umask(mask);
    installed
}

fn install(project: &Project, args: &InstallArgs) -> Result<ExitCode> {
    // Programs and library know where their own files are.
    let _prefix = project.sh.push_env("SUP_PREFIX", &args.prefix);
    cmd!(project.sh, "cargo build --release --package supctl").run()?;
    let supctl = project.target.join("release/supctl");
    let root = args.root();
    let mut paths = library(project, &root)?;
    paths.extend(start(project, &root)?);
    let command = root.join("bin/supctl");
    strip(project, &supctl, &command)?;
    paths.push(command);
    paths.extend(tracer(project, &supctl, &root, args.key.as_deref())?);
    for path in &paths {
        close(path)?;
        report::line(format_args!("{}", path.display()));
    }
    match &args.key {
        Some(key) => {
            cmd!(project.sh, "{supctl} installation sign --prefix {root} --key {key}").run()?;
        }
        None => report::line(format_args!(
            "no manifest: SUPR3HardenedVerifyFile will refuse these files; --key signs one"
        )),
    }
    Ok(ExitCode::SUCCESS)
}

/// The module in the box that traces.
const TRACER: &str = "ringtrace";

/// Where the headers are, as `packaging/sup-module.pc` has it: seen from the tree, and from an installation.
const INCLUDE: [&str; 2] =
    ["includedir=${pcfiledir}/../include", "includedir=${pcfiledir}/../../include"];

/// Installs the library, its headers, `sup.pc` and `sup-module.pc`; returns the paths.
///
/// # Errors
/// The library does not build, or the prefix cannot be written.
pub(crate) fn library(project: &Project, root: &Path) -> Result<Vec<PathBuf>> {
    let library = capi::build(project)?;
    let shared = root.join("lib").join(capi::SONAME);
    strip(project, &library.shared(), &shared)?;
    let mut files = vec![
        (library.archive(), root.join("lib").join(capi::ARCHIVE)),
        (project.root.join("packaging/sup.pc"), root.join("lib/pkgconfig/sup.pc")),
    ];
    for folder in ["include/VBox", "include/iprt", "include/supdrv"] {
        for header in project.files_in(folder, "h") {
            let name = header.file_name().context("a header without a name")?;
            files.push((header.clone(), root.join(folder).join(name)));
        }
    }
    for (from, to) in &files {
        copy(project, from, to)?;
    }
    let link = root.join("lib").join(capi::LINK_NAME);
    capi::link(capi::SONAME, &link)?;
    let flags = project.sh.read_file("packaging/sup-module.pc")?;
    ensure!(flags.contains(INCLUDE[0]), "packaging/sup-module.pc has no line {}", INCLUDE[0]);
    let module = root.join("lib/pkgconfig/sup-module.pc");
    project.sh.write_file(&module, flags.replace(INCLUDE[0], INCLUDE[1]))?;
    Ok([shared]
        .into_iter()
        .chain(files.into_iter().map(|(_, to)| to))
        .chain([link, module])
        .collect())
}

/// Installs what start programs are made of: the archive, `sup-hardened.pc`, and one in Rust to be copied under
/// a program's name; returns the paths. Nothing here is set-user-id: who packs a program decides that.
///
/// # Errors
/// They do not build, or the prefix cannot be written.
pub(crate) fn start(project: &Project, root: &Path) -> Result<Vec<PathBuf>> {
    let start = start::build(project)?;
    let files = [
        (start.archive, root.join("lib").join(start::ARCHIVE)),
        (start.stub, root.join("lib/supdrv").join(start::STUB)),
        (
            project.root.join("packaging/sup-hardened.pc"),
            root.join("lib/pkgconfig/sup-hardened.pc"),
        ),
    ];
    for (from, to) in &files {
        copy(project, from, to)?;
    }
    Ok(files.into_iter().map(|(_, to)| to).collect())
}

/// Installs the tracer's module, signed if there is a key; where it cannot be built, says what that takes.
fn tracer(
    project: &Project,
    supctl: &Path,
    root: &Path,
    key: Option<&Path>,
) -> Result<Option<PathBuf>> {
    let sh = &project.sh;
    let folder = project.root.join("modules").join(TRACER);
    let Ok(told) = cmd!(sh, "{supctl} module build {folder}").read() else {
        report::note(format_args!("no {TRACER}.r0, so `supctl trace` will want --tracer FILE"));
        return Ok(None);
    };
    let built = PathBuf::from(told.lines().last().unwrap_or_default().trim());
    let installed = root.join("lib/supdrv").join(format!("{TRACER}.r0"));
    copy(project, &built, &installed)?;
    if let Some(key) = key {
        cmd!(sh, "{supctl} module sign --kernel-grade --landing-pads --key {key} {installed}")
            .quiet()
            .read()?;
    }
    Ok(Some(installed))
}

/// Installs a program or library without what only debuggers read, which a start with privileges would have to
/// verify each time.
fn strip(project: &Project, from: &Path, to: &Path) -> Result<()> {
    let sh = &project.sh;
    sh.create_dir(to.parent().context("a path without a folder")?)?;
    sh.remove_path(to)?;
    require::program(project, "strip", "binutils")?;
    cmd!(sh, "strip --strip-unneeded -o {to} {from}").quiet().run()?;
    Ok(())
}

/// Replaces the file instead of writing into it: programs may run that have it mapped.
fn copy(project: &Project, from: &Path, to: &Path) -> Result<()> {
    project.sh.create_dir(to.parent().context("a path without a folder")?)?;
    project.sh.remove_path(to)?;
    project.sh.copy_file(from, to)?;
    Ok(())
}

/// Takes the right to write from all but the owner: a file has the mode of the one it was copied from.
fn close(path: &Path) -> Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    if metadata.is_file() {
        let mode = metadata.permissions().mode() & !0o022;
        fs::set_permissions(path, Permissions::from_mode(mode))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_made_below_its_folder() {
        let args = |prefix: &str, destdir: Option<&str>| InstallArgs {
            prefix: prefix.into(),
            destdir: destdir.map(PathBuf::from),
            key: None,
        };
        assert_eq!(args("/usr", Some("/tmp/p")).root(), Path::new("/tmp/p/usr"));
        assert_eq!(args("/usr", None).root(), Path::new("/usr"));
    }
}
