//! The kernels that guests boot: Debian's, unpacked into a cache folder, or any image by its path.
//!
//! Nothing is installed: a package of a kernel would change what this machine boots.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use xshell::cmd;

use crate::project::Project;
use crate::{report, require};

/// The versions by name, with the package that depends on the newest kernel of each.
const VERSIONS: [(&str, &str); 2] =
    [("6.1", "linux-image-cloud-amd64"), ("6.12", "linux-image-6.12-cloud-amd64")];

/// A kernel that can be booted.
#[derive(Debug)]
pub(super) struct Stock {
    /// Names the folder of its guests.
    pub(super) label: String,
    pub(super) image: PathBuf,
}

impl Stock {
    /// Finds a kernel by version or path, and downloads it if it is a version's and not there yet.
    ///
    /// # Errors
    /// There is none of that name, or it cannot be downloaded and unpacked.
    pub(super) fn find(project: &Project, name: &str) -> Result<Self> {
        let path = Path::new(name);
        if path.is_file() {
            let label = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            return Ok(Self { label, image: fs::canonicalize(path)? });
        }
        let Some((label, package)) = VERSIONS.iter().find(|(version, _)| *version == name) else {
            let known: Vec<&str> = VERSIONS.iter().map(|(version, _)| *version).collect();
            bail!("no kernel '{name}': give {} or the path of an image", known.join(", "));
        };
        Ok(Self { label: (*label).to_owned(), image: image(project, package)? })
    }
}

/// The image that a package brings, from the cache or out of the package.
fn image(project: &Project, meta_package: &str) -> Result<PathBuf> {
    require::program(project, "dpkg-deb", "dpkg")?;
    let sh = &project.sh;
    let dependencies = cmd!(sh, "apt-cache depends {meta_package}").quiet().read()?;
    let package = kernel_package(&dependencies).with_context(|| {
        format!("apt-cache knows no kernel that {meta_package} stands for: try `apt-get update`")
    })?;
    let release = package.trim_start_matches("linux-image-");
    let folder = cache()?.join("kernels").join(package);
    let image = folder.join("boot").join(format!("vmlinuz-{release}"));
    if image.is_file() {
        return Ok(image);
    }
    report::note(format_args!("downloading {package} to {}", folder.display()));
    // Unpacked beside its place and renamed, so that an interrupted download leaves no half kernel.
    let scratch = sh.create_temp_dir()?;
    {
        let _in_scratch = sh.push_dir(scratch.path());
        cmd!(sh, "apt-get download {package}").quiet().ignore_stdout().run()?;
    }
    let archive = sh.read_dir(scratch.path())?.into_iter().next().context("no package came")?;
    let parent = folder.parent().context("a cache without a folder")?;
    let unpacked = parent.join(format!(".{package}.{}", std::process::id()));
    sh.create_dir(&unpacked)?;
    cmd!(sh, "dpkg-deb -x {archive} {unpacked}").quiet().run()?;
    // Another run may have been faster; its copy is as good.
    if folder.is_dir() {
        sh.remove_path(&unpacked)?;
    } else {
        fs::rename(&unpacked, &folder)
            .with_context(|| format!("cannot name {} {}", unpacked.display(), folder.display()))?;
    }
    ensure!(image.is_file(), "the package {package} has no {}", image.display());
    Ok(image)
}

/// The kernel among what `apt-cache depends` lists for a package that only leads to it.
fn kernel_package(dependencies: &str) -> Option<&str> {
    dependencies
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Depends: "))
        .find(|package| package.starts_with("linux-image-"))
}

/// `SUP_CACHE`, else a folder among the user's caches.
fn cache() -> Result<PathBuf> {
    if let Some(folder) = env::var_os("SUP_CACHE") {
        return Ok(folder.into());
    }
    let caches = match env::var_os("XDG_CACHE_HOME") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(&env::var_os("HOME").context("set SUP_CACHE or HOME")?).join(".cache"),
    };
    Ok(caches.join("supdrv"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_kernel_behind_a_package_that_leads_to_it() {
        let listed = "linux-image-cloud-amd64\n  Depends: linux-image-6.1.0-56-cloud-amd64\n";
        assert_eq!(kernel_package(listed), Some("linux-image-6.1.0-56-cloud-amd64"));
        assert_eq!(kernel_package("linux-image-cloud-amd64\n"), None);
    }
}
