//! `supctl install` and `supctl uninstall` on a machine that has the driver's file and nothing else, and then on
//! one that has udev and groups too.
//!
//! The guest never has DKMS (`cargo xtask test dkms` has), but a folder for modules put there by hand. Its first
//! machine has neither udev nor a program for groups: these steps are skipped. For the second, [`SYSTEM`] is put in
//! its place, where `cargo xtask vm run --take system` left parts of Debian.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::mount::mount_bind;
use sup::Session;
use sup::backend::{DEVICE, Kind};

use crate::check::{Report, Stop, Verdict, check, same};
use crate::inserted::while_inserted;
use crate::wait::PATIENCE;

/// With which file.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The driver's file
    #[arg(long, default_value = "/lib/supdrv.ko", value_name = "FILE")]
    module: PathBuf,
}

const LOADED: &str = "/sys/module/supdrv";
const SUPCTL: &str = "/bin/supctl";
const USER: u32 = 1000;
/// What stands in place of `/usr` for a machine with udev.
const SYSTEM: &str = "/debian/usr";
const RULE: &str = "/etc/udev/rules.d/60-supdrv.rules";

/// # Errors
/// Standard output is gone.
pub(crate) fn run(args: &Args) -> io::Result<ExitCode> {
    let mut report = Report::start()?;
    type Test = fn(&Args) -> Verdict;
    let tests: [(&str, Test); 5] = [
        ("cannot_install_what_is_not_there", |_| nothing_there()),
        ("cannot_install_as_a_user", |_| not_for_users()),
        ("comes_and_goes", comes_and_goes),
        // The last ones, since udev stays on the machine.
        ("gives_the_device_to_the_group", gives_the_device_to_the_group),
        ("gives_a_device_that_is_there_to_the_group", gives_what_is_there),
    ];
    for (name, test) in tests {
        report.note(&format!("install::{name}"), &test(args).into())?;
    }
    report.end()
}

/// Runs `supctl`; whether it succeeded, and what it printed.
fn supctl(user: Option<u32>, words: &[&str]) -> Verdict<(bool, String)> {
    supctl_in(user.map(|user| (user, user)), words)
}

/// The same as a user in a group.
fn supctl_in(who: Option<(u32, u32)>, words: &[&str]) -> Verdict<(bool, String)> {
    let mut command = Command::new(SUPCTL);
    command.args(words).env("SUP_BACKEND", "kernel");
    if let Some((user, group)) = who {
        command.uid(user).gid(group);
    }
    let done = command.output()?;
    let text = [done.stdout, done.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    Ok((done.status.success(), text.concat()))
}

fn nothing_there() -> Verdict {
    let (succeeded, text) = supctl(None, &["install"])?;
    check!(!succeeded && text.contains("VERR_VM_DRIVER_NOT_INSTALLED"), "{text}");
    check!(text.contains("there is no DKMS"), "{text}");
    Ok(())
}

fn not_for_users() -> Verdict {
    for way in ["install", "uninstall"] {
        let (succeeded, text) = supctl(Some(USER), &[way])?;
        check!(!succeeded && text.contains("VERR_PERMISSION_DENIED"), "{text}");
        check!(text.contains("CAP_SYS_MODULE"), "{text}");
    }
    Ok(())
}

/// Puts the driver where the running kernel's modules are; that folder, and the file.
fn put_by_hand(module: &Path) -> Verdict<(PathBuf, PathBuf)> {
    let release = rustix::system::uname();
    let folder = Path::new("/lib/modules").join(&*release.release().to_string_lossy());
    fs::create_dir_all(folder.join("extra"))?;
    let file = folder.join("extra/supdrv.ko");
    fs::copy(module, &file)?;
    Ok((folder, file))
}

fn comes_and_goes(args: &Args) -> Verdict {
    let (folder, file) = put_by_hand(&args.module)?;

    let (succeeded, text) = supctl(None, &["install", "--dry-run"])?;
    check!(succeeded && text.contains("planned"), "{text}");
    check!(!Path::new(LOADED).exists() && !folder.join("modules.dep").exists(), "a dry run");

    let (succeeded, text) = supctl(None, &["install"])?;
    check!(succeeded, "{text}");
    check!(
        text.contains("there is no udev") && text.contains("running `modprobe supdrv`"),
        "{text}"
    );
    check!(text.contains("there is no groupadd"), "{text}");
    let session = Session::open_in(Kind::Kernel)?;

    let (succeeded, text) = supctl(None, &["uninstall"])?;
    check!(!succeeded && text.contains("VERR_WRONG_ORDER"), "in use: {text}");
    check!(Path::new(DEVICE).exists());
    drop(session);

    let (succeeded, text) = supctl(None, &["install"])?;
    check!(succeeded && !text.contains("done"), "nothing is left to do: {text}");
    let (succeeded, text) = supctl(None, &["uninstall"])?;
    check!(succeeded, "{text}");
    check!(!Path::new(LOADED).exists() && !Path::new(DEVICE).exists());
    same!(file.exists(), true, "what somebody put there stays");
    fs::remove_dir_all(&folder)?;
    Ok(())
}

/// udev, while a test runs.
struct Udev(Child);

impl Udev {
    /// Puts its files in place, if they are not yet, and starts it.
    fn start() -> Verdict<Self> {
        const DAEMON: &str = "/usr/lib/systemd/systemd-udevd";
        if !Path::new(SYSTEM).exists() {
            let why = "no udev in this guest: `cargo xtask vm run --take system` brings it";
            return Err(Stop::Skipped(why.to_owned()));
        }
        if !Path::new(DAEMON).exists() {
            // Other suites may have made it.
            fs::create_dir_all("/usr")?;
            mount_bind(SYSTEM, "/usr")?;
        }
        let mut command = Command::new(DAEMON);
        let udev = Self(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?);
        let end = Instant::now() + PATIENCE;
        while !Path::new("/run/udev/control").exists() {
            check!(Instant::now() < end, "udev does not listen");
            sleep(Duration::from_millis(10));
        }
        Ok(udev)
    }

    /// Waits until it has nothing left to do.
    fn settle() -> Verdict {
        let done = Command::new("/usr/bin/udevadm").arg("settle").status()?;
        check!(done.success(), "udev does not come to rest");
        Ok(())
    }
}

impl Drop for Udev {
    fn drop(&mut self) {
        // It may have ended by itself; then both do nothing.
        let _ = self.0.kill();
        let _ = self.0.wait();
        // Or the next one would not be waited for.
        let _ = fs::remove_file("/run/udev/control");
    }
}

/// The number of the group that the device is given to.
fn group() -> Verdict<u32> {
    let groups = fs::read_to_string("/etc/group")?;
    let line = groups.lines().find(|line| line.starts_with("supdrv:"));
    let number =
        line.and_then(|line| line.split(':').nth(2)).and_then(|number| number.parse().ok());
    number.ok_or_else(|| Stop::failed("no group supdrv"))
}

/// Who may open the device: its owner, its group, and the mode.
fn device() -> Verdict<(u32, u32, u32)> {
    let about = fs::metadata(DEVICE)?;
    Ok((about.uid(), about.gid(), about.mode() & 0o7777))
}

fn gives_the_device_to_the_group(args: &Args) -> Verdict {
    let _udev = Udev::start()?;
    let (folder, _) = put_by_hand(&args.module)?;
    let (succeeded, text) = supctl(None, &["install", "--dry-run"])?;
    check!(succeeded && text.contains(&format!("would write {RULE}")), "{text}");
    check!(text.contains("would run `groupadd --system supdrv`"), "{text}");
    check!(group().is_err() && !Path::new(RULE).exists(), "a dry run");

    let (succeeded, text) = supctl(None, &["install"])?;
    check!(succeeded && text.contains("made the group supdrv"), "{text}");
    check!(text.contains(&format!("wrote {RULE}")), "{text}");
    Udev::settle()?;
    let group = group()?;
    same!(device()?, (0, group, 0o660), "owner, group and mode of {DEVICE}");
    let (succeeded, text) = supctl_in(Some((USER, group)), &["gip"])?;
    check!(succeeded, "a member of the group: {text}");
    let (succeeded, text) = supctl_in(Some((USER, USER)), &["gip"])?;
    check!(!succeeded && text.contains("VERR_VM_DRIVER_NOT_ACCESSIBLE"), "a stranger: {text}");

    let (succeeded, text) = supctl(None, &["install"])?;
    check!(succeeded && !text.contains("done"), "nothing is left to do: {text}");
    let (succeeded, text) = supctl(None, &["uninstall"])?;
    check!(succeeded && text.contains(&format!("removed {RULE}")), "{text}");
    check!(!Path::new(LOADED).exists() && !Path::new(DEVICE).exists() && !Path::new(RULE).exists());
    same!(self::group()?, group, "the group stays");
    fs::remove_dir_all(&folder)?;
    Ok(())
}

fn gives_what_is_there(args: &Args) -> Verdict {
    let _udev = Udev::start()?;
    while_inserted(&args.module, sup_test_key::PARAMETER, || {
        Udev::settle()?;
        same!(device()?, (0, 0, 0o600), "owner, group and mode without a rule");
        let (succeeded, text) = supctl(None, &["install"])?;
        check!(succeeded, "{text}");
        Udev::settle()?;
        same!(device()?, (0, group()?, 0o660), "owner, group and mode with the rule");
        fs::remove_file(RULE)?;
        Ok(())
    })
}
