//! [`Table`] and [`State`]: the plain reference model of a session's semaphores.
//!
//! It knows no threads: every call happens at one instant, so a wait on an unsignalled semaphore can
//! only time out. Written from the specification (spec 3), not from the driver.

use std::collections::VecDeque;

use sup_abi::Status;
use sup_abi::request::SemaphoreKind;

/// How many numbers become free together when none is left (spec 3.1).
pub const GROWTH: u32 = 2048;

/// A call on a handle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Call {
    /// The kind that the caller takes the handle for.
    pub kind: SemaphoreKind,
    /// What is asked for.
    pub what: What,
}

/// What a call asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum What {
    /// Signals.
    Signal,
    /// Resets.
    Reset,
    /// Waits, in the model only if that does not take time.
    Wait,
    /// Closes.
    Close,
    /// Wakes for a signal that is in the word already: nothing, if nobody sleeps.
    Wake,
    /// An operation that does not exist.
    Unknown,
}

/// What a handle stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Nothing.
    Closed,
    /// A semaphore.
    Open {
        /// Its kind.
        kind: SemaphoreKind,
        /// Whether it is signalled.
        is_signalled: bool,
    },
}

impl State {
    /// A new semaphore.
    pub const fn new(kind: SemaphoreKind) -> Self {
        Self::Open { kind, is_signalled: false }
    }

    /// The answer to a call, and what the handle stands for afterwards.
    pub fn after(self, call: Call) -> (Status, Self) {
        use SemaphoreKind::{Event, EventMulti};
        match (call.what, call.kind) {
            (What::Unknown, _) | (What::Reset, Event) => {
                return (Status::VERR_INVALID_FUNCTION, self);
            }
            _ => {}
        }
        let Self::Open { kind, is_signalled } = self else {
            return (Status::VERR_INVALID_HANDLE, self);
        };
        if kind != call.kind {
            return (Status::VERR_INVALID_HANDLE, self);
        }
        let open = |is_signalled| Self::Open { kind, is_signalled };
        match call.what {
            What::Signal => (Status::VINF_SUCCESS, open(true)),
            What::Reset => (Status::VINF_SUCCESS, open(false)),
            What::Wait if is_signalled => (Status::VINF_SUCCESS, open(kind == EventMulti)),
            What::Wait => (Status::VERR_TIMEOUT, self),
            What::Close => (Status::VINF_OBJECT_DESTROYED, Self::Closed),
            What::Wake | What::Unknown => (Status::VINF_SUCCESS, self),
        }
    }
}

/// A session's handles.
#[derive(Debug, Clone, Default)]
pub struct Table {
    /// Of every number that was ever free, without NIL.
    states: Vec<State>,
    /// The longest free one first.
    free: VecDeque<u32>,
}

impl Table {
    /// Creates a semaphore.
    pub fn create(&mut self, kind: SemaphoreKind) -> u32 {
        if self.free.is_empty() {
            let known = self.states.len() as u32;
            self.free.extend((1..=GROWTH).map(|number| known + number));
            self.states.resize(self.states.len() + GROWTH as usize, State::Closed);
        }
        let handle = self.free.pop_front().expect("there is a free number");
        self.states[handle as usize - 1] = State::new(kind);
        handle
    }

    /// What a handle stands for.
    pub fn state(&self, handle: u32) -> State {
        let index = (handle as usize).wrapping_sub(1);
        self.states.get(index).copied().unwrap_or(State::Closed)
    }

    /// Carries out a call.
    pub fn call(&mut self, handle: u32, call: Call) -> Status {
        if handle == 0 && call.what == What::Close {
            return Status::VINF_SUCCESS;
        }
        let before = self.state(handle);
        let (status, after) = before.after(call);
        if after != before {
            self.states[handle as usize - 1] = after;
        }
        if after == State::Closed && before != State::Closed {
            self.free.push_back(handle);
        }
        status
    }

    /// The number of open handles.
    pub fn open(&self) -> u64 {
        self.states.iter().filter(|state| **state != State::Closed).count() as u64
    }
}
