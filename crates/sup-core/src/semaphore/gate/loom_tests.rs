//! The protocol under loom: every interleaving, and every reordering that the orderings allow.
//!
//! `RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=3 cargo test --release -p sup-core --lib loom_`. A lost
//! wake-up shows as a deadlock, which loom reports.
//!
//! The queue is the embedded host's algorithm over a model of the futex; the lock is loom's.

extern crate std;

use loom::sync::{Arc, Mutex};
use loom::thread;
use sup_abi::request::SemaphoreKind::{Event, EventMulti};

use super::*;
use crate::Deadline;
use crate::host::Interruption;
use crate::loom_queue::LoomQueue;
use crate::sync::AtomicU64;

#[derive(Default)]
struct LoomCount(Mutex<u64>);

impl LockedCount for LoomCount {
    fn with<R>(&self, change: impl FnOnce(&mut u64) -> R) -> R {
        change(&mut self.0.lock().unwrap())
    }
}

/// A semaphore whose word ring 3 has too.
struct Model {
    word: AtomicU64,
    gate: Gate<LoomCount, LoomQueue>,
}

const FOR_EVER: Wait = Wait { deadline: Deadline::Never, interruption: Interruption::Ignored };
const FOR_A_WHILE: Wait =
    Wait { deadline: Deadline::at_nanos(1), interruption: Interruption::Ignored };

impl Model {
    fn new(kind: SemaphoreKind) -> Arc<Self> {
        let word = AtomicU64::new(0);
        let gate = Gate::open(StateWord::new(&word), kind);
        Arc::new(Self { word, gate })
    }

    fn word(&self) -> StateWord<'_> {
        StateWord::new(&self.word)
    }

    /// A signal of ring 3: the word itself, and the driver only for sleepers.
    fn signal(&self) {
        let kind = self.gate.kind();
        if self.word().signal(kind, Meant::any(kind)) == Ok(Fast::EnterDriver) {
            self.gate.wake();
        }
    }

    /// A wait of ring 3: the word itself, and the driver only to sleep.
    fn wait(&self, wait: Wait) -> Result<(), Status> {
        let kind = self.gate.kind();
        match self.word().try_take(kind, Meant::any(kind)) {
            Ok(Fast::Done) => Ok(()),
            _ => self.gate.wait(self.word(), wait),
        }
    }
}

fn spawn<R: 'static>(model: &Arc<Model>, run: impl FnOnce(&Model) -> R + 'static) -> Handle<R> {
    let model = model.clone();
    thread::spawn(move || run(&model))
}

type Handle<R> = thread::JoinHandle<R>;

#[test]
fn loom_signal_is_never_lost() {
    loom::model(|| {
        let model = Model::new(Event);
        let waiter = spawn(&model, |model| model.wait(FOR_EVER));
        model.signal();
        assert_eq!(waiter.join().unwrap(), Ok(()));
    });
}

#[test]
fn loom_what_was_written_before_a_signal_is_seen_after_the_wait() {
    loom::model(|| {
        let model = Model::new(Event);
        let data = Arc::new(loom::cell::Cell::new(0));
        let seen = data.clone();
        let waiter = spawn(&model, move |model| {
            model.wait(FOR_EVER).unwrap();
            seen.get()
        });
        data.set(7);
        model.signal();
        assert_eq!(waiter.join().unwrap(), 7);
    });
}

#[test]
fn loom_two_signals_release_two_waiters_one_after_the_other() {
    loom::model(|| {
        let model = Model::new(Event);
        let first = spawn(&model, |model| model.wait(FOR_EVER));
        model.signal();
        assert_eq!(first.join().unwrap(), Ok(()));
        let second = spawn(&model, |model| model.wait(FOR_EVER));
        model.signal();
        assert_eq!(second.join().unwrap(), Ok(()));
    });
}

#[test]
fn loom_one_signal_releases_exactly_one_of_two() {
    loom::model(|| {
        let model = Model::new(Event);
        let waiters = [
            spawn(&model, |model| model.wait(FOR_A_WHILE)),
            spawn(&model, |model| model.wait(FOR_A_WHILE)),
        ];
        model.signal();
        let taken = waiters.map(|waiter| u32::from(waiter.join().unwrap().is_ok()));
        // Nobody may have taken it: then it is still there.
        let left = u32::from(model.wait(FOR_A_WHILE).is_ok());
        assert_eq!(taken.iter().sum::<u32>() + left, 1);
    });
}

#[test]
fn loom_manual_reset_releases_the_sleepers_even_if_reset_follows() {
    loom::model(|| {
        let model = Model::new(EventMulti);
        // In the queue before the signal: as the driver sees it, after announcing.
        let generation = model.word().announce_waiter();
        let waiter = spawn(&model, move |model| {
            let passed = || model.word().has_passed(generation).then_some(());
            model.gate.queue.wait(FOR_EVER, passed)
        });
        model.signal();
        model.word().reset(Meant::any(EventMulti)).unwrap();
        assert_eq!(waiter.join().unwrap(), Ok(()));
    });
}

#[test]
fn loom_manual_reset_releases_two() {
    loom::model(|| {
        let model = Model::new(EventMulti);
        let waiter = spawn(&model, |model| model.wait(FOR_EVER));
        let other = spawn(&model, |model| model.wait(FOR_EVER));
        model.signal();
        assert_eq!(waiter.join().unwrap(), Ok(()));
        assert_eq!(other.join().unwrap(), Ok(()));
    });
}

#[test]
fn loom_close_wakes_a_waiter() {
    for kind in [Event, EventMulti] {
        loom::model(move || {
            let model = Model::new(kind);
            let waiter = spawn(&model, |model| model.gate.wait(model.word(), FOR_EVER));
            model.gate.destroy(model.word());
            assert_eq!(waiter.join().unwrap(), Err(Status::VERR_SEM_DESTROYED));
        });
    }
}

#[test]
fn loom_waiter_of_a_closed_semaphore_takes_nothing_of_the_words_next_owner() {
    loom::model(|| {
        let model = Model::new(Event);
        let waiter = spawn(&model, |model| model.gate.wait(model.word(), FOR_EVER));
        model.gate.destroy(model.word());
        let next = Gate::<LoomCount, LoomQueue>::open(model.word(), Event);
        next.signal(model.word());
        assert_eq!(waiter.join().unwrap(), Err(Status::VERR_SEM_DESTROYED));
        assert_eq!(next.wait(model.word(), FOR_A_WHILE), Ok(()), "its signal is still there");
    });
}
