//! [`is_linearizable`]: whether answers that threads got at once are those of the model.
//!
//! Each call happens at one instant between its begin and its end. The history is right if such
//! instants exist that the model gives the same answers in their order (Herlihy and Wing 1990). The
//! search tries every order that the times allow, and remembers where it failed.

use std::collections::HashSet;

use sup_abi::Status;

use crate::model::{Call, State, What};

/// One call of one thread on the semaphore. Times come from one counter.
#[derive(Debug, Clone, Copy)]
pub struct Record {
    /// Before the call.
    pub began: u64,
    /// After the call.
    pub ended: u64,
    /// The call.
    pub call: Call,
    /// What it answered.
    pub status: Status,
}

/// Whether an order of the calls exists in which the model answers the same.
///
/// # Panics
/// With more than 64 calls.
pub fn is_linearizable(start: State, history: &[Record]) -> bool {
    assert!(history.len() <= 64, "a set of calls is a word");
    search(history, 0, start, &mut HashSet::new())
}

/// Whether the calls that are not in `done` fit, from `state` on.
fn search(history: &[Record], done: u64, state: State, failed: &mut HashSet<(u64, State)>) -> bool {
    let is_open = |index: &usize| done & (1 << index) == 0;
    let open = || (0..history.len()).filter(is_open);
    // A call that began after another's end cannot come before it.
    let Some(first_end) = open().map(|index| history[index].ended).min() else { return true };
    if failed.contains(&(done, state)) {
        return false;
    }
    let fits = open().filter(|index| history[*index].began < first_end).any(|index| {
        let Record { call, status, .. } = history[index];
        let (answer, after) = state.after(call);
        is_same(call, answer, status) && search(history, done | 1 << index, after, failed)
    });
    if !fits {
        failed.insert((done, state));
    }
    fits
}

/// Whether a thread may get `status` where the model, which knows no threads, answers `answer`.
fn is_same(call: Call, answer: Status, status: Status) -> bool {
    match (call.what, answer) {
        // The semaphore was closed while the wait slept.
        (What::Wait, Status::VERR_INVALID_HANDLE) if status == Status::VERR_SEM_DESTROYED => true,
        // Somebody was still inside a call on it.
        (What::Close, Status::VINF_OBJECT_DESTROYED) if status == Status::VINF_SUCCESS => true,
        _ => status == answer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sup_abi::request::SemaphoreKind::{self, Event, EventMulti};

    const OK: Status = Status::VINF_SUCCESS;
    const TIMEOUT: Status = Status::VERR_TIMEOUT;

    fn fits(kind: SemaphoreKind, calls: &[(u64, u64, What, Status)]) -> bool {
        let record = |&(began, ended, what, status)| {
            let call = Call { kind, what };
            Record { began, ended, call, status }
        };
        let history: Vec<_> = calls.iter().map(record).collect();
        is_linearizable(State::new(kind), &history)
    }

    #[test]
    fn concurrent_calls_may_take_either_order() {
        for status in [OK, TIMEOUT] {
            assert!(fits(Event, &[(0, 3, What::Signal, OK), (1, 2, What::Wait, status)]));
        }
    }

    #[test]
    fn cannot_release_two_waits_with_one_signal() {
        let signal = (0, 9, What::Signal, OK);
        let waits = [(1, 4, What::Wait, OK), (2, 5, What::Wait, OK)];
        assert!(!fits(Event, &[signal, waits[0], waits[1]]));
        assert!(fits(EventMulti, &[signal, waits[0], waits[1]]));
        assert!(fits(Event, &[signal, waits[0], waits[1], (3, 6, What::Signal, OK)]));
    }

    #[test]
    fn cannot_swallow_a_signal() {
        let calls = [(0, 1, What::Signal, OK), (2, 3, What::Wait, TIMEOUT)];
        assert!(!fits(Event, &calls));
        assert!(!fits(EventMulti, &calls));
    }

    #[test]
    fn cannot_wait_after_a_reset() {
        let calls = [(0, 1, What::Signal, OK), (2, 3, What::Reset, OK), (4, 5, What::Wait, OK)];
        assert!(!fits(EventMulti, &calls));
        let calls = [(0, 2, What::Signal, OK), (3, 4, What::Reset, OK), (1, 5, What::Wait, OK)];
        assert!(fits(EventMulti, &calls));
    }

    #[test]
    fn close_ends_the_waits_that_overlap_it() {
        let destroyed = Status::VERR_SEM_DESTROYED;
        assert!(fits(Event, &[(0, 3, What::Wait, destroyed), (1, 2, What::Close, OK)]));
        assert!(!fits(Event, &[(0, 1, What::Wait, destroyed), (2, 3, What::Close, OK)]));
        assert!(!fits(Event, &[(0, 3, What::Close, OK), (1, 2, What::Close, OK)]));
    }
}
