//! `sup-conformance`: runs the cases against a backend and prints one line for each.
//!
//! Made for machines where cargo is not: a guest with the kernel's driver. The exit status is 0 if no
//! case failed.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use sup_conformance::{Case, Embedded, Outcome, cases, process};

/// Runs the conformance suite.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
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

fn main() -> io::Result<ExitCode> {
    if let Some(code) = process::run_child_task(&Embedded) {
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
            let all: Vec<_> = chosen.into_iter().map(|case| document(case, None)).collect();
            writeln!(out, "{}", serde_json::json!({ "cases": all }))?;
            Ok(ExitCode::SUCCESS)
        }
        (false, is_json) => run(&chosen, is_json, &mut out),
    }
}

fn run(chosen: &[&Case], is_json: bool, out: &mut impl Write) -> io::Result<ExitCode> {
    let mut documents = Vec::new();
    let [mut passed, mut failed, mut skipped] = [0; 3];
    for case in chosen {
        let outcome = case.execute(&Embedded);
        match outcome {
            Outcome::Passed => passed += 1,
            Outcome::Failed(_) => failed += 1,
            Outcome::Skipped(_) => skipped += 1,
        }
        if is_json {
            documents.push(document(case, Some(&outcome)));
        } else {
            writeln!(out, "{}", line(case, &outcome))?;
        }
    }
    if is_json {
        let counts = [("passed", passed), ("failed", failed), ("skipped", skipped)];
        let counts: serde_json::Map<_, _> =
            counts.into_iter().map(|(name, count)| (name.to_owned(), count.into())).collect();
        writeln!(out, "{}", serde_json::json!({ "cases": documents, "counts": counts }))?;
    } else {
        writeln!(out, "{passed} passed, {failed} failed, {skipped} skipped")?;
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn line(case: &Case, outcome: &Outcome) -> String {
    let name = case.full_name();
    match outcome {
        Outcome::Passed => format!("ok {name}"),
        Outcome::Failed(why) => format!("FAILED {name}: {why}"),
        Outcome::Skipped(reason) => format!("skipped {name}: {reason}"),
    }
}

fn document(case: &Case, outcome: Option<&Outcome>) -> serde_json::Value {
    let (outcome, reason) = match outcome {
        None => (None, None),
        Some(Outcome::Passed) => (Some("passed"), None),
        Some(Outcome::Failed(why)) => (Some("failed"), Some(why)),
        Some(Outcome::Skipped(reason)) => (Some("skipped"), Some(reason)),
    };
    serde_json::json!({
        "name": case.full_name(),
        "rule": case.rule,
        "outcome": outcome,
        "reason": reason,
    })
}
