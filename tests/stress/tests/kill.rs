//! Processes that die with threads asleep, and processes that are started meanwhile.
//!
//! Each child is this program again, told by a variable to play another part of the same test. A child
//! shows on its standard output that it is ready, and lives until it is killed or its input ends.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::thread::{scope, yield_now};
use std::time::Duration;

use sup::{RingZeroView, Session, Timeout};
use sup_stress::{Tid, watched};

/// Set in children.
const ROLE: &str = "SUP_STRESS_ROLE";
/// What a child says once it is ready.
const READY: &str = "ready";
const KILLED_BY: i32 = libc::SIGKILL;
const ROUNDS: u32 = 32;
const HOUR: Timeout = Timeout::After(Duration::from_secs(3600));

/// Starts this program again in the part of `test`, and returns once it is ready.
fn start(test: &str) -> Child {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(ROLE, test)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // The test harness writes lines of its own.
    let lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    let is_ready = lines.map(Result::unwrap).any(|line| line.ends_with(READY));
    assert!(is_ready, "the child ended before it was ready");
    child
}

/// In a child, tells the parent that it can go on.
fn say_ready() {
    let mut output = io::stdout().lock();
    output.write_all(format!("{READY}\n").as_bytes()).unwrap();
    output.flush().unwrap();
}

/// In a child, waits for the parent to close its input.
fn wait_for_end_of_input() {
    io::stdin().lock().read_to_end(&mut Vec::new()).unwrap();
}

/// In a child, twenty threads sleep until the process exits.
fn die_asleep() -> ! {
    let session = Session::open().unwrap();
    // The process has something of everything.
    let _gip = session.gip().unwrap();
    let _pages = session.shared_pages(4, RingZeroView::Mapped).unwrap();
    let (event, manual) = (session.event().unwrap(), session.manual_reset_event().unwrap());
    let tids = [const { AtomicI32::new(0) }; 20];
    scope(|scope| {
        for (number, tid) in tids.iter().enumerate() {
            let timeout = if number % 2 == 0 { HOUR } else { Timeout::Never };
            let (event, manual) = (&event, &manual);
            scope.spawn(move || {
                // Relaxed: it is a number and nothing else.
                tid.store(Tid::current().0, Ordering::Relaxed);
                let result = if number < 10 { event.wait(timeout) } else { manual.wait(timeout) };
                // Nobody signals, so this is a defect, and the parent sees how its child ended.
                let _ = writeln!(io::stderr(), "a wait ended: {result:?}");
                std::process::abort();
            });
        }
        while !tids.iter().all(|tid| Tid(tid.load(Ordering::Relaxed)).is_asleep()) {
            yield_now();
        }
        say_ready();
        wait_for_end_of_input();
        std::process::exit(0)
    })
}

/// The files that a process has open or mapped, as far as they are in memory only.
fn memory_files(process: u32) -> BTreeSet<String> {
    let maps = fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    let mapped = maps.lines().filter_map(|line| line.find('/').map(|at| line[at..].to_owned()));
    let descriptors = fs::read_dir(format!("/proc/{process}/fd")).unwrap();
    let open = descriptors.filter_map(|file| fs::read_link(file.ok()?.path()).ok());
    let open = open.map(|path| path.to_string_lossy().into_owned());
    mapped
        .chain(open)
        .filter(|path| ["/memfd:", "/dev/shm/"].iter().any(|p| path.starts_with(p)))
        .collect()
}

/// The processes, dead ones included, whose parent is `parent`.
fn children_of(parent: u32) -> Vec<u32> {
    let is_child = |process: &u32| {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        let rest = stat.rsplit(')').next().unwrap_or_default();
        rest.split_whitespace().nth(1) == Some(&parent.to_string())
    };
    let names = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter_map(|name| name.parse().ok()).filter(is_child).collect()
}

/// Spec 3.9: the exit kills the threads, whatever they wait for.
#[test]
fn process_that_dies_asleep_leaves_nothing() {
    const NAME: &str = "process_that_dies_asleep_leaves_nothing";
    if env::var_os(ROLE).is_some() {
        die_asleep();
    }
    let round = std::sync::atomic::AtomicU32::new(0);
    watched(
        // Relaxed: for the eye.
        || format!("round {} of {ROUNDS}", round.load(Ordering::Relaxed)),
        || {
            for number in 0..ROUNDS {
                round.store(number, Ordering::Relaxed);
                die_once(start(NAME), number % 2 == 0);
            }
        },
    );
}

fn die_once(mut child: Child, is_killed: bool) {
    let process = child.id();
    // Memory without a name dies with its last user; nothing else may be in use.
    let files = memory_files(process);
    assert!(!files.is_empty());
    assert!(files.iter().all(|file| file.starts_with("/memfd:supdrv-")), "{files:?}");
    assert_eq!(children_of(process), [0; 0]);
    if is_killed {
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(KILLED_BY));
    } else {
        drop(child.stdin.take());
        assert!(child.wait().unwrap().success());
    }
    assert!(!children_of(std::process::id()).contains(&process));
}

/// Spec 3.9: the descriptors of a session are close-on-exec, and SIGCHLD disturbs nobody.
#[test]
fn started_processes_do_not_disturb_waiters() {
    const NAME: &str = "started_processes_do_not_disturb_waiters";
    if env::var_os(ROLE).is_some() {
        // This process has a driver of its own; it shares nothing with its parent's.
        assert_eq!(memory_files(std::process::id()), BTreeSet::new());
        let session = Session::open().unwrap();
        let (event, manual) = (session.event().unwrap(), session.manual_reset_event().unwrap());
        event.signal().unwrap();
        manual.signal().unwrap();
        assert_eq!((event.wait(Timeout::Never), manual.wait(Timeout::Never)), (Ok(()), Ok(())));
        say_ready();
        wait_for_end_of_input();
        return;
    }
    let session = Session::open().unwrap();
    let (event, manual) = (session.event().unwrap(), session.manual_reset_event().unwrap());
    let tids = [const { AtomicI32::new(0) }; 3];
    let is_time = AtomicBool::new(false);
    let wait = |number: usize| {
        // Relaxed: it is a number and nothing else.
        tids[number].store(Tid::current().0, Ordering::Relaxed);
        let result =
            if number == 0 { event.wait(Timeout::Never) } else { manual.wait(Timeout::Never) };
        // Acquire: pairs with the release before the signals.
        (result, is_time.load(Ordering::Acquire))
    };
    let state = || format!("{tids:?}, signalled: {is_time:?}");
    let work = || {
        scope(|scope| {
            let waiters: Vec<_> =
                (0..tids.len()).map(|number| scope.spawn(move || wait(number))).collect();
            while !tids.iter().all(|tid| Tid(tid.load(Ordering::Relaxed)).is_asleep()) {
                yield_now();
            }
            for _ in 0..8 {
                let mut child = start(NAME);
                drop(child.stdin.take());
                assert!(child.wait().unwrap().success());
            }
            is_time.store(true, Ordering::Release);
            event.signal().unwrap();
            manual.signal().unwrap();
            for waiter in waiters {
                assert_eq!(waiter.join().unwrap(), (Ok(()), true));
            }
        });
    };
    watched(state, work);
}
