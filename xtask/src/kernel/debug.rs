//! A kernel that watches itself: KASAN, lockdep, kmemleak. No distribution ships one, so we build it.
//!
//! Its sources are Debian's, its configuration is `kmod/debug-kernel.config`. Another configuration is
//! another entry of the cache.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

use anyhow::{Result, ensure};
use xshell::cmd;

use super::{Kernel, Place, cache, release};
use crate::project::Project;
use crate::{report, require};

const SOURCE_PACKAGE: &str = "linux-source-6.1";
const CONFIG: &str = "kmod/debug-kernel.config";

/// What a kernel's build needs beside the module's, by program or file and Debian package.
const PROGRAMS: [(&str, &str); 5] =
    [("flex", "flex"), ("bison", "bison"), ("bc", "bc"), ("xz", "xz-utils"), ("make", "make")];
const FILES: [(&str, &str); 1] = [("/usr/include/gelf.h", "libelf-dev")];

pub(super) fn find(project: &Project) -> Result<Kernel> {
    let config = project.sh.read_file(CONFIG)?;
    let mut hasher = DefaultHasher::new();
    config.hash(&mut hasher);
    let name = format!("kernel-debug-{:016x}", hasher.finish());
    let folder = cache::entry(&name, |folder| fill(project, folder, &config))?;
    let release = release::of_headers(&folder)?;
    Ok(Kernel { label: "debug".to_owned(), release, place: Place::Folder(folder) })
}

fn fill(project: &Project, folder: &Path, config: &str) -> Result<()> {
    for (program, package) in PROGRAMS {
        require::program(project, program, package)?;
    }
    for (file, package) in FILES {
        require::file(project, file, package)?;
    }
    report::progress(format_args!("downloading {SOURCE_PACKAGE} (about 140 MB)"));
    unpack(project, folder)?;

    report::progress(format_args!("building the debug kernel (some minutes, 2 GB, once)"));
    let sh = &project.sh;
    let wanted = project.root.join(CONFIG);
    let processors = std::thread::available_parallelism()?.to_string();
    let _in_folder = sh.push_dir(folder);
    cmd!(sh, "make --silent tinyconfig").ignore_stdout().run()?;
    cmd!(sh, "scripts/kconfig/merge_config.sh -m .config {wanted}").ignore_stdout().run()?;
    cmd!(sh, "make --silent olddefconfig").ignore_stdout().run()?;
    let refused = refused(config, &sh.read_file(".config")?);
    ensure!(
        refused.is_empty(),
        "{SOURCE_PACKAGE} does not take these lines of {CONFIG}: {}",
        refused.join(", ")
    );
    cmd!(sh, "make --silent -j{processors}").ignore_stdout().run()?;
    Ok(())
}

fn unpack(project: &Project, folder: &Path) -> Result<()> {
    let sh = &project.sh;
    let package = folder.join("package");
    sh.create_dir(&package)?;
    let _in_package = sh.push_dir(&package);
    cmd!(sh, "apt-get -q -o APT::Sandbox::User=root download {SOURCE_PACKAGE}")
        .ignore_stdout()
        .run()?;
    for file in sh.read_dir(&package)? {
        cmd!(sh, "dpkg-deb -x {file} .").run()?;
    }
    cmd!(sh, "tar -xf usr/src/{SOURCE_PACKAGE}.tar.xz -C {folder} --strip-components=1").run()?;
    fs::remove_dir_all(&package)?;
    Ok(())
}

/// The lines of a configuration that did not come through: unknown, or with an unmet dependency.
fn refused<'a>(wanted: &'a str, got: &str) -> Vec<&'a str> {
    let is_there = |line: &str| match line.strip_suffix("=n") {
        Some(name) => !got.lines().any(|got| got.strip_prefix(name) == Some("=y")),
        None => got.lines().any(|got| got == line),
    };
    let settings = wanted.lines().filter(|line| line.starts_with("CONFIG_"));
    settings.filter(|line| !is_there(line)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_what_the_kernel_did_not_take() {
        let wanted =
            "# why\nCONFIG_SMP=y\nCONFIG_GONE=y\nCONFIG_NR_CPUS=8\nCONFIG_OFF=n\nCONFIG_ON=n\n";
        let got = "CONFIG_SMP=y\nCONFIG_NR_CPUS=80\n# CONFIG_OFF is not set\nCONFIG_ON=y\n";
        assert_eq!(refused(wanted, got), ["CONFIG_GONE=y", "CONFIG_NR_CPUS=8", "CONFIG_ON=n"]);
    }
}
