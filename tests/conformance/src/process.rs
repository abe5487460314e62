//! What concerns this whole process: its mappings, its limits, and children that run this program.

use std::env;
use std::fs;
use std::io::{self, Write};
use std::process::{Command, ExitCode};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
use sup::backend::Kind;
use sup_abi::request::{SemaphoreKind, SemaphoreOperation};

use crate::backend::{Backend, Feature, backend};
use crate::case::{Stop, Verdict, check};
use crate::cases::listing::list_as_another;
use crate::cases::objects::verify_as_another;
use crate::cases::printing::print_all;
use crate::client::Client;
use crate::threads::{PATIENCE, Sleeper};

/// Tells a child of a case what to do, and with which backend, as in `kernel:nothing`.
const TASK: &str = "SUP_CONFORMANCE_CHILD";

/// The protection of the mapping that holds an address, as in `rw-s`; `None` if there is none.
pub(crate) fn protection(address: u64) -> Verdict<Option<String>> {
    let maps = fs::read_to_string("/proc/self/maps")?;
    Ok(maps.lines().find_map(|line| {
        let mut words = line.split(' ');
        let (start, end) = words.next()?.split_once('-')?;
        let number = |digits| u64::from_str_radix(digits, 16).ok();
        (number(start)?..number(end)?)
            .contains(&address)
            .then(|| words.next().map(str::to_owned))?
    }))
}

/// Runs `work` while the driver gives this process no more than `slack` bytes of memory blocks.
pub(crate) fn with_little_memory<T>(
    backend: &dyn Backend,
    slack: u64,
    work: impl FnOnce() -> Verdict<T>,
) -> Verdict<T> {
    if backend.can(Feature::InProcess) {
        return with_little_address_space(slack, work);
    }
    // The limit on locked memory, which holds for those only who may not lock what they like.
    let locked = locked_bytes()? + slack;
    without_capability(CapabilitySet::IPC_LOCK, || with_limit(Resource::Memlock, locked, work))
}

/// Runs `work` while the address space of this process cannot grow by more than `slack` bytes.
pub(crate) fn with_little_address_space<T>(
    slack: u64,
    work: impl FnOnce() -> Verdict<T>,
) -> Verdict<T> {
    let statm = fs::read_to_string("/proc/self/statm")?;
    let pages: u64 = statm.split(' ').next().unwrap_or_default().parse()?;
    with_limit(Resource::As, pages * rustix::param::page_size() as u64 + slack, work)
}

fn with_limit<T>(resource: Resource, bytes: u64, work: impl FnOnce() -> Verdict<T>) -> Verdict<T> {
    let before = getrlimit(resource);
    let bytes = before.maximum.map_or(bytes, |maximum| maximum.min(bytes));
    setrlimit(resource, Rlimit { current: Some(bytes), maximum: before.maximum })?;
    let result = work();
    setrlimit(resource, before)?;
    result
}

/// Memory of this process that counts against the limit on locked memory.
fn locked_bytes() -> Verdict<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let kibibytes =
        status.lines().find_map(|line| line.strip_prefix("VmLck:")?.split_whitespace().next());
    Ok(kibibytes.unwrap_or("0").parse::<u64>()? * 1024)
}

/// Runs `work` in this thread without a capability, which it has back afterwards.
pub(crate) fn without_capability<T>(
    capability: CapabilitySet,
    work: impl FnOnce() -> Verdict<T>,
) -> Verdict<T> {
    let before = capabilities(None)?;
    let mut reduced = before;
    reduced.effective.remove(capability);
    set_capabilities(None, reduced)?;
    let result = work();
    set_capabilities(None, before)?;
    result
}

/// In a child of a case, does its task and says so. Every program that runs cases calls this first.
pub fn run_child_task() -> Option<ExitCode> {
    let task = env::var(TASK).ok()?;
    let (name, work) = task.split_once(':').unwrap_or_default();
    let kind = [Kind::Embedded, Kind::Kernel].into_iter().find(|kind| kind.name() == name);
    let verdict = match (kind.map(backend), work) {
        (Some(backend), "die-asleep") => die_asleep(backend),
        (Some(_), "nothing") => Ok(()),
        (Some(backend), "verify-as-another") => verify_as_another(backend),
        (Some(backend), "list-as-another") => list_as_another(backend),
        (Some(backend), "print-all") => print_all(backend),
        _ => Err(Stop::failed(format_args!("no task '{task}'"))),
    };
    Some(match verdict {
        Ok(()) => ExitCode::SUCCESS,
        Err(stop) => {
            // The parent shows it.
            let _ = writeln!(io::stderr(), "{task}: {stop:?}");
            ExitCode::FAILURE
        }
    })
}

/// Runs this program again with a task; it must end soon, and well.
pub(crate) fn child(backend: &dyn Backend, task: &str) -> Verdict {
    child_with(backend, task, &[])
}

/// The same, with variables.
pub(crate) fn child_with(backend: &dyn Backend, task: &str, variables: &[(&str, &str)]) -> Verdict {
    let task = format!("{}:{task}", backend.name());
    let mut command = Command::new(env::current_exe()?);
    let mut child = command.env(TASK, task).envs(variables.iter().copied()).spawn()?;
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait()? {
            check!(status.success(), "the child ended with {status}");
            return Ok(());
        }
        if Instant::now() > end {
            child.kill()?;
            child.wait()?;
            return Err(Stop::failed("the child hangs"));
        }
        sleep(Duration::from_millis(1));
    }
}

/// Exits while twenty threads sleep, half of them for ever.
fn die_asleep(backend: &dyn Backend) -> Verdict {
    use SemaphoreOperation::{WaitMillis, WaitNanos};
    let client = Client::connect(backend)?;
    let event = client.create(SemaphoreKind::Event)?;
    let multi = client.create(SemaphoreKind::EventMulti)?;
    std::thread::scope(|scope| {
        for (kind, handle) in [(SemaphoreKind::Event, event), (SemaphoreKind::EventMulti, multi)] {
            for (operation, timeout) in [(WaitMillis, 60_000), (WaitNanos, u64::MAX)] {
                for _ in 0..5 {
                    let client = &client;
                    let wait = move || client.operate(kind, handle, operation, timeout);
                    Sleeper::start(scope, wait)?.wait_until_asleep()?;
                }
            }
        }
        std::process::exit(0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capability_is_missing_for_a_while_only() {
        let right = CapabilitySet::IPC_LOCK;
        let before = capabilities(None).unwrap().effective;
        let inside = without_capability(right, || Ok(capabilities(None)?.effective)).unwrap();
        assert_eq!(inside, before.difference(right));
        assert_eq!(capabilities(None).unwrap().effective, before);
    }

    #[test]
    fn a_limit_holds_for_a_while_only() {
        let before = getrlimit(Resource::Memlock);
        let limit = locked_bytes().unwrap() + 4096;
        let inside =
            with_limit(Resource::Memlock, limit, || Ok(getrlimit(Resource::Memlock).current));
        assert_eq!(inside.unwrap(), Some(limit));
        assert_eq!(getrlimit(Resource::Memlock), before);
    }
}
