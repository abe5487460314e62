//! [`Violation`]: a broken rule, with all that a person needs to mend it.
//!
//! Neighbours: `rules.rs` has the rules and their sentences. Invariant: the path is the whole one as it was
//! given if the path itself is wrong, and else the one down to the object that breaks the rule.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use sup_abi::Status;

use crate::{Facts, Rule};

/// A broken rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    rule: Rule,
    path: PathBuf,
    facts: Option<Facts>,
    cause: Cause,
}

/// What there is to add.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    Nothing,
    /// What the system said.
    System(Errno),
    /// Which facts differ.
    Difference(&'static str),
}

impl Violation {
    /// A rule that the path breaks.
    pub(crate) fn of_path(rule: Rule, path: &[u8]) -> Self {
        Self { rule, path: path_of(path), facts: None, cause: Cause::Nothing }
    }

    /// A rule that an object breaks.
    pub(crate) fn of_object(rule: Rule, path: &[u8], facts: &Facts) -> Self {
        Self { rule, path: path_of(path), facts: Some(*facts), cause: Cause::Nothing }
    }

    /// An object of which the system refused to tell.
    pub(crate) fn of_system(rule: Rule, path: &[u8], error: Errno) -> Self {
        Self { rule, path: path_of(path), facts: None, cause: Cause::System(error) }
    }

    /// An object that is not the one that was examined.
    pub(crate) fn of_difference(difference: &'static str, path: &[u8], facts: &Facts) -> Self {
        let cause = Cause::Difference(difference);
        Self { rule: Rule::IsSameObject, path: path_of(path), facts: Some(*facts), cause }
    }

    /// Which rule it is.
    pub fn rule(&self) -> Rule {
        self.rule
    }

    /// The rule's status.
    pub fn status(&self) -> Status {
        self.rule.status()
    }

    /// The path down to what breaks the rule.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is known of the object, if it could be examined.
    pub fn facts(&self) -> Option<&Facts> {
        self.facts.as_ref()
    }

    /// What is wrong, in words, with the system's where it has any.
    pub fn complaint(&self) -> String {
        let complaint = self.rule.complaint();
        match self.cause {
            Cause::Nothing => complaint.to_owned(),
            Cause::System(error) => format!("{complaint}: {error}"),
            Cause::Difference(what) => format!("{complaint} ({what})"),
        }
    }

    /// What would mend it.
    pub fn remedy(&self) -> String {
        self.rule.remedy().replace("{}", &quoted(&self.path))
    }
}

fn path_of(bytes: &[u8]) -> PathBuf {
    OsStr::from_bytes(bytes).into()
}

/// A path for people: whatever a stranger named his file, it stays on one line.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.to_string_lossy().escape_debug())
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", quoted(&self.path), self.complaint())?;
        if let Some(facts) = &self.facts {
            write!(f, " ({facts})")?;
        }
        write!(f, "; to mend it: {}", self.remedy())
    }
}

impl std::error::Error for Violation {}
