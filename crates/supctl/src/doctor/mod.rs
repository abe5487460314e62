//! `supctl doctor`: goes through each service with real work and a measured figure.
//!
//! A check is a function from an open session to an [`Outcome`]; it takes nothing from the checks
//! before it, and leaves nothing behind. [`CHECKS`] is the list in order. Around it stand the checks
//! of the session itself: it can be opened, and when it is closed nothing is left.

mod check;
mod clock;
mod leftovers;
mod memory;
mod module;
mod peek;
mod platform;
mod semaphores;
mod session;

use std::process::ExitCode;

use serde::Serialize;
use sup::Session;

pub(crate) use self::check::Check;
use self::check::{Outcome, Trouble};
use self::leftovers::Process;
use self::session::Sessions;
use crate::cli::DoctorArgs;
use crate::failure::Failure;
use crate::output;
use Work::{Alone, With};

/// A check of a service: its name, the unit of its figure, and the work.
type Service = (&'static str, &'static str, Work);

/// What a check needs.
enum Work {
    /// Nothing but the process.
    Alone(fn() -> Outcome),
    /// An open session.
    With(fn(&Session) -> Outcome),
}

const CHECKS: [Service; 20] = [
    ("paging mode", "ns/request", With(platform::paging_mode)),
    ("VT capabilities", "caps", With(platform::vt_caps)),
    ("GIP", "updates/s", With(clock::page)),
    ("GIP accuracy", "ns worst", With(clock::follows_monotonic)),
    ("GIP reads", "M reads/s", With(clock::reads)),
    ("page memory", "µs/block", Alone(memory::process_pages)),
    ("shared pages", "µs/block", With(memory::shared)),
    ("large block", "µs/block", With(memory::large)),
    ("low memory", "µs/block", With(memory::low)),
    ("contiguous memory", "µs/block", With(memory::contiguous)),
    ("locked memory", "µs/lock", With(memory::locked)),
    ("event ping-pong", "ns/round trip", With(semaphores::ping_pong)),
    ("event alone", "ns/signal+wait", With(semaphores::uncontended)),
    ("manual-reset event", "µs/release", With(semaphores::manual_reset)),
    ("module policy", "keys", With(module::policy)),
    ("module loaded", "µs/load", With(module::load)),
    ("service requests", "ns/greeting", With(module::requests)),
    ("service call", "ns/call", With(module::call)),
    ("symbol looked up", "ns/look-up", With(module::symbol)),
    ("module freed", "µs/free", With(module::free)),
];

/// What the doctor found.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// The backend's name; `None` if there is no session.
    pub(crate) backend: Option<&'static str>,
    /// Why it is that one, or why there is none.
    pub(crate) reason: String,
    pub(crate) version: &'static str,
    pub(crate) checks: Vec<Check>,
    /// Whether every check passed.
    pub(crate) passed: bool,
}

pub(crate) fn run(args: &DoctorArgs) -> Result<ExitCode, Failure> {
    let report = examine();
    output::progress_ends();
    if args.json {
        output::json(&report)?;
    } else {
        output::report(&report)?;
    }
    Ok(if report.passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn examine() -> Report {
    let before = Process::look();
    let opened = Sessions::open();
    let (backend, reason) = match &opened {
        Ok((sessions, _)) => {
            let backend = sessions.main.backend();
            (Some(backend.name()), backend.reason().into_owned())
        }
        Err(trouble) => (None, trouble.detail.clone()),
    };
    let (sessions, finding) = match opened {
        Ok((sessions, finding)) => (Some(sessions), Ok(finding)),
        Err(trouble) => (None, Err(trouble)),
    };

    let mut checks = vec![perform("session opened", "µs", || finding)];
    checks.extend(CHECKS.iter().map(|(name, unit, work)| {
        perform(name, unit, || match (work, &sessions) {
            (Alone(work), _) => work(),
            (With(work), Some(sessions)) => work(&sessions.main),
            (With(_), None) => Err(Trouble::no_session()),
        })
    }));
    checks.push(perform("session closed", "µs", || {
        sessions.map_or_else(|| Err(Trouble::no_session()), Sessions::close)
    }));
    checks.push(perform("nothing left", "left", || leftovers::compare(before)));

    let passed = checks.iter().all(|check| check.passed);
    Report { backend, reason, version: env!("CARGO_PKG_VERSION"), checks, passed }
}

fn perform(name: &'static str, unit: &'static str, work: impl FnOnce() -> Outcome) -> Check {
    output::progress(name);
    Check::new(name, unit, work())
}
