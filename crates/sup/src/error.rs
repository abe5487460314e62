//! [`Error`]: a status of the driver, with the call that it answers.

use std::borrow::Cow;
use std::fmt;

use sup_abi::Status;

/// The result of a call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A call that failed.
///
/// As a sentence it names the call, the status with its number, what the status means, and where
/// there is more to know, what it was about:
///
/// ```
/// let session = sup::Session::open()?;
/// let error = session.low_memory(256).unwrap_err();
/// assert_eq!(error.status(), sup::Status::VERR_PAGE_COUNT_OUT_OF_RANGE);
/// assert!(error.to_string().starts_with("LowAlloc: VERR_PAGE_COUNT_OUT_OF_RANGE (-84)"));
/// # Ok::<(), sup::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    status: Status,
    call: &'static str,
    detail: Cow<'static, str>,
}

impl Error {
    pub(crate) fn new(
        call: &'static str,
        status: Status,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { status, call, detail: detail.into() }
    }

    /// The driver's status, unchanged.
    pub fn status(&self) -> Status {
        self.status
    }

    /// The call that failed, by its name in the request table or in this library.
    pub fn call(&self) -> &'static str {
        self.call
    }

    /// What it was about, and what to do; may be empty.
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.call, self.status)?;
        if !self.detail.is_empty() {
            return write!(f, ": {}", self.detail);
        }
        match self.status.meaning() {
            Some(meaning) => write!(f, ": {}", meaning.trim_end_matches('.')),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

/// For those who hand on the status alone, as C does.
impl From<Error> for Status {
    fn from(error: Error) -> Self {
        error.status()
    }
}
