//! The quick steps that are one command each, and the house rules.

use anyhow::{Result, ensure};
use xshell::cmd;

use super::Verdict;
use crate::project::Project;
use crate::{modules, report, rules};

pub(super) fn fmt(project: &Project) -> Result<Verdict> {
    cmd!(project.sh, "cargo fmt --all --check").run()?;
    Verdict::passed()
}

pub(super) fn rules(project: &Project) -> Result<Verdict> {
    let checked = rules::check(&project.root)?;
    checked.violations.iter().for_each(report::violation);
    let broken = checked.violations.len();
    ensure!(broken == 0, "{broken} violations in {} files", checked.files);
    Verdict::passed_with(format!("{} files", checked.files))
}

pub(super) fn clippy(project: &Project) -> Result<Verdict> {
    cmd!(project.sh, "cargo clippy --workspace --all-targets -- -D warnings").run()?;
    Verdict::passed()
}

pub(super) fn unit(project: &Project) -> Result<Verdict> {
    let missing = modules::in_rust(project).map(|why| format!("; {why}")).unwrap_or_default();
    if project.has_nextest() {
        cmd!(project.sh, "cargo nextest run --workspace --no-tests pass").run()?;
        Verdict::passed_with(format!("with cargo-nextest{missing}"))
    } else {
        cmd!(project.sh, "cargo test --workspace --tests").run()?;
        Verdict::passed_with(format!("with cargo test{missing}"))
    }
}

pub(super) fn doc_tests(project: &Project) -> Result<Verdict> {
    cmd!(project.sh, "cargo test --workspace --doc").run()?;
    Verdict::passed()
}

pub(super) fn docs(project: &Project) -> Result<Verdict> {
    cmd!(project.sh, "cargo doc --workspace --no-deps").env("RUSTDOCFLAGS", "-Dwarnings").run()?;
    Verdict::passed()
}
