//! The files of an installation: where they are, whose, and whether they are the ones that were packed.
//!
//! Each test packs one for itself, as root, in a scratch folder; without root it counts as skipped.

use std::error::Error;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use sup_abi::Status;
use sup_hardened::{Entry, Installation, MANIFEST, Place, Presence, manifest_line};
use sup_test_key::{key, signed_with};

type Outcome = Result<(), Box<dyn Error>>;
type Test = fn(&Packed) -> Outcome;

const OK: Status = Status::VINF_SUCCESS;
const USER: u32 = 65_534;

const PROGRAM: Entry = Entry { name: "program", place: Place::Bin, presence: Presence::Required };
const LIBRARY: Entry =
    Entry { name: "library.so", place: Place::AppPrivArch, presence: Presence::Required };
const OPTIONAL: Entry =
    Entry { name: "optional.so", place: Place::AppPrivArch, presence: Presence::Optional };
const ENTRIES: &[Entry] = &[PROGRAM, LIBRARY, OPTIONAL];

fn main() -> ExitCode {
    let tests: [(&str, Test); 5] = [
        ("packed_files_are_verified", packed_files_are_verified),
        ("cannot_be_another_file_than_was_packed", cannot_be_another_file),
        ("cannot_be_written_by_others", cannot_be_written_by_others),
        ("a_failure_is_asked_again_and_answers_the_same", a_failure_is_asked_again),
        ("cannot_trust_a_manifest_that_nobody_signed", cannot_trust_any_manifest),
    ];
    let is_root = rustix::process::geteuid().is_root();
    let trials = tests.into_iter().map(|(name, test)| {
        let trial = Trial::ignorable_test(name, move || run(test));
        match is_root {
            true => trial,
            false => trial.with_kind("files of root's take root").with_ignored_flag(true),
        }
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}

fn run(test: Test) -> Result<Completion, Failed> {
    let root = tempfile::tempdir()?;
    let packed = Packed { root: root.path().to_owned() };
    packed.pack().and_then(|()| test(&packed)).map_err(|error| error.to_string())?;
    Ok(Completion::Completed)
}

/// An installation below a folder.
struct Packed {
    root: PathBuf,
}

impl Packed {
    fn folder(&self, place: Place) -> PathBuf {
        self.root.join(if place == Place::Bin { "bin" } else { "lib" })
    }

    fn path(&self, entry: &Entry) -> PathBuf {
        self.folder(entry.place).join(entry.name)
    }

    fn manifest(&self) -> PathBuf {
        self.folder(Place::AppPrivArch).join(MANIFEST)
    }

    fn pack(&self) -> Outcome {
        let mut manifest = String::new();
        for place in [Place::Bin, Place::AppPrivArch] {
            fs::create_dir(self.folder(place))?;
            mode(&self.folder(place), 0o755)?;
        }
        for entry in ENTRIES {
            manifest.push_str(&manifest_line(entry, entry.name.as_bytes()));
            if entry.presence == Presence::Required {
                fs::write(self.path(entry), entry.name)?;
            }
        }
        fs::write(self.manifest(), signed_with(manifest.as_bytes(), MANIFEST, 0))?;
        Ok(())
    }

    /// What a process knows of it that has just started.
    fn installation(&self) -> Installation {
        let places = [Place::Bin, Place::AppPrivArch].map(|place| (place, self.folder(place)));
        Installation::new(places.into(), ENTRIES, vec![key().public()])
    }

    /// What a new process gets for a file.
    fn status(&self, path: &Path) -> Status {
        status(&self.installation(), path)
    }
}

fn status(installation: &Installation, path: &Path) -> Status {
    installation.verify_file(path).map_or_else(|refusal| refusal.status(), |()| OK)
}

fn mode(path: &Path, mode: u32) -> std::io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode))
}

#[track_caller]
fn same(what: &str, found: Status, expected: Status) -> Outcome {
    match found == expected {
        true => Ok(()),
        false => Err(format!("{what}: {found} instead of {expected}").into()),
    }
}

fn packed_files_are_verified(packed: &Packed) -> Outcome {
    packed.installation().verify_all()?;
    for entry in ENTRIES {
        same(entry.name, packed.status(&packed.path(entry)), OK)?;
    }
    // A link that leads to the right file passes, unlike where paths are verified.
    let link = packed.root.join("program");
    symlink(packed.path(&PROGRAM), &link)?;
    same("a link", packed.status(&link), OK)?;
    // What was verified once is not asked again.
    let installation = packed.installation();
    installation.verify_all()?;
    mode(&packed.path(&PROGRAM), 0o666)?;
    same("verified before", status(&installation, &packed.path(&PROGRAM)), OK)?;
    same("in a new process", packed.status(&packed.path(&PROGRAM)), Status::VERR_ACCESS_DENIED)
}

fn cannot_be_another_file(packed: &Packed) -> Outcome {
    let path = packed.path(&PROGRAM);
    for unknown in ["/usr/bin/unknown", "unknown", "", "/", "/usr/bin/program/"] {
        same(unknown, packed.status(Path::new(unknown)), Status::VERR_NOT_FOUND)?;
    }
    let elsewhere = packed.root.join("program");
    fs::write(&elsewhere, "program")?;
    same("elsewhere", packed.status(&elsewhere), Status::VERR_NOT_SAME_DEVICE)?;
    same("nowhere", packed.status(Path::new("program")), Status::VERR_NOT_SAME_DEVICE)?;
    // 4 099 bytes are a path that may be there, and is not.
    for (bytes, expected) in
        [(4099, Status::VERR_NOT_SAME_DEVICE), (4100, Status::VERR_BUFFER_OVERFLOW)]
    {
        let folder = format!("/{}", "x".repeat(bytes - "//program".len()));
        let places = vec![(Place::Bin, folder.into())];
        let installation = Installation::new(places, ENTRIES, vec![key().public()]);
        same("a long path", status(&installation, &path), expected)?;
    }
    // Owner and mode are right, and still it is another file.
    fs::write(&path, "progrAm")?;
    same("other content", packed.status(&path), Status::VERR_ACCESS_DENIED)?;
    fs::remove_file(&path)?;
    same("missing", packed.status(&path), Status::VERR_PATH_NOT_FOUND)?;
    fs::create_dir(&path)?;
    same("a folder", packed.status(&path), Status::VERR_IS_A_DIRECTORY)?;
    let folder = packed.folder(Place::Bin);
    fs::remove_dir_all(&folder)?;
    same("no folder", packed.status(&path), Status::VERR_PATH_NOT_FOUND)?;
    fs::write(&folder, "")?;
    same("a file for a folder", packed.status(&path), Status::VERR_NOT_A_DIRECTORY)
}

fn cannot_be_written_by_others(packed: &Packed) -> Outcome {
    let denied = Status::VERR_ACCESS_DENIED;
    let path = packed.path(&PROGRAM);
    for target in [path.clone(), packed.folder(Place::Bin), packed.manifest()] {
        let before = fs::metadata(&target)?.permissions();
        // Root's group too, which rule set A lets write.
        for bits in [0o775, 0o757] {
            mode(&target, bits)?;
            same(&format!("{} {bits:o}", target.display()), packed.status(&path), denied)?;
        }
        fs::set_permissions(&target, before)?;
        chown(&target, Some(USER), None)?;
        same(&format!("{}, a user's", target.display()), packed.status(&path), denied)?;
        chown(&target, Some(0), None)?;
        same("mended", packed.status(&path), OK)?;
    }
    Ok(())
}

/// Historical defect: what had failed once failed otherwise the next time, fatally.
fn a_failure_is_asked_again(packed: &Packed) -> Outcome {
    let installation = packed.installation();
    let path = packed.path(&PROGRAM);
    // The folder first: once it was verified it is not asked again.
    for target in [packed.folder(Place::Bin), path.clone()] {
        mode(&target, 0o777)?;
        for _ in 0..2 {
            same("refused", status(&installation, &path), Status::VERR_ACCESS_DENIED)?;
        }
        mode(&target, 0o755)?;
    }
    same("mended", status(&installation, &path), OK)?;
    // A file that may be missing is not verified by being so.
    let optional = packed.path(&OPTIONAL);
    same("missing", status(&installation, &optional), OK)?;
    fs::write(&optional, "something else")?;
    same("there now", status(&installation, &optional), Status::VERR_ACCESS_DENIED)
}

fn cannot_trust_any_manifest(packed: &Packed) -> Outcome {
    let good = fs::read(packed.manifest())?;
    let path = packed.path(&PROGRAM);
    let denied = Status::VERR_ACCESS_DENIED;
    let line = manifest_line(&PROGRAM, b"program");
    let twice = line.repeat(2);
    let mut changed = good.clone();
    changed[0] ^= 1;
    for (what, bytes) in [
        ("one bit", changed),
        ("cut", good[..good.len() - 1].to_vec()),
        ("unsigned", line.clone().into_bytes()),
        ("signed as something else", signed_with(line.as_bytes(), "program", 0)),
        ("a line that is none", signed_with(b"program", MANIFEST, 0)),
        ("a file twice", signed_with(twice.as_bytes(), MANIFEST, 0)),
        ("without the file", signed_with(b"", MANIFEST, 0)),
    ] {
        fs::write(packed.manifest(), bytes)?;
        same(what, packed.status(&path), denied)?;
    }
    fs::write(packed.manifest(), &good)?;
    same("the good one", packed.status(&path), OK)?;
    let places = [Place::Bin, Place::AppPrivArch].map(|place| (place, packed.folder(place)));
    let stranger = Installation::new(places.into(), ENTRIES, Vec::new());
    same("by nobody who is trusted", status(&stranger, &path), denied)?;
    fs::remove_file(packed.manifest())?;
    same("none", packed.status(&path), Status::VERR_PATH_NOT_FOUND)
}
