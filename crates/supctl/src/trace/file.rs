//! What the commands that work on trace files share: opening one, progress, and why nothing came of it.
//!
//! Neighbours: `report.rs`, `export.rs`; `sup-trace` reads files. Invariant: Ctrl-C ends such a command at its
//! next step, and not in the middle of one.

use std::fs::File;
use std::path::Path;

use sup_trace::{ExportError, Step, Trace};

use super::ends::Ends;
use crate::failure::Failure;
use crate::output;

/// Opens a trace file.
pub(super) fn open(path: &Path) -> Result<Trace<File>, Failure> {
    let file = File::open(path).map_err(Failure::of_file(path))?;
    Trace::open(file).map_err(|error| unusable(path, ExportError::Read(error)))
}

/// Why nothing came of a trace file.
pub(super) fn unusable(path: &Path, error: ExportError) -> Failure {
    match error {
        ExportError::Read(sup_trace::ReadError::Io(error)) => Failure::of_file(path)(error),
        error => Failure::Trace { path: path.to_path_buf(), sentence: error.to_string() },
    }
}

/// Says on a terminal how far it is, and stops at Ctrl-C.
pub(super) struct Progress {
    what: String,
    events: u64,
    ends: Ends,
}

impl Progress {
    pub(super) fn new(what: &str, events: u64) -> Result<Self, Failure> {
        Ok(Self { what: what.to_owned(), events, ends: Ends::at_signals()? })
    }

    pub(super) fn step(&self, done: u64) -> Step {
        const BAR: u64 = 30;
        let of = |parts: u64| done.saturating_mul(parts) / self.events.max(1);
        let filled = of(BAR).min(BAR) as usize;
        let (full, empty) = ("█".repeat(filled), "░".repeat(BAR as usize - filled));
        output::progress(&format!("{} {full}{empty} {} %", self.what, of(100).min(100)));
        if self.ends.signal().is_some() { Step::Stop } else { Step::Continue }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        output::progress_ends();
    }
}
