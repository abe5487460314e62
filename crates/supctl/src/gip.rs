//! `supctl gip`: one look at the Global Information Page.

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
    pub(crate) interval_ticks: u32,
    pub(crate) errors: u32,
    pub(crate) transaction: u32,
}

pub(crate) fn run(args: &GipArgs) -> Result<(), Failure> {
    let gip = Session::open()?.gip()?;
    await_updates(&gip);
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
        let before = monotonic_ns();
        let now_ns = gip.now_ns();
        let monotonic = before.midpoint(monotonic_ns());
        Self {
            mode: mode_name(gip.mode()),
            update_hz: gip.update_hz(),
            now_ns,
            ahead_of_monotonic_ns: now_ns.wrapping_sub(monotonic).cast_signed(),
            physical_address: gip.physical_address().to_string(),
            is_synthetic: gip.address_source() == AddressSource::Synthetic,
            cpus: gip.cpus().map(Cpu::from).collect(),
        }
    }
}

impl From<CpuEntry> for Cpu {
    fn from(entry: CpuEntry) -> Self {
        Self {
            id: entry.id,
            apic_id: entry.apic_id,
            hz: entry.hz,
            interval_ns: entry.previous_interval_ns,
            interval_ticks: entry.interval_tsc,
            errors: entry.errors,
            transaction: entry.transaction,
        }
    }
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
