//! The main job, as a user runs it: the doctor's JSON, and the default command without arguments.

use anyhow::{Context, Error, Result, bail, ensure};
use serde::Deserialize;
use serde_json::Value;
use xshell::cmd;

use super::Verdict;
use crate::project::Project;

/// What `supctl doctor --json` promises to programs.
#[derive(Debug, Deserialize)]
struct Report {
    checks: Vec<Check>,
}

#[derive(Debug, Deserialize)]
struct Check {
    name: String,
    passed: bool,
    /// A number or a word; the promise is only that it is there.
    #[serde(rename = "figure")]
    _figure: Value,
    #[serde(rename = "unit")]
    _unit: Value,
}

pub(super) fn run(project: &Project) -> Result<Verdict> {
    let sh = &project.sh;
    // The checks tell more than the exit status, so that one is looked at after them.
    let doctor = cmd!(sh, "cargo run --release --package supctl -- doctor --json")
        .ignore_status()
        .output()?;
    let checks = judge(&String::from_utf8_lossy(&doctor.stdout)).map_err(|error| {
        let stderr = String::from_utf8_lossy(&doctor.stderr);
        Error::msg(stderr.trim_end().to_owned()).context(format!("{error:#}"))
    })?;
    ensure!(doctor.status.success(), "all checks passed, but {}", doctor.status);

    cmd!(sh, "cargo run --release").run()?;
    Verdict::passed_with(format!("{checks} checks"))
}

/// Reads a report and tells how many checks passed, if all did.
fn judge(json: &str) -> Result<usize> {
    let report: Report = serde_json::from_str(json).context("not the JSON that was promised")?;
    ensure!(!report.checks.is_empty(), "the report has no checks");
    let failed: Vec<&str> = report
        .checks
        .iter()
        .filter(|check| !check.passed)
        .map(|check| check.name.as_str())
        .collect();
    if !failed.is_empty() {
        bail!("failed checks: {}", failed.join(", "));
    }
    Ok(report.checks.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_the_checks_of_a_good_report() -> Result<()> {
        let json = r#"{"backend": "embedded", "checks": [
            {"name": "gip", "passed": true, "figure": 12.5, "unit": "ns"},
            {"name": "vt", "passed": true, "figure": null, "unit": ""}]}"#;
        assert_eq!(judge(json)?, 2);
        Ok(())
    }

    #[test]
    fn cannot_pass_with_a_failed_check() {
        let json = r#"{"checks": [{"name": "gip", "passed": false, "figure": 1, "unit": "ns"}]}"#;
        let error = judge(json).map_err(|error| error.to_string());
        assert_eq!(error, Err("failed checks: gip".to_owned()));
    }

    #[test]
    fn cannot_pass_without_what_was_promised() {
        for json in ["", "{}", r#"{"checks": []}"#, r#"{"checks": [{"name": "gip"}]}"#] {
            assert!(judge(json).is_err(), "{json}");
        }
        let unitless = r#"{"checks": [{"name": "gip", "passed": true, "figure": 1}]}"#;
        assert!(judge(unitless).is_err());
    }
}
