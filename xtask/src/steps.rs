//! The steps of `cargo xtask test`, in the order in which they run: cheap ones first.

mod c_programs;
mod dkms;
mod doctor;
mod fuzz;
mod install;
mod kmod;
mod long;
mod no_std;
mod quick;
mod start;
mod vm;

use anyhow::Result;

use crate::project::Project;

/// One step. An error is a failed step.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    /// Runs with `--full` or by its name only.
    pub(crate) is_long: bool,
    pub(crate) run: fn(&Project) -> Result<Verdict>,
}

/// How a step that did not fail ended.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// With a note for the reader, often empty.
    Passed(String),
    /// With the reason, and what to do about it.
    Skipped(String),
}

impl Verdict {
    fn passed() -> Result<Self> {
        Ok(Self::Passed(String::new()))
    }

    fn passed_with(note: impl Into<String>) -> Result<Self> {
        Ok(Self::Passed(note.into()))
    }

    fn skipped(reason: impl Into<String>) -> Result<Self> {
        Ok(Self::Skipped(reason.into()))
    }
}

const fn quick(
    name: &'static str,
    run: fn(&Project) -> Result<Verdict>,
    about: &'static str,
) -> Step {
    Step { name, about, is_long: false, run }
}

const fn long(
    name: &'static str,
    run: fn(&Project) -> Result<Verdict>,
    about: &'static str,
) -> Step {
    Step { name, about, is_long: true, run }
}

pub(crate) const STEPS: [Step; 28] = [
    quick("fmt", quick::fmt, "every source file is formatted"),
    quick("rules", quick::rules, "the house rules that no compiler knows"),
    quick("clippy", quick::clippy, "no lint warns, in any target"),
    quick("unit", quick::unit, "all tests, through cargo-nextest where it is installed"),
    quick("doc-tests", quick::doc_tests, "the examples in the documentation run"),
    quick("docs", quick::docs, "the documentation builds without a warning"),
    quick("no-std", no_std::run, "the crates of ring 0 link no standard library"),
    quick(
        "loom",
        long::loom,
        "semaphores, the clock page, factories and traced hits in the interleavings that two preemptions make",
    ),
    quick("supctl", doctor::run, "the doctor passes, and so does a bare `cargo run --release`"),
    quick(
        "start",
        start::run,
        "set-user-id programs start, and refuse what is not as it was packed",
    ),
    quick("c-programs", c_programs::run, "programs in C and C++ link with libsup and work"),
    quick(
        "api",
        c_programs::api,
        "every function of the header is exported and called, or a known gap",
    ),
    quick("kmod", kmod::run, "supdrv.ko builds, and its object keeps what is promised of it"),
    quick("vm-6.1", vm::linux_6_1, "both drivers in a guest with Linux 6.1; games, kills, fuzzing"),
    quick("vm-6.12", vm::linux_6_12, "both drivers in a guest with Linux 6.12; games"),
    long("vm-7.2", vm::linux_7_2, "both drivers in a guest with Linux 7.2; games"),
    long("vm-debug", vm::debug_kernel, "with KASAN, lockdep and kmemleak; a million requests"),
    long("install", install::run, "an installation is verified as it was packed, and no other"),
    long("dkms", dkms::run, "DKMS builds the source package, and its module works"),
    long(
        "stress",
        long::stress,
        "semaphores: 64 threads, 10 million operations a test; a billion reads of the time; modules: 8 threads",
    ),
    long("races", long::races, "100 000 verifications of a path that an attacker swaps parts of"),
    long("asan", long::asan, "all tests under AddressSanitizer, with leak detection"),
    long("tsan", long::tsan, "all tests under ThreadSanitizer"),
    long("loom-long", long::loom_long, "the same with one preemption more"),
    long("proptest-long", long::proptest, "property tests with 20000 cases each"),
    long(
        "fuzz",
        fuzz::run,
        "libFuzzer over the loader, the requests, texts of loggers, paths and VTG objects",
    ),
    long("valgrind", c_programs::valgrind, "the C programs under valgrind"),
    long("miri", long::miri, "the pure crates under Miri"),
];
