//! [`Check`]: a line of the doctor's report, and what checks have in common: how they end, what to do
//! about a failure, how they measure.

use std::io;
use std::time::Instant;

use serde::Serialize;
use sup::{Status, WaitError};

/// A line of the report.
#[derive(Debug, Serialize)]
pub(crate) struct Check {
    pub(crate) name: &'static str,
    pub(crate) passed: bool,
    /// `None` if the check failed before there was one.
    pub(crate) figure: Option<f64>,
    pub(crate) unit: &'static str,
    pub(crate) detail: String,
    /// What to do about a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) remedy: Option<&'static str>,
}

/// How the work of a check ended.
pub(super) type Outcome = Result<Finding, Trouble>;

/// A check passed.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) figure: f64,
    pub(super) detail: String,
}

/// A check failed.
#[derive(Debug, Clone)]
pub(super) struct Trouble {
    pub(super) detail: String,
    pub(super) remedy: &'static str,
}

impl Check {
    pub(super) fn new(name: &'static str, unit: &'static str, outcome: Outcome) -> Self {
        match outcome {
            Ok(Finding { figure, detail }) => {
                let figure = Some((figure * 1000.0).round() / 1000.0);
                Self { name, passed: true, figure, unit, detail, remedy: None }
            }
            Err(Trouble { detail, remedy }) => {
                Self { name, passed: false, figure: None, unit, detail, remedy: Some(remedy) }
            }
        }
    }
}

const REPORT_IT: &str = "this is a defect: report it with the output of `supctl doctor -v`";

impl Trouble {
    /// The driver does not do what it promises.
    pub(super) fn defect(detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), remedy: REPORT_IT }
    }

    pub(super) fn no_session() -> Self {
        Self { detail: "not done, there is no session".to_owned(), remedy: "see `session opened`" }
    }
}

impl From<sup::Error> for Trouble {
    fn from(error: sup::Error) -> Self {
        Self { detail: error.to_string(), remedy: remedy(error.status()) }
    }
}

impl From<WaitError> for Trouble {
    fn from(error: WaitError) -> Self {
        Self { detail: error.to_string(), remedy: remedy(error.status()) }
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self {
            detail: error.to_string(),
            remedy: "see that /proc is mounted, and that temporary files and threads can be made",
        }
    }
}

fn remedy(status: Status) -> &'static str {
    match status {
        Status::VERR_NO_MEMORY
        | Status::VERR_NO_LOW_MEMORY
        | Status::VERR_NO_CONT_MEMORY
        | Status::VERR_NO_PAGE_MEMORY
        | Status::VERR_NO_PHYS_MEMORY
        | Status::VERR_LOCK_FAILED => {
            "free some memory, or raise the limit on locked memory (`ulimit -l`)"
        }
        Status::VERR_VM_DRIVER_NOT_INSTALLED
        | Status::VERR_VM_DRIVER_LOAD_ERROR
        | Status::VERR_VM_DRIVER_OPEN_ERROR
        | Status::VERR_VM_DRIVER_NOT_ACCESSIBLE => {
            "do that, or use the driver in the process: SUP_BACKEND=embedded"
        }
        Status::VERR_PERMISSION_DENIED => {
            "code goes into the kernel as root only: use sudo, or SUP_BACKEND=embedded"
        }
        Status::VERR_VM_DRIVER_VERSION_MISMATCH => "update the driver and supctl to one version",
        Status::VERR_INVALID_PARAMETER | Status::VERR_NOT_SUPPORTED => {
            "if SUP_BACKEND is set, unset it; else report the output of `supctl doctor -v`"
        }
        Status::VERR_ACCESS_DENIED => {
            "have the driver trust your key: `keys=` of supdrv, or a `.pub` file; see docs/signing.md"
        }
        Status::VERR_NO_EXEC_MEMORY => {
            "allow the process executable memory: a security policy (SELinux, seccomp) forbids it"
        }
        _ => REPORT_IT,
    }
}

/// Fails, as a defect, unless a promise is kept.
pub(super) fn require(is_kept: bool, otherwise: impl FnOnce() -> String) -> Result<(), Trouble> {
    if is_kept { Ok(()) } else { Err(Trouble::defect(otherwise())) }
}

/// Nanoseconds that a round of `work` takes: the median of a few batches, so that a moment in which
/// the machine did something else does not count.
pub(super) fn ns_per_round(
    rounds: u32,
    mut work: impl FnMut() -> Result<(), Trouble>,
) -> Result<f64, Trouble> {
    const BATCHES: u32 = 9;
    let batch = rounds.div_ceil(BATCHES);
    let mut times = Vec::new();
    for _ in 0..BATCHES {
        let start = Instant::now();
        for _ in 0..batch {
            work()?;
        }
        times.push(start.elapsed().as_secs_f64() * 1e9 / f64::from(batch));
    }
    Ok(median(times))
}

/// Microseconds since `start`.
pub(super) fn us_since(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e6
}

/// The median; 0 of nothing.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_ignores_outliers() {
        assert_eq!(median(vec![3.0, 1e9, 1.0]), 3.0);
        assert_eq!(median(Vec::new()), 0.0);
    }

    #[test]
    fn every_failure_says_what_to_do() {
        for &(status, name, _) in Status::ALL {
            assert!(!remedy(status).is_empty(), "{name}");
        }
        let check = Check::new("a", "ns", Err(Trouble::defect("b")));
        assert!(!check.passed && check.figure.is_none() && check.remedy.is_some());
    }
}
