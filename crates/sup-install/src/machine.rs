//! [`Machine`]: the real system.
//!
//! Programs are looked for in the folders of the system alone and get an environment of their own: this runs
//! as root, and what a user put into `PATH` or into a variable of the linker is none of root's business.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use crate::{Ran, System};

/// The machine that this runs on.
#[derive(Debug, Clone, Copy)]
pub struct Machine;

const FOLDERS: [&str; 4] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];
/// The number of `CAP_SYS_MODULE`.
const SYS_MODULE: u32 = 16;

impl System for Machine {
    fn release(&self) -> String {
        rustix::system::uname().release().to_string_lossy().into_owned()
    }

    fn may_install(&self) -> bool {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        rustix::process::geteuid().is_root() && has_capability(&status, SYS_MODULE)
    }

    fn exists(&self, path: &Path) -> bool {
        path.symlink_metadata().is_ok()
    }

    fn read(&self, path: &Path) -> io::Result<String> {
        fs::read_to_string(path)
    }

    fn write(&self, path: &Path, text: &str) -> io::Result<()> {
        if let Some(folder) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
        }
        fs::write(path, text)?;
        // Whatever this user's mask is.
        fs::set_permissions(path, Permissions::from_mode(0o644))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn has_program(&self, name: &str) -> bool {
        find(name).is_some()
    }

    fn run(&self, name: &str, arguments: &[&str]) -> io::Result<Ran> {
        let path = find(name).ok_or(io::ErrorKind::NotFound)?;
        let mut command = Command::new(path);
        command.args(arguments).stdin(Stdio::null()).current_dir("/").env_clear();
        let made = command.env("PATH", FOLDERS.join(":")).env("LC_ALL", "C").output()?;
        let [stdout, stderr] =
            [made.stdout, made.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        Ok(Ran { succeeded: made.status.success(), output: stdout + &stderr })
    }

    fn pause(&self) {
        sleep(Duration::from_millis(100));
    }
}

fn find(name: &str) -> Option<PathBuf> {
    FOLDERS.iter().map(|folder| Path::new(folder).join(name)).find(|path| path.is_file())
}

/// Whether `/proc/PID/status` tells of an effective capability.
fn has_capability(status: &str, number: u32) -> bool {
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let bits = effective.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok());
    bits.is_some_and(|bits| bits >> number & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_read_from_the_effective_set() {
        assert!(has_capability("CapPrm:\t0\nCapEff:\t0000000000010000\n", SYS_MODULE));
        assert!(!has_capability(
            "CapPrm:\t0000000000010000\nCapEff:\t00000000fffeffff\n",
            SYS_MODULE
        ));
        assert!(!has_capability("", SYS_MODULE));
    }

    #[test]
    fn programs_run_without_this_environment_and_tell_how_they_ended() {
        let ran = Machine.run("env", &[]).unwrap();
        assert!(ran.succeeded);
        let mut variables: Vec<_> = ran.output.lines().collect();
        variables.sort_unstable();
        assert_eq!(variables, ["LC_ALL=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"]);
        assert!(!Machine.run("false", &[]).unwrap().succeeded);
        let error = Machine.run("no-such-program-of-supdrv", &[]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
