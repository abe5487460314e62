//! [`reach`]: a folder opened by its whole path at once, and judged from itself upwards.
//!
//! A walk opens and closes a handle for each component. Here one call opens the last folder, following
//! no link anywhere, and each folder above it is examined from that handle, as its parent, the parent's
//! parent and so on up to the root: half the system calls, and the same proof. Which folders the path led
//! through does not matter; those matter that the open folder *stands in*, for who may write one of them may put
//! another thing in its place. Once a parent is found that root alone may write, only root can
//! take the folder out of it, so the next question upwards is asked of the same chain. A folder that
//! somebody slipped in has his folder above it, and so has one that was moved meanwhile; one that was
//! moved deeper does not end at the root after as many steps as the path has.
//!
//! It only ever accepts. Whatever is wrong or unknown makes it answer `None`; then the walk judges from
//! the root downwards, and says what is broken in which order. Neighbours: `walk.rs`. Invariant: what is
//! returned, and every folder above it up to the root, was judged as a folder without a violation.

#[cfg(test)]
mod tests;

use crate::path::CleanPath;
use crate::rules::{Wanted, broken_rules};
use crate::{Facts, Objects};

/// The folder in which the last component of `path` is. `None` if a walk has to say what is wrong, or
/// whether anything is.
pub(crate) fn reach<O: Objects>(objects: &O, path: &CleanPath<'_>) -> Option<O::Handle> {
    let is_good = |facts: &Facts| broken_rules(facts, Wanted::Folder).next().is_none();
    // In the root itself a walk is as short.
    let depth = path.steps().filter(|step| !step.is_last).count();
    let folder = objects.open_straight(path.folder()?).ok()?;
    let mut above = objects.facts(&folder).ok().filter(is_good)?;
    for levels in 1..=depth {
        above = objects.ancestor(&folder, levels).ok().filter(is_good)?;
    }
    let root = objects.root_facts().ok()?;
    (above.identity == root.identity).then_some(folder)
}
