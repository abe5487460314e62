//! The kernel module for the kernels of the default run, and the checks of its object.

use anyhow::Result;

use super::Verdict;
use crate::kernel::Kernel;
use crate::kmod;
use crate::project::Project;

const KERNELS: [&str; 2] = ["6.1", "6.12"];

pub(super) fn run(project: &Project) -> Result<Verdict> {
    if let Err(error) = kmod::require(project) {
        return Verdict::skipped(format!("{error:#}"));
    }
    let mut kernels = Vec::new();
    for name in KERNELS {
        match Kernel::find(project, name) {
            Ok(kernel) => kernels.push(kernel),
            // Without a network, or on another distribution.
            Err(error) => return Verdict::skipped(format!("no kernel {name}: {error:#}")),
        }
    }
    Verdict::passed_with(kmod::check(project, &kernels)?.join(", "))
}
