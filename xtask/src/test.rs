//! `cargo xtask test`: choose the steps, run them in order, tell how each ended.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::cli::TestArgs;
use crate::project::Project;
use crate::report;
use crate::steps::{STEPS, Step, Verdict};

/// A step that is over, or that an earlier failure kept from running.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) name: &'static str,
    pub(crate) verdict: Result<Verdict>,
    pub(crate) elapsed: Duration,
}

pub(crate) fn run(project: &Project, args: &TestArgs) -> Result<ExitCode> {
    if args.list {
        report::step_list();
        return Ok(ExitCode::SUCCESS);
    }
    let mut ended: Vec<Ended> = Vec::new();
    for step in STEPS.iter().filter(|step| is_wanted(step, args)) {
        let failed = ended.iter().find(|step| step.verdict.is_err());
        ended.push(match failed {
            Some(failed) if !args.keep_going => Ended {
                name: step.name,
                verdict: Ok(Verdict::Skipped(format!("`{}` failed before it", failed.name))),
                elapsed: Duration::ZERO,
            },
            _ => carry_out(step, project),
        });
    }
    report::table(&ended);
    let is_green = Tally::of(&ended).failed == 0;
    Ok(if is_green { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Steps named on the command line, else the quick ones, with `--full` all.
fn is_wanted(step: &Step, args: &TestArgs) -> bool {
    if args.steps.is_empty() {
        args.full || !step.is_long
    } else {
        args.steps.iter().any(|name| name == step.name)
    }
}

fn carry_out(step: &Step, project: &Project) -> Ended {
    report::step_begins(step.name);
    let start = Instant::now();
    let verdict = (step.run)(project);
    let ended = Ended { name: step.name, verdict, elapsed: start.elapsed() };
    report::step_ended(&ended);
    ended
}

/// How many steps ended which way.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) skipped: usize,
}

impl Tally {
    pub(crate) fn of(steps: &[Ended]) -> Self {
        let mut tally = Self::default();
        for step in steps {
            match step.verdict {
                Ok(Verdict::Passed(_)) => tally.passed += 1,
                Ok(Verdict::Skipped(_)) => tally.skipped += 1,
                Err(_) => tally.failed += 1,
            }
        }
        tally
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(full: bool, steps: &[&str]) -> TestArgs {
        let steps = steps.iter().map(|name| (*name).to_owned()).collect();
        TestArgs { full, keep_going: false, list: false, steps }
    }

    fn chosen(args: &TestArgs) -> Vec<&'static str> {
        STEPS.iter().filter(|step| is_wanted(step, args)).map(|step| step.name).collect()
    }

    #[test]
    fn long_steps_run_only_when_asked_for() {
        assert!(!chosen(&args(false, &[])).contains(&"asan"));
        assert_eq!(chosen(&args(true, &[])).len(), STEPS.len());
        assert_eq!(chosen(&args(false, &["asan", "fmt"])), ["fmt", "asan"]);
    }

    #[test]
    fn a_skipped_step_never_counts_as_passed() {
        let ended = |verdict| Ended { name: "any", verdict, elapsed: Duration::ZERO };
        let steps = [
            ended(Ok(Verdict::Passed(String::new()))),
            ended(Ok(Verdict::Skipped("no nightly".to_owned()))),
            ended(Err(anyhow::anyhow!("broken"))),
        ];
        assert_eq!(Tally::of(&steps), Tally { passed: 1, failed: 1, skipped: 1 });
    }
}
