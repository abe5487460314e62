//! The rules on the machine's own file system: the specification's matrix, as root, in a scratch folder.
//!
//! Files of several owners take root, and the folders above the scratch folder must pass themselves, so
//! that it is made in /var/lib; without either the tests count as skipped. `src/tests.rs` has the same rules on a file
//! system in memory.

use std::error::Error;
use std::fs::{self, Permissions};
use std::io::Read;
use std::ops::ControlFlow;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use rustix::fs::{FileType, Mode, XattrFlags, mknodat, setxattr};
use sup_abi::Status;
use sup_hardened::{
    Contents, Rule, System, Violation, Wanted, Watch, survey, verify_folder, verify_plug_in,
};

type Outcome = Result<(), Box<dyn Error>>;
type Test = fn(&Scratch) -> Outcome;

const OK: Status = Status::VINF_SUCCESS;
const USER: u32 = 65_534;
const SCRATCH_PARENT: &str = "/var/lib";

fn main() -> ExitCode {
    let tests: [(&str, Test); 6] = [
        ("statuses_of_the_matrix", statuses_of_the_matrix),
        ("verified_files_are_read_through_their_handle", verified_files_are_read),
        ("folders_are_verified_with_their_contents", folders_are_verified),
        ("lists_and_capabilities_are_seen", lists_and_capabilities_are_seen),
        ("no_handle_stays_open", no_handle_stays_open),
        ("a_survey_lists_everything", a_survey_lists_everything),
    ];
    let missing = what_is_missing();
    let trials = tests.into_iter().map(|(name, test)| {
        let trial = Trial::ignorable_test(name, move || run(test));
        match &missing {
            Some(reason) => trial.with_kind(reason.clone()).with_ignored_flag(true),
            None => trial,
        }
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}

/// Why nothing here can be tested on this machine.
fn what_is_missing() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("files of several owners take root".to_owned());
    }
    let parent = verify_folder(&System, Path::new(SCRATCH_PARENT), Contents::None);
    parent.err().map(|violation| format!("no place for a scratch folder: {violation}"))
}

fn run(test: Test) -> Result<Completion, Failed> {
    let folder = tempfile::Builder::new().prefix("sup-hardened-").tempdir_in(SCRATCH_PARENT)?;
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
    test(&Scratch { folder: folder.path().to_owned() }).map_err(|error| error.to_string())?;
    Ok(Completion::Completed)
}

/// A folder in which everything can be put, under folders that pass.
struct Scratch {
    folder: PathBuf,
}

impl Scratch {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn file(
        &self,
        name: &str,
        owner: u32,
        group: u32,
        mode: u32,
    ) -> Result<PathBuf, Box<dyn Error>> {
        let path = self.path(name);
        fs::write(&path, name)?;
        chown(&path, Some(owner), Some(group))?;
        fs::set_permissions(&path, Permissions::from_mode(mode))?;
        Ok(path)
    }

    fn folder(&self, name: &str, owner: u32, mode: u32) -> Result<PathBuf, Box<dyn Error>> {
        let path = self.path(name);
        fs::create_dir(&path)?;
        chown(&path, Some(owner), Some(0))?;
        fs::set_permissions(&path, Permissions::from_mode(mode))?;
        Ok(path)
    }
}

fn plug_in(path: impl AsRef<Path>) -> Status {
    verify_plug_in(&System, path.as_ref()).map_or_else(|violation| violation.status(), |_| OK)
}

fn folder(path: impl AsRef<Path>, contents: Contents) -> Status {
    verify_folder(&System, path.as_ref(), contents)
        .map_or_else(|violation| violation.status(), |_| OK)
}

fn same(what: &str, found: Status, expected: Status) -> Outcome {
    match found == expected {
        true => Ok(()),
        false => Err(format!("{what}: {found} instead of {expected}").into()),
    }
}

fn statuses_of_the_matrix(scratch: &Scratch) -> Outcome {
    let good = scratch.file("good.so", 0, 0, 0o644)?;
    same("a good file", plug_in(&good), OK)?;
    same("root's group", plug_in(scratch.file("g.so", 0, 0, 0o664)?), OK)?;
    let group = scratch.file("group.so", 0, 100, 0o664)?;
    same("another group", plug_in(group), Status::VERR_SUPLIB_WRITE_NON_SYS_GROUP)?;
    let world = scratch.file("world.so", 0, 0, 0o646)?;
    same("everybody", plug_in(world), Status::VERR_SUPLIB_WORLD_WRITABLE)?;
    let owned = scratch.file("owned.so", USER, 0, 0o644)?;
    same("a user's file", plug_in(&owned), Status::VERR_SUPLIB_OWNER_NOT_ROOT)?;

    let temporary = tempfile::NamedTempFile::new()?;
    same("a file in /tmp", plug_in(temporary.path()), Status::VERR_SUPLIB_WORLD_WRITABLE)?;

    symlink(&good, scratch.path("link.so"))?;
    let links = Status::VERR_SUPLIB_SYMLINKS_ARE_NOT_PERMITTED;
    same("root's link", plug_in(scratch.path("link.so")), links)?;
    symlink(&scratch.folder, scratch.path("way"))?;
    same("a link on the way", plug_in(scratch.path("way/good.so")), links)?;
    std::os::unix::fs::lchown(scratch.path("link.so"), Some(USER), Some(0))?;
    same("a user's link", plug_in(scratch.path("link.so")), Status::VERR_SUPLIB_OWNER_NOT_ROOT)?;

    let pipe = scratch.path("pipe");
    mknodat(rustix::fs::CWD, &pipe, FileType::Fifo, Mode::RUSR, 0)?;
    same("a pipe", plug_in(&pipe), Status::VERR_SUPLIB_NOT_DIR_NOT_FILE)?;

    same("a folder", plug_in(&scratch.folder), Status::VERR_SUPLIB_IS_DIRECTORY)?;
    same("nothing", plug_in(scratch.path("none")), Status::VERR_SUPLIB_STAT_FAILED)?;
    same("a file on the way", plug_in(good.join("x")), Status::VERR_SUPLIB_IS_FILE)?;
    same("a file for a folder", folder(&good, Contents::None), Status::VERR_SUPLIB_IS_FILE)?;
    let slash = format!("{}/", scratch.folder.display());
    same("a folder with a slash", folder(&slash, Contents::None), OK)?;
    same("the same for a file", plug_in(&slash), Status::VERR_SUPLIB_IS_DIRECTORY)?;
    for (path, status) in [
        ("usr/lib/x", Status::VERR_SUPLIB_PATH_NOT_ABSOLUTE),
        ("/", Status::VERR_SUPLIB_PATH_IS_ROOT),
        ("/ab", Status::VERR_SUPLIB_PATH_TOO_SHORT),
        ("/usr//lib", Status::VERR_SUPLIB_PATH_NOT_CLEAN),
        (&"/abc".repeat(33), Status::VERR_SUPLIB_PATH_TOO_MANY_COMPONENTS),
        (&format!("/{}", "x".repeat(259)), Status::VERR_SUPLIB_PATH_TOO_LONG),
    ] {
        same(path, plug_in(path), status)?;
    }
    Ok(())
}

fn verified_files_are_read(scratch: &Scratch) -> Outcome {
    let good = scratch.file("good.so", 0, 0, 0o600)?;
    let verified = verify_plug_in(&System, &good)?;
    let mut text = String::new();
    fs::File::from(verified.open(&System)?).read_to_string(&mut text)?;
    if text != "good.so" {
        return Err(format!("another file was opened: {text}").into());
    }
    // Another good file under the same name is not the one that was verified.
    fs::rename(scratch.file("other.so", 0, 0, 0o600)?, &good)?;
    let exchanged = verified.open(&System).map_or_else(|violation| violation.status(), |_| OK);
    same("an exchanged file", exchanged, Status::VERR_SUPLIB_NOT_SAME_OBJECT)
}

fn folders_are_verified(scratch: &Scratch) -> Outcome {
    let below = scratch.folder("below", 0, 0o755)?;
    let deep = scratch.folder("below/deep", 0, 0o755)?;
    scratch.file("below/deep/good.so", 0, 0, 0o644)?;
    same("a good folder", folder(&scratch.folder, Contents::All), OK)?;
    scratch.file("below/deep/bad.so", USER, 0, 0o644)?;
    same("itself", folder(&deep, Contents::None), OK)?;
    same("entries", folder(&below, Contents::Entries), OK)?;
    let refused = Status::VERR_SUPLIB_OWNER_NOT_ROOT;
    same("entries of the last", folder(&deep, Contents::Entries), refused)?;
    same("all below", folder(&scratch.folder, Contents::All), refused)
}

fn lists_and_capabilities_are_seen(scratch: &Scratch) -> Outcome {
    let file = scratch.file("list.so", 0, 0, 0o644)?;
    // Owner rw, user 1000 rw, group r, mask rw, others r.
    let mut list = 2_u32.to_le_bytes().to_vec();
    for (tag, rights, id) in [
        (1_u16, 6_u16, u32::MAX),
        (2, 6, 1000),
        (4, 4, u32::MAX),
        (0x10, 6, u32::MAX),
        (0x20, 4, u32::MAX),
    ] {
        list.extend([&tag.to_le_bytes()[..], &rights.to_le_bytes(), &id.to_le_bytes()].concat());
    }
    setxattr(&file, "system.posix_acl_access", &list, XattrFlags::empty())?;
    let violation = verify_plug_in(&System, &file).err().ok_or("the list was not seen")?;
    if violation.rule() != Rule::AclGrantsNothing {
        return Err(format!("another rule: {violation}").into());
    }

    let tool = scratch.file("tool", 0, 0, 0o755)?;
    same("a program", plug_in(&tool), OK)?;
    let capabilities =
        |permitted: u32| [0x0200_0001_u32, permitted, 0, 0, 0].map(u32::to_le_bytes).concat();
    let name = "security.capability";
    setxattr(&tool, name, &capabilities(1 << 10), XattrFlags::empty())?;
    same("a right that does not write", plug_in(&tool), OK)?;
    setxattr(&tool, name, &capabilities(1 << 1), XattrFlags::empty())?;
    same("CAP_DAC_OVERRIDE", plug_in(&tool), Status::VERR_SUPLIB_WORLD_WRITABLE)
}

fn no_handle_stays_open(scratch: &Scratch) -> Outcome {
    const ROUNDS: usize = 50;
    let count = || fs::read_dir("/proc/self/fd").map(Iterator::count);
    let good = scratch.file("good.so", 0, 0, 0o644)?;
    let bad = scratch.file("bad.so", USER, 0, 0o644)?;
    let before = count()?;
    for _ in 0..ROUNDS {
        drop(verify_plug_in(&System, &good)?.open(&System)?);
        same("a user's file", plug_in(&bad), Status::VERR_SUPLIB_OWNER_NOT_ROOT)?;
        same(
            "its folder",
            folder(&scratch.folder, Contents::All),
            Status::VERR_SUPLIB_OWNER_NOT_ROOT,
        )?;
    }
    match count()? {
        // Other tests of this process have handles too, for a while.
        after if after < before + ROUNDS => Ok(()),
        after => Err(format!("{before} handles before, {after} after").into()),
    }
}

fn a_survey_lists_everything(scratch: &Scratch) -> Outcome {
    #[derive(Default)]
    struct All(Vec<Violation>);
    impl Watch for All {
        fn violation(&mut self, violation: Violation) -> ControlFlow<()> {
            self.0.push(violation);
            ControlFlow::Continue(())
        }
    }
    scratch.folder("below", USER, 0o777)?;
    scratch.file("below/bad.so", 0, 100, 0o666)?;
    let mut all = All::default();
    let tally = survey(&System, &scratch.folder, Wanted::Either, Contents::All, &mut all);
    let rules: Vec<_> = all.0.iter().map(Violation::rule).collect();
    let expected = [
        Rule::OwnerIsRoot,
        Rule::OthersCannotWrite,
        Rule::GroupCannotWrite,
        Rule::OthersCannotWrite,
    ];
    if rules != expected || (tally.folders, tally.files) != (1, 1) {
        return Err(format!("{tally:?}: {rules:?}").into());
    }
    Ok(())
}
