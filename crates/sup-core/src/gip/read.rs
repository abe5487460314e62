//! The reader of the page: the current time in nanoseconds, lock-free.
//!
//! Pure code over the page; who calls it brings the counter. [`nanoseconds`] answers `None` when the
//! page cannot say: not valid, stale, or changing all the time. The caller then asks the system clock,
//! which is what the page follows.
//!
//! A line is good for millions of reads, and costs a division to use. [`look`] hands out what it found
//! as a [`Snapshot`], which reads the time again with one multiplication as long as the entry's number
//! is the same.
//!
//! # Order
//! The counter is read between two looks at the entry's number (`transaction.rs`), and the second look must
//! not come before it. Processors read their counter out of order, so the host's [`Counter`] does both, the
//! second after the first.
//! A [`Snapshot`] needs the second look only: its line was complete when it was made.

use core::sync::atomic::{AtomicU32, Ordering};

use sup_abi::{SUPGIPCPU, SUPGIPMODE, SUPGLOBALINFOPAGE, SUPGLOBALINFOPAGE_MAGIC};

use super::transaction::{self, Cells};
use super::update::{Line, ScaledLine};

/// A writer that died in the middle of an update must not hang its readers.
const MAX_TRIES: u32 = 1_000;

/// The processor's counter, read in its place: not before loads that come earlier in the program, and
/// not after loads that come later.
pub trait Counter {
    /// The time stamp counter, and then the value of `cell`, which is loaded after the counter was read.
    fn read_before(&self, cell: &AtomicU32) -> (u64, u32);
    /// Index of the current processor in processor sets; it may have changed when this returns.
    fn current_cpu(&self) -> u16;
}

/// A line of the page that serves all processors, and the number of the update that made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Snapshot {
    /// Even; that of a whole update.
    transaction: u32,
    line: ScaledLine,
}

impl Snapshot {
    /// The snapshot of no page: it never says the time.
    pub const NONE: Self = Self { transaction: 1, line: ScaledLine::NONE };

    /// The time, if the line is still the page's; else it is time for another [`look`].
    #[inline]
    pub fn nanoseconds(
        &self,
        page: &SUPGLOBALINFOPAGE,
        cpus: &[SUPGIPCPU],
        counter: &impl Counter,
    ) -> Option<u64> {
        let (tsc, transaction) = counter.read_before(&cpus.first()?.u32TransactionId);
        // Relaxed: a page that is no more says so in time, if not at once.
        let is_valid = page.u32Magic.load(Ordering::Relaxed) == SUPGLOBALINFOPAGE_MAGIC;
        if transaction == self.transaction && is_valid { self.line.at(tsc) } else { None }
    }
}

/// What a [`look`] at the page found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// The time in nanoseconds.
    pub nanoseconds: u64,
    /// The line, if it is that of all processors.
    pub snapshot: Option<Snapshot>,
}

/// The time in nanoseconds by the page, on the clock that the driver follows.
///
/// In synchronous mode, successive calls never go back, on one thread and across threads. In
/// asynchronous mode each processor's line is its own; a caller that needs order across processors
/// keeps the highest value it has seen.
#[inline]
pub fn nanoseconds(
    page: &SUPGLOBALINFOPAGE,
    cpus: &[SUPGIPCPU],
    counter: &impl Counter,
) -> Option<u64> {
    look(page, cpus, counter).map(|look| look.nanoseconds)
}

/// The time, as [`nanoseconds`] has it, and how to read it again.
pub fn look(page: &SUPGLOBALINFOPAGE, cpus: &[SUPGIPCPU], counter: &impl Counter) -> Option<Look> {
    // Acquire: pairs with the release that published the page.
    if page.u32Magic.load(Ordering::Acquire) != SUPGLOBALINFOPAGE_MAGIC {
        return None;
    }
    let is_async = page.u32Mode.load(Ordering::Relaxed) == SUPGIPMODE::AsyncTsc as u32;
    let interval_ns = page.u32UpdateIntervalNS.load(Ordering::Relaxed);
    for _ in 0..MAX_TRIES {
        let cpu = if is_async { counter.current_cpu() } else { 0 };
        let index = if is_async {
            usize::from(page.aiCpuFromCpuSetIdx.get(usize::from(cpu))?.load(Ordering::Relaxed))
        } else {
            0
        };
        let Some((transaction, line, tsc)) = consistent(cpus.get(index)?, interval_ns, counter)
        else {
            core::hint::spin_loop();
            continue;
        };
        if is_async && counter.current_cpu() != cpu {
            continue;
        }
        let line = line.scaled()?;
        let snapshot = (!is_async).then_some(Snapshot { transaction, line });
        return Some(Look { nanoseconds: line.at(tsc)?, snapshot });
    }
    None
}

/// The line that an entry has now, without the time; `None` if it is changing all the time.
pub fn newest_line(page: &SUPGLOBALINFOPAGE, entry: &SUPGIPCPU) -> Option<Line> {
    let interval_ns = page.u32UpdateIntervalNS.load(Ordering::Relaxed);
    (0..MAX_TRIES).find_map(|_| {
        let (id, line) = transaction::read(entry, interval_ns);
        transaction::is_whole(id, entry.u32TransactionId.load(Ordering::Relaxed)).then_some(line)
    })
}

/// The line of an entry, its number and a counter value that belongs to it, or `None` if it changed
/// meanwhile.
#[inline]
fn consistent(
    entry: &SUPGIPCPU,
    interval_ns: u32,
    counter: &impl Counter,
) -> Option<(u32, Line, u64)> {
    let (id, line) = transaction::read(entry, interval_ns);
    let (tsc, again) = counter.read_before(&entry.u32TransactionId);
    transaction::is_whole(id, again).then_some((id, line, tsc))
}

impl Cells for SUPGIPCPU {
    #[inline]
    fn id(&self, order: Ordering) -> u32 {
        self.u32TransactionId.load(order)
    }

    #[inline]
    fn set_id(&self, id: u32, order: Ordering) {
        self.u32TransactionId.store(id, order);
    }

    #[inline]
    fn line(&self, interval_ns: u32, order: Ordering) -> Line {
        Line {
            nanos: self.u64NanoTS.load(order),
            tsc: self.u64TSC.load(order),
            interval_tsc: self.u32UpdateIntervalTSC.load(order),
            interval_ns,
        }
    }

    #[inline]
    fn set_line(&self, line: Line, order: Ordering) {
        self.u64NanoTS.store(line.nanos, order);
        self.u64TSC.store(line.tsc, order);
        self.u32UpdateIntervalTSC.store(line.interval_tsc, order);
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests;
