//! Where the tree is, a shell that stands in it, and what the machine's toolchains can do.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use xshell::{Cmd, Shell, cmd};

/// The tree under test.
#[derive(Debug)]
pub(crate) struct Project {
    /// Its working directory is the root of the tree.
    pub(crate) sh: Shell,
    pub(crate) root: PathBuf,
    /// Where cargo builds: `CARGO_TARGET_DIR`, else `target`.
    pub(crate) target: PathBuf,
}

impl Project {
    pub(crate) fn open() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .context("the folder of xtask has no parent")?
            .to_path_buf();
        let sh = Shell::new()?;
        sh.change_dir(&root);
        let target = root.join(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()));
        Ok(Self { sh, root, target })
    }

    /// Whether `command` runs and succeeds; its output is not shown.
    pub(crate) fn can(&self, command: Cmd<'_>) -> bool {
        command.quiet().ignore_stdout().ignore_stderr().run().is_ok()
    }

    pub(crate) fn has_nextest(&self) -> bool {
        self.can(cmd!(self.sh, "cargo nextest --version"))
    }

    /// Asks rustup for its list, because `cargo +nightly` may set out to install one.
    pub(crate) fn has_nightly(&self) -> bool {
        cmd!(self.sh, "rustup toolchain list")
            .quiet()
            .ignore_stderr()
            .read()
            .is_ok_and(|list| list.lines().any(|line| line.starts_with("nightly")))
    }

    /// The names, sorted, of the files in `folder` that end with `extension`; none if there is no such folder.
    pub(crate) fn files_in(&self, folder: &str, extension: &str) -> Vec<PathBuf> {
        let mut files = self.sh.read_dir(folder).unwrap_or_default();
        files.retain(|path| path.extension().is_some_and(|found| found == extension));
        files
    }
}
