//! Paths to verify: whatever bytes a path has, it is refused, or walked name by name as it is written.
//!
//! Neighbours: `sup-hardened/src/path/tests.rs` has a test for each rule. Invariant: a walk opens the names
//! between the slashes and no others, each in the folder before it, and `.` and `..` never; and the short way
//! opens what is before the last of them, at once.

#![no_main]

use std::cell::RefCell;
use std::ffi::OsStr;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;

use libfuzzer_sys::fuzz_target;
use rustix::fs::{Gid, Mode, Uid};
use rustix::io::Errno;
use sup_hardened::{
    Contents, Facts, Identity, Kind, Objects, PATH_BYTES_LIMIT, PATH_COMPONENTS_MAX, verify_folder,
};

/// A file system in which every name is a folder of root's, and which notes what is opened.
#[derive(Default)]
struct Notes {
    opened: RefCell<Vec<Vec<u8>>>,
    /// The folder that the last component is in can be opened at once.
    has_short_way: bool,
}

impl Objects for Notes {
    /// How many folders are above.
    type Handle = usize;

    fn root(&self) -> Result<usize, Errno> {
        Ok(0)
    }

    fn open(&self, folder: &usize, name: &[u8]) -> Result<usize, Errno> {
        let mut notes = self.opened.borrow_mut();
        assert_eq!(notes.len(), *folder, "opened in another folder than the last");
        notes.push(name.to_vec());
        Ok(notes.len())
    }

    fn open_straight(&self, path: &[u8]) -> Result<usize, Errno> {
        if !self.has_short_way {
            return Err(Errno::NOSYS);
        }
        let mut notes = self.opened.borrow_mut();
        assert!(notes.is_empty() && path.first() == Some(&b'/'));
        notes.extend(path.split(|byte| *byte == b'/').skip(1).map(<[u8]>::to_vec));
        Ok(notes.len())
    }

    fn ancestor(&self, folder: &usize, levels: usize) -> Result<Facts, Errno> {
        self.facts(&folder.checked_sub(levels).expect("nothing is above the root"))
    }

    fn facts(&self, object: &usize) -> Result<Facts, Errno> {
        Ok(Facts {
            identity: Identity { device: 1, inode: *object as u64 },
            kind: Kind::Folder,
            owner: Uid::ROOT,
            group: Gid::ROOT,
            mode: Mode::from_raw_mode(0o755),
            acl_grants_write: false,
            capability_grants_write: false,
        })
    }

    fn open_to_read(&self, _: &usize, _: &[u8]) -> Result<usize, Errno> {
        unreachable!("nothing is read")
    }

    fn open_to_list(&self, _: &usize) -> Result<usize, Errno> {
        unreachable!("nothing is listed")
    }

    fn names(&self, _: &usize, _: &mut dyn FnMut(&[u8]) -> ControlFlow<()>) -> Result<(), Errno> {
        unreachable!("nothing is listed")
    }
}

fuzz_target!(|path: &[u8]| {
    for has_short_way in [false, true] {
        verify(path, has_short_way);
    }
});

fn verify(path: &[u8], has_short_way: bool) {
    let notes = Notes { has_short_way, ..Notes::default() };
    let verified = verify_folder(&notes, OsStr::from_bytes(path).as_ref(), Contents::None);
    let names = notes.opened.into_inner();
    let Err(violation) = verified else {
        assert!(names.len() <= PATH_COMPONENTS_MAX);
        let bad = |name: &Vec<u8>| {
            name.is_empty()
                || name == b"."
                || name == b".."
                || name.contains(&b'/')
                || name.contains(&0)
        };
        assert!(!names.iter().any(bad), "{names:?}");
        let walked: Vec<u8> =
            names.iter().flat_map(|name| [b"/", name.as_slice()].concat()).collect();
        assert!(walked.len() < PATH_BYTES_LIMIT);
        assert_eq!(walked, path.strip_suffix(b"/").unwrap_or(path));
        return;
    };
    assert!(names.is_empty(), "a path that is refused was walked");
    assert!(violation.status().is_failure() && !violation.to_string().contains('\n'));
}
