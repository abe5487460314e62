//! The conformance suite in guests with stock kernels: the kernel's driver beside the one in the process.

use anyhow::Result;

use super::Verdict;
use crate::kmod;
use crate::project::Project;
use crate::vm;
use crate::vm::args::{Backend, GuestArgs};
use crate::vm::suite::{self, Row};

pub(super) fn linux_6_1(project: &Project) -> Result<Verdict> {
    guest(project, "6.1")
}

pub(super) fn linux_6_12(project: &Project) -> Result<Verdict> {
    guest(project, "6.12")
}

fn guest(project: &Project, kernel: &str) -> Result<Verdict> {
    if let Err(error) = vm::require(project).and_then(|()| kmod::require(project)) {
        return Verdict::skipped(format!("{error:#}"));
    }
    let outcome = suite::run(project, &GuestArgs::with_kernel(kernel), None, &Backend::ALL)?;
    outcome.judge()?;
    let notes: Vec<String> = outcome.rows.iter().filter_map(note).collect();
    Verdict::passed_with(notes.join("; "))
}

/// `kernel: 183 passed, 0 failed, 0 skipped`.
fn note(row: &Row) -> Option<String> {
    let counts = row.counts.as_ref().ok()?;
    Some(format!("{}: {counts}", row.backend.name()))
}
