//! `supctl gip`: one look at the Global Information Page, many ([`watch`]), or a picture ([`plot`]).

mod plot;
mod watch;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;
use sup::{AddressSource, CpuEntry, Gip, SUPGIPMODE, Session};

use crate::cli::GipArgs;
use crate::failure::Failure;
use crate::output;

/// What the page says, at one moment.
#[derive(Debug, Serialize)]
pub(crate) struct Look {
    pub(crate) mode: &'static str,
    pub(crate) update_hz: u32,
    pub(crate) now_ns: u64,
    /// How far the page is ahead of `CLOCK_MONOTONIC`.
    pub(crate) ahead_of_monotonic_ns: i64,
    pub(crate) physical_address: String,
    pub(crate) is_synthetic: bool,
    pub(crate) cpus: Vec<Cpu>,
}

/// What the page says of one processor.
#[derive(Debug, Serialize)]
pub(crate) struct Cpu {
    pub(crate) id: u32,
    pub(crate) apic_id: u16,
    /// `None` if it was never updated: in synchronous mode one processor's entry serves all.
    pub(crate) hz: Option<u64>,
    pub(crate) interval_ns: u32,
    /// How far a read on it is ahead of `CLOCK_MONOTONIC`; `None` if this process may not run there.
    pub(crate) ahead_ns: Option<i64>,
    pub(crate) interval_ticks: u32,
    pub(crate) errors: u32,
    pub(crate) transaction: u32,
}

pub(crate) fn run(args: &GipArgs) -> Result<(), Failure> {
    let gip = Session::open()?.gip()?;
    await_updates(&gip);
    if let Some(file) = &args.plot {
        return plot::run(&gip, file, args.seconds);
    }
    if args.watch {
        return watch::run(&gip, args);
    }
    let look = Look::at(&gip);
    if args.json { output::json(&look) } else { output::gip(&look) }
}

/// The first to map the page starts its updates; gives them the time for a few.
fn await_updates(gip: &Gip) {
    const UPDATES: u64 = 4;
    let interval = 1_000_000_000 / u64::from(gip.update_hz().max(1));
    std::thread::sleep(std::time::Duration::from_nanos(UPDATES * interval));
}

impl Look {
    fn at(gip: &Gip) -> Self {
        Self {
            mode: mode_name(gip.mode()),
            update_hz: gip.update_hz(),
            now_ns: gip.now_ns(),
            ahead_of_monotonic_ns: ahead_ns(gip),
            physical_address: gip.physical_address().to_string(),
            is_synthetic: gip.address_source() == AddressSource::Synthetic,
            cpus: gip.cpus().map(|entry| Cpu::of(gip, entry)).collect(),
        }
    }
}

impl Cpu {
    fn of(gip: &Gip, entry: CpuEntry) -> Self {
        Self {
            id: entry.id,
            apic_id: entry.apic_id,
            hz: entry.hz,
            interval_ns: entry.previous_interval_ns,
            ahead_ns: on_cpu(entry.id, || ahead_ns(gip)),
            interval_ticks: entry.interval_tsc,
            errors: entry.errors,
            transaction: entry.transaction,
        }
    }
}

/// How far the page is ahead of `CLOCK_MONOTONIC`, by the tightest of a few pairs of looks at the clock.
fn ahead_ns(gip: &Gip) -> i64 {
    const TRIES: usize = 8;
    let one = || {
        let (before, now, after) = (monotonic_ns(), gip.now_ns(), monotonic_ns());
        (after.saturating_sub(before), now.wrapping_sub(before.midpoint(after)).cast_signed())
    };
    std::iter::repeat_with(one).take(TRIES).min().map_or(0, |(_, ahead)| ahead)
}

/// What `work` says on a processor; `None` if this thread may not run there.
fn on_cpu<T>(id: u32, work: impl FnOnce() -> T) -> Option<T> {
    let index = usize::try_from(id).ok().filter(|index| *index < CpuSet::MAX_CPU)?;
    let allowed = sched_getaffinity(None).ok()?;
    if !allowed.is_set(index) {
        return None;
    }
    let mut only = CpuSet::new();
    only.set(index);
    sched_setaffinity(None, &only).ok()?;
    let result = work();
    // The set was this thread's own a moment ago; if it is not any more, the last one stays.
    let _ = sched_setaffinity(None, &allowed);
    Some(result)
}

/// The mode as a word.
pub(crate) fn mode_name(mode: SUPGIPMODE) -> &'static str {
    match mode {
        SUPGIPMODE::Invalid => "invalid",
        SUPGIPMODE::SyncTsc => "synchronous",
        SUPGIPMODE::AsyncTsc => "asynchronous",
    }
}

/// `CLOCK_MONOTONIC` in nanoseconds.
pub(crate) fn monotonic_ns() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}
