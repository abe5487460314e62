//! Guests with stock kernels and with one that checks itself: the conformance suite with the kernel's
//! driver beside the one in the process, and the kernel driver's own tests.

use anyhow::Result;

use super::Verdict;
use crate::kmod;
use crate::project::Project;
use crate::vm;
use crate::vm::args::{Backend, Extra, GuestArgs};
use crate::vm::suite::{self, Row, Suite};

pub(super) fn linux_6_1(project: &Project) -> Result<Verdict> {
    let own = [
        Suite::kernel("games", None),
        Suite::kernel("kill", Some(50)),
        Suite::kernel("fuzz", Some(20_000)),
        Suite::kernel("programs", None),
        Suite::start(),
        Suite::cycles(10),
        Suite::client(),
        Suite::install(),
        Suite::kvm(),
        Suite::hotplug(),
    ];
    // Last, since nothing is to be relied on after an oops.
    guest(project, whole("6.1"), &[&own[..], &oopses()].concat())
}

pub(super) fn linux_6_12(project: &Project) -> Result<Verdict> {
    // The last one, because what it does stays.
    let own = ["games", "programs"].map(|name| Suite::kernel(name, None));
    let last = [Suite::client(), Suite::install(), Suite::kvm(), Suite::hotplug()];
    let lockdown = [Suite::kernel("lockdown", None)];
    guest(project, whole("6.12"), &[&own[..], &last, &lockdown].concat())
}

pub(super) fn linux_7_2(project: &Project) -> Result<Verdict> {
    let own = ["games", "programs"].map(|name| Suite::kernel(name, None));
    // Without KVM, whose modules are not in the kernel's package.
    let client = [Suite::client()];
    guest(project, whole("7.2"), &[&own[..], &client, &oopses()].concat())
}

/// A module that faults, in each way.
fn oopses() -> [Suite; 4] {
    ["write", "call", "divide", "undefined"].map(Suite::oops)
}

/// Slower by an order of magnitude: the kernel checks every access and every lock.
pub(super) fn debug_kernel(project: &Project) -> Result<Verdict> {
    let args = GuestArgs { timeout_s: 14_400, memory_mib: 2048, ..whole("debug") };
    let own = [
        Suite::kernel("games", None),
        Suite::kernel("faults", None),
        Suite::kernel("kill", Some(500)),
        Suite::kernel("programs", None),
        Suite::start(),
        Suite::kernel("fuzz", Some(1_000_000)),
        Suite::cycles(200),
        Suite::client(),
        Suite::install(),
        Suite::hotplug(),
    ];
    guest(project, args, &own)
}

/// A guest that has everything a suite asks for, and time for all suites on a busy machine.
fn whole(kernel: &str) -> GuestArgs {
    let extras = Extra::ALL.to_vec();
    GuestArgs { extras, timeout_s: 1200, ..GuestArgs::with_kernel(kernel) }
}

/// The conformance suite with both drivers, then the kernel driver's own tests.
fn guest(project: &Project, args: GuestArgs, own: &[Suite]) -> Result<Verdict> {
    if let Err(error) = vm::require(project).and_then(|()| kmod::require(project)) {
        return Verdict::skipped(format!("{error:#}"));
    }
    let conformance = Backend::ALL.map(|backend| Suite::conformance(backend, None));
    let outcome = suite::run(project, &args, &[&conformance, own].concat())?;
    outcome.judge()?;
    let notes: Vec<String> = outcome.rows.iter().filter_map(note).collect();
    Verdict::passed_with(notes.join("; "))
}

/// `kernel: 183 passed, 0 failed, 0 skipped`.
fn note(row: &Row) -> Option<String> {
    let counts = row.counts.as_ref().ok()?;
    Some(format!("{}: {counts}", row.name))
}
