//! What concerns this whole process: its mappings, its limits, and children that run this program.

use std::env;
use std::fs;
use std::io::{self, Write};
use std::process::{Command, ExitCode};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sup_abi::request::{SemaphoreKind, SemaphoreOperation};

use crate::backend::{Backend, Feature};
use crate::case::{Stop, Verdict, check};
use crate::cases::objects::verify_as_another;
use crate::client::Client;
use crate::threads::{PATIENCE, Sleeper};

/// Tells a child of a case what to do.
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

/// Runs `work` while the address space of this process cannot grow by more than `slack` bytes.
pub(crate) fn with_little_memory<T>(
    backend: &dyn Backend,
    slack: u64,
    work: impl FnOnce() -> Verdict<T>,
) -> Verdict<T> {
    if !backend.can(Feature::InProcess) {
        return Err(Stop::Skipped("the driver's memory is not this process'".to_owned()));
    }
    let statm = fs::read_to_string("/proc/self/statm")?;
    let pages: u64 = statm.split(' ').next().unwrap_or_default().parse()?;
    let before = getrlimit(Resource::As);
    let current = Some(pages * rustix::param::page_size() as u64 + slack);
    setrlimit(Resource::As, Rlimit { current, maximum: before.maximum })?;
    let result = work();
    setrlimit(Resource::As, before)?;
    result
}

/// In a child of a case, does its task and says so. Every program that runs cases calls this first.
pub fn run_child_task(backend: &dyn Backend) -> Option<ExitCode> {
    let task = env::var(TASK).ok()?;
    let verdict = match task.as_str() {
        "die-asleep" => die_asleep(backend),
        "nothing" => Ok(()),
        "verify-as-another" => verify_as_another(backend),
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
pub(crate) fn child(task: &str) -> Verdict {
    let mut child = Command::new(env::current_exe()?).env(TASK, task).spawn()?;
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
