//! [`CleanPath`]: a path that names one thing in one way.
//!
//! Neighbours: `walk.rs` walks it. Invariant: it starts at the root, is no root, and its components
//! are names: none is empty, `.` or `..`, so that walking it never goes up or round.

#[cfg(test)]
mod tests;

use crate::Rule;

/// A path has fewer bytes than this.
pub const PATH_BYTES_LIMIT: usize = 260;
/// A path has at most so many components.
pub const PATH_COMPONENTS_MAX: usize = 32;

/// A root and one or two bytes name nothing that is worth trusting.
const SHORT_BYTES: usize = 3;

/// A path that can be walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CleanPath<'a> {
    bytes: &'a [u8],
    names_folder: bool,
}

impl<'a> CleanPath<'a> {
    /// Judges a path by its letters alone; nothing is looked up, resolved or folded.
    ///
    /// # Errors
    /// The rule that it breaks first, from left to right.
    pub fn parse(path: &'a [u8]) -> Result<Self, Rule> {
        match path {
            [b'/'] => return Err(Rule::PathIsNotRoot),
            [b'/', rest @ ..] if rest.len() < SHORT_BYTES => return Err(Rule::PathIsLongEnough),
            [b'/', ..] => {}
            _ => return Err(Rule::PathStartsAtRoot),
        }
        // One slash at the end says that a folder is meant, and is no part of the name.
        let bytes = path.strip_suffix(b"/").unwrap_or(path);
        let mut end = 0;
        for (index, component) in bytes.split(|byte| *byte == b'/').enumerate().skip(1) {
            end += 1 + component.len();
            match component {
                b"" | b"." => return Err(Rule::PathIsClean),
                b".." => return Err(Rule::PathNeverGoesUp),
                _ if component.contains(&0) => return Err(Rule::PathIsClean),
                _ if index > PATH_COMPONENTS_MAX => return Err(Rule::PathHasFewComponents),
                _ if end >= PATH_BYTES_LIMIT => return Err(Rule::PathIsShort),
                _ => {}
            }
        }
        Ok(Self { bytes, names_folder: bytes.len() < path.len() })
    }

    /// The path without a slash at its end.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Whether it ended with a slash, and so cannot name a file.
    pub fn names_folder(&self) -> bool {
        self.names_folder
    }

    /// The path of the folder that the last component is in, or `None` if that is the root.
    pub(crate) fn folder(&self) -> Option<&'a [u8]> {
        let end = self.bytes.iter().rposition(|byte| *byte == b'/')?;
        self.bytes.get(..end).filter(|path| !path.is_empty())
    }

    /// Each component, with the path down to it.
    pub(crate) fn steps(&self) -> impl Iterator<Item = Step<'a>> {
        let bytes = self.bytes;
        let ends = bytes.iter().enumerate().skip(1).filter(|(_, byte)| **byte == b'/');
        let ends = ends.map(|(index, _)| index).chain([bytes.len()]);
        ends.scan(1, move |start, end| {
            let step = Step {
                name: &bytes[*start..end],
                path: &bytes[..end],
                is_last: end == bytes.len(),
            };
            *start = end + 1;
            Some(step)
        })
    }
}

/// A component of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step<'a> {
    pub(crate) name: &'a [u8],
    /// From the root down to it.
    pub(crate) path: &'a [u8],
    pub(crate) is_last: bool,
}
