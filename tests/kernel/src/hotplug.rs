//! Processors go and come back while the time is read, and the page follows.
//!
//! In each mode of the page, and with the driver in the process: a processor is taken off line and
//! brought back several times under threads that read the time; once it is away when the driver starts.

use std::ffi::CString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::Ordering::{Acquire, Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};
use sup::backend::Kind;
use sup::{Gip, SUPGIPMODE, Session};
use sup_abi::{OFFSET_OF_CPUS, SUPGIPCPU, SUPGIPCPUSTATE, SUPGLOBALINFOPAGE};

use crate::check::{Report, Stop, Verdict, check, same};
use crate::inserted::while_inserted;
use crate::wait::PATIENCE;

/// How often, and with which file.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How often the processor goes and comes back
    #[arg(long, default_value_t = 5, value_name = "N")]
    count: u32,
    /// The driver's file
    #[arg(long, default_value = "/lib/supdrv.ko", value_name = "FILE")]
    module: PathBuf,
}

/// The processor that goes; the first one cannot on most machines.
const INDEX: u16 = 1;
const SWITCH: &str = "/sys/devices/system/cpu/cpu1/online";
const READERS: usize = 3;
/// How far a time may be from the clock's: far more than a tick, as the machine may be an emulated one
/// whose processors are not run at the same time.
const ERROR_MAX_NS: u64 = 50_000_000;

/// # Errors
/// Standard output is gone.
pub(crate) fn run(args: &Args) -> io::Result<ExitCode> {
    let mut report = Report::start()?;
    for (mode, name) in [(SUPGIPMODE::SyncTsc, "sync"), (SUPGIPMODE::AsyncTsc, "async")] {
        let verdict =
            with_driver(&args.module, name, || away_and_back(Kind::Kernel, args.count, mode));
        report.note(&format!("hotplug::page_follows_{name}"), &verdict.into())?;
        let verdict = absent_at_the_start(&args.module, name);
        report.note(&format!("hotplug::absent_at_the_start_{name}"), &verdict.into())?;
    }
    let verdict = look_for_switch().and_then(|()| {
        let mode = Session::open_in(Kind::Embedded)?.gip()?.mode();
        away_and_back(Kind::Embedded, args.count, mode)
    });
    report.note("hotplug::page_follows_in_a_process", &verdict.into())?;
    report.end()
}

fn look_for_switch() -> Verdict {
    if Path::new(SWITCH).exists() {
        return Ok(());
    }
    let reason = format!("{SWITCH} is missing: the machine has no processor to spare");
    Err(Stop::Skipped(reason))
}

/// Runs `work` while the driver is in the kernel, in the given mode.
fn with_driver(module: &Path, mode: &str, work: impl FnOnce() -> Verdict) -> Verdict {
    look_for_switch()?;
    let key = sup_test_key::PARAMETER.to_str()?;
    let parameters = CString::new(format!("{key} gip_mode={mode}"))?;
    while_inserted(module, &parameters, work)
}

/// The processor, which is back when this is dropped.
struct Processor;

impl Processor {
    fn goes() -> Verdict<Self> {
        fs::write(SWITCH, "0")?;
        Ok(Self)
    }

    fn comes(self) -> Verdict {
        fs::write(SWITCH, "1")?;
        Ok(())
    }
}

impl Drop for Processor {
    fn drop(&mut self) {
        // It is there already unless a test failed.
        let _ = fs::write(SWITCH, "1");
    }
}

/// The page, as a session has it mapped.
struct Page<'a> {
    head: &'a SUPGLOBALINFOPAGE,
    cpus: &'a [SUPGIPCPU],
}

impl<'a> Page<'a> {
    fn of(gip: &'a Gip) -> Self {
        let start = gip.as_ptr();
        // SAFETY: the session that `gip` keeps open has the page mapped there; what changes is atomic.
        let head = unsafe { &*start };
        let first = start.wrapping_byte_add(OFFSET_OF_CPUS).cast::<SUPGIPCPU>();
        // SAFETY: the mapping holds `cCpus` entries behind the head, for as long as `gip` lives.
        let cpus = unsafe { std::slice::from_raw_parts(first, head.cCpus.load(Relaxed).into()) };
        Self { head, cpus }
    }

    /// The number of the processor's entry.
    fn index(&self) -> usize {
        self.head.aiCpuFromCpuSetIdx[usize::from(INDEX)].load(Acquire).into()
    }

    /// What the page says of the processor: its state, whether it is in the set, how many are online.
    fn says(&self) -> (u32, bool, u16) {
        let state = self.cpus.get(self.index()).map_or(0, |entry| entry.enmState.load(Acquire));
        let is_in_set = self.head.OnlineCpuSet.load().contains(INDEX.into());
        (state, is_in_set, self.head.cOnlineCpus.load(Acquire))
    }

    /// Waits until the page says so: at once in the kernel, within a second in a process.
    #[track_caller]
    fn comes_to_say(&self, state: SUPGIPCPUSTATE, is_in_set: bool, online: u16) -> Verdict {
        let end = Instant::now() + PATIENCE;
        let expected = (u32::from(state), is_in_set, online);
        while self.says() != expected && Instant::now() < end {
            sleep(Duration::from_millis(5));
        }
        same!(self.says(), expected, "state, set and count");
        Ok(())
    }
}

/// Reads the time until it is told to stop: never back, never far from the clock. Counts its reads.
fn read(gip: &Gip, latest: &AtomicU64, ends: &AtomicBool) -> Verdict<u64> {
    let clock = || {
        let time = clock_gettime(ClockId::Monotonic);
        time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
    };
    let mut reads = 0;
    while !ends.load(Relaxed) {
        let known = latest.load(SeqCst);
        let (before, now, after) = (clock(), gip.now_ns(), clock());
        check!(now >= known, "{now} after {known}");
        let is_near = (before.saturating_sub(ERROR_MAX_NS)..after + ERROR_MAX_NS).contains(&now);
        check!(is_near, "{now} is not between {before} and {after}");
        latest.fetch_max(now, SeqCst);
        reads += 1;
    }
    Ok(reads)
}

fn away_and_back(kind: Kind, count: u32, mode: SUPGIPMODE) -> Verdict {
    let gip = Session::open_in(kind)?.gip()?;
    same!(gip.mode(), mode);
    let page = Page::of(&gip);
    let online = page.head.cOnlineCpus.load(Acquire);
    check!(online > 1, "{online} processors");
    let (latest, ends) = (AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        let readers: Vec<_> =
            (0..READERS).map(|_| scope.spawn(|| read(&gip, &latest, &ends))).collect();
        let rounds = || -> Verdict {
            let entry = page.index();
            for _ in 0..count {
                let away = Processor::goes()?;
                page.comes_to_say(SUPGIPCPUSTATE::Offline, false, online - 1)?;
                same!(page.index(), entry, "the entry of a processor that is away");
                away.comes()?;
                page.comes_to_say(SUPGIPCPUSTATE::Online, true, online)?;
                same!(page.index(), entry, "the entry of a processor that came back");
                is_updated(&page)?;
            }
            Ok(())
        };
        let verdict = rounds();
        ends.store(true, Relaxed);
        for reader in readers {
            let reads = reader.join().map_err(|_| Stop::failed("a reader panicked"))??;
            check!(reads > 0, "a reader never read");
        }
        verdict
    })
}

/// The entry that serves the processor is updated, and tells the time on it.
fn is_updated(page: &Page<'_>) -> Verdict {
    let is_async = page.head.u32Mode.load(Relaxed) == SUPGIPMODE::AsyncTsc as u32;
    let entry = if is_async { &page.cpus[page.index()] } else { &page.cpus[0] };
    let first = entry.u32TransactionId.load(Acquire);
    let end = Instant::now() + PATIENCE;
    while entry.u32TransactionId.load(Acquire).wrapping_sub(first) < 6 {
        check!(Instant::now() < end, "the entry is not updated");
        sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn absent_at_the_start(module: &Path, mode: &str) -> Verdict {
    look_for_switch()?;
    let away = Processor::goes()?;
    with_driver(module, mode, || {
        let gip = Session::open_in(Kind::Kernel)?.gip()?;
        let page = Page::of(&gip);
        let online = page.head.cOnlineCpus.load(Acquire);
        same!(page.index(), 0xffff, "the entry of a processor that never was there");
        check!(page.head.PossibleCpuSet.load().contains(INDEX.into()));
        away.comes()?;
        page.comes_to_say(SUPGIPCPUSTATE::Online, true, online + 1)?;
        same!(page.index(), usize::from(online), "the next entry in the order of arrival");
        is_updated(&page)?;
        let mut only = CpuSet::new();
        only.set(INDEX.into());
        thread::scope(|scope| {
            let reader = scope.spawn(|| {
                sched_setaffinity(None, &only)?;
                check!(gip.try_now_ns().is_some(), "the page says nothing on that processor");
                Ok::<(), Stop>(())
            });
            reader.join().map_err(|_| Stop::failed("the reader panicked"))?
        })
    })
}
