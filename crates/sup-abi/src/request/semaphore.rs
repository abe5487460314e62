//! The numbers inside the semaphore requests. Values are those of the header's era.

use num_enum::{IntoPrimitive, TryFromPrimitive};

/// Which of the two semaphores a handle names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, TryFromPrimitive, IntoPrimitive)]
#[repr(u32)]
pub enum SemaphoreKind {
    /// Auto reset: a signal releases exactly one wait. Corresponds to `SUPSEMEVENT`.
    Event = 0,
    /// Manual reset: a signal releases every wait until the reset. Corresponds to `SUPSEMEVENTMULTI`.
    EventMulti = 1,
}

/// What a [`SemaphoreOp`](super::SemaphoreOp) does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, TryFromPrimitive, IntoPrimitive)]
#[repr(u32)]
pub enum SemaphoreOperation {
    /// Waits; the timeout is in milliseconds from now, `0xffff_ffff` for ever.
    WaitMillis = 0,
    /// Waits; the timeout is a deadline in nanoseconds of the monotonic clock, all ones for ever.
    WaitDeadline = 1,
    /// Waits; the timeout is in nanoseconds from now, all ones for ever.
    WaitNanos = 2,
    /// Signals.
    Signal = 3,
    /// Resets; an event of the auto-reset kind refuses it.
    Reset = 4,
    /// Closes the handle.
    Close = 5,
    /// Wakes who sleeps, after a signal that ring 3 made in the state word itself.
    Wake = 6,
}

/// What a [`SemaphoreCreate`](super::SemaphoreCreate) does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, TryFromPrimitive, IntoPrimitive)]
#[repr(u32)]
pub enum SemaphoreQuery {
    /// Creates a semaphore.
    Create = 0,
    /// Reads the resolution of waits in nanoseconds.
    Resolution = 1,
}
