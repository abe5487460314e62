//! Programs that a step needs: found, else installed where that is ours to do, else named in one line.

use std::env;
use std::path::Path;

use anyhow::{Result, bail};
use xshell::cmd;

use crate::project::Project;

/// Makes sure that `program` can be run.
///
/// # Errors
/// It is missing, and this user cannot install Debian's `package`, or installing it failed.
pub(crate) fn program(project: &Project, program: &str, package: &str) -> Result<()> {
    if is_on_path(program) {
        return Ok(());
    }
    install(project, &format!("`{program}`"), &[package])
}

/// The same for a file that no program is, such as a library's header.
pub(crate) fn file(project: &Project, path: &str, package: &str) -> Result<()> {
    if Path::new(path).exists() {
        return Ok(());
    }
    install(project, path, &[package])
}

/// Installs packages because `what` is missing.
///
/// # Errors
/// This user cannot, or it failed.
pub(crate) fn install(project: &Project, what: &str, packages: &[&str]) -> Result<()> {
    if !rustix::process::geteuid().is_root() || !is_on_path("apt-get") {
        let packages = packages.join(" ");
        bail!("{what} is missing: install it, on Debian with `apt-get install {packages}`");
    }
    let sh = &project.sh;
    cmd!(sh, "apt-get update").ignore_stdout().run()?;
    cmd!(sh, "apt-get install -y {packages...}")
        .env("DEBIAN_FRONTEND", "noninteractive")
        .ignore_stdout()
        .run()?;
    Ok(())
}

pub(crate) fn is_on_path(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| is_executable(&folder.join(program)))
}

fn is_executable(path: &Path) -> bool {
    path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_shell_and_nothing_that_is_not_there() {
        assert!(is_on_path("sh"));
        assert!(!is_on_path("no-such-program-anywhere"));
    }
}
