//! Kernels that only Debian's development release has, in a small root file system with its compiler.
//!
//! Their headers ask for a compiler that this machine may not have, and their tools for a newer C
//! library. What runs there runs in namespaces of its own: the kernel takes the mounts away again when
//! the last process is gone, whatever ended it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use xshell::{Cmd, Shell, cmd};

use super::release::{self, Release};
use super::{Kernel, MODULE_IN_ROOT, Place, cache};
use crate::project::Project;
use crate::{report, require};

/// The folder in the root file system with the unpacked kernel image.
pub(super) const IMAGE: &str = "kernel-image";

/// Unpacks the kernel that fits to the headers just installed in the root file system `$1`. The image
/// may stand in a package of its own, and is not installed: that would bring an initramfs.
const UNPACK_IMAGE: &str = r#"
chroot "$1" sh -ec '
    cd /usr/src
    release=$(ls -d linux-headers-*-cloud-amd64)
    release=${release#linux-headers-}
    mkdir -p /kernel-image/packages
    cd /kernel-image/packages
    apt-get -q -o APT::Sandbox::User=root download \
        $(apt-cache pkgnames | grep -Fx -e "linux-image-$release" -e "linux-binary-$release")
    for package in *.deb; do dpkg-deb -x "$package" /kernel-image; done
    rm -r /kernel-image/packages
'"#;

/// Enters a root, with a module's folder in it.
const ENTER: &str = r#"
root=$1 module=$2
shift 2
mount -t proc proc "$root/proc" && mount --bind "$module" "$root$MODULE_IN_ROOT" && exec chroot "$root" "$@"
"#;

fn entry(series: &str) -> String {
    format!("root-{series}")
}

/// The kernel of a root file system that the cache has.
pub(super) fn cached(project: &Project, series: &str) -> Result<Option<Kernel>> {
    cache::find(&entry(series))?.map(|root| in_root(project, series, root)).transpose()
}

fn in_root(project: &Project, series: &str, root: PathBuf) -> Result<Kernel> {
    require::program(project, "unshare", "util-linux")?;
    let release = installed(project, &root)?;
    Ok(Kernel { label: series.to_owned(), release, place: Place::Root(root) })
}

pub(super) fn find(project: &Project, series: &str) -> Result<Kernel> {
    require::program(project, "mmdebstrap", "mmdebstrap")?;
    let root = cache::entry(&entry(series), |folder| fill(project, folder, series))?;
    in_root(project, series, root)
}

fn fill(project: &Project, folder: &Path, series: &str) -> Result<()> {
    report::progress(format_args!("making a root file system with sid's kernel (about 500 MB)"));
    let sh = &project.sh;
    let mirror = mirror(project)?;
    cmd!(sh, "mmdebstrap --quiet --variant=apt --include=linux-headers-cloud-amd64,make")
        .arg(format!("--customize-hook={UNPACK_IMAGE}"))
        // A mirror that is a snapshot is older than it promised to be.
        .arg("--aptopt=Acquire::Check-Valid-Until \"false\"")
        .arg("sid")
        .arg(folder)
        .arg(mirror)
        .ignore_stdout()
        .run()?;
    let release = installed(project, folder)?;
    ensure!(
        release.is_of(series),
        "no kernel {series}: the archive of this machine has none, and Debian sid has {release}"
    );
    Ok(())
}

/// The main archive that this machine uses.
fn mirror(project: &Project) -> Result<String> {
    let targets = cmd!(project.sh, "apt-get indextargets")
        .args(["--format", "$(REPO_URI)", "Created-By: Packages"])
        .quiet()
        .read()?;
    main_archive(&targets)
        .map(str::to_owned)
        .context("apt knows no archive: `apt-get indextargets` names none; run `apt-get update`")
}

/// The security archive has no sid.
fn main_archive(targets: &str) -> Option<&str> {
    targets.lines().find(|uri| uri.contains("://") && !uri.contains("security"))
}

fn installed(project: &Project, root: &Path) -> Result<Release> {
    let sources = root.join("usr/src");
    let names = project.sh.read_dir(&sources)?;
    let headers = names.iter().find(|path| path.join("include/generated/utsrelease.h").is_file());
    let headers = headers.with_context(|| {
        format!("no kernel headers in {}: remove {}", sources.display(), root.display())
    })?;
    release::of_headers(headers)
}

/// The command that enters the root; what is to run there follows as arguments.
pub(super) fn enter<'a>(sh: &'a Shell, root: &Path, module: &Path) -> Cmd<'a> {
    let us = if rustix::process::geteuid().is_root() { None } else { Some("--map-root-user") };
    cmd!(sh, "unshare {us...} --mount --pid --fork --kill-child sh -c {ENTER} sh {root} {module}")
        .env("MODULE_IN_ROOT", MODULE_IN_ROOT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_main_archive() {
        let targets = "http://mirror.example/debian-security/\nhttp://mirror.example/debian/\n";
        assert_eq!(main_archive(targets), Some("http://mirror.example/debian/"));
        assert_eq!(main_archive(""), None);
    }
}
