//! [`Tree`]: everything in a folder, and below it.
//!
//! A folder is listed, each of its entries is opened relative to it and judged, and then each folder
//! among them is opened once more and gone through in the same way. A folder that was exchanged or changed
//! between the two is judged again, as what it is now.
//! Neighbours: `walk.rs` leads to the folder. Invariant: no more handles are open than a path has
//! components, and each entry of each listing was judged through a handle, or reported.

use std::ffi::OsStr;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::path::PATH_BYTES_LIMIT;
use crate::rules::{Rule, Wanted};
use crate::walk::{check_same, judge};
use crate::{Facts, Kind, Objects, Violation};

/// What of a folder is verified besides itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contents {
    /// Nothing.
    None,
    /// Its entries.
    Entries,
    /// All that is below it.
    All,
}

/// How much was judged below a folder.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Folders.
    pub folders: u64,
    /// Everything else.
    pub files: u64,
}

/// Sees a verification on its way.
pub trait Watch {
    /// Takes a violation, and says whether to look for more.
    fn violation(&mut self, violation: Violation) -> ControlFlow<()>;

    /// Hears which folder is gone through next, and what was judged so far.
    fn enters(&mut self, folder: &Path, so_far: Tally) {
        let _ = (folder, so_far);
    }
}

/// A way through a folder.
pub(crate) struct Tree<'a, O> {
    pub(crate) objects: &'a O,
    pub(crate) contents: Contents,
    pub(crate) watch: &'a mut dyn Watch,
    pub(crate) tally: Tally,
}

impl<O: Objects> Tree<'_, O> {
    /// Goes through the folder at `path`, which was judged by `facts`.
    pub(crate) fn go_through(
        &mut self,
        folder: &O::Handle,
        facts: &Facts,
        path: &mut Vec<u8>,
    ) -> ControlFlow<()> {
        self.watch.enters(Path::new(OsStr::from_bytes(path)), self.tally);
        let listed = match self.objects.open_to_list(folder) {
            Ok(listed) => listed,
            Err(error) => {
                return self.watch.violation(Violation::of_system(Rule::CanBeListed, path, error));
            }
        };
        if let Err(violation) = check_same(self.objects, &listed, facts, path) {
            return self.watch.violation(violation);
        }
        let below = self.entries(&listed, path)?;
        for (name, judged) in below {
            let length = path.len();
            path.push(b'/');
            path.extend_from_slice(&name);
            let flow = self.descend(&listed, &name, &judged, path);
            path.truncate(length);
            flow?;
        }
        ControlFlow::Continue(())
    }

    /// Judges the entries of a folder, and names the folders among them if they are to be gone through.
    fn entries(
        &mut self,
        folder: &O::Handle,
        path: &mut Vec<u8>,
    ) -> ControlFlow<(), Vec<(Vec<u8>, Facts)>> {
        let mut below = Vec::new();
        let mut flow = ControlFlow::Continue(());
        let (objects, length) = (self.objects, path.len());
        let listed = objects.names(folder, &mut |name| {
            path.push(b'/');
            path.extend_from_slice(name);
            flow = self.entry(folder, name, path, &mut below);
            path.truncate(length);
            flow
        });
        flow?;
        if let Err(error) = listed {
            self.watch.violation(Violation::of_system(Rule::CanBeListed, path, error))?;
        }
        ControlFlow::Continue(below)
    }

    fn entry(
        &mut self,
        folder: &O::Handle,
        name: &[u8],
        path: &[u8],
        below: &mut Vec<(Vec<u8>, Facts)>,
    ) -> ControlFlow<()> {
        if path.len() > PATH_BYTES_LIMIT {
            return self.watch.violation(Violation::of_path(Rule::PathIsShort, path));
        }
        let opened = self.objects.open(folder, name);
        let facts = match opened.and_then(|object| self.objects.facts(&object)) {
            Ok(facts) => facts,
            Err(error) => {
                return self.watch.violation(Violation::of_system(
                    Rule::CanBeExamined,
                    path,
                    error,
                ));
            }
        };
        if facts.kind == Kind::Folder {
            self.tally.folders += 1;
        } else {
            self.tally.files += 1;
        }
        let watch = &mut *self.watch;
        judge(&facts, Wanted::Either, path, &mut |violation| watch.violation(violation))?;
        if facts.kind == Kind::Folder && self.contents == Contents::All {
            below.push((name.to_vec(), facts));
        }
        ControlFlow::Continue(())
    }

    /// Opens a folder that was an entry a moment ago, and goes through it.
    fn descend(
        &mut self,
        parent: &O::Handle,
        name: &[u8],
        judged: &Facts,
        path: &mut Vec<u8>,
    ) -> ControlFlow<()> {
        let opened = self.objects.open(parent, name);
        let (folder, facts) =
            match opened.and_then(|object| Ok((self.objects.facts(&object)?, object))) {
                Ok((facts, folder)) => (folder, facts),
                Err(error) => {
                    return self.watch.violation(Violation::of_system(
                        Rule::CanBeExamined,
                        path,
                        error,
                    ));
                }
            };
        if facts != *judged {
            let watch = &mut *self.watch;
            judge(&facts, Wanted::Folder, path, &mut |violation| watch.violation(violation))?;
        }
        if facts.kind != Kind::Folder {
            return ControlFlow::Continue(());
        }
        self.go_through(&folder, &facts, path)
    }
}
