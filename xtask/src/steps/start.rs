//! The start with privileges, tried for real: set-user-id copies, started by a user.

use anyhow::{Result, ensure};

use super::Verdict;
use crate::project::Project;
use crate::{report, start};

pub(super) fn run(project: &Project) -> Result<Verdict> {
    let trial = start::trial(project)?;
    if !trial.is_possible(project) {
        return Verdict::skipped("set-user-id programs and mounts take root: run it as root");
    }
    let told = trial.command(project, &[])?.ignore_status().read()?;
    report::line(format_args!("{told}"));
    let totals = told.lines().last().unwrap_or_default();
    ensure!(totals.contains(" 0 failed"), "a start is not as it should be: {totals}");
    Verdict::passed_with(totals)
}
