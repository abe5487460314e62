//! [`list`], which lets crash reports name a module image, and [`report`], which writes one.
//!
//! What runs here when a fault is told of runs in a signal handler: it takes no lock and no memory, and
//! reads what may not be there only through the system ([`peek`]). `sup_ring0::crash` has the list of images
//! and finds the callers; an owner who gives an image back while a report is written leaves its entry for
//! good, since the process is about to end.
//!
//! Threads that fault at once write one after the other ([`Turn`]). None waits for longer than a second: who
//! writes may have been stopped.
//!
//! Neighbours: `signals` calls [`report`], `image` holds the listing, `debugger` knows the symbols.
//! Invariant: a line is written at once, and whole reports one after the other as long as none hangs.

use std::fmt;
use std::io::{Cursor, Write};
use std::mem;
use std::ops::{ControlFlow, Range};
use std::os::fd::BorrowedFd;
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

use sup_alloc::OutOfMemory;
use sup_ring0::crash::{self, Function, Images, Step, Symbols};

use crate::debugger::Registration;

static IMAGES: Images<parking_lot::RawMutex, Shown> = Images::new();

/// What debuggers see of an image, which has its symbols; `None` if the file has no sections.
#[derive(Debug)]
pub(crate) struct Shown(Option<Registration>);

impl Symbols for Shown {
    fn function_at(&self, address: u64) -> Option<Function<'_>> {
        self.0.as_ref()?.function_at(address)
    }
}

/// An image that reports name, and debuggers see. Dropping it ends both.
pub(crate) type Listing = crash::Listing<parking_lot::RawMutex, Shown>;

/// Lists the image of a module, which lies at `addresses` and was made of `file`.
///
/// # Errors
/// [`OutOfMemory`].
pub(crate) fn list(name: &str, addresses: Range<u64>, file: &[u8]) -> Result<Listing, OutOfMemory> {
    let shown = Shown(Registration::new(file, addresses.start));
    IMAGES.list(name, addresses, shown)
}

/// A fault, as the handler is told of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fault {
    /// `SIGSEGV` and the like.
    pub(crate) signal: &'static str,
    /// What the system says about it: mostly the address that was accessed.
    pub(crate) address: u64,
    /// Where the thread was.
    pub(crate) instruction: u64,
    pub(crate) stack: u64,
}

/// So many reports a process writes: a handler of its own may live with faults.
const MAX_REPORTS: u32 = 4;
static REPORTS: AtomicU32 = AtomicU32::new(0);

/// The thread that writes a report, 0 if none does.
static WRITING: AtomicI32 = AtomicI32::new(0);
/// So many times, for a millisecond each, a thread waits for another one's report.
const MAX_PAUSES: u32 = 1000;
const PAUSE: libc::timespec = libc::timespec { tv_sec: 0, tv_nsec: 1_000_000 };

/// A thread's turn to write its report. Dropping it lets others write.
#[derive(Debug)]
pub(crate) struct Turn {
    /// Not after a wait that was too long, nor for a fault in the middle of this thread's own report.
    is_own: bool,
}

impl Turn {
    fn take() -> Self {
        // SAFETY: it has no arguments.
        let thread = unsafe { libc::gettid() };
        for _ in 0..MAX_PAUSES {
            // Acquire: pairs with the store of `drop`, whose report is written.
            match WRITING.compare_exchange(0, thread, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return Self { is_own: true },
                // It would wait for itself.
                Err(writing) if writing == thread => break,
                // SAFETY: the time is a constant, and what is left of it is not asked for.
                Err(_) => unsafe { libc::nanosleep(&PAUSE, ptr::null_mut()) },
            };
        }
        Self { is_own: false }
    }

    /// Keeps the turn, for the process ends now: another report would be cut off.
    pub(crate) fn keep(self) {
        mem::forget(self);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.is_own {
            // Release: pairs with the exchange of `take`.
            WRITING.store(0, Ordering::Release);
        }
    }
}

/// Writes to the standard error output where in modules a thread was, and where it was called from.
/// Nothing, and `None`, if no module has to do with it. May be called in a signal handler.
pub(crate) fn report(fault: &Fault) -> Option<Turn> {
    let mut turn = None;
    let place = crash::Fault { instruction: fault.instruction, stack: fault.stack };
    IMAGES.trace(place, peek, |step, place| {
        if turn.is_none() {
            turn = match step {
                Step::Fault => open(fault, "in a module:"),
                Step::Caller => open(fault, "called from a module:"),
            };
        }
        if turn.is_none() {
            return ControlFlow::Break(());
        }
        match step {
            Step::Fault => line(format_args!("supdrv:   {place}")),
            Step::Caller => line(format_args!("supdrv:   called from {place}")),
        }
        ControlFlow::Continue(())
    });
    turn
}

/// Begins a report, in this thread's turn. `None` if there were enough.
fn open(fault: &Fault, how: &str) -> Option<Turn> {
    let turn = Turn::take();
    // Relaxed: a count that orders nothing.
    if REPORTS.fetch_add(1, Ordering::Relaxed) >= MAX_REPORTS {
        return None;
    }
    line(format_args!("supdrv: {}, address {:#x}, {how}", fault.signal, fault.address));
    Some(turn)
}

/// Reads memory that may not be there: the system does it, and says so.
fn peek(address: u64, into: &mut [u8]) -> bool {
    let local = libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: into.len() };
    let remote = libc::iovec { iov_base: address as *mut _, iov_len: into.len() };
    // SAFETY: it has no arguments.
    let process = unsafe { libc::getpid() };
    // SAFETY: the system writes at most `iov_len` bytes to `into`, which is borrowed exclusively; what it
    // reads it checks itself.
    let read =
        unsafe { libc::process_vm_readv(process, &raw const local, 1, &raw const remote, 1, 0) };
    usize::try_from(read) == Ok(into.len())
}

/// Writes a line at once. One that is too long is cut.
fn line(text: fmt::Arguments<'_>) {
    let mut buffer = [0; 256];
    let mut cursor = Cursor::new(&mut buffer[..255]);
    let _ = cursor.write_fmt(text);
    let used = usize::try_from(cursor.position()).unwrap_or(0);
    buffer[used] = b'\n';
    // SAFETY: nothing is closed through it. A process that has closed its standard error output, or opened
    // something else in its place, gets the line where its other errors go.
    let errors = unsafe { BorrowedFd::borrow_raw(libc::STDERR_FILENO) };
    // There is nobody to tell that it failed.
    let _ = rustix::io::write(errors, &buffer[..=used]);
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::sync::Barrier;
    use std::thread;
    use std::time::Duration;

    use sup_modules::HELLO;
    use sup_ring0::crash::MAX_CALLERS;

    use super::*;

    /// Where no image is.
    const BASE: u64 = 1 << 60;

    #[test]
    fn functions_are_those_that_debuggers_see() {
        let listing = list("hello", BASE..BASE + 0x9000, HELLO.image).unwrap();
        let shown = Shown(Registration::new(HELLO.image, BASE));
        let elf = sup_ring0::elf::Elf::parse(HELLO.image).unwrap();
        let offset = elf.find_symbol("helloServiceReqHandler").unwrap().offset as u64;
        let name = &b"helloServiceReqHandler"[..];
        assert_eq!(shown.function_at(BASE + offset + 1), Some(Function { name, offset: 1 }));
        assert_eq!(shown.function_at(BASE - 1), None);
        assert_eq!(Shown(None).function_at(BASE + offset), None);
        drop(listing);
    }

    #[test]
    fn cannot_peek_where_nothing_is() {
        let there = [1, 2, 3, 4, 5, 6, 7_u8];
        let mut copy = [0; 7];
        assert!(peek(there.as_ptr().addr() as u64, &mut copy) && copy == there);
        assert!(!peek(8, &mut copy) && !peek(BASE, &mut copy) && !peek(u64::MAX, &mut copy));
    }

    #[test]
    fn a_turn_is_one_threads_and_does_not_wait_for_itself() {
        let turn = Turn::take();
        let nested = Turn::take();
        assert_eq!((turn.is_own, nested.is_own), (true, false));
        drop(nested);
        assert_ne!(WRITING.load(Ordering::Relaxed), 0);
        thread::scope(|scope| {
            let other = scope.spawn(|| Turn::take().is_own);
            drop(turn);
            assert!(other.join().unwrap());
        });
        assert_eq!(WRITING.load(Ordering::Relaxed), 0);
    }

    /// Says to the test below that it is the process whose threads fault.
    const FAULTING: &str = "SUP_TEST_FAULTING";

    #[test]
    fn reports_of_several_threads_do_not_mix() {
        if std::env::var_os(FAULTING).is_some() {
            return report_together();
        }
        let name = thread::current().name().unwrap().to_owned();
        let run = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &name, "--nocapture"])
            .env(FAULTING, "yes")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&run.stderr);
        assert!(run.status.success(), "{text}");
        let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("supdrv:")).collect();
        // Whoever has the turn ends before others begin.
        let (end, lines) = lines.split_first().unwrap();
        assert_eq!(*end, END, "{text}");
        let reports = lines.chunks(1 + MAX_CALLERS);
        assert_eq!(reports.len(), MAX_REPORTS as usize, "{text}");
        for report in reports {
            let (first, callers) = report.split_first().unwrap();
            // A thread's address tells which caller is its own.
            let number = behind(first, "address 0x");
            assert_eq!(callers.len(), MAX_CALLERS, "{text}");
            assert!(callers.iter().all(|line| behind(line, "together+0x") == number), "{text}");
        }
    }

    /// The last line of a report that takes long.
    const END: &str = "supdrv: the end";

    /// The first number behind a word.
    fn behind<'a>(line: &'a str, word: &str) -> &'a str {
        let rest = line.split_once(word).map_or("", |(_, rest)| rest);
        rest.split(',').next().unwrap_or_default()
    }

    fn report_together() {
        const THREADS: usize = 2 * MAX_REPORTS as usize;
        // Calls, one after the other: each of their ends is an address that a thread comes back to.
        static CODE: [u8; 8 + 5 * THREADS] = {
            let mut code = [0xe8; 8 + 5 * THREADS];
            let mut at = 0;
            while at < code.len() {
                code[at] = if at % 5 == 0 { 0xe8 } else { 0 };
                at += 1;
            }
            code
        };
        let start = CODE.as_ptr().addr() as u64;
        let _listing = list("together", start..start + CODE.len() as u64, b"").unwrap();
        let barrier = Barrier::new(1 + THREADS);
        let turn = Turn::take();
        thread::scope(|scope| {
            for index in 0..THREADS {
                let barrier = &barrier;
                scope.spawn(move || {
                    let offset = 10 + 5 * index as u64;
                    let stack = [start + offset; MAX_CALLERS + 1];
                    let stack = stack.as_ptr().addr() as u64;
                    barrier.wait();
                    let fault = Fault { signal: "SIGSEGV", address: offset, instruction: 0, stack };
                    drop(report(&fault));
                });
            }
            barrier.wait();
            // Time enough for those who would not wait.
            thread::sleep(Duration::from_millis(50));
            line(format_args!("{END}"));
            drop(turn);
        });
    }
}
