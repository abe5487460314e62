//! [`Refusal`]: why something is not verified, where there is more to break than the rules of [`Violation`].
//!
//! Invariant: the status is the header's; the sentence names the file.

use std::fmt;

use sup_abi::Status;

use crate::Violation;

/// Why something is not verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    status: Status,
    sentence: String,
}

impl Refusal {
    pub(crate) fn new(status: Status, sentence: impl Into<String>) -> Self {
        Self { status, sentence: sentence.into() }
    }

    /// The status that says so.
    pub fn status(&self) -> Status {
        self.status
    }
}

impl From<Violation> for Refusal {
    fn from(violation: Violation) -> Self {
        Self::new(violation.status(), violation.to_string())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.status, self.sentence)
    }
}

impl std::error::Error for Refusal {}
