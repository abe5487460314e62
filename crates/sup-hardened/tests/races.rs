//! An attacker swaps files, folders and links as fast as he can, while a path through them is verified
//! again and again: what is accepted is never his.
//!
//! The attacker is a process of its own, with root's rights, which no real one has: he may put his own
//! things in the place of good ones inside a folder that he cannot write. Whatever can only be
//! reached through something of his says `evil`, and belongs to root itself, so that a verification that looks
//! at paths takes it for good: the test counts how often one that does would have been deceived.
//!
//! `SUP_RACE_ROUNDS` says how many verifications there are, 20 000 if it is not set. Takes root; without
//! it the test counts as skipped.

use std::error::Error;
use std::fs::{self, Permissions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode};

use libtest_mimic::{Arguments, Completion, Trial};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use sup_hardened::{Contents, System, verify_folder, verify_plug_in};

const SCRATCH_PARENT: &str = "/var/lib";
const ATTACKER: &str = "SUP_RACE_ATTACKED_FOLDER";
const ROUNDS: &str = "SUP_RACE_ROUNDS";
const USER: u32 = 65_534;

/// What stands in the place of the folder `way`, and of the file in it, in turn.
const IMPOSTORS: [&str; 5] = ["user-folder", "open-folder", "link", "user-file", "file-link"];

fn main() -> ExitCode {
    if let Some(folder) = std::env::var_os(ATTACKER) {
        attack(Path::new(&folder));
    }
    let trial = Trial::ignorable_test("cannot_be_deceived_by_swaps", || {
        race().map_err(|e| e.to_string().into())
    });
    let trial = match what_is_missing() {
        Some(reason) => trial.with_kind(reason).with_ignored_flag(true),
        None => trial,
    };
    libtest_mimic::run(&Arguments::from_args(), vec![trial]).exit_code()
}

fn what_is_missing() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("files of several owners take root".to_owned());
    }
    let parent = verify_folder(&System, Path::new(SCRATCH_PARENT), Contents::None);
    parent.err().map(|violation| format!("no place for a scratch folder: {violation}"))
}

/// Swaps until it is killed, or has nothing left to swap.
fn attack(folder: &Path) -> ! {
    use rustix::process::{Signal, set_parent_process_death_signal};
    // However the test ends, nobody swaps on behind it.
    if set_parent_process_death_signal(Some(Signal::KILL)).is_err() {
        std::process::exit(1);
    }
    loop {
        for impostor in IMPOSTORS {
            let (one, other) = if impostor.contains("-file") || impostor.contains("file-") {
                (folder.join("way/x.so"), folder.join(impostor))
            } else {
                (folder.join("way"), folder.join(impostor))
            };
            for _ in 0..2 {
                let swapped = renameat_with(CWD, &one, CWD, &other, RenameFlags::EXCHANGE);
                if swapped.is_err() {
                    std::process::exit(1);
                }
            }
        }
    }
}

/// Ends the attacker with the test.
struct Attacker(Child);

impl Drop for Attacker {
    fn drop(&mut self) {
        // He may have ended already; either way he is waited for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn make(folder: &Path) -> std::io::Result<PathBuf> {
    let place = |name: &str| folder.join(name);
    for (name, owner, mode, text) in [
        ("way", 0, 0o755, "good"),
        ("user-folder", USER, 0o755, "evil"),
        ("open-folder", 0, 0o777, "evil"),
    ] {
        fs::create_dir(place(name))?;
        fs::write(place(name).join("x.so"), text)?;
        chown(place(name), Some(owner), Some(0))?;
        fs::set_permissions(place(name), Permissions::from_mode(mode))?;
    }
    symlink("user-folder", place("link"))?;
    fs::write(place("user-file"), "evil")?;
    chown(place("user-file"), Some(USER), Some(0))?;
    symlink(place("user-folder/x.so"), place("file-link"))?;
    Ok(place("way/x.so"))
}

/// What is done where paths are checked: each one, then the file is opened by its own.
fn deceivable(folder: &Path, file: &Path) -> Option<String> {
    for path in [folder, &folder.join("way"), file] {
        let metadata = fs::symlink_metadata(path).ok()?;
        if metadata.is_symlink() || metadata.uid() != 0 || metadata.mode() & 0o022 != 0 {
            return None;
        }
    }
    fs::read_to_string(file).ok()
}

#[expect(clippy::print_stdout, reason = "shows with --nocapture how fierce the race was")]
fn race() -> Result<Completion, Box<dyn Error>> {
    let rounds: u32 = std::env::var(ROUNDS).map_or(Ok(20_000), |text| text.parse())?;
    let folder = tempfile::Builder::new().prefix("sup-races-").tempdir_in(SCRATCH_PARENT)?;
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
    let file = make(folder.path())?;
    let attacker = Command::new(std::env::current_exe()?).env(ATTACKER, folder.path()).spawn()?;
    let mut attacker = Attacker(attacker);

    let (mut accepted, mut refused, mut deceived) = (0, 0, 0);
    for _ in 0..rounds {
        let opened = verify_plug_in(&System, &file).and_then(|verified| verified.open(&System));
        match opened {
            Ok(handle) => {
                accepted += 1;
                let mut text = String::new();
                fs::File::from(handle).read_to_string(&mut text)?;
                if text != "good" {
                    return Err(
                        format!("after {accepted}: accepted a file that says {text}").into()
                    );
                }
            }
            Err(_) => refused += 1,
        }
        deceived += u32::from(deceivable(folder.path(), &file).is_some_and(|text| text == "evil"));
    }
    if let Some(status) = attacker.0.try_wait()? {
        return Err(format!("the attacker ended: {status}").into());
    }
    println!(
        "accepted {accepted}, refused {refused}; by paths {deceived} would have been deceived"
    );
    if accepted == 0 || refused == 0 {
        return Err(format!("no race: accepted {accepted}, refused {refused}").into());
    }
    Ok(Completion::Completed)
}
