//! [`ThreadCalls`]: the calls into modules that each thread of the process is in.
//!
//! Neighbours: `sup_ring0::calls` says what they are for. Invariant: a thread's variable is its innermost
//! frame, whose `next` leads outwards.

use std::cell::Cell;
use std::ptr::NonNull;

use sup_ring0::calls::{Calls, Frame};

thread_local! {
    static INNERMOST: Cell<Option<NonNull<Frame>>> = const { Cell::new(None) };
}

/// The calls of the running thread.
#[derive(Debug)]
pub enum ThreadCalls {}

// SAFETY: the variable is the thread's own; `enter` and `leave` come in pairs, innermost first.
unsafe impl Calls for ThreadCalls {
    #[inline]
    unsafe fn enter(frame: &Frame) {
        frame.next.set(INNERMOST.replace(Some(NonNull::from(frame))));
    }

    #[inline]
    unsafe fn leave(frame: &Frame) {
        INNERMOST.set(frame.next.get());
    }

    #[inline]
    fn innermost() -> Option<NonNull<Frame>> {
        INNERMOST.get()
    }
}
