//! [`Machine`]: this machine's folders, as far as this process and its children see them, and what is installed.
//!
//! `/usr` and `/etc` are covered, and what is written goes to memory; `/dev` is one with a few devices. Neighbour:
//! `xtask/src/steps/start.rs` lays out the files. Invariant: the folders of everybody else stay as they are.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use sup_test_key::{SECRET_HEX, key};
use sup_verdict::{Stop, Verdict, check};

/// What is mounted, and where reports and copies are.
pub(crate) const SCRATCH: &str = "/mnt";
/// The start program in Rust, and the one in C, which leaves the device closed.
pub(crate) const RUST: &str = "/usr/bin/start-rust";
pub(crate) const C: &str = "/usr/bin/start-c";
/// Whoever starts them.
pub(crate) const USER: u32 = 1000;

const LIBRARY: &str = "/usr/lib/libsup.so.0";
const PRIVATE: &str = "/usr/lib/supdrv";
const TRUSTED: &str = "/etc/supdrv/trusted";

/// What is behind `/dev/supdrv`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Driver {
    /// The null device, which takes no request.
    None,
    /// The kernel's driver: this is a guest, whose folders may be written.
    Kernel,
}

/// A machine with an installation.
#[derive(Debug)]
pub(crate) struct Machine {
    /// Where the files are that are installed.
    folder: PathBuf,
    /// What `/dev/supdrv` is.
    pub(crate) driver: Driver,
}

impl Machine {
    /// A guest, which ends after the tests.
    pub(crate) fn guest(folder: PathBuf) -> Result<Self, String> {
        let script = format!(
            "set -e
            mkdir -p /usr/bin /usr/lib {SCRATCH}
            mkdir -m 1777 {SCRATCH}/reports
            chmod 755 /lib64/*"
        );
        let done = Command::new("sh").arg("-c").arg(script).status();
        match done {
            Ok(status) if status.success() => Ok(Self { folder, driver: Driver::Kernel }),
            _ => Err("cannot make the folders that a machine has".to_owned()),
        }
    }

    /// Covers the folders that the tests write.
    pub(crate) fn prepare(folder: PathBuf) -> Result<Self, String> {
        let space = |process: &str| fs::read_link(format!("/proc/{process}/ns/mnt"));
        let parent = std::os::unix::process::parent_id().to_string();
        match (space("self"), space(&parent)) {
            (Ok(own), Ok(parents)) if own != parents => {}
            _ => return Err("run it by `unshare --mount`, as root: it changes /usr".to_owned()),
        }
        let script = format!(
            "set -e
            mount -t tmpfs -o mode=755 tmpfs {SCRATCH}
            for folder in usr etc; do
                mkdir -p {SCRATCH}/$folder/upper {SCRATCH}/$folder/work
                mount -t overlay -o lowerdir=/$folder,upperdir={SCRATCH}/$folder/upper,workdir={SCRATCH}/$folder/work \
                    overlay /$folder
            done
            mkdir -m 1777 {SCRATCH}/reports
            mount -t tmpfs -o mode=755 tmpfs /dev
            mknod -m 666 /dev/null c 1 3
            mknod -m 666 /dev/zero c 1 5
            mknod -m 666 /dev/full c 1 7
            mknod -m 666 /dev/urandom c 1 9"
        );
        let done = Command::new("sh").arg("-c").arg(script).status();
        match done {
            Ok(status) if status.success() => Ok(Self { folder, driver: Driver::None }),
            _ => Err("cannot cover /usr, /etc and /dev by overlays and tmpfs".to_owned()),
        }
    }

    /// Installs everything as a package does, over what is there.
    pub(crate) fn install(&self) -> Verdict {
        for folder in [PRIVATE, TRUSTED] {
            fs::create_dir_all(folder)?;
            fs::set_permissions(folder, Permissions::from_mode(0o755))?;
        }
        self.put("supctl", "/usr/bin/supctl", 0o755)?;
        self.put("libsup.so.0", LIBRARY, 0o644)?;
        self.put("sup-stub", RUST, 0o4755)?;
        self.put("start-c", C, 0o4755)?;
        for program in ["start-rust.so", "start-c.so"] {
            self.put("program.so", &format!("{PRIVATE}/{program}"), 0o644)?;
        }
        write(&format!("{TRUSTED}/tests.pub"), &key().public().in_full().to_string(), 0o644)?;
        self.device(&self.own_device()?)?;
        self.sign(&["start-rust", "start-c"])
    }

    /// Copies a file; a new one, since programs may run that have the old one mapped.
    pub(crate) fn put(&self, name: &str, path: &str, mode: u32) -> Verdict {
        if Path::new(path).exists() {
            fs::remove_file(path)?;
        }
        fs::copy(self.folder.join(name), path)?;
        chown(path, Some(0), Some(0))?;
        fs::set_permissions(path, Permissions::from_mode(mode))?;
        Ok(())
    }

    /// Makes the manifest of what is installed.
    pub(crate) fn sign(&self, programs: &[&str]) -> Verdict {
        let secret = format!("{SCRATCH}/secret");
        write(&secret, SECRET_HEX, 0o600)?;
        let mut command = Command::new("/usr/bin/supctl");
        command.args(["installation", "sign", "--key", &secret]);
        for program in programs {
            command.args(["--program", program]);
        }
        let output = command.output()?;
        check!(output.status.success(), "sign: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    /// Takes a guest's node of the device away: the system removes only the one that it made.
    pub(crate) fn leave(&self) -> Verdict {
        match self.driver {
            Driver::None => Ok(()),
            Driver::Kernel => self.device(""),
        }
    }

    /// The node of what is behind the device.
    pub(crate) fn own_device(&self) -> Verdict<String> {
        match self.driver {
            Driver::None => Ok("c 1 3".to_owned()),
            Driver::Kernel => {
                let numbers = fs::read_to_string("/sys/class/misc/supdrv/dev")?;
                Ok(format!("c {}", numbers.trim().replace(':', " ")))
            }
        }
    }

    /// Replaces the device by another node, or by none.
    pub(crate) fn device(&self, node: &str) -> Verdict {
        let make = match node {
            "" => String::new(),
            node => format!("mknod -m 600 /dev/supdrv {node}"),
        };
        let done =
            Command::new("sh").arg("-c").arg(format!("rm -rf /dev/supdrv; {make}")).status()?;
        check!(done.success(), "no device {node}");
        Ok(())
    }

    /// A library of an installed program.
    pub(crate) fn library_of(&self, program: &str) -> String {
        format!("{PRIVATE}/{program}.so")
    }
}

/// Writes a file of root's.
pub(crate) fn write(path: &str, text: &str, mode: u32) -> Verdict {
    fs::write(path, text).map_err(|error| Stop::failed(format_args!("{path}: {error}")))?;
    fs::set_permissions(path, Permissions::from_mode(mode))?;
    Ok(())
}
