//! `supctl install` and `supctl uninstall` on a machine that has the driver's file and nothing else.
//!
//! The guest has neither DKMS nor udev nor a program for groups, but a folder for modules put there by hand: the steps of these
//! are skipped, which `sup-install` tests with a machine of memory, and the others are done for real.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use sup::Session;
use sup::backend::{DEVICE, Kind};

use crate::check::{Report, Stop, Verdict, check, same};

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

/// # Errors
/// Standard output is gone.
pub(crate) fn run(args: &Args) -> io::Result<ExitCode> {
    let mut report = Report::start()?;
    type Test = fn(&Args) -> Verdict;
    let tests: [(&str, Test); 3] = [
        ("cannot_install_what_is_not_there", |_| nothing_there()),
        ("cannot_install_as_a_user", |_| not_for_users()),
        ("comes_and_goes", comes_and_goes),
    ];
    for (name, test) in tests {
        report.note(&format!("install::{name}"), &test(args).into())?;
    }
    report.end()
}

/// Runs `supctl`; whether it succeeded, and what it printed.
fn supctl(user: Option<u32>, words: &[&str]) -> Result<(bool, String), Stop> {
    let mut command = Command::new(SUPCTL);
    command.args(words).env("SUP_BACKEND", "kernel");
    if let Some(user) = user {
        command.uid(user).gid(user);
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

fn comes_and_goes(args: &Args) -> Verdict {
    let release = rustix::system::uname();
    let folder = Path::new("/lib/modules").join(&*release.release().to_string_lossy());
    fs::create_dir_all(folder.join("extra"))?;
    let file = folder.join("extra/supdrv.ko");
    fs::copy(&args.module, &file)?;

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
