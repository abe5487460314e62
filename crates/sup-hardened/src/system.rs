//! [`System`]: the machine's own file system.
//!
//! One name is opened at a time, relative to the handle of its folder and with `O_NOFOLLOW`. `openat2` with
//! `RESOLVE_NO_SYMLINKS` would promise nothing more: it is for paths of several components, and a name
//! here has none. An access control list that lets somebody write shows as the group's write bit (the
//! bit is then the list's mask), so most objects need no look at their attributes.
//! Neighbours: `grant.rs` reads what attributes hold.

use std::mem::MaybeUninit;
use std::ops::ControlFlow;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::{CWD, FileType, Mode, OFlags, RawDir, fstat, getxattr, openat};
use rustix::fs::{Gid, Uid};
use rustix::io::Errno;

use crate::grant::{
    ACL_ATTRIBUTE, CAPABILITY_ATTRIBUTE, acl_grants_write, capability_grants_write,
};
use crate::{Facts, Identity, Kind, Objects};

/// The machine's own file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct System;

/// For handles that only examine.
const EXAMINE: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// For handles that read. A pipe or terminal that took the file's place does not hold the caller up.
const READ: OFlags =
    OFlags::NOFOLLOW.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

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

    fn facts(&self, object: &OwnedFd) -> Result<Facts, Errno> {
        let stat = fstat(object)?;
        let mode = Mode::from_raw_mode(stat.st_mode);
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Folder,
            FileType::Symlink => Kind::Link,
            _ => Kind::Other,
        };
        let is_plain = matches!(kind, Kind::File | Kind::Folder);
        let may_have_acl = is_plain && mode.contains(Mode::WGRP);
        let may_run = kind == Kind::File && mode.intersects(Mode::XUSR | Mode::XGRP | Mode::XOTH);
        Ok(Facts {
            identity: Identity { device: stat.st_dev, inode: stat.st_ino },
            kind,
            owner: Uid::from_raw(stat.st_uid),
            group: Gid::from_raw(stat.st_gid),
            mode,
            acl_grants_write: may_have_acl
                && attribute_says(object, ACL_ATTRIBUTE, acl_grants_write)?,
            capability_grants_write: may_run
                && attribute_says(object, CAPABILITY_ATTRIBUTE, capability_grants_write)?,
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
