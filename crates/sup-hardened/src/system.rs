//! [`System`]: the machine's own file system.
//!
//! One name is opened at a time, relative to the handle of its folder and with `O_NOFOLLOW`. `openat2` with
//! `RESOLVE_NO_SYMLINKS` would promise nothing more: it is for paths of several components, and a name
//! here has none. An access control list that lets somebody write shows as the group's write bit (the
//! bit is then the list's mask), so most objects need no look at their attributes.
//! Neighbours: `grant.rs` reads what attributes hold; `straight.rs` says why folders may be opened by whole
//! paths too, there without any link on the way.

use std::mem::MaybeUninit;
use std::ops::ControlFlow;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, RawDir, ResolveFlags, Stat, Uid};
use rustix::fs::{CWD, fstat, getxattr, openat, openat2, statat};
use rustix::io::Errno;

use crate::grant::{
    ACL_ATTRIBUTE, CAPABILITY_ATTRIBUTE, acl_grants_write, capability_grants_write,
};
use crate::{Facts, Identity, Kind, Objects, PATH_COMPONENTS_MAX};

/// The machine's own file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct System;

/// For handles that only examine.
const EXAMINE: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// For handles that read. A pipe or terminal that took the file's place does not hold the caller up.
const READ: OFlags =
    OFlags::NOFOLLOW.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

/// From the deepest folder to the root.
const ALL_UP: [[u8; 3]; PATH_COMPONENTS_MAX] = [*b"../"; PATH_COMPONENTS_MAX];

/// Room for an attribute. A longer one is not understood, and so it is an error.
const ATTRIBUTE_BYTES: usize = 4096;
/// Room for the names of a folder that are read at once.
const NAMES_BYTES: usize = 16 << 10;

impl Objects for System {
    type Handle = OwnedFd;

    fn root(&self) -> Result<OwnedFd, Errno> {
        openat(CWD, c"/", EXAMINE | OFlags::DIRECTORY, Mode::empty())
    }

    fn open(&self, folder: &OwnedFd, name: &[u8]) -> Result<OwnedFd, Errno> {
        openat(folder, name, EXAMINE, Mode::empty())
    }

    fn open_straight(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        let links = ResolveFlags::NO_SYMLINKS;
        openat2(CWD, path, EXAMINE | OFlags::DIRECTORY, Mode::empty(), links)
    }

    fn ancestor(&self, folder: &OwnedFd, levels: usize) -> Result<Facts, Errno> {
        let path = ALL_UP.get(..levels).ok_or(Errno::NAMETOOLONG)?;
        plain_facts(&statat(folder, path.as_flattened(), AtFlags::SYMLINK_NOFOLLOW)?)
    }

    fn root_facts(&self) -> Result<Facts, Errno> {
        plain_facts(&statat(CWD, c"/", AtFlags::SYMLINK_NOFOLLOW)?)
    }

    fn facts(&self, object: &OwnedFd) -> Result<Facts, Errno> {
        let facts = facts_of(&fstat(object)?);
        let (may_have_list, may_run) = (may_have_list(&facts), may_run(&facts));
        Ok(Facts {
            acl_grants_write: may_have_list
                && attribute_says(object, ACL_ATTRIBUTE, acl_grants_write)?,
            capability_grants_write: may_run
                && attribute_says(object, CAPABILITY_ATTRIBUTE, capability_grants_write)?,
            ..facts
        })
    }

    fn open_to_read(&self, folder: &OwnedFd, name: &[u8]) -> Result<OwnedFd, Errno> {
        openat(folder, name, READ, Mode::empty())
    }

    fn open_to_list(&self, folder: &OwnedFd) -> Result<OwnedFd, Errno> {
        openat(folder, c".", READ | OFlags::DIRECTORY, Mode::empty())
    }

    fn names(
        &self,
        folder: &OwnedFd,
        each: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<(), Errno> {
        let mut room = [MaybeUninit::uninit(); NAMES_BYTES];
        let mut entries = RawDir::new(folder, &mut room);
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." && each(name).is_break() {
                break;
            }
        }
        Ok(())
    }
}

/// What a look says, as if no attribute granted anything.
fn facts_of(stat: &Stat) -> Facts {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Folder,
        FileType::Symlink => Kind::Link,
        _ => Kind::Other,
    };
    Facts {
        identity: Identity { device: stat.st_dev, inode: stat.st_ino },
        kind,
        owner: Uid::from_raw(stat.st_uid),
        group: Gid::from_raw(stat.st_gid),
        mode: Mode::from_raw_mode(stat.st_mode),
        acl_grants_write: false,
        capability_grants_write: false,
    }
}

/// The same, of what is not open: its attributes cannot be asked for, so it must not be able to have any.
fn plain_facts(stat: &Stat) -> Result<Facts, Errno> {
    let facts = facts_of(stat);
    match may_have_list(&facts) || may_run(&facts) {
        true => Err(Errno::OPNOTSUPP),
        false => Ok(facts),
    }
}

fn may_have_list(facts: &Facts) -> bool {
    matches!(facts.kind, Kind::File | Kind::Folder) && facts.mode.contains(Mode::WGRP)
}

fn may_run(facts: &Facts) -> bool {
    facts.kind == Kind::File && facts.mode.intersects(Mode::XUSR | Mode::XGRP | Mode::XOTH)
}

/// Whether an attribute is there and grants something.
fn attribute_says(
    object: &OwnedFd,
    name: &str,
    grants: impl Fn(&[u8]) -> bool,
) -> Result<bool, Errno> {
    // A handle that only examines gives out no attributes itself; its name below /proc does.
    let path = format!("/proc/self/fd/{}", object.as_raw_fd());
    let mut value = [0; ATTRIBUTE_BYTES];
    match getxattr(path, name, &mut value[..]) {
        Ok(length) => Ok(grants(value.get(..length).unwrap_or_default())),
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(false),
        Err(error) => Err(error),
    }
}
