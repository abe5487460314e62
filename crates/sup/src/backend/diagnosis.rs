//! Why the device cannot be opened, and what to do about it.
//!
//! [`Facts::gather`] looks around in the system, [`Facts::diagnose`] decides; the second is a function
//! of the facts alone, so that every case has a test.

use std::fmt;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use rustix::io::Errno;

use super::DEVICE;

/// What is known about the device and the driver behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    /// How the open failed.
    error: Errno,
    module: Module,
    node: Option<Node>,
    /// The running kernel's, as in `uname -r`.
    release: String,
    /// Who opens.
    user: u32,
}

/// How far the kernel module has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Module {
    /// There is none for the running kernel.
    Absent,
    /// It could be loaded.
    Installed,
    /// It is part of the kernel.
    Loaded,
}

/// What stands at the device's path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Node {
    is_device: bool,
    /// Permissions alone.
    mode: u32,
    owner: u32,
    group: u32,
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mode, owner, group, .. } = self;
        write!(f, "user {owner}, group {group}, mode {mode:04o}")
    }
}

/// What is the matter, as half a sentence, and what to do, as another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Diagnosis {
    pub(super) state: String,
    pub(super) remedy: String,
}

const MODULE: &str = "supdrv";

impl Facts {
    /// Looks around after the device could not be opened.
    pub(super) fn gather(error: Errno) -> Self {
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let release = release.trim_end().to_owned();
        Self {
            error,
            module: Module::look(&release),
            node: Node::look(),
            release,
            user: rustix::process::geteuid().as_raw(),
        }
    }

    pub(super) fn diagnose(&self) -> Diagnosis {
        match self.error {
            Errno::NOENT => self.without_node(),
            Errno::NXIO | Errno::NODEV => self.without_driver(),
            Errno::ACCESS | Errno::PERM => self.without_permission(),
            error => Diagnosis {
                state: format!("{DEVICE} cannot be opened: {}", std::io::Error::from(error)),
                remedy: "the kernel's log may say more (`dmesg`)".to_owned(),
            },
        }
    }

    fn without_node(&self) -> Diagnosis {
        let (why, remedy) = self.without_module().unwrap_or((
            "although the module supdrv is loaded".to_owned(),
            "udev or devtmpfs makes it: mount devtmpfs on /dev, or see why udev does not \
             (`udevadm test /sys/class/misc/supdrv`)",
        ));
        Diagnosis { state: format!("there is no {DEVICE}, {why}"), remedy: remedy.to_owned() }
    }

    fn without_driver(&self) -> Diagnosis {
        let (why, remedy) = self.without_module().unwrap_or((
            "although the module supdrv is loaded".to_owned(),
            "the node is left from another time: remove it, and load the module again \
             (`modprobe -r supdrv && modprobe supdrv`)",
        ));
        Diagnosis {
            state: format!("no driver is behind {DEVICE}, {why}"),
            remedy: remedy.to_owned(),
        }
    }

    /// What is the matter with the module, and what to do; `None` if it is loaded.
    fn without_module(&self) -> Option<(String, &'static str)> {
        match self.module {
            Module::Absent => Some((
                format!("as there is no supdrv.ko for Linux {}", self.release),
                "build one with `cargo xtask kmod` and load it with `insmod`, or install the DKMS \
                 package",
            )),
            Module::Installed => Some((
                format!("as the module supdrv for Linux {} is not loaded", self.release),
                "load it with `modprobe supdrv`",
            )),
            Module::Loaded => None,
        }
    }

    fn without_permission(&self) -> Diagnosis {
        const RULE: &str = "a udev rule gives it to a group: \
             KERNEL==\"supdrv\", GROUP=\"supdrv\", MODE=\"0660\"";
        const GROUP_MAY_USE: u32 = 0o060;
        let user = self.user;
        let Some(node) = self.node else {
            return Diagnosis {
                state: format!("{DEVICE} may not even be looked at by user {user}"),
                remedy: "a folder on the way to it, or a security policy, is in between".to_owned(),
            };
        };
        let remedy = if !node.is_device {
            format!("{DEVICE} is not a device: remove it, and load the module again")
        } else if self.error == Errno::PERM || user == 0 {
            "permissions are not the cause: let the container, or the security policy, have the \
             device"
                .to_owned()
        } else if node.group != 0 && node.mode & GROUP_MAY_USE == GROUP_MAY_USE {
            format!("become a member of group {} (`usermod -aG`) and log in again", node.group)
        } else {
            format!("become root, or {RULE}")
        };
        Diagnosis { state: format!("user {user} may not open {DEVICE} ({node})"), remedy }
    }
}

impl Module {
    fn look(release: &str) -> Self {
        if Path::new("/sys/module").join(MODULE).exists() || is_in_proc_modules() {
            Self::Loaded
        } else if is_installed(&Path::new("/lib/modules").join(release)) {
            Self::Installed
        } else {
            Self::Absent
        }
    }
}

fn is_in_proc_modules() -> bool {
    let modules = fs::read_to_string("/proc/modules").unwrap_or_default();
    modules.lines().any(|line| line.split(' ').next() == Some(MODULE))
}

/// Whether a folder of modules has ours, by the list that `modprobe` uses.
fn is_installed(folder: &Path) -> bool {
    let list = fs::read_to_string(folder.join("modules.dep")).unwrap_or_default();
    list.lines().any(names_our_module)
}

/// Whether a line of `modules.dep`, as in `updates/dkms/supdrv.ko.xz: kernel/lib/other.ko`, is ours.
fn names_our_module(line: &str) -> bool {
    let file = line.split(':').next().unwrap_or_default();
    let name = file.rsplit('/').next().unwrap_or_default();
    name.strip_prefix(MODULE).is_some_and(|ending| ending == ".ko" || ending.starts_with(".ko."))
}

impl Node {
    fn look() -> Option<Self> {
        let node = fs::metadata(DEVICE).ok()?;
        Some(Self {
            is_device: node.file_type().is_char_device(),
            mode: node.mode() & 0o7777,
            owner: node.uid(),
            group: node.gid(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: Node = Node { is_device: true, mode: 0o600, owner: 0, group: 0 };

    fn diagnosis(error: Errno, module: Module, node: Option<Node>, user: u32) -> Diagnosis {
        Facts { error, module, node, release: "6.1.0-9".to_owned(), user }.diagnose()
    }

    #[track_caller]
    fn says(diagnosis: &Diagnosis, state: &[&str], remedy: &[&str]) {
        for word in state {
            assert!(diagnosis.state.contains(word), "no '{word}' in: {}", diagnosis.state);
        }
        for word in remedy {
            assert!(diagnosis.remedy.contains(word), "no '{word}' in: {}", diagnosis.remedy);
        }
    }

    #[test]
    fn a_module_that_is_not_built_can_be_built() {
        let found = diagnosis(Errno::NOENT, Module::Absent, None, 0);
        let state = ["there is no /dev/supdrv", "no supdrv.ko for Linux 6.1.0-9"];
        says(&found, &state, &["`cargo xtask kmod`", "DKMS"]);
    }

    #[test]
    fn a_module_that_is_not_loaded_can_be_loaded() {
        let found = diagnosis(Errno::NOENT, Module::Installed, None, 0);
        says(&found, &["there is no /dev/supdrv", "not loaded"], &["`modprobe supdrv`"]);
        assert!(!found.remedy.contains("xtask"), "{found:?}");
    }

    #[test]
    fn a_loaded_module_without_a_node_is_the_systems_matter() {
        let found = diagnosis(Errno::NOENT, Module::Loaded, None, 0);
        says(&found, &["there is no /dev/supdrv", "is loaded"], &["udev", "devtmpfs"]);
        assert!(!found.remedy.contains("modprobe"), "{found:?}");
    }

    #[test]
    fn a_node_without_a_driver_is_told_from_no_node() {
        for error in [Errno::NXIO, Errno::NODEV] {
            let left = diagnosis(error, Module::Installed, Some(NODE), 0);
            says(&left, &["no driver is behind /dev/supdrv"], &["`modprobe supdrv`"]);
            let stale = diagnosis(error, Module::Loaded, Some(NODE), 0);
            says(&stale, &["no driver is behind /dev/supdrv"], &["remove it"]);
        }
    }

    #[test]
    fn without_permission_the_node_is_shown() {
        let found = diagnosis(Errno::ACCESS, Module::Loaded, Some(NODE), 1000);
        let state = ["user 1000 may not open /dev/supdrv", "user 0, group 0, mode 0600"];
        says(&found, &state, &["udev rule", "GROUP=\"supdrv\"", "root"]);
        let shared = Node { mode: 0o660, group: 108, ..NODE };
        let found = diagnosis(Errno::ACCESS, Module::Loaded, Some(shared), 1000);
        says(&found, &["group 108, mode 0660"], &["member of group 108"]);
        // Half of the access is not enough for the group.
        let read_only = Node { mode: 0o640, group: 108, ..NODE };
        let found = diagnosis(Errno::ACCESS, Module::Loaded, Some(read_only), 1000);
        says(&found, &["mode 0640"], &["udev rule"]);
    }

    #[test]
    fn a_policy_is_told_from_permissions() {
        for (error, user) in [(Errno::PERM, 1000), (Errno::PERM, 0), (Errno::ACCESS, 0)] {
            let found = diagnosis(error, Module::Loaded, Some(NODE), user);
            says(&found, &["may not open"], &["permissions are not the cause", "container"]);
        }
        says(&diagnosis(Errno::ACCESS, Module::Loaded, None, 7), &["user 7"], &["folder"]);
        let file = Node { is_device: false, ..NODE };
        says(&diagnosis(Errno::ACCESS, Module::Absent, Some(file), 7), &[], &["not a device"]);
    }

    #[test]
    fn other_errors_are_shown_as_they_are() {
        let found = diagnosis(Errno::MFILE, Module::Loaded, Some(NODE), 0);
        says(&found, &["/dev/supdrv cannot be opened", "os error 24"], &["dmesg"]);
    }

    #[test]
    fn modules_are_found_by_their_whole_name() {
        for ours in ["updates/dkms/supdrv.ko:", "extra/supdrv.ko.xz: kernel/a.ko", "supdrv.ko.zst:"]
        {
            assert!(names_our_module(ours), "{ours}");
        }
        for other in ["", "kernel/a.ko: extra/supdrv.ko", "extra/vsupdrv.ko:", "supdrv2.ko:"] {
            assert!(!names_our_module(other), "{other}");
        }
        assert!(!is_installed(Path::new("/nowhere")));
    }

    #[test]
    fn the_facts_are_those_of_this_system() {
        let facts = Facts::gather(Errno::NOENT);
        assert!(facts.release.starts_with(|first: char| first.is_ascii_digit()), "{facts:?}");
        assert_eq!(facts.user, rustix::process::geteuid().as_raw());
        assert_eq!(facts.node, Node::look());
    }
}
