//! Every case against the driver in this process, each a test of its own; and the proof that the cases
//! together provoke every status.

use std::process::ExitCode;

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use sup_conformance::{Case, Embedded, Outcome, cases, process, statuses};

fn main() -> ExitCode {
    if let Some(code) = process::run_child_task() {
        return code;
    }
    let mut trials: Vec<_> = cases().map(trial).collect();
    trials.push(Trial::test("every_status_is_provoked", every_status_is_provoked));
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn trial(case: &'static Case) -> Trial {
    Trial::ignorable_test(case.full_name(), || match case.execute(&Embedded) {
        Outcome::Passed => Ok(Completion::Completed),
        Outcome::Failed(why) => Err(Failed::from(format!("{why}\nrule: {}", case.rule))),
        Outcome::Skipped(reason) => Ok(Completion::ignored_with(reason)),
    })
}

/// A status that no case provokes is a path that no case takes.
fn every_status_is_provoked() -> Result<(), Failed> {
    for case in cases() {
        case.execute(&Embedded);
    }
    let unseen = statuses::unseen(&Embedded);
    if unseen.is_empty() { Ok(()) } else { Err(unseen.join("\n").into()) }
}
