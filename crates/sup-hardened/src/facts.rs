//! [`Facts`]: what is known of an object of a file system, through a handle of it.
//!
//! Neighbours: `system.rs` asks the kernel for them, `rules.rs` judges them. Invariant: facts are of one
//! open object; a path has none.

use std::fmt;

use rustix::fs::{Gid, Mode, Uid};

/// Which object it is, on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The number of its file system.
    pub device: u64,
    /// Its number there.
    pub inode: u64,
}

/// What kind of object it is, as far as that matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Folder,
    /// A symbolic link, not followed.
    Link,
    /// A device, a pipe or a socket.
    Other,
}

/// What is known of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// Which object it is.
    pub identity: Identity,
    /// What it is.
    pub kind: Kind,
    /// Whose it is.
    pub owner: Uid,
    /// Its group.
    pub group: Gid,
    /// Its permission bits.
    pub mode: Mode,
    /// Whether an access control list lets somebody write who is not root.
    pub acl_grants_write: bool,
    /// Whether whoever runs the file may then write what is not his (file capabilities).
    pub capability_grants_write: bool,
}

impl Facts {
    /// What differs from `other`, for people, or `None` if both are of one object that nobody changed
    /// meanwhile: its kind, its owners and who may write.
    pub fn difference(&self, other: &Self) -> Option<&'static str> {
        const WRITE: Mode = Mode::WUSR.union(Mode::WGRP).union(Mode::WOTH);
        if self.identity != other.identity {
            return Some("ino/dev");
        }
        if (self.owner, self.group) != (other.owner, other.group) {
            return Some("uid/gid");
        }
        let bits = |facts: &Self| (facts.kind, facts.mode & WRITE);
        (bits(self) != bits(other)).then_some("mode")
    }
}

impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { owner, group, mode, .. } = self;
        write!(f, "owner {}, group {}, mode {:04o}", owner.as_raw(), group.as_raw(), mode.bits())
    }
}
