//! [`walk`]: down a path, each component opened relative to the last one and judged.
//!
//! Neighbours: `verify.rs` stops at the first violation or collects all; `tree.rs` goes on below.
//! Invariant: a walk that arrives without a violation has judged every object from the root to the last
//! one through the very handles with which it opened the next, or all folders as `straight.rs` does.

use std::ops::ControlFlow;

use rustix::io::Errno;

use crate::path::{CleanPath, Step};
use crate::rules::{Rule, Wanted, broken_rules};
use crate::straight::reach;
use crate::{Facts, Kind, Objects, Violation};

/// Takes violations as they are found, and says whether to look for more.
pub(crate) type Report<'a> = &'a mut dyn FnMut(Violation) -> ControlFlow<()>;

/// What a path leads to: the object itself, open, and the folder that it was found in.
#[derive(Debug)]
pub struct Verified<H> {
    folder: H,
    name: Vec<u8>,
    path: Vec<u8>,
    object: H,
    facts: Facts,
}

impl<H> Verified<H> {
    /// The handle, which examines only.
    pub fn handle(&self) -> &H {
        &self.object
    }

    /// What was judged.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Opens the file to read it.
    ///
    /// # Errors
    /// `VERR_SUPLIB_STAT_FAILED` if it cannot be opened, `VERR_SUPLIB_NOT_SAME_OBJECT` if the name leads to
    /// another file now, or its owner or who may write has changed.
    pub fn open<O: Objects<Handle = H>>(&self, objects: &O) -> Result<H, Violation> {
        let failed = |error| Violation::of_system(Rule::CanBeExamined, &self.path, error);
        let file = objects.open_to_read(&self.folder, &self.name).map_err(failed)?;
        check_same(objects, &file, &self.facts, &self.path)?;
        Ok(file)
    }
}

/// Whether a handle is of the object that was judged.
pub(crate) fn check_same<O: Objects>(
    objects: &O,
    handle: &O::Handle,
    judged: &Facts,
    path: &[u8],
) -> Result<(), Violation> {
    let failed = |error| Violation::of_system(Rule::CanBeExamined, path, error);
    let facts = objects.facts(handle).map_err(failed)?;
    match facts.difference(judged) {
        Some(difference) => Err(Violation::of_difference(difference, path, &facts)),
        None => Ok(()),
    }
}

/// Judges an object; breaks if nobody wants to know more.
pub(crate) fn judge(
    facts: &Facts,
    wanted: Wanted,
    path: &[u8],
    report: Report<'_>,
) -> ControlFlow<()> {
    broken_rules(facts, wanted).try_for_each(|rule| report(Violation::of_object(rule, path, facts)))
}

/// Walks a path down. `None` if it was reported why not; what is returned may have been reported as
/// violating rules too.
pub(crate) fn walk<O: Objects>(
    objects: &O,
    path: &CleanPath<'_>,
    wanted: Wanted,
    report: Report<'_>,
) -> Option<Verified<O::Handle>> {
    let folder = match reach(objects, path) {
        Some(folder) => folder,
        None => walk_to_folder(objects, path, report)?,
    };
    let step = path.steps().last()?;
    let (object, facts) = enter(objects, &folder, step, wanted, report)?;
    let (name, path) = (step.name.to_vec(), step.path.to_vec());
    Some(Verified { folder, name, path, object, facts })
}

/// From the root to the folder in which the last component is.
fn walk_to_folder<O: Objects>(
    objects: &O,
    path: &CleanPath<'_>,
    report: Report<'_>,
) -> Option<O::Handle> {
    // The root is a folder above all others, and judged like them.
    let mut folder = match objects.root().and_then(|root| Ok((objects.facts(&root)?, root))) {
        Ok((facts, root)) => match judge(&facts, Wanted::Folder, b"/", report) {
            ControlFlow::Continue(()) => root,
            ControlFlow::Break(()) => return None,
        },
        Err(error) => {
            cannot_be_examined(b"/", error, report);
            return None;
        }
    };
    for step in path.steps().filter(|step| !step.is_last) {
        let (object, facts) = enter(objects, &folder, step, Wanted::Folder, report)?;
        if facts.kind != Kind::Folder {
            return None;
        }
        folder = object;
    }
    Some(folder)
}

/// Opens a component in its folder and judges it. `None` if it cannot be examined, or nobody wants to
/// know more.
fn enter<O: Objects>(
    objects: &O,
    folder: &O::Handle,
    step: Step<'_>,
    wanted: Wanted,
    report: Report<'_>,
) -> Option<(O::Handle, Facts)> {
    let opened = objects.open(folder, step.name);
    match opened.and_then(|object| Ok((objects.facts(&object)?, object))) {
        Ok((facts, object)) => {
            judge(&facts, wanted, step.path, report).is_continue().then_some((object, facts))
        }
        Err(error) => {
            cannot_be_examined(step.path, error, report);
            None
        }
    }
}

fn cannot_be_examined(path: &[u8], error: Errno, report: Report<'_>) {
    // Nothing can be said of what is below, whatever the answer is.
    let _ = report(Violation::of_system(Rule::CanBeExamined, path, error));
}
