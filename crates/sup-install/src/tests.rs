//! Both ways on a machine of memory: whatever is there or missing at the start.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use sup_abi::Status;

use crate::plan::{DEVICE, GROUPS, LOADED, OWN_RULE, RULE, VERSION};
use crate::{Event, Machine, Mode, Outcome, Ran, Step, System, install, uninstall};

const LIST: &str = "/lib/modules/6.1-test/modules.dep";
const EXTRA: &str = "/lib/modules/6.1-test/extra/supdrv.ko";
const BUILT: &str = "/var/lib/dkms/supdrv/0.1.0/6.1-test";

/// Files, and programs that do what those of a system do.
struct Fake {
    files: RefCell<BTreeMap<PathBuf, String>>,
    programs: BTreeSet<&'static str>,
    /// Programs that end with a failure.
    broken: BTreeSet<&'static str>,
    /// Whether loading makes a device.
    has_devtmpfs: bool,
    is_root: bool,
    commands: RefCell<Vec<String>>,
}

impl Fake {
    /// A machine with DKMS, the source package and udev.
    fn new() -> Self {
        let fake = Self {
            files: RefCell::default(),
            programs: ["dkms", "groupadd", "udevadm", "modprobe", "rmmod", "depmod"].into(),
            broken: BTreeSet::new(),
            has_devtmpfs: true,
            is_root: true,
            commands: RefCell::default(),
        };
        fake.put(&format!("/usr/src/supdrv-{VERSION}/dkms.conf"), "");
        fake.put(GROUPS, "root:x:0:\n");
        fake.put(LIST, "kernel/lib/supdrv-other.ko:\n");
        fake
    }

    fn put(&self, path: &str, text: &str) {
        self.files.borrow_mut().insert(path.into(), text.to_owned());
    }

    fn take(&self, path: &str) {
        self.files.borrow_mut().remove(Path::new(path));
    }

    fn paths(&self) -> Vec<PathBuf> {
        self.files.borrow().keys().cloned().collect()
    }

    fn commands(&self) -> Vec<String> {
        self.commands.take()
    }
}

impl System for Fake {
    fn release(&self) -> String {
        "6.1-test".to_owned()
    }

    fn may_install(&self) -> bool {
        self.is_root
    }

    fn exists(&self, path: &Path) -> bool {
        self.files.borrow().contains_key(path)
    }

    fn read(&self, path: &Path) -> io::Result<String> {
        self.files.borrow().get(path).cloned().ok_or(io::ErrorKind::NotFound.into())
    }

    fn write(&self, path: &Path, text: &str) -> io::Result<()> {
        self.put(&path.to_string_lossy(), text);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.take(&path.to_string_lossy());
        Ok(())
    }

    fn has_program(&self, name: &str) -> bool {
        self.programs.contains(name)
    }

    fn run(&self, name: &str, arguments: &[&str]) -> io::Result<Ran> {
        assert!(self.has_program(name), "{name} is not there");
        let command = format!("{name} {}", arguments.join(" "));
        self.commands.borrow_mut().push(command.clone());
        if self.broken.contains(name) {
            return Ok(Ran { succeeded: false, output: "one\n\ntwo\nthree\nfour\n".to_owned() });
        }
        match command.as_str() {
            "dkms install supdrv/0.1.0 -k 6.1-test" => {
                self.put(BUILT, "");
                self.put(LIST, "updates/dkms/supdrv.ko.xz:\n");
            }
            "dkms uninstall supdrv/0.1.0 -k 6.1-test" => {
                self.take(BUILT);
                self.put(LIST, "kernel/lib/supdrv-other.ko:\n");
            }
            "depmod -a 6.1-test" => self.put(LIST, "extra/supdrv.ko:\n"),
            "groupadd --system supdrv" => self.put(GROUPS, "root:x:0:\nsupdrv:x:999:\n"),
            "modprobe supdrv" => {
                assert!(self.read(Path::new(LIST))?.contains("/supdrv.ko"), "not listed");
                self.put(LOADED, "");
                if self.has_devtmpfs {
                    self.put(DEVICE, "");
                }
            }
            "rmmod supdrv" => [LOADED, DEVICE].into_iter().for_each(|path| self.take(path)),
            "udevadm control --reload" | "udevadm trigger --action=add /sys/class/misc/supdrv" => {}
            _ => panic!("nobody expected {command}"),
        }
        Ok(Ran { succeeded: true, output: String::new() })
    }

    fn pause(&self) {}
}

type Way = fn(&dyn System, Mode, &mut dyn FnMut(&Event)) -> Result<(), Status>;

/// Goes one way; how it ended, and how each step did.
fn go(way: Way, fake: &Fake, mode: Mode) -> (Result<(), Status>, Vec<(Step, Outcome)>) {
    let mut steps = Vec::new();
    let result = way(fake, mode, &mut |event| {
        if let Event::Ended { step, outcome, sentence } = event {
            assert!(!sentence.is_empty() && !sentence.ends_with('.'), "{sentence}");
            steps.push((*step, *outcome));
        }
    });
    (result, steps)
}

fn outcomes(steps: &[(Step, Outcome)]) -> Vec<Outcome> {
    steps.iter().map(|(_, outcome)| *outcome).collect()
}

use Outcome::{Already, Done, Failed, Planned, Skipped};

#[test]
fn a_driver_is_built_loaded_and_taken_away_again() {
    let fake = Fake::new();
    let before = fake.paths();
    let (result, steps) = go(install, &fake, Mode::ForReal);
    assert_eq!(result, Ok(()));
    assert_eq!(outcomes(&steps), [Already, Done, Done, Done, Done, Already]);
    assert_eq!(fake.read(Path::new(OWN_RULE)).unwrap(), RULE);
    let commands = [
        "dkms install supdrv/0.1.0 -k 6.1-test",
        "groupadd --system supdrv",
        "udevadm control --reload",
        "modprobe supdrv",
    ];
    assert_eq!(fake.commands(), commands);

    // Again: everything is there.
    let (result, steps) = go(install, &fake, Mode::ForReal);
    assert_eq!((result, outcomes(&steps)), (Ok(()), vec![Already; 6]));
    assert!(fake.commands().is_empty());

    let (result, steps) = go(uninstall, &fake, Mode::ForReal);
    assert_eq!((result, outcomes(&steps)), (Ok(()), vec![Already, Done, Done, Done, Skipped]));
    assert_eq!(fake.paths(), before, "what was made is gone");
    let (result, steps) = go(uninstall, &fake, Mode::ForReal);
    assert_eq!(outcomes(&steps), [Already, Already, Already, Already, Skipped]);
    assert_eq!(result, Ok(()));
}

#[test]
fn a_dry_run_changes_nothing_and_tells_all() {
    let mut fake = Fake::new();
    fake.is_root = false;
    let before = fake.files.borrow().clone();
    let (result, steps) = go(install, &fake, Mode::DryRun);
    assert_eq!((result, outcomes(&steps)), (Ok(()), vec![Planned; 6]));
    assert_eq!(*fake.files.borrow(), before);

    fake.is_root = true;
    assert_eq!(go(install, &fake, Mode::ForReal).0, Ok(()));
    fake.commands();
    let before = fake.files.borrow().clone();
    let (result, steps) = go(uninstall, &fake, Mode::DryRun);
    assert_eq!(outcomes(&steps), [Already, Planned, Planned, Planned, Skipped]);
    assert_eq!((result, fake.commands()), (Ok(()), Vec::new()));
    assert_eq!(*fake.files.borrow(), before);
}

#[test]
fn cannot_do_anything_without_privileges() {
    let mut fake = Fake::new();
    fake.is_root = false;
    for way in [install as Way, uninstall] {
        let (result, steps) = go(way, &fake, Mode::ForReal);
        assert_eq!(result, Err(Status::VERR_PERMISSION_DENIED));
        assert_eq!(steps, [(Step::Privileges, Failed(Status::VERR_PERMISSION_DENIED))]);
        assert!(fake.commands().is_empty());
    }
}

#[test]
fn cannot_install_what_is_not_there_and_cannot_be_built() {
    let missing = Err(Status::VERR_VM_DRIVER_NOT_INSTALLED);
    let mut fake = Fake::new();
    fake.programs.remove("dkms");
    assert_eq!(go(install, &fake, Mode::ForReal).0, missing);
    assert_eq!(go(install, &fake, Mode::DryRun).0, missing);
    let fake = Fake::new();
    fake.take(&format!("/usr/src/supdrv-{VERSION}/dkms.conf"));
    assert_eq!(go(install, &fake, Mode::ForReal).0, missing);
    assert!(fake.commands().is_empty());
}

#[test]
fn a_driver_that_was_put_there_is_listed_and_stays() {
    let mut fake = Fake::new();
    fake.programs.remove("dkms");
    fake.put(EXTRA, "");
    assert_eq!(go(install, &fake, Mode::ForReal).0, Ok(()));
    assert_eq!(fake.commands()[0], "depmod -a 6.1-test");
    let (result, steps) = go(uninstall, &fake, Mode::ForReal);
    assert_eq!((result, steps[2].1), (Ok(()), Skipped));
    assert!(fake.exists(Path::new(EXTRA)));
}

#[test]
fn without_udev_and_groups_the_device_is_roots() {
    let mut fake = Fake::new();
    fake.programs = ["dkms", "modprobe", "rmmod"].into();
    let (result, steps) = go(install, &fake, Mode::ForReal);
    assert_eq!(outcomes(&steps), [Already, Done, Skipped, Skipped, Done, Already]);
    assert_eq!(result, Ok(()));
    let (result, steps) = go(uninstall, &fake, Mode::ForReal);
    assert_eq!(outcomes(&steps), [Already, Done, Done, Already, Already]);
    assert_eq!(result, Ok(()));
}

#[test]
fn the_first_failure_ends_it_and_says_what_the_program_said() {
    for (program, step, status) in [
        ("dkms", Step::Driver, Status::VERR_VM_DRIVER_LOAD_ERROR),
        ("groupadd", Step::Group, Status::VERR_GENERAL_FAILURE),
        ("modprobe", Step::Load, Status::VERR_VM_DRIVER_LOAD_ERROR),
    ] {
        let mut fake = Fake::new();
        fake.broken.insert(program);
        let mut told = String::new();
        let result = install(&fake, Mode::ForReal, &mut |event| {
            if let Event::Ended { outcome: Failed(_), sentence, .. } = event {
                told.clone_from(sentence);
            }
        });
        assert_eq!(result, Err(status));
        assert!(told.contains(" failed: two | three | four"), "{told}");
        let (_, steps) = go(install, &fake, Mode::ForReal);
        assert_eq!(steps.last(), Some(&(step, Failed(status))));
        // Once it is mended, the rest is done.
        fake.broken.clear();
        assert_eq!(go(install, &fake, Mode::ForReal).0, Ok(()));
    }
}

#[test]
fn a_driver_in_use_stays_and_so_does_the_rest() {
    let mut fake = Fake::new();
    assert_eq!(go(install, &fake, Mode::ForReal).0, Ok(()));
    let before = fake.paths();
    fake.broken.insert("rmmod");
    let (result, steps) = go(uninstall, &fake, Mode::ForReal);
    assert_eq!(result, Err(Status::VERR_WRONG_ORDER));
    assert_eq!((steps.len(), fake.paths()), (2, before));
}

#[test]
fn a_rule_that_somebody_changed_stays() {
    let fake = Fake::new();
    assert_eq!(go(install, &fake, Mode::ForReal).0, Ok(()));
    fake.put(OWN_RULE, "# mine");
    let (result, steps) = go(uninstall, &fake, Mode::ForReal);
    assert_eq!((result, steps[3]), (Ok(()), (Step::Rule, Skipped)));
    assert!(fake.exists(Path::new(OWN_RULE)));
}

#[test]
fn cannot_succeed_without_a_device() {
    let mut fake = Fake::new();
    fake.has_devtmpfs = false;
    let (result, steps) = go(install, &fake, Mode::ForReal);
    let status = Status::VERR_VM_DRIVER_NOT_INSTALLED;
    assert_eq!((result, steps[5]), (Err(status), (Step::Device, Failed(status))));
}

/// What this machine would need, of which nothing is changed.
#[test]
fn a_dry_run_of_the_real_machine_tells_of_its_steps() {
    let mut steps = Vec::new();
    let result = install(&Machine, Mode::DryRun, &mut |event| match event {
        Event::Runs(command) => panic!("{command} ran"),
        Event::Ended { step, .. } => steps.push(*step),
    });
    assert_eq!(steps.len(), if result.is_ok() { 6 } else { 2 }, "{steps:?} {result:?}");
}
