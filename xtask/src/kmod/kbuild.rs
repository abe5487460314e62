//! The module out of the Rust object and the C shim, by the kernel's own build system; and the sample client
//! that uses it.
//!
//! It works in a copy of `kmod/`, because it writes beside its sources. modpost and objtool warn of
//! what the kernel will refuse or cannot unwind, so a warning fails the build.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::kernel::Kernel;
use crate::project::Project;

const OBJECT: &str = "driver.o";
/// What a build tells of the symbols that its module exports, and a copy of it for other modules' builds.
const SYMBOLS: &str = "Module.symvers";
const SYMBOLS_OF_DRIVER: &str = "supdrv.symvers";
/// What a client is compiled with.
const CLIENT_LIBRARY: [&str; 2] = ["kmod/supdrv_idc.c", "kmod/supdrv_idc.h"];

/// The C compiler need not be the very one that built the kernel.
const HARMLESS: &str = "warning: the compiler differs from the one used to build the kernel";

/// Links the module.
pub(super) fn link(project: &Project, kernel: &Kernel, object: &Path) -> Result<PathBuf> {
    let folder = folder(project, kernel);
    copy(&sources(project), &folder)?;
    update(object, &folder.join(OBJECT))?;
    make(project, kernel, &folder, ("RUST_OBJ", OBJECT), "supdrv.ko")
}

/// Builds the sample client, after the driver for the same kernel.
pub(super) fn link_client(project: &Project, kernel: &Kernel) -> Result<PathBuf> {
    let driver = folder(project, kernel);
    let folder = driver.join("client");
    let mut sources = CLIENT_LIBRARY.map(|source| project.root.join(source)).to_vec();
    sources.push(project.root.join("kmod/client/Kbuild"));
    sources.extend(project.files_in("kmod/client", "c"));
    copy(&sources, &folder)?;
    update(&driver.join(SYMBOLS), &folder.join(SYMBOLS_OF_DRIVER))?;
    let symbols = ("KBUILD_EXTRA_SYMBOLS", SYMBOLS_OF_DRIVER);
    make(project, kernel, &folder, symbols, "supdrv_client.ko")
}

/// Where the driver is built.
fn folder(project: &Project, kernel: &Kernel) -> PathBuf {
    project.target.join("kmod").join(kernel.release())
}

fn copy(sources: &[PathBuf], folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let to = |source: &Path| folder.join(source.file_name().unwrap_or_default());
    sources.iter().try_for_each(|source| update(source, &to(source)))
}

/// Has Kbuild make a module in a folder.
///
/// # Errors
/// It does not build, or something warned.
fn make(
    project: &Project,
    kernel: &Kernel,
    folder: &Path,
    variable: (&str, &str),
    module: &str,
) -> Result<PathBuf> {
    let made = kernel
        .make(&project.sh, folder, variable)
        // The kernel's own choice of further warnings, and none that passes.
        .args(["W=1", "KCFLAGS=-Werror"])
        .env("LC_ALL", "C")
        .ignore_status()
        .output()?;
    let (stdout, stderr) =
        (String::from_utf8_lossy(&made.stdout), String::from_utf8_lossy(&made.stderr));
    if !made.status.success() {
        bail!("{module} does not build for kernel {}:\n{stdout}{stderr}", kernel.release());
    }
    let warnings = warnings(&stderr);
    if !warnings.is_empty() {
        // A second run would find it made, and not warn again.
        fs::remove_dir_all(folder)?;
        bail!(
            "the build of {module} for kernel {} warned:\n{}",
            kernel.release(),
            warnings.join("\n")
        );
    }
    Ok(folder.join(module))
}

/// What Kbuild reads.
pub(super) fn sources(project: &Project) -> Vec<PathBuf> {
    let folder = project.root.join("kmod");
    let mut sources = vec![folder.join("Kbuild")];
    for extension in ["c", "h"] {
        sources.extend(project.files_in(&folder.to_string_lossy(), extension));
    }
    sources
}

/// Copies a file that differs: what did not change is not built again.
fn update(from: &Path, to: &Path) -> Result<()> {
    let bytes = fs::read(from).with_context(|| from.display().to_string())?;
    if !fs::read(to).is_ok_and(|there| there == bytes) {
        fs::write(to, bytes).with_context(|| to.display().to_string())?;
    }
    Ok(())
}

fn warnings(stderr: &str) -> Vec<&str> {
    let warns = |line: &&str| line.to_ascii_lowercase().contains("warning:");
    stderr.lines().filter(warns).filter(|line| !line.contains(HARMLESS)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cannot_miss_a_warning_of_any_tool() {
        let stderr = "WARNING: modpost: missing MODULE_LICENSE()\n\
            supdrv.o: warning: objtool: f()+0x1: 'naked' return found in RETHUNK build\n\
            shim.c:3:1: warning: no previous prototype for 'f'\n\
            warning: the compiler differs from the one used to build the kernel\n  \
            The kernel was built by: gcc-12\n\
            Skipping BTF generation for supdrv.ko due to unavailability of vmlinux\n";
        assert_eq!(warnings(stderr).len(), 3);
    }
}
