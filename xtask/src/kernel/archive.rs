//! Debian's kernels for virtual machines, out of the archive that this machine uses.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use xshell::cmd;

use super::release::Release;
use super::{Kernel, Place, cache};
use crate::project::Project;
use crate::{report, require};

/// The flavour for virtual machines: the same code as the others, with fewer drivers.
const FLAVOUR: &str = "-cloud-amd64";
const HEADERS: &str = "linux-headers-";
/// `6.12-cloud-amd64` has the two of its series and the one of the flavour.
const SERIES_NUMBERS: usize = 3;

/// apt changes to a user who cannot write to our folders, and says so at length.
const AS_WE_ARE: &str = "APT::Sandbox::User=root";

pub(super) fn headers_package(release: &Release) -> String {
    format!("{HEADERS}{release}")
}

/// The folder in /usr/src, and the package, with what the flavours of one release share.
pub(super) fn common_folder(release: &Release) -> String {
    let release = release.as_str();
    let version = release.strip_suffix(FLAVOUR).unwrap_or(release);
    format!("{HEADERS}{version}-common")
}

/// The releases that the archive has. A machine that never asked its archive does so now.
///
/// # Errors
/// apt knows none, or there is no apt.
pub(super) fn releases(project: &Project) -> Result<Vec<Release>> {
    if !require::is_on_path("apt-get") {
        bail!(
            "kernels come out of a Debian archive, and this machine has no apt-get: give the path of \
             a folder with a kernel's headers"
        );
    }
    let known = || anyhow::Ok(releases_of(&package_names(project)?));
    let mut releases = known()?;
    if releases.is_empty() && rustix::process::geteuid().is_root() {
        cmd!(project.sh, "apt-get -q update").ignore_stdout().run()?;
        releases = known()?;
    }
    if releases.is_empty() {
        bail!("apt knows no package {HEADERS}*{FLAVOUR}: try `apt-get update`");
    }
    Ok(releases)
}

/// Whether there are headers for a release, of whatever flavour.
pub(super) fn has(project: &Project, release: &Release) -> Result<bool> {
    let package = headers_package(release);
    Ok(require::is_on_path("apt-get")
        && package_names(project)?.lines().any(|name| name == package))
}

/// The names of all packages with headers, one a line.
fn package_names(project: &Project) -> Result<String> {
    Ok(cmd!(project.sh, "apt-cache pkgnames {HEADERS}").quiet().read()?)
}

/// Of our flavour only, and none of the packages that stand for the newest of their series.
fn releases_of(packages: &str) -> Vec<Release> {
    let releases = packages.lines().filter_map(|package| package.strip_prefix(HEADERS));
    releases
        .filter(|release| release.ends_with(FLAVOUR))
        .map(Release::new)
        .filter(|release| release.numbers().len() > SERIES_NUMBERS)
        .collect()
}

/// The newest release of a series.
pub(super) fn newest(releases: &[Release], series: &str) -> Option<Release> {
    let of_series = releases.iter().filter(|release| release.is_of(series));
    of_series.max_by_key(|release| release.numbers()).cloned()
}

fn entry(label: &str) -> String {
    format!("kernel-{label}")
}

/// The kernel that the cache has under a label. Neither apt nor a network is asked.
pub(super) fn cached(project: &Project, label: &str) -> Result<Option<Kernel>> {
    cache::find(&entry(label))?.map(|folder| in_cache(project, label, folder)).transpose()
}

fn in_cache(project: &Project, label: &str, folder: PathBuf) -> Result<Kernel> {
    // It may be older than the archive.
    let release = unpacked(project, &folder)?;
    Ok(Kernel { label: label.to_owned(), release, place: Place::Unpacked(folder) })
}

/// Downloads and unpacks a release, unless the cache has one under this label.
pub(super) fn find(project: &Project, label: &str, release: &Release) -> Result<Kernel> {
    let folder = cache::entry(&entry(label), |folder| fill(project, folder, release))?;
    in_cache(project, label, folder)
}

fn fill(project: &Project, folder: &Path, release: &Release) -> Result<()> {
    report::progress(format_args!("downloading kernel {release} (about 50 MB)"));
    let sh = &project.sh;
    let packages = packages(project, release)?;
    let downloads = folder.join("packages");
    sh.create_dir(&downloads)?;
    {
        let _in_downloads = sh.push_dir(&downloads);
        cmd!(sh, "apt-get -q -o {AS_WE_ARE} download {packages...}").ignore_stdout().run()?;
    }
    for package in sh.read_dir(&downloads)? {
        cmd!(sh, "dpkg-deb -x {package} {folder}").quiet().run()?;
    }
    sh.remove_path(&downloads)?;
    Ok(())
}

/// What has to be unpacked: the image, the headers, and what the headers need of the same source.
fn packages(project: &Project, release: &Release) -> Result<Vec<String>> {
    let headers = headers_package(release);
    let depends = cmd!(project.sh, "apt-cache depends {headers}").quiet().read()?;
    let mut packages = dependencies(&depends);
    if !packages.contains(&common_folder(release)) {
        bail!("the package {headers} does not depend on {}", common_folder(release));
    }
    packages.push(format!("linux-image-{release}"));
    packages.push(headers);
    Ok(packages)
}

/// Reads `apt-cache depends`: the kernel's own packages. The compiler is the machine's.
fn dependencies(depends: &str) -> Vec<String> {
    depends
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Depends: "))
        .filter(|name| name.starts_with(HEADERS) || name.starts_with("linux-kbuild-"))
        .map(str::to_owned)
        .collect()
}

fn unpacked(project: &Project, folder: &Path) -> Result<Release> {
    let sources = folder.join("usr/src");
    let names = project.sh.read_dir(&sources)?;
    let mut names = names.iter().filter_map(|path| path.file_name()?.to_str());
    names
        .find_map(|name| name.strip_prefix(HEADERS).filter(|rest| !rest.ends_with("-common")))
        .map(Release::new)
        .with_context(|| {
            format!("no kernel headers in {}: remove {0}, to have them anew", folder.display())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_newest_of_a_series() {
        let packages = "linux-headers-6.1.0-9-cloud-amd64\nlinux-headers-6.1.0-56-cloud-amd64\n\
            linux-headers-6.1.0-56-common\nlinux-headers-6.1.0-57-rt-amd64\n\
            linux-headers-6.12.117+deb12-cloud-amd64\nlinux-headers-6.12-cloud-amd64\n\
            linux-headers-cloud-amd64\n";
        let releases = releases_of(packages);
        assert_eq!(releases.len(), 3);
        assert_eq!(newest(&releases, "6.1"), Some(Release::new("6.1.0-56-cloud-amd64")));
        assert_eq!(newest(&releases, "7.2"), None);
    }

    #[test]
    fn takes_the_kernels_own_packages() {
        let depends = "linux-headers-6.1.0-56-cloud-amd64\n  Depends: linux-headers-6.1.0-56-common\n  \
            Depends: linux-kbuild-6.1\n  Depends: linux-compiler-gcc-12-x86\n";
        assert_eq!(dependencies(depends), ["linux-headers-6.1.0-56-common", "linux-kbuild-6.1"]);
    }

    #[test]
    fn flavours_share_a_folder() {
        let release = Release::new("6.12.117+deb12-cloud-amd64");
        assert_eq!(common_folder(&release), "linux-headers-6.12.117+deb12-common");
    }
}
