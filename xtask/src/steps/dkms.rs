//! The source package as users get it: unpacked, built by DKMS itself without a network, and run in a guest.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use xshell::cmd;

use super::Verdict;
use crate::kernel::Kernel;
use crate::kmod;
use crate::project::Project;
use crate::vm;
use crate::vm::args::{Backend, GuestArgs};
use crate::vm::suite::{self, Suite};
use crate::{report, require};

const KERNEL: &str = "6.1";

pub(super) fn run(project: &Project) -> Result<Verdict> {
    let tools = [("dkms", "dkms"), ("unshare", "util-linux")];
    let missing =
        tools.iter().find_map(|(tool, package)| require::program(project, tool, package).err());
    let missing =
        missing.or_else(|| kmod::require(project).and_then(|()| vm::require(project)).err());
    if let Some(error) = missing {
        return Verdict::skipped(format!("{error:#}"));
    }
    let kernel = match Kernel::find(project, KERNEL) {
        Ok(kernel) => kernel,
        Err(error) => return Verdict::skipped(format!("no kernel {KERNEL}: {error:#}")),
    };
    let module = build(project, &kernel)?;
    let args = GuestArgs { module: Some(module), ..GuestArgs::with_kernel(KERNEL) };
    let outcome = suite::run(project, &args, &[Suite::conformance(Backend::Kernel, None)])?;
    outcome.judge()?;
    Verdict::passed_with("built by DKMS without a network; the conformance suite passes with it")
}

/// Unpacks the archive and lets DKMS build it, in folders of our own instead of the system's.
fn build(project: &Project, kernel: &Kernel) -> Result<PathBuf> {
    let sh = &project.sh;
    let archive = kmod::source_package(project)?;
    let folder = project.target.join("dkms");
    sh.remove_path(&folder)?;
    let [sources, tree, installed, headers] =
        ["src", "tree", "installed", "headers"].map(|name| folder.join(name));
    for folder in [&sources, &tree, &installed, &headers] {
        sh.create_dir(folder)?;
    }
    cmd!(sh, "tar -xzf {archive} -C {sources}").run()?;
    kernel.lay_out_headers(sh, &headers)?;
    let package = sh.read_dir(&sources)?.pop().context("the archive is empty")?;
    let name = package.file_name().unwrap_or_default().to_string_lossy().replacen('-', "/", 1);
    let release = kernel.release();
    report::progress(format_args!("DKMS builds {name} for {release}"));
    // A network of its own, with nothing in it.
    let built = cmd!(sh, "unshare --net --map-root-user dkms build {name} -k {release}/x86_64")
        .args(["--kernelsourcedir".as_ref(), headers.as_path()])
        .args(["--dkmstree".as_ref(), tree.as_path()])
        .args(["--sourcetree".as_ref(), sources.as_path()])
        .args(["--installtree".as_ref(), installed.as_path()])
        .ignore_stdout()
        .run();
    let made = tree.join(&name);
    built.with_context(|| log_of(&made.join("build/make.log")))?;
    Ok(made.join(release).join("x86_64/module/supdrv.ko"))
}

/// What the compilers said; DKMS names the file only.
fn log_of(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| format!("{}: {error}", path.display()))
}
