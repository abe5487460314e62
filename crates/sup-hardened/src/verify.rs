//! The verifications of rule set A: a plug-in, a folder, and a survey of all that is wrong.
//!
//! Neighbours: `walk.rs` and `tree.rs` do the work. Invariant: success means that nothing was reported.

use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::path::CleanPath;
use crate::rules::{Rule, Wanted};
use crate::tree::{Contents, Tally, Tree, Watch};
use crate::walk::{Verified, walk};
use crate::{Kind, Objects, Violation};

/// Keeps the first violation.
#[derive(Debug, Default)]
struct First(Option<Violation>);

impl Watch for First {
    fn violation(&mut self, violation: Violation) -> ControlFlow<()> {
        self.0.get_or_insert(violation);
        ControlFlow::Break(())
    }
}

/// Verifies that nobody but root can have made or changed the file at `path`, nor can do so now.
/// Corresponds to `SUPR3HardenedVerifyPlugIn`.
///
/// What is returned holds the file open, so that it can be used without asking the path again.
///
/// # Errors
/// The first violation, from the root downwards; its status is one of `VERR_SUPLIB_*`.
pub fn verify_plug_in<O: Objects>(
    objects: &O,
    path: &Path,
) -> Result<Verified<O::Handle>, Violation> {
    let mut first = First::default();
    let (found, _) = verify(objects, path, Wanted::File, Contents::None, &mut first);
    outcome(found, first, path)
}

/// Verifies a folder, all folders above it and as much of its contents as asked for. Corresponds to
/// `SUPR3HardenedVerifyDir`.
///
/// # Errors
/// The first violation; its status is one of `VERR_SUPLIB_*`.
pub fn verify_folder<O: Objects>(
    objects: &O,
    path: &Path,
    contents: Contents,
) -> Result<Tally, Violation> {
    let mut first = First::default();
    let (found, tally) = verify(objects, path, Wanted::Folder, contents, &mut first);
    outcome(found, first, path).map(|_| tally)
}

fn outcome<H>(
    found: Option<Verified<H>>,
    First(violation): First,
    path: &Path,
) -> Result<Verified<H>, Violation> {
    match (violation, found) {
        (Some(violation), _) => Err(violation),
        (None, Some(found)) => Ok(found),
        // A walk that does not arrive has said why. If it did not, there is nothing to trust either.
        (None, None) => Err(Violation::of_path(Rule::CanBeExamined, path.as_os_str().as_bytes())),
    }
}

/// Tells `watch` of every violation on the way to `path`, and in it, until it wants to know no more.
pub fn survey<O: Objects>(
    objects: &O,
    path: &Path,
    wanted: Wanted,
    contents: Contents,
    watch: &mut dyn Watch,
) -> Tally {
    verify(objects, path, wanted, contents, watch).1
}

fn verify<O: Objects>(
    objects: &O,
    path: &Path,
    wanted: Wanted,
    contents: Contents,
    watch: &mut dyn Watch,
) -> (Option<Verified<O::Handle>>, Tally) {
    let bytes = path.as_os_str().as_bytes();
    let mut tally = Tally::default();
    let clean = match CleanPath::parse(bytes) {
        Ok(clean) if clean.names_folder() && wanted == Wanted::File => Err(Rule::IsFile),
        parsed => parsed,
    };
    let clean = match clean {
        Ok(clean) => clean,
        Err(rule) => {
            // There is nothing more to find where there is no path.
            let _ = watch.violation(Violation::of_path(rule, bytes));
            return (None, tally);
        }
    };
    let wanted = if clean.names_folder() { Wanted::Folder } else { wanted };
    let found = walk(objects, &clean, wanted, &mut |violation| watch.violation(violation));
    if let Some(found) = &found
        && found.facts().kind == Kind::Folder
        && contents != Contents::None
    {
        let mut tree = Tree { objects, contents, watch, tally };
        // Whoever stopped it knows that.
        let _ = tree.go_through(found.handle(), found.facts(), &mut clean.bytes().to_vec());
        tally = tree.tally;
    }
    (found, tally)
}
