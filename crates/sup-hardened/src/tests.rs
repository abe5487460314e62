//! Every rule, on objects of anybody's: the specification's matrix, and what its original got wrong.

use std::ops::ControlFlow;
use std::path::Path;

use rustix::fs::{Gid, Mode, Uid};
use rustix::io::Errno;
use sup_abi::Status;

use crate::fake::{Fake, Shortcut};
use crate::{
    Contents, Facts, Kind, Rule, Violation, Wanted, Watch, survey, verify_folder, verify_plug_in,
};

const FILE: &str = "/usr/lib/supdrv/x.so";
const FOLDER: &str = "/usr/lib/supdrv";
const OK: Status = Status::VINF_SUCCESS;

/// The short way and the long one answer the same.
fn both_ways<T>(
    fake: &Fake,
    verify: impl Fn(&Fake) -> Result<T, Violation>,
) -> Result<T, Violation> {
    let by = |shortcut| verify(&fake.clone().with(shortcut));
    let (short, long) = (by(Shortcut::Works), by(Shortcut::Missing));
    let said = |outcome: &Result<T, Violation>| outcome.as_ref().err().map(Violation::to_string);
    assert_eq!(said(&short), said(&long));
    short
}

fn plug_in(fake: &Fake, path: &str) -> Result<(), Violation> {
    both_ways(fake, |fake| verify_plug_in(fake, Path::new(path))?.open(fake).map(drop))
}

fn status_of(outcome: Result<(), Violation>) -> Status {
    outcome.map_or_else(|violation| violation.status(), |()| OK)
}

fn folder(fake: &Fake, path: &str, contents: Contents) -> Status {
    let verify = |fake: &Fake| verify_folder(fake, Path::new(path), contents);
    status_of(both_ways(fake, verify).map(drop))
}

/// What a plug-in's verification answers after `change` to the object at `at`.
#[track_caller]
fn changed(at: &str, change: impl Fn(&mut Facts)) -> Violation {
    let mut fake = Fake::with_file(FILE);
    plug_in(&fake, FILE).expect("nothing is wrong yet");
    change(&mut fake.at(at).facts);
    plug_in(&fake, FILE).expect_err("something is wrong")
}

/// Each of them on the file, on each folder above it, and on the root.
const ANYWHERE: [&str; 5] = [FILE, FOLDER, "/usr/lib", "/usr", ""];

#[test]
fn what_root_alone_may_write_passes() {
    let mut fake = Fake::with_file(FILE);
    assert_eq!(status_of(plug_in(&fake, FILE)), OK);
    // Root's own group may write.
    fake.at(FILE).facts.mode = Mode::from_raw_mode(0o664);
    assert_eq!(status_of(plug_in(&fake, FILE)), OK);
    assert_eq!(folder(&fake, "/usr/lib/", Contents::All), OK);
    assert_eq!(folder(&fake, "/usr/lib", Contents::None), OK);
}

#[test]
fn cannot_be_written_by_others_anywhere_on_the_path() {
    type Change = fn(&mut Facts);
    let changes: [(Change, Rule); 5] = [
        (|facts| facts.owner = Uid::from_raw(1000), Rule::OwnerIsRoot),
        (
            |facts| {
                facts.group = Gid::from_raw(100);
                facts.mode |= Mode::WGRP;
            },
            Rule::GroupCannotWrite,
        ),
        (|facts| facts.mode |= Mode::WOTH, Rule::OthersCannotWrite),
        // The sticky bit excuses nothing.
        (|facts| facts.mode = Mode::from_raw_mode(0o1777), Rule::OthersCannotWrite),
        (|facts| facts.acl_grants_write = true, Rule::AclGrantsNothing),
    ];
    for at in ANYWHERE {
        for (change, rule) in changes {
            let violation = changed(at, change);
            let path = if at.is_empty() { "/" } else { at };
            assert_eq!((violation.rule(), violation.path()), (rule, Path::new(path)), "{at}");
        }
    }
    let violation = changed(FILE, |facts| facts.capability_grants_write = true);
    assert_eq!(violation.status(), Status::VERR_SUPLIB_WORLD_WRITABLE);
}

#[test]
fn cannot_pass_a_link_or_a_device() {
    for at in [FILE, FOLDER, "/usr"] {
        let violation = changed(at, |facts| facts.kind = Kind::Link);
        assert_eq!(violation.status(), Status::VERR_SUPLIB_SYMLINKS_ARE_NOT_PERMITTED, "{at}");
        let violation = changed(at, |facts| {
            facts.kind = Kind::Link;
            facts.owner = Uid::from_raw(1000);
        });
        assert_eq!(violation.status(), Status::VERR_SUPLIB_OWNER_NOT_ROOT, "{at}");
        let violation = changed(at, |facts| facts.kind = Kind::Other);
        assert_eq!(violation.status(), Status::VERR_SUPLIB_NOT_DIR_NOT_FILE, "{at}");
    }
}

#[test]
fn kinds_are_what_was_wanted() {
    let fake = Fake::with_file(FILE);
    for (path, expected) in [
        (FOLDER, Status::VERR_SUPLIB_IS_DIRECTORY),
        ("/usr/lib/", Status::VERR_SUPLIB_IS_DIRECTORY),
        ("/usr/lib/supdrv/x.so/", Status::VERR_SUPLIB_IS_DIRECTORY),
        ("/usr/lib/supdrv/x.so/y", Status::VERR_SUPLIB_IS_FILE),
        ("/usr/lib/none", Status::VERR_SUPLIB_STAT_FAILED),
        ("usr/lib/x", Status::VERR_SUPLIB_PATH_NOT_ABSOLUTE),
    ] {
        assert_eq!(status_of(plug_in(&fake, path)), expected, "{path}");
    }
    assert_eq!(folder(&fake, FILE, Contents::None), Status::VERR_SUPLIB_IS_FILE);
}

/// Historical defect: what could not be examined for lack of rights was judged by what was known of
/// something else.
#[test]
fn cannot_pass_what_may_not_be_examined() {
    let mut fake = Fake::with_file(FILE);
    fake.at(FILE).unseen = Some(Errno::ACCESS);
    let violation = plug_in(&fake, FILE).unwrap_err();
    assert_eq!(violation.status(), Status::VERR_SUPLIB_STAT_FAILED);
    assert!(violation.to_string().contains("Permission denied"), "{violation}");
    assert_eq!(folder(&fake, FOLDER, Contents::All), Status::VERR_SUPLIB_STAT_FAILED);
}

/// Historical defect: the file that was used was not the one that had been checked.
#[test]
fn cannot_be_exchanged_between_check_and_use() {
    let mut fake = Fake::with_file(FILE);
    type Change = fn(&mut Facts);
    let changes: [(Change, &str); 4] = [
        (|facts| facts.identity.inode += 1000, "ino/dev"),
        (|facts| facts.owner = Uid::from_raw(1), "uid/gid"),
        (|facts| facts.mode |= Mode::WOTH, "mode"),
        (|facts| facts.kind = Kind::Other, "mode"),
    ];
    for (change, what) in changes {
        for at in [FILE, FOLDER] {
            let mut becomes = fake.at(at).facts;
            change(&mut becomes);
            fake.at(at).becomes = Some(becomes);
        }
        let violation = plug_in(&fake, FILE).unwrap_err();
        assert_eq!(violation.status(), Status::VERR_SUPLIB_NOT_SAME_OBJECT);
        assert!(violation.to_string().contains(what), "{violation}");
        assert_eq!(folder(&fake, FOLDER, Contents::All), Status::VERR_SUPLIB_NOT_SAME_OBJECT);
    }
}

/// Historical defect: the first entry that could be examined ended the loop, with success.
#[test]
fn folders_are_verified_with_what_is_in_them() {
    let mut fake = Fake::with_file(FILE);
    fake.add("/usr/lib/supdrv/a.so", Kind::File, 0o644);
    fake.add("/usr/lib/supdrv/below/good.so", Kind::File, 0o644);
    fake.add("/usr/lib/supdrv/below/deep/z.so", Kind::File, 0o644);
    for contents in [Contents::None, Contents::Entries, Contents::All] {
        assert_eq!(folder(&fake, FOLDER, contents), OK);
    }
    let is_seen = |at: &str, contents| {
        let mut fake = fake.clone();
        fake.at(at).facts.mode |= Mode::WOTH;
        folder(&fake, FOLDER, contents) == Status::VERR_SUPLIB_WORLD_WRITABLE
    };
    for (at, among_entries) in [
        (FILE, true),
        ("/usr/lib/supdrv/below", true),
        ("/usr/lib/supdrv/below/good.so", false),
        ("/usr/lib/supdrv/below/deep", false),
        ("/usr/lib/supdrv/below/deep/z.so", false),
    ] {
        assert!(!is_seen(at, Contents::None), "{at}");
        assert_eq!(is_seen(at, Contents::Entries), among_entries, "{at}");
        assert!(is_seen(at, Contents::All), "{at}");
    }
    fake.add("/usr/lib/supdrv/below/link", Kind::Link, 0o777);
    let status = folder(&fake, FOLDER, Contents::All);
    assert_eq!(status, Status::VERR_SUPLIB_SYMLINKS_ARE_NOT_PERMITTED);
}

#[test]
fn a_folder_that_cannot_be_listed_is_no_success() {
    let mut fake = Fake::with_file(FILE);
    for error in [Errno::IO, Errno::ACCESS] {
        fake.at(FOLDER).unlisted = Some(error);
        assert_eq!(folder(&fake, FOLDER, Contents::Entries), Status::VERR_SUPLIB_DIR_ENUM_FAILED);
    }
}

#[test]
fn entries_have_room_for_one_byte_more_than_paths() {
    let mut fake = Fake::with_file(FILE);
    let name = |length: usize| format!("{FOLDER}/{}", "x".repeat(length - FOLDER.len() - 1));
    fake.add(&name(260), Kind::File, 0o644);
    assert_eq!(folder(&fake, FOLDER, Contents::All), OK);
    fake.add(&name(261), Kind::File, 0o644);
    assert_eq!(folder(&fake, FOLDER, Contents::All), Status::VERR_SUPLIB_PATH_TOO_LONG);
}

/// Keeps them all.
#[derive(Default)]
struct All(Vec<Violation>);

impl Watch for All {
    fn violation(&mut self, violation: Violation) -> ControlFlow<()> {
        self.0.push(violation);
        ControlFlow::Continue(())
    }
}

#[test]
fn a_survey_finds_everything_at_once() {
    let mut fake = Fake::with_file(FILE);
    fake.at("/usr").facts.owner = Uid::from_raw(1000);
    fake.at(FOLDER).facts.mode = Mode::from_raw_mode(0o777);
    fake.at(FOLDER).facts.group = Gid::from_raw(100);
    fake.at(FILE).facts.kind = Kind::Link;
    fake.add("/usr/lib/supdrv/pipe", Kind::Other, 0o600);
    fake.add("/usr/lib/supdrv/gone", Kind::File, 0o644).unseen = Some(Errno::NOENT);
    let mut all = All::default();
    let tally = survey(&fake, Path::new(FOLDER), Wanted::Either, Contents::All, &mut all);
    assert_eq!((tally.folders, tally.files), (0, 2));
    let found: Vec<_> = all
        .0
        .iter()
        .map(|violation| (violation.path().to_str().unwrap(), violation.rule()))
        .collect();
    assert_eq!(
        found,
        [
            ("/usr", Rule::OwnerIsRoot),
            (FOLDER, Rule::GroupCannotWrite),
            (FOLDER, Rule::OthersCannotWrite),
            ("/usr/lib/supdrv/gone", Rule::CanBeExamined),
            ("/usr/lib/supdrv/pipe", Rule::IsFileOrFolder),
            (FILE, Rule::IsNoLink),
        ]
    );
}

#[test]
fn a_violation_says_where_what_whose_and_what_to_do() {
    let violation = changed(FOLDER, |facts| {
        facts.group = Gid::from_raw(100);
        facts.mode = Mode::from_raw_mode(0o775);
    });
    assert_eq!(
        violation.to_string(),
        "'/usr/lib/supdrv': a group other than root's may write (owner 0, group 100, mode 0775); to \
         mend it: chmod g-w '/usr/lib/supdrv'"
    );
    // A stranger's file name cannot write lines of its own.
    let mut fake = Fake::with_file("/usr/a\nb");
    fake.at("/usr/a\nb").facts.mode |= Mode::WOTH;
    let sentence = plug_in(&fake, "/usr/a\nb").unwrap_err().to_string();
    assert!(!sentence.contains('\n'), "{sentence}");
}
