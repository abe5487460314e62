//! The long steps: stress, sanitizers, model checking, long property tests, Miri.
//!
//! Each builds in a folder of its own under the target folder: its flags differ from everyone
//! else's, and would rebuild the world twice.

use anyhow::Result;
use xshell::cmd;

use super::Verdict;
use crate::project::Project;

/// Sanitizers need `--target`, so that their flags spare build scripts and procedural macros.
const TARGET: &str = "x86_64-unknown-linux-gnu";
const NO_NIGHTLY: &str = "no nightly toolchain: `rustup toolchain install nightly`";

/// What Miri interprets, a thousand times slower than it runs: crates without foreign code or system
/// calls, and of the core, which has no unsafe code, where its bytes come in.
const MIRI_TESTS: [(&str, &[&str]); 3] =
    [("sup-abi", &[]), ("sup-alloc", &[]), ("sup-core", &["dispatch::"])];

pub(super) fn stress(project: &Project) -> Result<Verdict> {
    cmd!(project.sh, "cargo test --release --package sup-stress --tests")
        .env("SUP_STRESS_OPS", "10000000")
        .env("PROPTEST_CASES", "20000")
        .run()?;
    let modules = "modules::threads_load_call_and_free_everything";
    cmd!(
        project.sh,
        "cargo run --release --package sup-conformance -- --backend embedded --filter {modules}"
    )
    .env("SUP_STRESS_ROUNDS", "3000")
    .run()?;
    Verdict::passed()
}

/// Root's files, and another's, which an attacker with root's rights swaps.
pub(super) fn races(project: &Project) -> Result<Verdict> {
    if !rustix::process::geteuid().is_root() {
        return Verdict::skipped("files of several owners take root: run it as root");
    }
    let test = ["--package", "sup-hardened", "--test", "races"];
    cmd!(project.sh, "cargo test --release {test...} -- --nocapture")
        .env("SUP_RACE_ROUNDS", "100000")
        .run()?;
    Verdict::passed()
}

pub(super) fn asan(project: &Project) -> Result<Verdict> {
    let options = ("ASAN_OPTIONS", "detect_leaks=1");
    sanitized(project, "asan", "-Zsanitizer=address", options, &["--exclude", "xtask"])
}

pub(super) fn tsan(project: &Project) -> Result<Verdict> {
    // The standard library is built along: as shipped it is not instrumented, and then its locks
    // and queues order nothing that ThreadSanitizer sees.
    if !project.has_nightly() {
        return Verdict::skipped(NO_NIGHTLY);
    }
    cmd!(project.sh, "rustup component add rust-src --toolchain nightly").quiet().run()?;
    let options = ("TSAN_OPTIONS", "halt_on_error=1");
    // The doctor counts the descriptors of its process, and ThreadSanitizer opens some.
    let arguments = ["-Zbuild-std", "--exclude", "xtask", "--exclude", "supctl"];
    // rustix without its own system calls: ThreadSanitizer has to see when memory is unmapped, or what
    // comes to the same place next seems to race with what was there.
    let flags = "-Zsanitizer=thread --cfg tsan --cfg rustix_use_libc";
    sanitized(project, "tsan", flags, options, &arguments)
}

/// Runs the workspace's tests, built by nightly with `flags` and cargo's further `arguments`.
fn sanitized(
    project: &Project,
    name: &str,
    flags: &str,
    (variable, options): (&str, &str),
    arguments: &[&str],
) -> Result<Verdict> {
    if !project.has_nightly() {
        return Verdict::skipped(NO_NIGHTLY);
    }
    let folder = project.target.join(name);
    cmd!(project.sh, "cargo +nightly test --workspace {arguments...} --tests --target {TARGET} --target-dir {folder}")
        .env("RUSTFLAGS", flags)
        .env(variable, options)
        .run()?;
    Verdict::passed()
}

pub(super) fn loom(project: &Project) -> Result<Verdict> {
    interleave(project, "2")
}

pub(super) fn loom_long(project: &Project) -> Result<Verdict> {
    interleave(project, "3")
}

/// Runs the models with a bound on preemptions: without one, three threads take hours.
fn interleave(project: &Project, preemptions: &str) -> Result<Verdict> {
    let folder = project.target.join("loom");
    // Release, because the number of interleavings makes each instruction count.
    cmd!(project.sh, "cargo test --release --package sup-core --package sup-ring0 --package sup-ringtrace --lib --target-dir {folder} loom_")
        .env("RUSTFLAGS", "--cfg loom")
        .env("LOOM_MAX_PREEMPTIONS", preemptions)
        .run()?;
    Verdict::passed()
}

pub(super) fn proptest(project: &Project) -> Result<Verdict> {
    let packages = property_tested(project)?;
    if packages.is_empty() {
        return Verdict::skipped("no crate depends on proptest");
    }
    let selection = packages.iter().flat_map(|name| ["--package", name]);
    cmd!(project.sh, "cargo test --release --tests {selection...}")
        .env("PROPTEST_CASES", "20000")
        .run()?;
    Verdict::passed_with(packages.join(", "))
}

/// The names of the crates that depend on proptest; a crate is named like its folder.
fn property_tested(project: &Project) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for folder in project.sh.read_dir("crates")? {
        let manifest = project.sh.read_file(folder.join("Cargo.toml"))?;
        if manifest.lines().any(|line| line.starts_with("proptest")) {
            names.extend(folder.file_name().map(|name| name.to_string_lossy().into_owned()));
        }
    }
    Ok(names)
}

pub(super) fn miri(project: &Project) -> Result<Verdict> {
    if !project.has_nightly() {
        return Verdict::skipped(NO_NIGHTLY);
    }
    let sh = &project.sh;
    // rustup knows what is installed already, and says so quickly.
    if !project.can(cmd!(sh, "rustup component add miri rust-src --toolchain nightly")) {
        return Verdict::skipped(
            "no Miri: `rustup component add miri rust-src --toolchain nightly`",
        );
    }
    for (package, tests) in MIRI_TESTS {
        cmd!(sh, "cargo +nightly miri test --package {package} --lib {tests...} -- --skip random_")
            .env("MIRIFLAGS", "-Zmiri-disable-isolation")
            .env("PROPTEST_CASES", "4")
            .run()?;
    }
    Verdict::passed_with(MIRI_TESTS.map(|(package, _)| package).join(", "))
}
