//! The reader of the page: the current time in nanoseconds, lock-free.
//!
//! Pure code over the page; who calls it brings the counter. [`nanoseconds`] answers `None` when the
//! page cannot say: not valid, stale, or changing all the time. The caller then asks the system clock,
//! which is what the page follows.

use core::sync::atomic::{Ordering, fence};

use sup_abi::{SUPGIPCPU, SUPGIPMODE, SUPGLOBALINFOPAGE, SUPGLOBALINFOPAGE_MAGIC};

use super::update::Line;

/// A writer that died in the middle of an update must not hang its readers.
const MAX_TRIES: u32 = 1_000;

/// The processor's counter, read in its place: not before loads that come earlier in the program, and
/// not after loads that come later.
pub trait Counter {
    /// The time stamp counter.
    fn read(&self) -> u64;
    /// Index of the current processor in processor sets; it may have changed when this returns.
    fn current_cpu(&self) -> u16;
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
        let Some((line, tsc)) = consistent(cpus.get(index)?, interval_ns, counter) else {
            core::hint::spin_loop();
            continue;
        };
        if is_async && counter.current_cpu() != cpu {
            continue;
        }
        return line.at(tsc);
    }
    None
}

/// The line of an entry and a counter value that belongs to it, or `None` if it changed meanwhile.
#[inline]
fn consistent(entry: &SUPGIPCPU, interval_ns: u32, counter: &impl Counter) -> Option<(Line, u64)> {
    // Acquire: pairs with the release at the end of `update::publish`; the fields are not older.
    let id = entry.u32TransactionId.load(Ordering::Acquire);
    let line = Line {
        nanos: entry.u64NanoTS.load(Ordering::Relaxed),
        tsc: entry.u64TSC.load(Ordering::Relaxed),
        interval_tsc: entry.u32UpdateIntervalTSC.load(Ordering::Relaxed),
        interval_ns,
    };
    let tsc = counter.read();
    // Acquire: the fields above are not younger than the number below; pairs with the fence in
    // `update::publish`. The counter was read before it too, as `Counter` promises.
    fence(Ordering::Acquire);
    let is_same = entry.u32TransactionId.load(Ordering::Relaxed) == id;
    (is_same && id & 1 == 0).then_some((line, tsc))
}
