//! `cargo xtask kmod`: supdrv.ko, for one kernel.
//!
//! [`toolchain`] finds a compiler for ring 0, [`object`] makes one object of all our Rust, [`kbuild`]
//! has the kernel's own build system link it with the C shim. The object is the same for every kernel
//! but one with KASAN. [`mod@check`] looks whether it keeps what is promised of it.

mod check;
mod kbuild;
mod object;
mod package;
mod toolchain;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Error, Result};
use clap::Args;

use self::check::TEXT_LIMIT_BYTES;
use self::object::Variant;
use self::toolchain::Toolchain;
use crate::kernel::Kernel;
use crate::project::Project;
use crate::{report, require};

/// Build supdrv.ko and print its path
///
/// Everything that is missing and has a package is installed if this user may do that, and named if
/// not. Kernels are unpacked into a cache (SUP_CACHE, else supdrv in the user's cache folder) and not
/// installed; to have a newer one of a series, remove its folder there.
///
/// The path of the finished module is the only line on the standard output.
#[derive(Debug, Args)]
pub(crate) struct KmodArgs {
    /// The kernel: 6.1, 6.12, 7.2 or another series of Debian's; `debug`, a kernel with KASAN and
    /// lockdep that is built once; or the path of a header folder. Without it, the one that runs
    #[arg(long, value_name = "KERNEL")]
    pub(crate) kernel: Option<String>,
    /// Make the source package instead, from which DKMS builds the module on a user's machine, and print
    /// the path of its archive
    #[arg(long, conflicts_with = "kernel")]
    pub(crate) source_package: bool,
}

pub(crate) fn run(project: &Project, args: &KmodArgs) -> Result<ExitCode> {
    let made = if args.source_package { source_package(project)? } else { module(project, args)? };
    report::line(format_args!("{}", made.display()));
    Ok(ExitCode::SUCCESS)
}

/// Makes what DKMS builds on a user's machine, and tells the path of its archive.
///
/// # Errors
/// A crate that the module needs is not in the package, or cargo cannot collect the others.
pub(crate) fn source_package(project: &Project) -> Result<PathBuf> {
    package::make(project)
}

fn module(project: &Project, args: &KmodArgs) -> Result<PathBuf> {
    let kernel = match &args.kernel {
        Some(name) => Kernel::find(project, name)?,
        None => Kernel::running(project)?,
    };
    build(project, &kernel)
}

/// What a module's build needs, by program and Debian package. The headers of newer kernels carry type
/// information, which pahole adds to a module.
const REQUIRED: [(&str, &str); 3] = [("make", "make"), ("gcc", "gcc"), ("pahole", "dwarves")];

/// Makes sure that a module can be built.
///
/// # Errors
/// Something is missing, and this user cannot install it; with the command that does.
pub(crate) fn require(project: &Project) -> Result<()> {
    for (program, package) in REQUIRED {
        require::program(project, program, package)?;
    }
    Toolchain::find(project).map(drop)
}

/// Builds the module for a kernel: the finished supdrv.ko.
///
/// # Errors
/// The build failed, or something in it warned.
pub(crate) fn build(project: &Project, kernel: &Kernel) -> Result<PathBuf> {
    require(project)?;
    let toolchain = Toolchain::find(project)?;
    let variant = if kernel.has_kasan()? { Variant::Kasan } else { Variant::Normal };
    let object = object::build(project, &toolchain, variant)?;
    kbuild::link(project, kernel, &object)
}

/// Builds the sample client for a kernel for which the module was built: the finished supdrv_client.ko.
///
/// # Errors
/// The build failed, or something in it warned.
pub(crate) fn client(project: &Project, kernel: &Kernel) -> Result<PathBuf> {
    kbuild::link_client(project, kernel)
}

/// Builds the module for some kernels and checks it; the size of its code, a sentence for each kernel.
///
/// # Errors
/// A build failed, or a promise is broken; all findings are in the error.
pub(crate) fn check(project: &Project, kernels: &[Kernel]) -> Result<Vec<String>> {
    let toolchain = Toolchain::find(project)?;
    let object = object::build(project, &toolchain, Variant::Normal)?;
    let mut findings = check::object(&object, &project.sh.read_file("kmod/shim.h")?)?;
    let object = object::build(project, &toolchain, Variant::StackSizes)?;
    findings.extend(check::frames(&object)?);
    findings.extend(package::missing(project)?);

    // The kernels' builds would fail of the same, and say less.
    broken(&findings)?;

    let mut sizes = Vec::new();
    for kernel in kernels {
        let bytes = check::text_bytes(&build(project, kernel)?)?;
        client(project, kernel)?;
        let label = kernel.label();
        sizes.push(format!("{label}: {} KiB of code", bytes.div_ceil(1024)));
        if bytes > TEXT_LIMIT_BYTES {
            findings.push(format!(
                "supdrv.ko for kernel {label} has {bytes} bytes of code, over {TEXT_LIMIT_BYTES}"
            ));
        }
    }
    broken(&findings)?;
    Ok(sizes)
}

fn broken(findings: &[String]) -> Result<()> {
    if findings.is_empty() {
        return Ok(());
    }
    let count = findings.len();
    Err(Error::msg(findings.join("\n    "))
        .context(format!("broken promises of the driver: {count}")))
}
