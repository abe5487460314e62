//! A Rust toolchain that can build the core library for ring 0.
//!
//! A stable compiler with the library's sources is enough: `RUSTC_BOOTSTRAP` opens the flags that the
//! kernel needs, as in the kernel's own build. The target comes with the sources, not by download.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use xshell::cmd;

use crate::project::Project;
use crate::require;

/// Debian's packages with a compiler that is new enough; plain `rustc` is the release's own old one.
const PACKAGES: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];

/// Cargo and rustc of one toolchain.
#[derive(Debug)]
pub(super) struct Toolchain {
    pub(super) cargo: PathBuf,
    pub(super) rustc: PathBuf,
    /// The workspace of the core library's sources.
    pub(super) library: PathBuf,
}

impl Toolchain {
    /// Finds one: that of rustup, else that of the distribution, which is installed if need be.
    ///
    /// # Errors
    /// There is none with the library's sources, and none can be installed.
    pub(super) fn find(project: &Project) -> Result<Self> {
        let wanted = minimum(&project.sh.read_file("Cargo.toml")?)
            .context("Cargo.toml tells no `rust-version`")?;
        let find = || {
            let current = cmd!(project.sh, "rustc --print sysroot").quiet().read().ok();
            let places = current.iter().map(Path::new).chain([Path::new("/usr")]);
            places.filter_map(Self::in_sysroot).find(|found| found.is_at_least(project, wanted))
        };
        if let Some(found) = find() {
            return Ok(found);
        }
        let (major, minor) = wanted;
        let what = format!(
            "a Rust compiler of at least {major}.{minor} with the sources of its library \
             (or `rustup component add rust-src`)"
        );
        require::install(project, &what, &PACKAGES)?;
        find().with_context(|| {
            format!("the packages {} were installed, but bring no {what}", PACKAGES.join(", "))
        })
    }

    fn in_sysroot(sysroot: &Path) -> Option<Self> {
        let found = Self {
            cargo: sysroot.join("bin/cargo"),
            rustc: sysroot.join("bin/rustc"),
            library: sysroot.join("lib/rustlib/src/rust/library"),
        };
        let lock = found.library.join("Cargo.lock");
        (found.cargo.is_file() && found.rustc.is_file() && lock.is_file()).then_some(found)
    }

    fn is_at_least(&self, project: &Project, wanted: (u32, u32)) -> bool {
        let rustc = &self.rustc;
        let version = cmd!(project.sh, "{rustc} --version").quiet().read().unwrap_or_default();
        version.strip_prefix("rustc ").and_then(numbers).is_some_and(|found| found >= wanted)
    }
}

/// The `rust-version` of a workspace.
fn minimum(manifest: &str) -> Option<(u32, u32)> {
    let line = manifest.lines().find_map(|line| line.strip_prefix("rust-version = \""))?;
    numbers(line.trim_end_matches('"'))
}

/// The first two numbers of a version.
fn numbers(version: &str) -> Option<(u32, u32)> {
    let mut words = version.split(['.', ' ']);
    Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compares_versions_by_their_numbers() {
        assert_eq!(minimum("[workspace.package]\nrust-version = \"1.95\"\n"), Some((1, 95)));
        assert_eq!(numbers("1.100.0 (ac68faa20 2026-05-25)"), Some((1, 100)));
        assert!(numbers("1.100.0") > numbers("1.95"));
        assert_eq!(numbers("nightly"), None);
    }
}
