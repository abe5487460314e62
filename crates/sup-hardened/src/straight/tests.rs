//! The short way: it is taken where nothing is wrong, and never where a folder is not what it should be.
//!
//! `src/tests.rs` has every rule both ways.

use proptest::prelude::*;
use rustix::fs::{Mode, Uid};

use super::reach;
use crate::fake::{Fake, Shortcut};
use crate::path::CleanPath;
use crate::{Kind, verify_plug_in};

const FILE: &str = "/usr/lib/supdrv/x.so";

fn reaches(fake: &Fake, path: &str) -> bool {
    let path = CleanPath::parse(path.as_bytes()).expect("a clean path");
    reach(fake, &path).is_some()
}

#[test]
fn is_taken_where_nothing_is_wrong() {
    let mut fake = Fake::with_file(FILE);
    assert!(reaches(&fake, FILE));
    // What is wrong with the file itself is the walk's business.
    fake.at(FILE).facts.mode |= Mode::WOTH;
    assert!(reaches(&fake, FILE));
    fake.shortcut = Shortcut::Missing;
    assert!(!reaches(&fake, FILE));
}

#[test]
fn cannot_pass_a_folder_of_somebody_elses() {
    for at in ["", "/usr", "/usr/lib", "/usr/lib/supdrv"] {
        let mut fake = Fake::with_file(FILE);
        fake.at(at).facts.owner = Uid::from_raw(1000);
        assert!(!reaches(&fake, FILE), "{at}");
        fake.at(at).facts.owner = Uid::ROOT;
        assert!(reaches(&fake, FILE), "{at}");
        fake.at(at).facts.mode |= Mode::WOTH;
        assert!(!reaches(&fake, FILE), "{at}");
    }
    let mut fake = Fake::with_file(FILE);
    fake.at("/usr/lib").facts.kind = Kind::Link;
    assert!(!reaches(&fake, FILE));
}

/// The path led to the folder, and by the time that the folders above are asked for it stands elsewhere.
#[test]
fn cannot_pass_a_folder_that_was_moved_meanwhile() {
    let mut fake = Fake::with_file(FILE);
    for path in ["/home/user/a", "/srv/one/two/three"] {
        fake.add(path, Kind::Folder, 0o755);
    }
    fake.at("/home/user").facts.owner = Uid::from_raw(1000);
    let mut moved = |what: &str, to: &str| {
        fake.shortcut = Shortcut::Moved { what: what.to_owned(), to: to.to_owned() };
        !reaches(&fake, FILE)
    };
    for what in ["/usr/lib/supdrv", "/usr/lib", "/usr"] {
        // Below a user's folder; and deeper, so that as many steps as the path has do not reach the root.
        assert!(moved(what, "/home/user/a"), "{what}");
        assert!(moved(what, "/srv/one/two/three"), "{what}");
    }
    // Where it stands is as good, and as deep.
    assert!(!moved("/usr/lib/supdrv", "/srv/one"));
}

proptest! {
    /// Whatever is wrong with any object, both ways answer the same, and take the same file.
    #[test]
    fn answers_what_a_walk_answers(
        wrong in prop::collection::vec((0..5_usize, 0..4_u8, 0..0o1000_u32), 0..4)
    ) {
        let mut fake = Fake::with_file(FILE);
        for (at, what, mode) in wrong {
            let facts = &mut fake.at(["", "/usr", "/usr/lib", "/usr/lib/supdrv", FILE][at]).facts;
            match what {
                0 => facts.owner = Uid::from_raw(mode),
                1 => facts.kind = [Kind::Link, Kind::Other, Kind::File, Kind::Folder][mode as usize % 4],
                2 => facts.acl_grants_write = true,
                _ => facts.mode = Mode::from_raw_mode(mode),
            }
        }
        let verified = |fake: &Fake| {
            let verified = verify_plug_in(fake, FILE.as_ref());
            verified.map(|verified| verified.facts().identity).map_err(|error| error.to_string())
        };
        let short = verified(&fake);
        fake.shortcut = Shortcut::Missing;
        prop_assert_eq!(short, verified(&fake));
    }
}
