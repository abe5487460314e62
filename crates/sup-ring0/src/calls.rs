//! Calls into modules that a module can abandon: what a panic of a module's does.
//!
//! A module cannot unwind, and must not stop the machine. So the driver notes, for each call into a
//! module, where its stack stood; [`abandon`] goes back there, and the call answers nothing ([`call`]
//! returns `None`). What the module held at that moment (objects, semaphores, memory) stays with its
//! session, whose end takes it back; its own data may be half changed.
//!
//! ```text
//! driver: call ── enter ──▶ module ── SUPR0ModulePanic ──▶ abandon ─┐
//!            ▲      │ notes the stack                               │ restores it
//!            └──────┴───────────────◀───────────────────────────────┘
//! ```
//!
//! The frames that are skipped are the module's own, [`run`]'s, and those of the export that was asked
//! to abandon; none of them holds anything to be dropped. A driver function that calls back into a
//! module does so through [`call`] too, so that its own frames are never skipped.
//!
//! Neighbours: `mapper` and `destructor` make the calls, `exports` has `SUPR0ModulePanic`; each backend
//! implements [`Calls`]. Invariant: all code of modules runs inside [`call`].

use core::cell::{Cell, UnsafeCell};
use core::ptr::NonNull;

use crate::naked::return_instruction;

/// Where a call into a module began. It lives on the stack of the thread that makes the call.
#[derive(Debug)]
pub struct Frame {
    /// The stack pointer, below the registers that `enter` saved.
    stack: UnsafeCell<u64>,
    /// The function that is called: in an image, or the module's word for it.
    pub callee: u64,
    /// For the backend: whose frame it is.
    pub thread: Cell<usize>,
    /// For the backend: the frame that it finds behind this one.
    pub next: Cell<Option<NonNull<Frame>>>,
}

/// The calls that run, by thread.
///
/// # Safety
/// [`innermost`](Calls::innermost) answers the frame that the running thread entered last and has not
/// left, or nothing.
pub unsafe trait Calls {
    /// Notes a call of the running thread.
    ///
    /// # Safety
    /// The frame does not move, and is left before it goes.
    unsafe fn enter(frame: &Frame);

    /// Forgets the innermost call of the running thread, which is this one.
    ///
    /// # Safety
    /// The frame was entered by this thread, and every later one was left.
    unsafe fn leave(frame: &Frame);

    /// The innermost call of the running thread.
    fn innermost() -> Option<NonNull<Frame>>;
}

/// What to do, and what came of it.
struct Work<W, T> {
    work: W,
    result: Option<T>,
}

/// Calls `work`, which calls the function `callee` of a module. `None` if the module abandoned the call.
///
/// `work` and its result are `Copy`: nothing that would have to be dropped is on the stack that an
/// abandoned call leaves behind.
pub fn call<C: Calls, T: Copy>(callee: *const (), work: impl FnOnce() -> T + Copy) -> Option<T> {
    let frame = Frame {
        stack: UnsafeCell::new(0),
        callee: callee.addr() as u64,
        thread: Cell::new(0),
        next: Cell::new(None),
    };
    let mut work = Work { work, result: None };
    // SAFETY: the frame is a local variable that is not moved, and left below.
    unsafe { C::enter(&frame) };
    // SAFETY: both places are local variables that nobody else uses during the call. It returns once,
    // with the registers that the C convention preserves as they were: by the end of `run`, or by
    // `abandon`, which needs the frame just entered.
    unsafe { enter(frame.stack.get(), &raw mut work) };
    // SAFETY: entered above, by this thread; calls that began in between have returned or were abandoned
    // to their own frames.
    unsafe { C::leave(&frame) };
    work.result
}

/// Does the work. Called by [`enter`] only.
///
/// # Safety
/// `work` points to work that nobody else uses.
unsafe extern "C" fn run<W: FnOnce() -> T + Copy, T: Copy>(work: *mut Work<W, T>) {
    // SAFETY: by this function's contract the work is there, and nobody else uses it. An abandoned call
    // never comes back to this reference.
    let work = unsafe { &mut *work };
    work.result = Some((work.work)());
}

/// What takes back the registers that [`enter`] saved, and returns from it.
macro_rules! restore_and_return {
    () => {
        concat!(
            "add rsp, 8\n",
            "pop r15\n",
            "pop r14\n",
            "pop r13\n",
            "pop r12\n",
            "pop rbx\n",
            "pop rbp\n",
            return_instruction!()
        )
    };
}

/// Saves the registers that a call preserves, notes the stack pointer, and calls [`run`].
///
/// # Safety
/// `stack` is writable; `work` is good for [`run`].
#[unsafe(naked)]
unsafe extern "C" fn enter<W: FnOnce() -> T + Copy, T: Copy>(
    stack: *mut u64,
    work: *mut Work<W, T>,
) {
    core::arch::naked_asm!(
        "endbr64",
        "push rbp",
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        // So that the stack is aligned to 16 at the call.
        "sub rsp, 8",
        "mov [rdi], rsp",
        "mov rdi, rsi",
        "call {run}",
        restore_and_return!(),
        run = sym run::<W, T>,
    )
}

/// The kernel's object checker follows the stack pointer of each function; this one leaves its stack
/// for good, which the checker has to be told.
#[cfg(target_os = "none")]
macro_rules! unchecked_stack {
    () => {
        ".pushsection .discard.func_stack_frame_non_standard, \"aw\"\n.quad {itself}\n.popsection"
    };
}
#[cfg(not(target_os = "none"))]
macro_rules! unchecked_stack {
    () => {
        "/* {itself} */"
    };
}

/// Returns from the [`enter`] that noted `stack`, and not to its caller. (Its type does not say so: code
/// behind a call that never returns is left out, and the kernel's object checker does not know that.)
///
/// # Safety
/// That call has not returned, runs on this thread, and is the innermost.
#[unsafe(naked)]
unsafe extern "C" fn resume(stack: u64) {
    core::arch::naked_asm!(
        "mov rsp, rdi",
        // The C convention wants the direction flag clear; whoever abandons may have been anywhere.
        "cld",
        restore_and_return!(),
        unchecked_stack!(),
        itself = sym resume,
    )
}

/// Abandons the innermost call into a module that this thread is in. Returns if it is in none.
///
/// # Safety
/// What runs between that call and this one is code of the module, and nothing else with something to
/// drop or a lock to give back.
pub(crate) unsafe fn abandon<C: Calls>() {
    let Some(frame) = C::innermost() else { return };
    // SAFETY: by the contract of `Calls` the frame was entered by this thread and not left, so it lives.
    let frame = unsafe { frame.as_ref() };
    // SAFETY: `enter` wrote the place before it called the module, and nobody writes it again.
    let stack = unsafe { frame.stack.get().read() };
    // SAFETY: the frame is the innermost, of this thread, and its call has not returned; by this
    // function's contract nothing is lost with the frames in between.
    unsafe { resume(stack) };
    // SAFETY: `resume` went elsewhere, so this is never reached; should it be, it ends the task.
    unsafe { core::arch::asm!("ud2", options(noreturn, nomem, nostack)) }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell as StdCell;

    use super::*;

    std::thread_local! {
        static INNERMOST: StdCell<Option<NonNull<Frame>>> = const { StdCell::new(None) };
    }

    /// Whom the frames have to do with is for backends.
    const NOBODY: *const () = core::ptr::null();

    struct Threads;

    // SAFETY: the variable is the thread's own, and holds its frames in the order of their calls.
    unsafe impl Calls for Threads {
        unsafe fn enter(frame: &Frame) {
            frame.next.set(INNERMOST.replace(Some(NonNull::from(frame))));
        }

        unsafe fn leave(frame: &Frame) {
            INNERMOST.set(frame.next.get());
        }

        fn innermost() -> Option<NonNull<Frame>> {
            INNERMOST.get()
        }
    }

    /// Abandons from some way down, with the preserved registers in use.
    #[inline(never)]
    fn give_up(depth: u64) -> u64 {
        if depth == 0 {
            // SAFETY: between here and the call are frames of this function, which drop nothing.
            unsafe { abandon::<Threads>() };
            return 1;
        }
        std::hint::black_box(give_up(depth.wrapping_sub(1)).wrapping_mul(3))
    }

    #[test]
    fn a_call_that_ends_has_a_result() {
        assert_eq!(call::<Threads, _>(NOBODY, || 7), Some(7));
        assert_eq!(INNERMOST.get(), None);
    }

    #[test]
    fn a_call_that_is_abandoned_has_none_and_leaves_the_caller_as_it_was() {
        let values = std::hint::black_box([1_u64, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(call::<Threads, _>(NOBODY, || give_up(9)), None);
        assert_eq!(values.iter().sum::<u64>(), 36);
        assert_eq!(INNERMOST.get(), None);
    }

    #[test]
    fn only_the_innermost_call_is_abandoned() {
        let outer = call::<Threads, _>(NOBODY, || (call::<Threads, _>(NOBODY, || give_up(3)), 5));
        assert_eq!(outer, Some((None, 5)));
    }

    #[test]
    fn cannot_abandon_without_a_call() {
        // SAFETY: there is no call to abandon, so that this returns.
        unsafe { abandon::<Threads>() };
    }
}
