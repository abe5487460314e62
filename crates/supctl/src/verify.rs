//! `supctl verify`: whether a file, or a folder with all that is in it, can be written by root alone.
//!
//! Neighbours: `sup-hardened` has the rules, `output/tables.rs` makes the table. Invariant: every violation
//! is shown, not only the first; the exit status is 0 only if there is none.

use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde::Serialize;
use sup_hardened::{Contents, System, Tally, Violation, Wanted, Watch, survey};

use crate::cli::VerifyPathArgs;
use crate::failure::Failure;
use crate::output;

/// What the JSON document has.
#[derive(Debug, Serialize)]
pub(crate) struct Survey {
    pub(crate) path: String,
    pub(crate) is_trusted: bool,
    /// Folders below the path that were judged.
    pub(crate) folders: u64,
    /// Files below it.
    pub(crate) files: u64,
    pub(crate) violations: Vec<Broken>,
}

/// A violation, for people and for programs.
#[derive(Debug, Serialize)]
pub(crate) struct Broken {
    pub(crate) path: String,
    pub(crate) status: String,
    pub(crate) number: i32,
    pub(crate) complaint: String,
    /// `None` if the object could not be examined, as the next two.
    pub(crate) owner: Option<u32>,
    pub(crate) group: Option<u32>,
    /// Permission bits, octal.
    pub(crate) mode: Option<String>,
    pub(crate) remedy: String,
}

impl From<&Violation> for Broken {
    fn from(violation: &Violation) -> Self {
        let facts = violation.facts();
        let status = violation.status();
        Self {
            path: violation.path().to_string_lossy().into_owned(),
            status: status.name().unwrap_or_default().to_owned(),
            number: status.raw(),
            complaint: violation.complaint(),
            owner: facts.map(|facts| facts.owner.as_raw()),
            group: facts.map(|facts| facts.group.as_raw()),
            mode: facts.map(|facts| format!("{:04o}", facts.mode.bits())),
            remedy: violation.remedy(),
        }
    }
}

/// Collects, and shows how far it is.
struct Collector {
    violations: Vec<Broken>,
    shown: Instant,
}

impl Watch for Collector {
    fn violation(&mut self, violation: Violation) -> ControlFlow<()> {
        self.violations.push(Broken::from(&violation));
        ControlFlow::Continue(())
    }

    fn enters(&mut self, folder: &Path, so_far: Tally) {
        const PERIOD: Duration = Duration::from_millis(100);
        if self.shown.elapsed() >= PERIOD {
            self.shown = Instant::now();
            let count = so_far.folders + so_far.files;
            let violations = self.violations.len();
            let folder = folder.to_string_lossy();
            output::progress(&format!(
                "{count} verified, {violations} violations, now in {}",
                folder.escape_debug()
            ));
        }
    }
}

pub(crate) fn run(args: &VerifyPathArgs) -> Result<ExitCode, Failure> {
    let (wanted, contents) = match args.recursive {
        true => (Wanted::Folder, Contents::All),
        false => (Wanted::Either, Contents::None),
    };
    let mut collector = Collector { violations: Vec::new(), shown: Instant::now() };
    let tally = survey(&System, &args.path, wanted, contents, &mut collector);
    output::progress_ends();
    let survey = Survey {
        path: args.path.to_string_lossy().into_owned(),
        is_trusted: collector.violations.is_empty(),
        folders: tally.folders,
        files: tally.files,
        violations: collector.violations,
    };
    match args.json {
        true => output::json(&survey)?,
        false => output::survey(&survey)?,
    }
    Ok(if survey.is_trusted { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
