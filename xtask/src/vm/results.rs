//! The results of a run of `sup-conformance`, read from what it prints.
//!
//! A line `backend NAME`; one line a case, `ok NAME`, `FAILED NAME: WHY` or `skipped NAME: REASON`, and the totals at the end.
//! Without totals that agree with the lines a run did not get to its end, and never counts as passed.

use std::fmt::{self, Display};

use anyhow::{Context, Result, ensure};

/// The driver of a suite that does not name one: it knows no other.
const UNNAMED: &str = "embedded";

/// How many cases ended which way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) skipped: usize,
}

impl Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { passed, failed, skipped } = self;
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}

/// What the suite said.
#[derive(Debug, Default)]
pub(super) struct Results {
    counts: Counts,
    /// The driver that the suite says it ran against.
    backend: Option<String>,
    totals: Option<Counts>,
    /// The case that ended last: where to look if the suite did not go on.
    last: Option<String>,
}

impl Results {
    pub(super) fn parse(output: &str) -> Self {
        let mut results = Self::default();
        for line in output.lines() {
            let case =
                ["ok ", "FAILED ", "skipped "].iter().find_map(|word| line.strip_prefix(word));
            if let Some(case) = case {
                results.last = case.split(": ").next().map(str::to_owned);
            }
            if line.starts_with("ok ") {
                results.counts.passed += 1;
            } else if line.starts_with("FAILED ") {
                results.counts.failed += 1;
            } else if line.starts_with("skipped ") {
                results.counts.skipped += 1;
            } else if let Some(name) = line.strip_prefix("backend ") {
                results.backend = Some(name.trim().to_owned());
            } else if let Some(totals) = totals(line) {
                results.totals = Some(totals);
            }
        }
        results
    }

    /// How far the suite came.
    pub(super) fn progress(&self) -> String {
        let cases = self.counts.passed + self.counts.failed + self.counts.skipped;
        format!("after {cases} cases, the last `{}`", self.last.as_deref().unwrap_or("none"))
    }

    /// Whether the suite ran to its end with that driver, and every case that it could run passed.
    ///
    /// # Errors
    /// It did not, with the reason.
    pub(super) fn judge(&self, backend: &str, status: u8) -> Result<Counts> {
        let counts = self.counts;
        // The results of one driver must not pass for another's.
        let named = self.backend.as_deref().unwrap_or(UNNAMED);
        ensure!(
            named == backend,
            "the suite was to run with the {backend} backend and took {named}"
        );
        let totals = self.totals.with_context(|| {
            format!(
                "the suite ended with status {status} and without its totals, {}",
                self.progress()
            )
        })?;
        ensure!(totals == counts, "the suite says {totals}, its lines {counts}");
        ensure!(counts.failed == 0, "{} cases failed", counts.failed);
        ensure!(counts.passed > 0, "no case ran: does a case have that name?");
        ensure!(status == 0, "no case failed, but the suite ended with status {status}");
        Ok(counts)
    }
}

/// Reads `183 passed, 0 failed, 0 skipped`.
fn totals(line: &str) -> Option<Counts> {
    let mut parts = line.trim_end().split(", ");
    let mut count = |word| parts.next()?.strip_suffix(word)?.parse().ok();
    let counts = Counts {
        passed: count(" passed")?,
        failed: count(" failed")?,
        skipped: count(" skipped")?,
    };
    parts.next().is_none().then_some(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "backend kernel\nok a::b\nok a::c\nskipped d: no root\n\
        2 passed, 0 failed, 1 skipped\n";

    #[test]
    fn a_run_without_failures_passes() {
        let results = Results::parse(GOOD);
        assert_eq!(
            results.judge("kernel", 0).unwrap(),
            Counts { passed: 2, failed: 0, skipped: 1 }
        );
        assert!(results.judge("embedded", 0).is_err());
    }

    #[test]
    fn a_failed_case_fails_the_run() {
        let output = "backend kernel\nok a\nFAILED b: 1 is not 2\n  in that line\n1 passed, 1 failed, 0 skipped\n";
        let results = Results::parse(output);
        assert_eq!(results.judge("kernel", 1).unwrap_err().to_string(), "1 cases failed");
    }

    #[test]
    fn cannot_pass_for_the_kernels_without_saying_so() {
        let nameless = Results::parse("ok a\n1 passed, 0 failed, 0 skipped\n");
        assert!(nameless.judge("kernel", 0).is_err());
        assert!(nameless.judge("embedded", 0).is_ok());
    }

    #[test]
    fn where_a_suite_died_is_told() {
        let results = Results::parse("backend kernel\nok a::b\nFAILED a::c: x: y\n");
        let error = results.judge("kernel", 139).unwrap_err().to_string();
        assert!(
            error.ends_with(
                "with status 139 and without its totals, after 2 cases, the last `a::c`"
            ),
            "{error}"
        );
    }

    #[test]
    fn cannot_pass_without_having_run_to_the_end() {
        let cases = [
            ("ok a\nok b\n", 0),
            ("", 0),
            ("0 passed, 0 failed, 0 skipped\n", 0),
            ("ok a\n2 passed, 0 failed, 0 skipped\n", 0),
            ("ok a\n1 passed, 0 failed\n", 0),
            ("ok a\n1 passed, 0 failed, 0 skipped\n", 139),
        ];
        for (output, status) in cases {
            let results = Results::parse(&format!("backend kernel\n{output}"));
            assert!(results.judge("kernel", status).is_err(), "{output:?}");
        }
    }
}
