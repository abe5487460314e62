//! The clocks: `CLOCK_MONOTONIC` and the time stamp counter.

use std::arch::asm;
use std::arch::x86_64::{_mm_lfence, _rdtsc};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::time::{ClockId, clock_gettime};
use sup_abi::Nanoseconds;
use sup_core::gip::read::Counter;

/// Time over which the counter's frequency is measured first; the page measures on from there.
const CALIBRATION: u64 = 2_000_000;

/// `CLOCK_MONOTONIC` in nanoseconds.
pub(crate) fn now() -> Nanoseconds {
    let time = clock_gettime(ClockId::Monotonic);
    // The monotonic clock starts at zero with the machine, so neither part is negative.
    let seconds = time.tv_sec.cast_unsigned();
    Nanoseconds::new(seconds * 1_000_000_000 + time.tv_nsec.cast_unsigned())
}

/// The time stamp counter of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tsc;

impl Tsc {
    /// The counter, read neither before what precedes it nor after what follows.
    #[inline]
    pub fn read(self) -> u64 {
        // SAFETY: every x86-64 processor has the instruction.
        unsafe { _mm_lfence() };
        // SAFETY: every x86-64 processor has the instruction, and Linux does not forbid it to
        // processes unless they ask for that (PR_SET_TSC).
        let tsc = unsafe { _rdtsc() };
        // SAFETY: every x86-64 processor has the instruction.
        unsafe { _mm_lfence() };
        tsc
    }
}

impl Counter for Tsc {
    #[inline]
    fn read_before(&self, cell: &AtomicU32) -> (u64, u32) {
        let (low, high, value): (u64, u64, u32);
        // The address of the load is made from what was read of the counter, so the processor cannot
        // load earlier; that is cheaper than a second `lfence`.
        // SAFETY: every x86-64 processor has the instructions, and Linux does not forbid `rdtsc` to
        // processes unless they ask for that (PR_SET_TSC). The load is of `cell` (the offset is zero),
        // which the reference keeps readable; a 32-bit load of an aligned address is atomic. Without
        // `nomem` and `readonly` the compiler keeps other accesses on their side.
        unsafe {
            asm!(
                "lfence",
                "rdtsc",
                "mov {offset}, rax",
                "and {offset}, 0",
                "mov {value:e}, [{cell} + {offset}]",
                offset = out(reg) _,
                value = out(reg) value,
                cell = in(reg) cell.as_ptr(),
                out("rax") low,
                out("rdx") high,
                options(nostack),
            );
        }
        (high << 32 | low, value)
    }

    #[inline]
    fn current_cpu(&self) -> u16 {
        u16::try_from(rustix::thread::sched_getcpu()).unwrap_or(u16::MAX)
    }
}

/// The time stamp counter without a fence: the processor may read it before it has seen what others have
/// written, so that nothing follows from it for other threads.
#[derive(Debug, Clone, Copy, Default)]
pub struct UnorderedTsc;

impl Counter for UnorderedTsc {
    #[inline]
    fn read_before(&self, cell: &AtomicU32) -> (u64, u32) {
        // SAFETY: every x86-64 processor has the instruction, and Linux does not forbid it to processes
        // unless they ask for that (PR_SET_TSC).
        let tsc = unsafe { _rdtsc() };
        // Relaxed: it is the point of this counter that nothing is ordered.
        (tsc, cell.load(Ordering::Relaxed))
    }

    #[inline]
    fn current_cpu(&self) -> u16 {
        Tsc.current_cpu()
    }
}

fn now_and_tsc() -> (Nanoseconds, u64) {
    sup_core::gip::sample(now, || Tsc.read())
}

/// Frequency of the counter in Hz, measured once over two milliseconds.
pub(crate) fn tsc_hz() -> u64 {
    static HZ: OnceLock<u64> = OnceLock::new();
    *HZ.get_or_init(|| {
        let (start, start_tsc) = now_and_tsc();
        loop {
            let (end, end_tsc) = now_and_tsc();
            let elapsed = end.get() - start.get();
            if elapsed >= CALIBRATION {
                let ticks = u128::from(end_tsc.wrapping_sub(start_tsc));
                let hz = ticks * 1_000_000_000 / u128::from(elapsed);
                return u64::try_from(hz).unwrap_or(u64::MAX);
            }
            std::hint::spin_loop();
        }
    })
}
