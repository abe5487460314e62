//! What is done, in which order, and what is undone.
//!
//! ```text
//! install:    privileges ─▶ driver ─▶ group ─▶ udev rule ─▶ load ─▶ device
//! uninstall:  privileges ─▶ load ─▶ driver ─▶ udev rule ─▶ group
//! ```
//! Group and rule come before the driver is loaded, so that its device has its owner from the first moment.
//! The first step that fails ends the whole; what was done stays, and the next attempt finds it.
//!
//! Invariant: of the driver's files only those that DKMS keeps, and of the rules only the one written here
//! and unchanged since, are taken away.

use std::path::{Path, PathBuf};

use sup_abi::Status;

use crate::{Event, MODULE, Mode, Outcome, Ran, Step, System};

/// The rule as it is packed.
pub(crate) const RULE: &str = include_str!("../../../kmod/60-supdrv.rules");
/// Where an administrator's rules are, and where those of packages are.
pub(crate) const OWN_RULE: &str = "/etc/udev/rules.d/60-supdrv.rules";
const PACKED_RULES: [&str; 2] =
    ["/usr/lib/udev/rules.d/60-supdrv.rules", "/lib/udev/rules.d/60-supdrv.rules"];
pub(crate) const LOADED: &str = "/sys/module/supdrv";
const IN_SYS: &str = "/sys/class/misc/supdrv";
pub(crate) const DEVICE: &str = "/dev/supdrv";
pub(crate) const GROUPS: &str = "/etc/group";
/// The version that belongs to this library.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");
/// How often to look for the device.
const LOOKS: u32 = 50;

/// A step that ended well: how, and a sentence.
type Ended = (Outcome, String);
/// A step that failed.
type Failed = (Status, String);

/// Brings the driver onto a machine, and tells of each step. Corresponds to `SUPR3Install`.
///
/// # Errors
/// `VERR_PERMISSION_DENIED` if this user may not, `VERR_VM_DRIVER_NOT_INSTALLED` if there is no driver for
/// the running kernel and none can be built, or no device appears, `VERR_VM_DRIVER_LOAD_ERROR` if it cannot
/// be built or loaded, `VERR_GENERAL_FAILURE` if a file cannot be written or a group not be made.
pub fn install(
    system: &dyn System,
    mode: Mode,
    tell: &mut dyn FnMut(&Event),
) -> Result<(), Status> {
    let mut work = Work { system, mode, tell };
    work.step(Step::Privileges, Work::privileges)?;
    work.step(Step::Driver, Work::provide)?;
    work.step(Step::Group, Work::make_group)?;
    work.step(Step::Rule, Work::write_rule)?;
    work.step(Step::Load, Work::load)?;
    work.step(Step::Device, Work::wait_for_device)
}

/// Takes the driver off a machine, and tells of each step. Corresponds to `SUPR3Uninstall`.
///
/// # Errors
/// `VERR_PERMISSION_DENIED` if this user may not, `VERR_WRONG_ORDER` if the driver is in use,
/// `VERR_GENERAL_FAILURE` if DKMS fails or a file cannot be removed.
pub fn uninstall(
    system: &dyn System,
    mode: Mode,
    tell: &mut dyn FnMut(&Event),
) -> Result<(), Status> {
    let mut work = Work { system, mode, tell };
    work.step(Step::Privileges, Work::privileges)?;
    work.step(Step::Load, Work::unload)?;
    work.step(Step::Driver, Work::take_away)?;
    work.step(Step::Rule, Work::remove_rule)?;
    work.step(Step::Group, Work::leave_group)
}

struct Work<'a> {
    system: &'a dyn System,
    mode: Mode,
    tell: &'a mut dyn FnMut(&Event),
}

impl Work<'_> {
    /// Does a step and tells how it ended.
    fn step(
        &mut self,
        step: Step,
        work: fn(&mut Self) -> Result<Ended, Failed>,
    ) -> Result<(), Status> {
        let (outcome, sentence) =
            work(self).unwrap_or_else(|(status, sentence)| (Outcome::Failed(status), sentence));
        (self.tell)(&Event::Ended { step, outcome, sentence });
        match outcome {
            Outcome::Failed(status) => Err(status),
            _ => Ok(()),
        }
    }

    fn is_dry(&self) -> bool {
        self.mode == Mode::DryRun
    }

    fn exists(&self, path: &str) -> bool {
        self.system.exists(Path::new(path))
    }

    /// Runs a program that changes the machine.
    fn run(&mut self, status: Status, words: &[&str]) -> Result<(), Failed> {
        let Some((name, arguments)) = words.split_first() else { return Ok(()) };
        let command = words.join(" ");
        (self.tell)(&Event::Runs(command.clone()));
        match self.system.run(name, arguments) {
            Ok(Ran { succeeded: true, .. }) => Ok(()),
            Ok(Ran { output, .. }) => {
                Err((status, format!("`{command}` failed: {}", last(&output))))
            }
            Err(error) => Err((status, format!("`{command}` cannot be run: {error}"))),
        }
    }

    fn privileges(&mut self) -> Result<Ended, Failed> {
        const NEEDED: &str = "this takes root with CAP_SYS_MODULE: run `sudo supctl`, in a container \
             with --cap-add SYS_MODULE";
        if self.system.may_install() {
            return Ok((Outcome::Already, "root may load code into the kernel".to_owned()));
        }
        if self.is_dry() {
            return Ok((Outcome::Planned, format!("{NEEDED}; looking needs nothing")));
        }
        Err((Status::VERR_PERMISSION_DENIED, NEEDED.to_owned()))
    }

    /// Whether `modprobe` finds the driver for the running kernel.
    fn is_provided(&self) -> bool {
        let list = self.modules().join("modules.dep");
        let list = self.system.read(&list).unwrap_or_default();
        list.lines().any(names_our_module)
    }

    /// The folder of the running kernel's modules.
    fn modules(&self) -> PathBuf {
        Path::new("/lib/modules").join(self.system.release())
    }

    fn provide(&mut self) -> Result<Ended, Failed> {
        let release = self.system.release();
        if self.exists(LOADED) {
            return Ok((Outcome::Already, "the driver is in the kernel".to_owned()));
        }
        if self.is_provided() {
            return Ok((Outcome::Already, format!("there is one for Linux {release}")));
        }
        if let Some(file) = self.unlisted() {
            if self.is_dry() {
                let sentence = format!("would list {} (`depmod`)", file.display());
                return Ok((Outcome::Planned, sentence));
            }
            self.run(Status::VERR_VM_DRIVER_LOAD_ERROR, &["depmod", "-a", &release])?;
            return Ok((Outcome::Done, format!("listed {}", file.display())));
        }
        let package = format!("{MODULE}/{VERSION}");
        let source = format!("/usr/src/{MODULE}-{VERSION}/dkms.conf");
        let reason = match (self.system.has_program("dkms"), self.exists(&source)) {
            (true, true) => None,
            (true, false) => Some(format!("DKMS has no /usr/src/{MODULE}-{VERSION}")),
            (false, _) => Some("there is no DKMS".to_owned()),
        };
        if let Some(reason) = reason {
            let sentence = format!(
                "there is no driver for Linux {release}, and {reason}: install dkms and unpack the \
                 source package into /usr/src (`cargo xtask kmod --source-package` makes it), or \
                 build one with `cargo xtask kmod` and put it into {}/extra",
                self.modules().display()
            );
            return Err((Status::VERR_VM_DRIVER_NOT_INSTALLED, sentence));
        }
        if self.is_dry() {
            return Ok((Outcome::Planned, format!("would have DKMS build {package}")));
        }
        let words = ["dkms", "install", &package, "-k", &release];
        self.run(Status::VERR_VM_DRIVER_LOAD_ERROR, &words)?;
        Ok((Outcome::Done, format!("DKMS built {package} for Linux {release}")))
    }

    /// A driver where modules are put by hand, which `depmod` was not told of.
    fn unlisted(&self) -> Option<PathBuf> {
        let places = ["extra", "updates", "updates/dkms"];
        let files = places.iter().map(|place| self.modules().join(place).join("supdrv.ko"));
        files.into_iter().find(|file| self.system.exists(file))
    }

    fn has_group(&self) -> bool {
        let groups = self.system.read(Path::new(GROUPS)).unwrap_or_default();
        groups.lines().any(|line| line.split(':').next() == Some(MODULE))
    }

    fn make_group(&mut self) -> Result<Ended, Failed> {
        if self.has_group() {
            return Ok((Outcome::Already, format!("there is a group {MODULE}")));
        }
        let words = ["groupadd", "--system", MODULE];
        if !self.system.has_program("groupadd") {
            let sentence = "there is no groupadd: the device stays root's".to_owned();
            return Ok((Outcome::Skipped, sentence));
        }
        if self.is_dry() {
            return Ok((Outcome::Planned, format!("would run `{}`", words.join(" "))));
        }
        self.run(Status::VERR_GENERAL_FAILURE, &words)?;
        let sentence =
            format!("made the group {MODULE}; `usermod -aG {MODULE} USER` lets a user in");
        Ok((Outcome::Done, sentence))
    }

    fn write_rule(&mut self) -> Result<Ended, Failed> {
        let there = PACKED_RULES.into_iter().chain([OWN_RULE]).find(|path| self.exists(path));
        if let Some(path) = there {
            return Ok((Outcome::Already, format!("there is {path}")));
        }
        if !self.system.has_program("udevadm") {
            let sentence = "there is no udev: the device stays root's, with mode 0600".to_owned();
            return Ok((Outcome::Skipped, sentence));
        }
        if self.is_dry() {
            return Ok((Outcome::Planned, format!("would write {OWN_RULE}")));
        }
        self.system
            .write(Path::new(OWN_RULE), RULE)
            .map_err(|error| (Status::VERR_GENERAL_FAILURE, format!("{OWN_RULE}: {error}")))?;
        self.tell_udev(&["udevadm", "control", "--reload"]);
        if self.exists(LOADED) {
            // The device is there already, and gets its owner now.
            self.tell_udev(&["udevadm", "trigger", "--action=add", IN_SYS]);
        }
        Ok((Outcome::Done, format!("wrote {OWN_RULE}")))
    }

    /// Says something to udev, which need not run: it reads its rules when it starts.
    fn tell_udev(&mut self, words: &[&str]) {
        let _ = self.run(Status::VERR_GENERAL_FAILURE, words);
    }

    fn load(&mut self) -> Result<Ended, Failed> {
        if self.exists(LOADED) {
            return Ok((Outcome::Already, "it is loaded".to_owned()));
        }
        if self.is_dry() {
            return Ok((Outcome::Planned, format!("would run `modprobe {MODULE}`")));
        }
        let failed = Status::VERR_VM_DRIVER_LOAD_ERROR;
        self.run(failed, &["modprobe", MODULE]).map_err(|(status, sentence)| {
            (status, format!("{sentence}; the kernel's log may say more (`dmesg`)"))
        })?;
        if !self.exists(LOADED) {
            return Err((failed, "modprobe loaded it, and it is not in the kernel".to_owned()));
        }
        Ok((Outcome::Done, "loaded".to_owned()))
    }

    fn wait_for_device(&mut self) -> Result<Ended, Failed> {
        if self.exists(DEVICE) {
            return Ok((Outcome::Already, format!("{DEVICE} is there")));
        }
        if self.is_dry() {
            return Ok((Outcome::Planned, format!("would wait for {DEVICE}")));
        }
        for _ in 0..LOOKS {
            if self.exists(DEVICE) {
                return Ok((Outcome::Done, format!("{DEVICE} appeared")));
            }
            self.system.pause();
        }
        let sentence = format!(
            "no {DEVICE} appeared: mount devtmpfs on /dev, or let the container have the device"
        );
        Err((Status::VERR_VM_DRIVER_NOT_INSTALLED, sentence))
    }

    fn unload(&mut self) -> Result<Ended, Failed> {
        if !self.exists(LOADED) {
            return Ok((Outcome::Already, "it is not loaded".to_owned()));
        }
        if self.is_dry() {
            return Ok((Outcome::Planned, format!("would run `rmmod {MODULE}`")));
        }
        self.run(Status::VERR_WRONG_ORDER, &["rmmod", MODULE]).map_err(|(status, sentence)| {
            (status, format!("{sentence}; `fuser {DEVICE}` and `lsmod` name who uses it"))
        })?;
        Ok((Outcome::Done, "unloaded".to_owned()))
    }

    fn take_away(&mut self) -> Result<Ended, Failed> {
        let release = self.system.release();
        let package = format!("{MODULE}/{VERSION}");
        if self.exists(&format!("/var/lib/dkms/{package}/{release}")) {
            if self.is_dry() {
                return Ok((Outcome::Planned, format!("would have DKMS uninstall {package}")));
            }
            let words = ["dkms", "uninstall", &package, "-k", &release];
            self.run(Status::VERR_GENERAL_FAILURE, &words)?;
            return Ok((Outcome::Done, format!("DKMS uninstalled {package} for Linux {release}")));
        }
        if self.is_provided() {
            let sentence = format!(
                "the one in {} was put there by somebody else and stays",
                self.modules().display()
            );
            return Ok((Outcome::Skipped, sentence));
        }
        Ok((Outcome::Already, format!("there is none for Linux {release}")))
    }

    fn remove_rule(&mut self) -> Result<Ended, Failed> {
        if !self.exists(OWN_RULE) {
            return Ok((Outcome::Already, format!("there is no {OWN_RULE}")));
        }
        if self.system.read(Path::new(OWN_RULE)).unwrap_or_default() != RULE {
            return Ok((Outcome::Skipped, format!("{OWN_RULE} was changed and stays")));
        }
        if self.is_dry() {
            return Ok((Outcome::Planned, format!("would remove {OWN_RULE}")));
        }
        self.system
            .remove(Path::new(OWN_RULE))
            .map_err(|error| (Status::VERR_GENERAL_FAILURE, format!("{OWN_RULE}: {error}")))?;
        if self.system.has_program("udevadm") {
            self.tell_udev(&["udevadm", "control", "--reload"]);
        }
        Ok((Outcome::Done, format!("removed {OWN_RULE}")))
    }

    fn leave_group(&mut self) -> Result<Ended, Failed> {
        if self.has_group() {
            let sentence = format!("the group {MODULE} stays, as it may have members and files");
            return Ok((Outcome::Skipped, sentence));
        }
        Ok((Outcome::Already, format!("there is no group {MODULE}")))
    }
}

/// Whether a line of `modules.dep`, as in `updates/dkms/supdrv.ko.xz: kernel/lib/other.ko`, is ours.
fn names_our_module(line: &str) -> bool {
    let file = line.split(':').next().unwrap_or_default();
    let name = file.rsplit('/').next().unwrap_or_default();
    name.strip_prefix(MODULE).is_some_and(|ending| ending == ".ko" || ending.starts_with(".ko."))
}

/// The last lines of what a program wrote, as one.
fn last(output: &str) -> String {
    const LINES: usize = 3;
    let lines: Vec<&str> = output.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(LINES)..].join(" | ")
}
