//! [`Listing`]: a module image that a crash report names, and [`report`], which writes it.
//!
//! What runs here when a fault is told of runs in a signal handler: it takes no lock and no memory, and
//! reads what may not be there only through the system ([`peek`]). So the list of images is one that can be
//! read at any time.
//!
//! Timeline of an entry: made, put in front of the list under [`WRITERS`]; taken out under it; given back
//! unless somebody reads. A reader counts itself in [`READERS`] before it looks, an owner looks there
//! after it took the entry out: one of them sees the other. An owner who sees a reader leaves the entry
//! as it is for good, since the process is about to end.
//!
//! Threads that fault at once write one after the other ([`Turn`]). None waits for longer than a second: who
//! writes may have been stopped.
//!
//! Neighbours: `signals` calls [`report`], `image` holds the listing, `debugger` knows the symbols.
//! Invariant: what the list leads to is whole as long as anybody can be reading.

use std::fmt;
use std::io::{Cursor, Write};
use std::mem;
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU32, AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::debugger::{Function, Registration};

/// The entry in front.
static FIRST: AtomicPtr<Entry> = AtomicPtr::new(ptr::null_mut());
/// Guards changes of the list.
static WRITERS: Mutex<()> = Mutex::new(());
/// How many threads read the list in a signal handler.
static READERS: AtomicUsize = AtomicUsize::new(0);

/// An image in the list.
#[derive(Debug)]
struct Entry {
    next: AtomicPtr<Entry>,
    name: Box<str>,
    addresses: Range<u64>,
    /// Its symbols; `None` if the file has no sections.
    registration: Option<Registration>,
}

/// An image that reports name, and debuggers see. Dropping it ends both.
#[derive(Debug)]
pub(crate) struct Listing(*mut Entry);

// SAFETY: the entry is this listing's own; others only read it, and only while it is in the list.
unsafe impl Send for Listing {}
// SAFETY: a shared listing gives nothing out.
unsafe impl Sync for Listing {}

impl Listing {
    /// Lists the image of a module, which lies at `addresses` and was made of `file`.
    pub(crate) fn new(name: &str, addresses: Range<u64>, file: &[u8]) -> Self {
        let registration = Registration::new(file, addresses.start);
        let next = AtomicPtr::new(ptr::null_mut());
        let entry =
            Box::into_raw(Box::new(Entry { next, name: name.into(), addresses, registration }));
        let _guard = WRITERS.lock();
        // SAFETY: the entry was just made, and nobody else knows it.
        let new = unsafe { &*entry };
        // Relaxed: the lock orders changes, and the store below shows the entry.
        new.next.store(FIRST.load(Ordering::Relaxed), Ordering::Relaxed);
        // SeqCst: as a release it pairs with the loads of `Reading::find`.
        FIRST.store(entry, Ordering::SeqCst);
        Self(entry)
    }
}

impl Drop for Listing {
    fn drop(&mut self) {
        let guard = WRITERS.lock();
        let mut link = &FIRST;
        // Relaxed: only holders of the lock write links.
        while let Some(entry) = ptr::NonNull::new(link.load(Ordering::Relaxed)) {
            // SAFETY: the lock is held, and an entry in the list lives until it is taken out.
            let next = unsafe { &entry.as_ref().next };
            if entry.as_ptr() == self.0 {
                // SeqCst: before the look at the readers, in the one order of all such operations.
                link.store(next.load(Ordering::Relaxed), Ordering::SeqCst);
                break;
            }
            link = next;
        }
        drop(guard);
        // SeqCst: pairs with the count in `Reading::new`. Whoever is not counted here finds a list
        // without the entry.
        if READERS.load(Ordering::SeqCst) == 0 {
            // SAFETY: `new` made it with a box; it is out of the list, and nobody reads.
            drop(unsafe { Box::from_raw(self.0) });
        }
    }
}

/// A look at the list, while which nothing that it leads to goes.
struct Reading(());

impl Reading {
    fn new() -> Self {
        // SeqCst: pairs with the look in `Listing::drop`; it comes before the loads of `find`.
        READERS.fetch_add(1, Ordering::SeqCst);
        Self(())
    }

    /// The image in which an address lies.
    fn find(&self, address: u64) -> Option<&Entry> {
        // SeqCst: pairs with the stores of `Listing`.
        let mut next = FIRST.load(Ordering::SeqCst);
        // SAFETY: it was in the list after this reader was counted, so that its owner leaves it.
        while let Some(entry) = unsafe { next.as_ref() } {
            if entry.addresses.contains(&address) {
                return Some(entry);
            }
            next = entry.next.load(Ordering::SeqCst);
        }
        None
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        // SeqCst: after the last use of an entry, for an owner that looks now.
        READERS.fetch_sub(1, Ordering::SeqCst);
    }
}

/// `NAME+0xOFFSET (FUNCTION+0xOFFSET)`.
struct Place<'a>(&'a Entry, u64);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(entry, address) = *self;
        write!(f, "{}+{:#x}", entry.name, address.wrapping_sub(entry.addresses.start))?;
        let function = entry.registration.as_ref().and_then(|shown| shown.function_at(address));
        if let Some(Function { name, offset }) = function {
            write!(f, " ({}+{offset:#x})", name.escape_ascii())?;
        }
        Ok(())
    }
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

/// The stack is searched in such pieces, none of which crosses a page.
const PIECE_BYTES: usize = 512;
const MAX_PIECES: u64 = 64;
/// So many callers are named.
const MAX_CALLERS: usize = 16;

/// Writes to the standard error output where in modules a thread was, and where it was called from.
/// Nothing, and `None`, if no module has to do with it. May be called in a signal handler.
///
/// Modules have neither frame pointers nor tables for unwinding. So everything on the stack counts as a
/// caller that is the address behind a call in a module; now and then it is one that has returned.
pub(crate) fn report(fault: &Fault) -> Option<Turn> {
    let reading = Reading::new();
    let mut turn = None;
    if let Some(entry) = reading.find(fault.instruction) {
        turn = Some(open(fault, "in a module:")?);
        line(format_args!("supdrv:   {}", Place(entry, fault.instruction)));
    }
    let mut callers = 0;
    let first = fault.stack - fault.stack % PIECE_BYTES as u64;
    for index in 0..MAX_PIECES {
        let Some(start) = first.checked_add(index * PIECE_BYTES as u64) else { break };
        let mut piece = [0; PIECE_BYTES];
        if !peek(start, &mut piece) {
            break;
        }
        for (place, word) in (start..).step_by(8).zip(piece.as_chunks().0) {
            let address = u64::from_le_bytes(*word);
            let Some(entry) = reading.find(address) else { continue };
            if place < fault.stack || !follows_call(address) {
                continue;
            }
            if turn.is_none() {
                turn = Some(open(fault, "called from a module:")?);
            }
            line(format_args!("supdrv:   called from {}", Place(entry, address)));
            callers += 1;
            if callers == MAX_CALLERS {
                return turn;
            }
        }
    }
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

/// Whether an address is the one behind a call: `E8` with a distance, or `FF /2` with its operand.
fn follows_call(address: u64) -> bool {
    let mut code = [0; 7];
    if !address.checked_sub(7).is_some_and(|start| peek(start, &mut code)) {
        return false;
    }
    let is_indirect = |pair: &[u8]| matches!(pair, [0xff, operand] if operand >> 3 & 7 == 2);
    code[2] == 0xe8 || code.windows(2).any(is_indirect)
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

    use super::*;

    /// Where no image is.
    const BASE: u64 = 1 << 60;

    /// Readers of one test would keep the entries of another.
    static ALONE: Mutex<()> = Mutex::new(());

    #[test]
    fn an_address_is_named_as_long_as_its_image_is_listed() {
        let _alone = ALONE.lock();
        let place = |address| {
            let reading = Reading::new();
            reading.find(address).map(|entry| Place(entry, address).to_string())
        };
        let plain = Listing::new("plain", BASE..BASE + 0x1000, b"");
        let hello = Listing::new("hello", BASE + 0x1000..BASE + 0x9000, HELLO.image);
        let elf = sup_ring0::elf::Elf::parse(HELLO.image).unwrap();
        let offset = elf.find_symbol("helloServiceReqHandler").unwrap().offset as u64;
        assert_eq!(
            place(BASE + 0x1000 + offset + 1),
            Some(format!("hello+{:#x} (helloServiceReqHandler+0x1)", offset + 1))
        );
        assert_eq!(place(BASE + 0xfff).as_deref(), Some("plain+0xfff"));
        drop(plain);
        assert_eq!(place(BASE + 0xfff), None);
        assert!(place(BASE + 0x1000).is_some());
        drop(hello);
        assert_eq!(place(BASE + 0x1000), None);
    }

    #[test]
    fn an_entry_stays_as_long_as_somebody_reads() {
        let _alone = ALONE.lock();
        let listing = Listing::new("kept", BASE + 0xa000..BASE + 0xb000, b"");
        let reading = Reading::new();
        let entry = reading.find(BASE + 0xa000).unwrap();
        let kept = listing.0;
        drop(listing);
        assert_eq!((&*entry.name, reading.find(BASE + 0xa000).is_none()), ("kept", true));
        drop(reading);
        // SAFETY: its owner left it, and the only reader has gone.
        drop(unsafe { Box::from_raw(kept) });
    }

    #[test]
    fn cannot_peek_where_nothing_is() {
        let there = [1, 2, 3, 4, 5, 6, 7_u8];
        let mut copy = [0; 7];
        assert!(peek(there.as_ptr().addr() as u64, &mut copy) && copy == there);
        assert!(!peek(8, &mut copy) && !peek(BASE, &mut copy) && !peek(u64::MAX, &mut copy));
    }

    #[test]
    fn only_what_stands_behind_a_call_is_a_caller() {
        // call rel32; call [rip+0]; call rax; mov rax, rbx; padding.
        const CODE: [u8; 24] = [
            0x90, 0x90, 0xe8, 0, 0, 0, 0, 0xff, 0x15, 0, 0, 0, 0, 0xff, 0xd0, 0x48, 0x89, 0xd8,
            0x90, 0x90, 0x90, 0x90, 0x90, 0x90,
        ];
        let follows = |offset: u64| follows_call(CODE.as_ptr().addr() as u64 + offset);
        assert!(follows(7) && follows(13) && follows(15));
        assert!(!follows(24) && !follows(22));
    }

    #[test]
    fn a_turn_is_one_threads_and_does_not_wait_for_itself() {
        let _alone = ALONE.lock();
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
        let _listing = Listing::new("together", start..start + CODE.len() as u64, b"");
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
