//! The status code that every function of the interface returns.
//!
//! [`Status`] is the one error type from ring 0 to the C ABI: an integer, so that values which
//! this crate has never heard of travel unchanged. The names are in `table`; the conversion from
//! and to `errno` belongs to the operating system glue, not here.
//!
//! Invariant: negative is failure, everything else is success, for known and unknown values alike.

mod table;
#[cfg(test)]
mod tests;

use core::error::Error;
use core::fmt;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A VBox status code: zero or positive is success, negative is failure.
///
/// ```
/// use sup_abi::Status;
///
/// let status = Status::new(-2);
/// assert_eq!(status, Status::VERR_INVALID_PARAMETER);
/// assert_eq!(status.to_string(), "VERR_INVALID_PARAMETER (-2)");
/// assert_eq!(status.ok(), Err(Status::VERR_INVALID_PARAMETER));
/// assert!(Status::VINF_OBJECT_DESTROYED.is_success());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(transparent)]
#[must_use = "a failure that nobody looks at is lost"]
pub struct Status(i32);

impl Status {
    /// Makes a status of any value, known or not.
    pub const fn new(value: i32) -> Self {
        Self(value)
    }

    /// Returns the number that crosses the C ABI and the wire.
    #[must_use]
    pub const fn raw(self) -> i32 {
        self.0
    }

    /// Tells whether the call succeeded, possibly with something to add.
    #[must_use]
    pub const fn is_success(self) -> bool {
        self.0 >= 0
    }

    /// Tells whether the call failed.
    #[must_use]
    pub const fn is_failure(self) -> bool {
        self.0 < 0
    }

    /// Turns the status into a result, so that `?` works on it.
    ///
    /// The success side keeps the status, because a positive one carries information.
    ///
    /// # Errors
    ///
    /// The status itself, if it is negative.
    pub const fn ok(self) -> Result<Self, Self> {
        if self.is_success() { Ok(self) } else { Err(self) }
    }

    /// Returns the name as the header spells it, or `None` for a value without one.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        Self::ALL.iter().find(|row| row.0 == self).map(|row| row.1)
    }

    /// Returns one sentence for a human, or `None` for a value without a name.
    #[must_use]
    pub fn meaning(self) -> Option<&'static str> {
        Self::ALL.iter().find(|row| row.0 == self).map(|row| row.2)
    }

    /// Finds a status by the name that the header gives it.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|row| row.1 == name).map(|row| row.0)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name} ({})", self.0),
            None => write!(f, "unknown status ({})", self.0),
        }
    }
}

/// The same text as `Display`: a bare number in a failed assertion helps nobody.
impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for Status {}
