//! Time never goes back, over very many reads, on all processors, with threads that are moved all the time.
//!
//! Each thread compares every read with its own last one, and every sixteenth with the highest that any
//! thread has told: what one thread has read and told, no other may read less than afterwards. A mover puts
//! the threads on one processor after the other meanwhile.
//!
//! `SUP_STRESS_OPS` times a hundred is the number of reads: a billion in `cargo xtask test stress`.

use std::io::{self, Write};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use rustix::thread::{CpuSet, Pid, sched_getaffinity, sched_getcpu, sched_setaffinity};
use sup::{Gip, Session};
use sup_stress::{Tid, crowd, operations, watched};

const READS_PER_OPERATION: u64 = 100;
/// Reads between two looks at what the others have told.
const ALONE: u64 = 16;
/// So long a thread stays where it was put.
const STAY: Duration = Duration::from_micros(200);
/// Which test a child process runs in the other mode, and how it is told.
const MODE: &str = "SUP_GIP_MODE";

/// What a thread saw.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    reads: u64,
    /// Looks at the processor's number that found another one than the look before.
    migrations: u64,
    /// Reads below an earlier one of the same thread.
    back_alone: u64,
    /// Reads below what another thread had told before.
    back_across: u64,
}

impl Seen {
    fn and(self, other: Self) -> Self {
        Self {
            reads: self.reads + other.reads,
            migrations: self.migrations + other.migrations,
            back_alone: self.back_alone + other.back_alone,
            back_across: self.back_across + other.back_across,
        }
    }
}

/// The processors that this process may use.
fn processors() -> Vec<usize> {
    let set = sched_getaffinity(None).unwrap();
    (0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect()
}

/// Puts each thread on the next processor, until it is over.
fn move_round(threads: &[AtomicI32], processors: &[usize], is_over: &AtomicBool) {
    let mut step = 0;
    // Relaxed, here and below: numbers that publish nothing.
    while !is_over.load(Ordering::Relaxed) {
        step += 1;
        for (number, thread) in threads.iter().enumerate() {
            if let Some(thread) = Pid::from_raw(thread.load(Ordering::Relaxed)) {
                let mut one = CpuSet::new();
                one.set(processors[(number + step) % processors.len()]);
                // It may have ended.
                let _ = sched_setaffinity(Some(thread), &one);
            }
        }
        thread::sleep(STAY);
    }
}

/// Reads by `read` in twice as many threads as there are processors, and shows what came of it.
fn read_everywhere(what: &str, reads: u64, read: impl Fn() -> u64 + Sync, across: Across) -> Seen {
    let processors = processors();
    let threads: Vec<_> = (0..2 * processors.len()).map(|_| AtomicI32::new(0)).collect();
    let (is_over, done, told) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let count = threads.len() as u64;
    let work = |number: u64| {
        threads[number as usize].store(Tid::current().0, Ordering::Relaxed);
        let (mut seen, mut last, mut place) = (Seen::default(), 0, sched_getcpu());
        while seen.reads < reads / count {
            // Acquire: pairs with the release below; what was told was read before.
            let least = told.load(Ordering::Acquire);
            let first = read();
            seen.back_across += u64::from(across == Across::Threads && first < least);
            seen.back_alone += u64::from(first < last);
            last = first;
            for _ in 1..ALONE {
                let now = read();
                seen.back_alone += u64::from(now < last);
                last = now;
            }
            // Release: pairs with the acquire above.
            told.fetch_max(last, Ordering::Release);
            seen.reads += ALONE;
            let now_at = sched_getcpu();
            seen.migrations += u64::from(now_at != place);
            place = now_at;
            done.fetch_add(ALONE, Ordering::Relaxed);
        }
        seen
    };
    let seen = thread::scope(|scope| {
        let mover = scope.spawn(|| move_round(&threads, &processors, &is_over));
        let all = watched(
            || format!("{} of {reads} reads", done.load(Ordering::Relaxed)),
            || crowd(count, work),
        );
        is_over.store(true, Ordering::Relaxed);
        mover.join().expect("the mover does not panic");
        all.into_iter().fold(Seen::default(), Seen::and)
    });
    let cpus = processors.len();
    let line = format!("{what}: {count} threads on {cpus} processors: {seen:?}\n");
    // Past the capture of the test's output: the numbers are what it is run for.
    io::stderr().write_all(line.as_bytes()).unwrap();
    assert!(cpus == 1 || seen.migrations > 0, "no thread was moved");
    seen
}

/// Between whom order is promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Across {
    Threads,
    Nobody,
}

fn gip() -> Gip {
    Session::open().unwrap().gip().unwrap()
}

#[test]
fn time_never_goes_back() {
    let gip = gip();
    let reads = operations() * READS_PER_OPERATION;
    let what = format!("now_ns, {:?}", gip.mode());
    let seen = read_everywhere(&what, reads, || gip.now_ns(), Across::Threads);
    assert!(seen.reads > 0 && seen.back_alone == 0 && seen.back_across == 0, "{seen:?}");
}

#[test]
fn time_without_order_never_goes_back_on_its_thread() {
    let gip = gip();
    let reads = operations() * READS_PER_OPERATION / 4;
    let what = format!("now_ns_unordered, {:?}", gip.mode());
    let seen = read_everywhere(&what, reads, || gip.now_ns_unordered(), Across::Nobody);
    assert!(seen.reads > 0 && seen.back_alone == 0, "{seen:?}");
}

/// The mode is the driver's, and this process has one already: another process has the other one.
#[test]
fn nor_does_it_with_a_line_for_each_processor() {
    if std::env::var_os(MODE).is_some() {
        return;
    }
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "time_never_goes_back"]).env(MODE, "async");
    let ops = (operations() / 10).max(1).to_string();
    let output = child.env("SUP_STRESS_OPS", ops).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    io::stderr().write_all(text.as_bytes()).unwrap();
    assert!(output.status.success() && text.contains("now_ns, AsyncTsc"), "{text}");
}
