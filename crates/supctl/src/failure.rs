//! [`Failure`]: why a command ended early, as one sentence.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use sup::Status;
use sup_signature::Refusal;

/// Why a command ended early. Its `Display` is the sentence for the user.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A call of the library failed.
    Call(sup::Error),
    /// A file of the user's cannot be read or written.
    File { path: PathBuf, error: io::Error },
    /// A path that stands in the way.
    Refused { path: PathBuf, status: Status },
    /// A file of an installation is refused.
    Installation(sup_hardened::Refusal),
    /// A key cannot be had, or is not to be used.
    Key(String),
    /// A signature does not do.
    Signature { path: PathBuf, refusal: Refusal },
    /// A module is not what its signer wants to declare.
    Unfit { path: PathBuf, reasons: Vec<String> },
    /// A file breaks rules, which were printed.
    Broken { path: PathBuf, rules: usize },
    /// Something that is not installed, and what to do about it.
    Missing { what: &'static str, how: &'static str },
    /// A tool failed, with what it said.
    Build { tool: String, text: String },
    /// A step that was told of has failed.
    Step { what: &'static str, status: Status },
    /// A trace file is none, or not wanted any more.
    Trace { path: PathBuf, sentence: String },
    /// A picture cannot be drawn.
    Drawing(String),
    /// Signals cannot be caught.
    Signals(io::Error),
    /// Standard output takes no more.
    Output(io::Error),
    /// A status that this version has no name for.
    UnknownStatus(Status),
}

impl Failure {
    /// For `map_err` on what was done with the file at `path`.
    pub(crate) fn of_file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::File { path: path.to_path_buf(), error }
    }
}

impl From<sup::Error> for Failure {
    fn from(error: sup::Error) -> Self {
        Self::Call(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(error) => error.fmt(f),
            Self::File { path, error } => {
                write!(f, "{}: {}: {error}", path.display(), io_status(error))
            }
            Self::Refused { path, status } => write!(f, "{}: {status}", path.display()),
            Self::Broken { path, rules } => {
                let of = if *rules == 1 { "rule is" } else { "rules are" };
                write!(f, "{}: would not load: {rules} {of} broken", path.display())
            }
            Self::Installation(refusal) => refusal.fmt(f),
            Self::Key(sentence) => f.write_str(sentence),
            Self::Signature { path, refusal } => {
                write!(f, "{}: {}: {refusal}", path.display(), refusal.status())
            }
            Self::Unfit { path, reasons } => {
                write!(f, "{}: not signed: {}", path.display(), reasons.join("; "))
            }
            Self::Missing { what, how } => write!(f, "{what} is missing: {how}"),
            Self::Build { tool, text } => write!(f, "{tool} failed:\n{text}"),
            Self::Step { what, status } => write!(f, "the driver is not {what}: {status}"),
            Self::Trace { path, sentence } => write!(f, "{}: {sentence}", path.display()),
            Self::Drawing(sentence) => write!(f, "cannot draw: {sentence}"),
            Self::Signals(error) => write!(f, "cannot wait for Ctrl-C: {error}"),
            Self::Output(error) => {
                write!(f, "standard output: {}: {error}", io_status(error))
            }
            Self::UnknownStatus(status) => {
                let kind = if status.is_failure() { "failure" } else { "success" };
                write!(f, "{}: a {kind} that this version has no name for", status.raw())
            }
        }
    }
}

impl std::error::Error for Failure {}

fn io_status(error: &io::Error) -> Status {
    match error.kind() {
        io::ErrorKind::NotFound => Status::VERR_FILE_NOT_FOUND,
        io::ErrorKind::PermissionDenied => Status::VERR_ACCESS_DENIED,
        io::ErrorKind::IsADirectory => Status::VERR_IS_A_DIRECTORY,
        _ => Status::VERR_GENERAL_FAILURE,
    }
}
