//! Tasks: the one that runs, putting it to sleep, and waking another.

use core::ptr::NonNull;
use core::sync::atomic::AtomicU32;

use sup_core::Deadline;
use sup_core::host::{Interruption, WaitEnd};

use super::{Errno, raw};

/// A task, by the kernel's pointer. Good to be woken until the task ends.
#[derive(Clone, Copy)]
pub(crate) struct Task(NonNull<raw::Task>);

// SAFETY: the pointer is only handed back to the kernel, which takes it from any processor.
unsafe impl Send for Task {}

/// The task that runs; `None` never happens in a kernel.
pub(crate) fn current() -> Option<Task> {
    // SAFETY: the function has no precondition.
    NonNull::new(unsafe { raw::supdrv_current() }).map(Task)
}

/// The address of the task that runs, as its name only.
pub(crate) fn current_address() -> usize {
    // SAFETY: the function has no precondition.
    unsafe { raw::supdrv_current() }.addr()
}

impl Task {
    /// Wakes the task if it is in [`sleep`] or about to be.
    ///
    /// # Safety
    /// The task has not ended.
    pub(crate) unsafe fn wake(self) {
        // SAFETY: by this function's contract the task is there.
        unsafe { raw::supdrv_task_wake(self.0.as_ptr()) };
    }
}

/// Sleeps until `woken` is set and the task woken, or the wait's end. May return early without reason.
///
/// # Context
/// May sleep.
pub(crate) fn sleep(
    woken: &AtomicU32,
    deadline: Deadline,
    interruption: Interruption,
) -> Result<(), WaitEnd> {
    let nanos = match deadline {
        Deadline::Never => u64::MAX,
        Deadline::At(at) => at.get(),
    };
    let interruptible = interruption == Interruption::Allowed;
    // SAFETY: the word lives for the call; waiters hold no spin lock (see `wait.rs`).
    let result = unsafe { raw::supdrv_task_sleep(woken.as_ptr(), nanos, interruptible) };
    match Errno::check(result) {
        Ok(()) => Ok(()),
        Err(Errno::ETIME) => Err(WaitEnd::TimedOut),
        Err(_) => Err(WaitEnd::Interrupted),
    }
}

/// Complains on a debug kernel if the caller may not sleep.
pub(crate) fn might_sleep() {
    // SAFETY: the function has no precondition.
    unsafe { raw::supdrv_might_sleep() };
}
