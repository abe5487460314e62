//! Every allocation that an operation makes is refused in turn: the first, the second, until one is left
//! that needs no more. It is the kernel that refuses, so what is tried is the whole way down: our own
//! allocations, and what the kernel allocates for us (mappings, files, page tables).
//!
//! What must hold each time:
//! * The operation succeeds without that memory, or says that there is none, by a status of its row.
//! * A refused request leaves the session's counts as they were, and the next one succeeds.
//! * What gives something back is never refused; what is called often never asks for memory.
//! * Afterwards the driver holds what it held before.
//! * The kernel's log stays silent, and nothing is lost, which `cargo xtask vm` sees to.
//!
//! [`requests`] has the requests, [`files`] what a process does to its descriptors and its memory, and
//! [`injector`] is how the kernel is told.

mod files;
mod injector;
mod requests;

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use rustix::io::Errno;
use sup_abi::request::TABLE;

use self::injector::{Fault, Injector};
use self::requests::{Needs, ROWS, Row, status_of};
use crate::check::{Outcome, Report, Stop, Verdict, check, in_a_process, same};
use crate::device::Device;
use crate::observer::Observer;

/// What to try.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Takes only the operations whose name contains this
    #[arg(long, value_name = "SUBSTR", default_value = "")]
    filter: String,
}

/// No operation makes more allocations; one that does not come to its end would be tried for ever.
const ALLOCATIONS_MAX: u32 = 5_000;

/// How often an operation was tried.
#[derive(Debug, Clone, Copy, Default)]
struct Trials {
    /// With an allocation refused.
    faults: u32,
    /// So that the operation was refused.
    refusals: u32,
}

impl fmt::Display for Trials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} allocations refused, {} times the operation", self.faults, self.refusals)
    }
}

/// How one trial ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Succeeded,
    Refused,
}

/// Tries an operation with the first allocation refused, with the second, and so on, until it makes fewer.
fn exhaust(mut attempt: impl FnMut(u32) -> Verdict<(End, Fault)>) -> Verdict<Trials> {
    let mut trials = Trials::default();
    for nth in 1..=ALLOCATIONS_MAX {
        let ended = attempt(nth).map_err(|stop| match stop {
            Stop::Failed(why) => Stop::Failed(format!("allocation {nth}: {why}")),
            skipped => skipped,
        })?;
        match ended {
            (End::Succeeded, Fault::NeverCame) => return Ok(trials),
            (End::Refused, Fault::NeverCame) => {
                return Err(Stop::failed(format_args!("refused, with {nth} allocations left")));
            }
            (end, Fault::Came) => {
                trials.faults += 1;
                trials.refusals += u32::from(end == End::Refused);
            }
        }
    }
    Err(Stop::failed(format_args!("more than {ALLOCATIONS_MAX} allocations")))
}

impl Row {
    /// Tries the request in a new session.
    fn attempt(&self, injector: &Injector, nth: u32) -> Verdict<(End, Fault)> {
        let device = Device::open()?;
        let mut packet = (self.packet)(&device)?;
        // A page that was never written is made when the driver writes to it.
        packet.iter_mut().for_each(|word| *word = std::hint::black_box(*word));
        let before = device.statistics()?.session;
        let (sent, fault) = injector.refusing(nth, || (self.send)(&device, &mut packet))?;
        if fault == Fault::Came {
            check!(!matches!(self.needs, Needs::Nothing), "it asks for memory");
        }
        let refusal = match sent {
            Ok(()) => {
                let status = status_of(&packet)?;
                let is_expected = self.expected.is_none_or(|expected| expected == status);
                if is_expected { None } else { Some(status) }
            }
            // What comes before the request: a long packet has to be put somewhere.
            Err(Errno::NOMEM) => Some(sup::Status::VERR_NO_MEMORY),
            Err(errno) => return Err(Stop::failed(format_args!("transport {errno}"))),
        };
        let Some(status) = refusal else { return Ok((End::Succeeded, fault)) };
        let Needs::Memory(refusals) = self.needs else {
            return Err(Stop::failed(format_args!("{status}, and it cannot be refused")));
        };
        check!(refusals.contains(&status), "{status}, and not one of {refusals:?}");
        same!(device.statistics()?.session, before, "counts after {status}");
        let mut again = (self.packet)(&device)?;
        (self.send)(&device, &mut again)?;
        same!(Some(status_of(&again)?), self.expected, "the next one after {status}");
        Ok((End::Refused, fault))
    }

    fn exhaust(&self) -> Verdict<Trials> {
        let injector = Injector::of_this_thread()?;
        let trials = exhaust(|nth| self.attempt(&injector, nth))?;
        let is_refused = trials.refusals > 0;
        check!(is_refused == matches!(self.needs, Needs::Memory(_)), "{trials}");
        Ok(trials)
    }
}

/// What can be tried: a name, and how.
type Operation = (&'static str, Box<dyn Fn() -> Verdict<Trials>>);

fn operations() -> Vec<Operation> {
    let requests = ROWS.iter().map(|row| -> Operation { (row.name, Box::new(|| row.exhaust())) });
    let files = files::ALL.iter().map(|(name, exhaust)| -> Operation {
        (name, Box::new(|| exhaust(&Injector::of_this_thread()?)))
    });
    requests.chain(files).collect()
}

/// Tries one of them in a process of its own; says on standard output how often.
fn note(report: &mut Report, observer: &Observer, operation: &Operation) -> io::Result<()> {
    let (name, exhaust) = operation;
    let outcome = in_a_process(observer, || {
        let trials = exhaust()?;
        writeln!(io::stdout(), "{name}: {trials}")?;
        Ok(())
    });
    report.note(&format!("faults::{}", name.replace([' ', ','], "_")), &outcome)
}

/// Tries all of them.
///
/// # Errors
/// There is no driver, or standard output is gone.
pub(crate) fn run(args: &Args) -> io::Result<ExitCode> {
    let observer = Observer::open()?;
    let mut report = Report::start()?;
    if let Err(stop) = Injector::require() {
        report.note("faults::every_allocation", &Err(stop).into())?;
        return report.end();
    }
    for operation in operations().iter().filter(|(name, _)| name.contains(&args.filter)) {
        note(&mut report, &observer, operation)?;
    }
    for request in TABLE {
        if !ROWS.iter().any(|row| row.function == request.function) {
            let reason = "no row of tests/kernel/src/faults/requests.rs tries it yet".to_owned();
            report.note(&format!("faults::{}", request.name), &Outcome::Skipped(reason))?;
        }
    }
    report.end()
}
