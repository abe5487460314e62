//! The fuzzer: libFuzzer over the loader, the decoder of requests, the texts of loggers, paths, VTG objects and trace
//! files, from seeds, for a fixed number of runs.
//!
//! The targets are in `fuzz/`, a workspace of its own. They are built with AddressSanitizer and the
//! instrumentation that cargo-fuzz would ask for, so that no tool but a nightly compiler is needed.

use anyhow::Result;
use xshell::cmd;

use super::Verdict;
use crate::project::Project;

const TARGET: &str = "x86_64-unknown-linux-gnu";

/// What libFuzzer sees of the program: which edges it takes, and what it compares.
const FLAGS: &str = "--cfg fuzzing -Zsanitizer=address -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares";

/// The targets, and how often each runs: a run of the second opens sessions and loads a module.
const RUNS: [(&str, u32); 6] = [
    ("loader", 500_000),
    ("requests", 50_000),
    ("logger", 200_000),
    ("paths", 500_000),
    ("vtg", 2_000_000),
    ("trace", 500_000),
];

pub(super) fn run(project: &Project) -> Result<Verdict> {
    let sh = &project.sh;
    if !project.has_nightly()
        && !project.can(cmd!(sh, "rustup toolchain install nightly --profile minimal"))
    {
        return Verdict::skipped(
            "no nightly toolchain, and `rustup toolchain install nightly` failed",
        );
    }
    let folder = project.target.join("fuzz");
    cmd!(sh, "cargo +nightly build --release --manifest-path fuzz/Cargo.toml --target {TARGET} --target-dir {folder}")
        .env("RUSTFLAGS", FLAGS)
        .run()?;
    let programs = folder.join(TARGET).join("release");
    // What earlier runs found is not kept: the same seeds and the same numbers make the same runs.
    let corpus = folder.join("corpus");
    sh.remove_path(&corpus)?;
    let seeds = programs.join("seeds");
    cmd!(sh, "{seeds} {corpus}").run()?;
    for (target, runs) in RUNS {
        let (program, inputs) = (programs.join(target), corpus.join(target));
        let (runs, prefix) = (runs.to_string(), format!("{}/{target}-", folder.display()));
        cmd!(
            sh,
            "{program} -seed=1 -runs={runs} -artifact_prefix={prefix} -print_final_stats=1 {inputs}"
        )
        .env("SUP_MODULE_POLICY", "unsigned")
        .env("ASAN_OPTIONS", "detect_leaks=1")
        .run()?;
    }
    Verdict::passed_with(RUNS.map(|(target, runs)| format!("{target} {runs} runs")).join(", "))
}
