//! What a start with privileges adds to a start: beside a program that loads the same library by itself.
//!
//! Both are started in turn, and the medians compared.

use std::process::ExitCode;
use std::time::Instant;

use sup_verdict::{Verdict, check};

use crate::line;
use crate::machine::{C, Machine};
use crate::start::Start;

const ROUNDS: usize = 101;
/// No start may take longer.
const GOAL_MS: f64 = 5.0;

/// Prints the two medians and their difference; with `--check` a missed goal fails.
pub(crate) fn run(machine: &Machine, how: &[&str]) -> Verdict<ExitCode> {
    machine.install()?;
    machine.put("direct", "/usr/bin/direct", 0o755)?;
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for (program, times) in [C, "/usr/bin/direct"].into_iter().zip(&mut times) {
            let arguments = &["brief"];
            let start = Instant::now();
            let report = Start { program, arguments, ..Start::default() }.by_user()?;
            times.push(start.elapsed());
            check!(report.exit == Some(0), "{program}: {}", report.stderr);
        }
    }
    let [with, direct] = times.map(|mut times| {
        times.sort();
        times.get(ROUNDS / 2).copied().unwrap_or_default()
    });
    let [with, direct] = [with, direct].map(|time| time.as_secs_f64() * 1e3);
    let added = with - direct;
    if how.contains(&"--json") {
        line(format_args!(
            r#"{{"start_ms":{with:.3},"direct_ms":{direct:.3},"added_ms":{added:.3},"goal_ms":{GOAL_MS}}}"#
        ));
    } else {
        line(format_args!(
            "start with privileges {with:.2} ms, the same program without {direct:.2} ms: \
             {added:.2} ms more (goal {GOAL_MS} ms)"
        ));
    }
    let is_missed = added > GOAL_MS;
    Ok(if is_missed && how.contains(&"--check") { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
