//! `sup-conformance`: runs the cases against a backend and prints one line for each.
//!
//! Made for machines where cargo is not: a guest with the kernel's driver. The exit status is 0 if no
//! case failed. The variable CHECK_FEW makes the long cases shorter, as the emulator needs it.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use sup::Session;
use sup::backend::Kind;
use sup_conformance::{Backend, Case, Outcome, backend, cases, process, statuses};
use sup_verdict::Tally;

/// Runs the conformance suite.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// The driver to test [default: SUP_BACKEND, or what the library would choose]
    #[arg(long, value_name = "NAME")]
    backend: Option<Choice>,
    /// Prints the cases with their rules and runs nothing.
    #[arg(long)]
    list: bool,
    /// Takes only the cases whose name contains this.
    #[arg(long, value_name = "SUBSTR", default_value = "")]
    filter: String,
    /// Prints one JSON document.
    #[arg(long)]
    json: bool,
}

/// A driver, by its name.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Choice {
    /// The one in this process.
    Embedded,
    /// The kernel's.
    Kernel,
}

impl From<Choice> for Kind {
    fn from(choice: Choice) -> Self {
        match choice {
            Choice::Embedded => Self::Embedded,
            Choice::Kernel => Self::Kernel,
        }
    }
}

fn main() -> io::Result<ExitCode> {
    if let Some(code) = process::run_child_task() {
        return Ok(code);
    }
    let args = Args::parse();
    let chosen: Vec<_> = cases().filter(|case| case.full_name().contains(&args.filter)).collect();
    let mut out = io::stdout().lock();
    match (args.list, args.json) {
        (true, false) => {
            for case in chosen {
                writeln!(out, "{}: {}", case.full_name(), case.rule)?;
            }
            Ok(ExitCode::SUCCESS)
        }
        (true, true) => {
            let document = |case: &Case| document(&case.full_name(), case.rule, None);
            let all: Vec<_> = chosen.into_iter().map(document).collect();
            writeln!(out, "{}", serde_json::json!({ "cases": all }))?;
            Ok(ExitCode::SUCCESS)
        }
        (false, is_json) => {
            let session = match args.backend {
                Some(choice) => Session::open_in(choice.into()),
                None => Session::open(),
            };
            match session {
                Ok(session) => run(session, &chosen, is_json, &mut out),
                Err(error) => {
                    writeln!(io::stderr(), "sup-conformance: {error}")?;
                    Ok(ExitCode::FAILURE)
                }
            }
        }
    }
}

/// Runs the cases against the backend of a session that could be opened.
fn run(
    session: Session,
    chosen: &[&Case],
    is_json: bool,
    out: &mut impl Write,
) -> io::Result<ExitCode> {
    let (kind, reason) = (session.backend().kind(), session.backend().reason().into_owned());
    // Some cases compare the counts of the whole driver.
    drop(session);
    let backend = backend(kind);
    if !is_json {
        writeln!(out, "backend {}\nbecause {reason}", backend.name())?;
    }
    let mut documents = Vec::new();
    let mut tally = Tally::default();
    let mut note = |name: &str, rule: &str, outcome: &Outcome, out: &mut dyn Write| {
        tally.note(outcome);
        if is_json {
            documents.push(document(name, rule, Some(outcome)));
            return Ok(());
        }
        writeln!(out, "{}", outcome.line(name))
    };
    for case in chosen {
        note(&case.full_name(), case.rule, &case.execute(backend), out)?;
    }
    if chosen.len() == cases().count() {
        note(STATUSES.0, STATUSES.1, &every_status_is_provoked(backend), out)?;
    }
    if is_json {
        let Tally { passed, failed, skipped } = tally;
        let counts = serde_json::json!({ "passed": passed, "failed": failed, "skipped": skipped });
        let name = backend.name();
        let document = serde_json::json!({
            "backend": name, "reason": reason, "cases": documents, "counts": counts,
        });
        writeln!(out, "{document}")?;
    } else {
        writeln!(out, "{tally}")?;
    }
    Ok(tally.exit_code())
}

/// Name and rule of the last case, which is about all others together.
const STATUSES: (&str, &str) = (
    "statuses::every_status_is_provoked",
    "The cases provoke every status that a request can answer, but those with a reason.",
);

fn every_status_is_provoked(backend: &dyn Backend) -> Outcome {
    let unseen = statuses::unseen(backend);
    if unseen.is_empty() { Outcome::Passed } else { Outcome::Failed(unseen.join("; ")) }
}

fn document(name: &str, rule: &str, outcome: Option<&Outcome>) -> serde_json::Value {
    let (outcome, reason) = match outcome {
        None => (None, None),
        Some(Outcome::Passed) => (Some("passed"), None),
        Some(Outcome::Failed(why)) => (Some("failed"), Some(why)),
        Some(Outcome::Skipped(reason)) => (Some("skipped"), Some(reason)),
    };
    serde_json::json!({
        "name": name,
        "rule": rule,
        "outcome": outcome,
        "reason": reason,
    })
}
