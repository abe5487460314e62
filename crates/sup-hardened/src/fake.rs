//! [`Fake`]: a file system in memory, in which anything can belong to anybody.
//!
//! Neighbours: `tests.rs` breaks every rule in it. It can also do what a file system does under an
//! attacker: fail, and give another object for the same name the next time.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use rustix::fs::{Gid, Mode, Uid};
use rustix::io::Errno;

use crate::{Facts, Identity, Kind, Objects};

type Number = usize;

#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) facts: Facts,
    names: BTreeMap<Vec<u8>, Number>,
    /// What examining it answers instead.
    pub(crate) unseen: Option<Errno>,
    /// What listing it answers, behind all names.
    pub(crate) unlisted: Option<Errno>,
    /// What it has become by the time that it is opened to read or list.
    pub(crate) becomes: Option<Facts>,
}

/// A root that is a folder of root's, and what is put into it.
#[derive(Debug, Clone)]
pub(crate) struct Fake {
    nodes: Vec<Node>,
    /// Whether it can open a path at once.
    pub(crate) shortcut: Shortcut,
}

/// The short way to a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shortcut {
    /// It is there.
    Works,
    /// The kernel is too old for it.
    Missing,
    /// It is there, and as soon as the folder is open, that or one above it stands in another one.
    Moved {
        /// What is moved.
        what: String,
        /// The folder that it is in then.
        to: String,
    },
}

/// A handle: a node, and whether it was opened to be used.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Handle {
    number: Number,
    is_for_use: bool,
}

fn facts(inode: usize, kind: Kind, mode: u32) -> Facts {
    Facts {
        identity: Identity { device: 1, inode: inode as u64 },
        kind,
        owner: Uid::ROOT,
        group: Gid::ROOT,
        mode: Mode::from_raw_mode(mode),
        acl_grants_write: false,
        capability_grants_write: false,
    }
}

impl Fake {
    /// A file of root's at `path`, in folders of root's.
    pub(crate) fn with_file(path: &str) -> Self {
        let root = Node {
            facts: facts(0, Kind::Folder, 0o755),
            names: BTreeMap::new(),
            unseen: None,
            unlisted: None,
            becomes: None,
        };
        let mut fake = Self { nodes: vec![root], shortcut: Shortcut::Works };
        fake.add(path, Kind::File, 0o644);
        fake
    }

    pub(crate) fn with(mut self, shortcut: Shortcut) -> Self {
        self.shortcut = shortcut;
        self
    }

    /// Puts an object there, with the folders that it needs.
    pub(crate) fn add(&mut self, path: &str, kind: Kind, mode: u32) -> &mut Node {
        let mut at = 0;
        let mut names = path.split('/').skip(1).peekable();
        while let Some(name) = names.next() {
            let (kind, mode) = match names.peek() {
                None => (kind, mode),
                Some(_) => (Kind::Folder, 0o755),
            };
            let next = self.nodes.len();
            let known = *self.nodes[at].names.entry(name.into()).or_insert(next);
            if known == next {
                let facts = facts(next, kind, mode);
                self.nodes.push(Node { facts, ..self.nodes[0].clone() });
                self.nodes[next].names.clear();
            }
            at = known;
        }
        &mut self.nodes[at]
    }

    /// The object at `path`, which is there; the root for an empty path.
    pub(crate) fn at(&mut self, path: &str) -> &mut Node {
        let number = self.number(path);
        &mut self.nodes[number]
    }

    fn number(&self, path: &str) -> Number {
        let names = path.split('/').skip(1);
        names.fold(0, |at, name| self.nodes[at].names[name.as_bytes()])
    }

    /// The folder that something is in by now. The root is in itself.
    fn parent(&self, of: Number) -> Number {
        match &self.shortcut {
            Shortcut::Moved { what, to } if self.number(what) == of => self.number(to),
            _ => {
                let names = |node: &Node| node.names.values().any(|number| *number == of);
                self.nodes.iter().position(names).unwrap_or(0)
            }
        }
    }
}

impl Objects for Fake {
    type Handle = Handle;

    fn root(&self) -> Result<Handle, Errno> {
        Ok(Handle { number: 0, is_for_use: false })
    }

    fn open(&self, folder: &Handle, name: &[u8]) -> Result<Handle, Errno> {
        let number = *self.nodes[folder.number].names.get(name).ok_or(Errno::NOENT)?;
        match self.nodes[number].unseen {
            Some(error) => Err(error),
            None => Ok(Handle { number, is_for_use: false }),
        }
    }

    fn open_straight(&self, path: &[u8]) -> Result<Handle, Errno> {
        if self.shortcut == Shortcut::Missing {
            return Err(Errno::NOSYS);
        }
        let mut names = path.split(|byte| *byte == b'/').skip(1);
        names.try_fold(self.root()?, |folder, name| {
            let opened = self.open(&folder, name)?;
            match self.nodes[opened.number].facts.kind {
                Kind::Folder => Ok(opened),
                Kind::Link => Err(Errno::LOOP),
                Kind::File | Kind::Other => Err(Errno::NOTDIR),
            }
        })
    }

    fn ancestor(&self, folder: &Handle, levels: usize) -> Result<Facts, Errno> {
        let number = (0..levels).fold(folder.number, |number, _| self.parent(number));
        Ok(self.nodes[number].facts)
    }

    fn facts(&self, object: &Handle) -> Result<Facts, Errno> {
        let node = &self.nodes[object.number];
        Ok(node.becomes.filter(|_| object.is_for_use).unwrap_or(node.facts))
    }

    fn open_to_read(&self, folder: &Handle, name: &[u8]) -> Result<Handle, Errno> {
        Ok(Handle { is_for_use: true, ..self.open(folder, name)? })
    }

    fn open_to_list(&self, folder: &Handle) -> Result<Handle, Errno> {
        Ok(Handle { is_for_use: true, ..*folder })
    }

    fn names(
        &self,
        folder: &Handle,
        each: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<(), Errno> {
        let node = &self.nodes[folder.number];
        for name in node.names.keys() {
            if each(name).is_break() {
                return Ok(());
            }
        }
        node.unlisted.map_or(Ok(()), Err)
    }
}
