//! Clocks.

use sup_abi::Nanoseconds;

use super::raw;

/// `CLOCK_MONOTONIC`. Never sleeps.
pub(crate) fn now() -> Nanoseconds {
    // SAFETY: the function has no precondition.
    Nanoseconds::new(unsafe { raw::supdrv_now() })
}

/// Resolution of a sleep in nanoseconds.
pub(crate) fn resolution_ns() -> u32 {
    // SAFETY: the function has no precondition.
    unsafe { raw::supdrv_resolution() }
}

/// Frequency of the time stamp counter in Hz, as the kernel knows it.
pub(crate) fn tsc_hz() -> u64 {
    // SAFETY: the function has no precondition.
    u64::from(unsafe { raw::supdrv_tsc_khz() }).wrapping_mul(1000)
}
