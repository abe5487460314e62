//! An attacker swaps files, folders and links as fast as he can, while a path through them is verified
//! again and again: what is accepted is never his.
//!
//! The attacker is a process of its own, with root's rights, which no real one has: he may put his own
//! things in the place of good ones inside folders that he cannot write. Whatever can only be
//! reached through something of his says `evil`, and belongs to root itself, so that a verification that looks
//! at paths takes it for good. One that does is raced too, and has to be deceived: so the race is one.
//!
//! `SUP_RACE_ROUNDS` says how many verifications there are, 20 000 if it is not set; `cargo xtask test
//! races` makes 100 000. Takes root; without it the tests count as skipped.

use std::error::Error;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::{Child, Command, ExitCode};

use libtest_mimic::{Arguments, Completion, Trial};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use sup_hardened::{Contents, System, verify_folder, verify_plug_in};

const SCRATCH_PARENT: &str = "/var/lib";
const ATTACKER: &str = "SUP_RACE_ATTACKED_FOLDER";
const ROUNDS: &str = "SUP_RACE_ROUNDS";
const USER: u32 = 65_534;

type Outcome = Result<Completion, Box<dyn Error>>;
type Test = fn() -> Outcome;

/// What is swapped in turn, and with what: a folder, one in it, and the file in that.
const SWAPS: [(&str, &str); 8] = [
    ("way", "user-folder"),
    ("way", "open-folder"),
    ("way", "link"),
    ("way/in", "user-folder/in"),
    ("way/in", "open-folder/user-in"),
    ("way/in", "link-in"),
    ("way/in/x.so", "user-file"),
    ("way/in/x.so", "file-link"),
];
/// Verifies a path as it sees fit, and opens the file if it takes it for good.
type Verifier = fn(&Path) -> Option<fs::File>;

fn main() -> ExitCode {
    if let Some(folder) = std::env::var_os(ATTACKER) {
        attack(Path::new(&folder));
    }
    let tests: [(&str, Test); 2] = [
        ("cannot_be_deceived_by_swaps", cannot_be_deceived),
        ("one_that_trusts_paths_is_deceived", one_that_trusts_paths_is_deceived),
    ];
    let missing = what_is_missing();
    let trials = tests.into_iter().map(|(name, test)| {
        let run = move || test().map_err(|e| e.to_string().into());
        let trial = Trial::ignorable_test(name, run);
        match &missing {
            Some(reason) => trial.with_kind(reason.clone()).with_ignored_flag(true),
            None => trial,
        }
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
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
        for (good, evil) in SWAPS {
            // There and back.
            for _ in 0..2 {
                let (good, evil) = (folder.join(good), folder.join(evil));
                if renameat_with(CWD, &good, CWD, &evil, RenameFlags::EXCHANGE).is_err() {
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

/// One that is killed with the test, and what he swaps.
struct Race {
    // Ends first, or the folder changes while it is removed, and stays.
    attacker: Attacker,
    folder: tempfile::TempDir,
}

impl Race {
    fn start() -> Result<Self, Box<dyn Error>> {
        let folder = tempfile::Builder::new().prefix("sup-races-").tempdir_in(SCRATCH_PARENT)?;
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
        make(folder.path())?;
        let mut attacker = Command::new(std::env::current_exe()?);
        let attacker = attacker.env(ATTACKER, folder.path()).spawn()?;
        Ok(Self { folder, attacker: Attacker(attacker) })
    }

    /// What the verifier says of the file in one round: the text that it let through.
    fn round(&self, verifier: Verifier) -> std::io::Result<Option<String>> {
        let file = verifier(&self.folder.path().join("way/in/x.so"));
        file.map(std::io::read_to_string).transpose()
    }

    fn finish(mut self) -> Result<(), Box<dyn Error>> {
        match self.attacker.0.try_wait()? {
            Some(status) => Err(format!("the attacker ended: {status}").into()),
            None => Ok(()),
        }
    }
}

fn make(folder: &Path) -> std::io::Result<()> {
    let place = |name: &str| folder.join(name);
    for (name, owner, mode) in [
        ("way", 0, 0o755),
        ("way/in", 0, 0o755),
        ("user-folder", USER, 0o755),
        ("user-folder/in", USER, 0o755),
        ("open-folder", 0, 0o777),
        ("open-folder/in", 0, 0o755),
        ("open-folder/user-in", USER, 0o755),
    ] {
        fs::create_dir(place(name))?;
        chown(place(name), Some(owner), Some(0))?;
        fs::set_permissions(place(name), Permissions::from_mode(mode))?;
    }
    fs::write(place("way/in/x.so"), "good")?;
    for evil in ["user-folder/in", "open-folder/in", "open-folder/user-in"] {
        fs::write(place(evil).join("x.so"), "evil")?;
    }
    symlink("user-folder", place("link"))?;
    symlink(place("user-folder/in"), place("link-in"))?;
    fs::write(place("user-file"), "evil")?;
    chown(place("user-file"), Some(USER), Some(0))?;
    symlink(place("user-folder/in/x.so"), place("file-link"))
}

fn by_handles(file: &Path) -> Option<fs::File> {
    let opened = verify_plug_in(&System, file).and_then(|verified| verified.open(&System));
    opened.ok().map(fs::File::from)
}

/// What is done where paths are checked: each one, then the file is opened by its own.
fn by_paths(file: &Path) -> Option<fs::File> {
    for path in file.ancestors() {
        let metadata = fs::symlink_metadata(path).ok()?;
        if metadata.is_symlink() || metadata.uid() != 0 || metadata.mode() & 0o022 != 0 {
            return None;
        }
    }
    // Where there is only one processor, the attacker gets his turn too.
    std::thread::yield_now();
    fs::File::open(file).ok()
}

#[expect(clippy::print_stdout, reason = "shows with --nocapture how fierce the race was")]
fn cannot_be_deceived() -> Outcome {
    let rounds: u32 = std::env::var(ROUNDS).map_or(Ok(20_000), |text| text.parse())?;
    let race = Race::start()?;
    let (mut accepted, mut refused, mut deceived) = (0, 0, 0);
    for _ in 0..rounds {
        match race.round(by_handles)?.as_deref() {
            Some("good") => accepted += 1,
            Some(text) => {
                let when = accepted + refused;
                return Err(format!("after {when}: accepted a file that says {text}").into());
            }
            None => refused += 1,
        }
        deceived += u32::from(race.round(by_paths)?.as_deref() == Some("evil"));
    }
    race.finish()?;
    println!(
        "accepted {accepted}, refused {refused}; by paths {deceived} would have been deceived"
    );
    if accepted == 0 || refused == 0 {
        return Err(format!("no race: accepted {accepted}, refused {refused}").into());
    }
    Ok(Completion::Completed)
}

/// The race can be lost.
fn one_that_trusts_paths_is_deceived() -> Outcome {
    /// Far more than it takes: about one of a hundred deceives.
    const ROUNDS_MAX: u32 = 1_000_000;
    let race = Race::start()?;
    for _ in 0..ROUNDS_MAX {
        if race.round(by_paths)?.as_deref() == Some("evil") {
            return race.finish().map(|()| Completion::Completed);
        }
    }
    Err(format!("nobody was deceived in {ROUNDS_MAX} rounds: this is no race").into())
}
