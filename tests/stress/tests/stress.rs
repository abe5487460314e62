//! Sixty-four threads and exact counts: every signal releases what it has to, no less and no more.
//!
//! A lost wake-up leaves everybody asleep, and the watchdog ends the test. A doubled one shows in a
//! count. Each test carries out about [`operations`] signals and waits.

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::thread::{sleep, yield_now};
use std::time::Duration;

use sup::{EventSemaphore, Session, Status, Timeout, WaitError};
use sup_abi::request::SemaphoreKind::{self, Event, EventMulti};
use sup_core::semaphore::word::{Fast, Meant, StateWord};
use sup_stress::{Call, Dice, Limit, Raw, Tid, Way, What, catch_pokes, crowd, operations, watched};

const THREADS: u64 = 64;

/// A count of what happened, for checks and for the watchdog's eye.
///
/// Relaxed: the semaphores order what is counted, and totals are read after the join.
#[derive(Debug, Default)]
struct Count(AtomicU64);

impl Count {
    fn add(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number with no protection of its own.
#[derive(Default)]
struct Unprotected(UnsafeCell<u64>);

// SAFETY: the only thread that touches the number is the one that took the baton's signal, which is
// what the test is about. If two did, the count would be wrong, and ThreadSanitizer would say so.
unsafe impl Sync for Unprotected {}

/// An event as a lock: one signal is passed on, and whoever takes it is alone. The fast path takes it
/// from sleepers that were woken for it, who then must sleep again.
#[test]
fn baton_admits_one_at_a_time() {
    let rounds = operations() / 2 / THREADS;
    let baton = Session::open().unwrap().event().unwrap();
    let (number, passes) = (Unprotected::default(), Count::default());
    let number = &number;
    baton.signal().unwrap();
    let work = |thread| {
        let mut dice = Dice::new(thread);
        for _ in 0..rounds {
            assert_eq!(baton.wait(Timeout::Never), Ok(()));
            // SAFETY: see `Unprotected`: this thread has the baton.
            unsafe { *number.0.get() += 1 };
            passes.add();
            if dice.roll(8) == 0 {
                // So that the others come, and sleep.
                yield_now();
            }
            baton.signal().unwrap();
        }
    };
    watched(|| format!("{passes:?} of {rounds} x {THREADS}, {baton:?}"), || crowd(THREADS, work));
    // SAFETY: the threads are joined.
    assert_eq!(unsafe { *number.0.get() }, rounds * THREADS);
    assert_eq!(baton.wait(Timeout::Poll), Ok(()));
    assert_eq!(baton.wait(Timeout::Poll), Err(WaitError::TimedOut));
}

/// Eight rings of eight threads. In each one token goes round, and all but its holder sleep: each signal
/// releases exactly one wait, and each wait has exactly one signal.
#[test]
fn tokens_go_round_without_loss() {
    const RING: u64 = 8;
    let laps = operations() / 2 / THREADS;
    let session = Session::open().unwrap();
    let seats: Vec<EventSemaphore> = (0..THREADS).map(|_| session.event().unwrap()).collect();
    let passes: Vec<Count> = seats.iter().map(|_| Count::default()).collect();
    let work = |number: u64| {
        let (ring, seat) = (number / RING * RING, number % RING);
        let next = &seats[(ring + (seat + 1) % RING) as usize];
        for _ in 0..laps {
            assert_eq!(seats[number as usize].wait(Timeout::Never), Ok(()));
            let mine = passes[number as usize].add();
            // The neighbour got the token as often as this thread, but for the lap that is under way.
            assert_eq!(
                passes[(ring + (seat + 1) % RING) as usize].get(),
                mine - u64::from(seat != RING - 1)
            );
            next.signal().unwrap();
        }
    };
    for first in seats.iter().step_by(RING as usize) {
        first.signal().unwrap();
    }
    watched(|| format!("laps of {laps}: {passes:?}"), || crowd(THREADS, work));
    assert!(passes.iter().all(|passes| passes.get() == laps));
    for (number, seat) in (0..).zip(&seats) {
        let left = if number % RING == 0 { Ok(()) } else { Err(WaitError::TimedOut) };
        assert_eq!(seat.wait(Timeout::Poll), left, "seat {number}");
    }
}

/// How the waits of a pool ended.
#[derive(Debug, Default)]
struct Ends {
    taken: Count,
    timed_out: Count,
    interrupted: Count,
}

/// Signals race with timeouts and POSIX signals: each signal is taken by exactly one of 62 waits that
/// poll, time out soon, are interrupted, or would wait for ever. A signal that a leaving thread swallowed
/// would leave the producer without its answer.
#[test]
fn no_signal_is_swallowed_by_a_timeout_or_an_interrupt() {
    const TAKERS: u64 = THREADS - 2;
    const EACH_END: u64 = 100;
    let (wanted, most) = (operations(), 10 * operations() + 1_000_000);
    catch_pokes();
    let session = Session::open().unwrap();
    let (work, answer) = (session.event().unwrap(), session.event().unwrap());
    let (ends, signals, is_over) = (Ends::default(), Count::default(), AtomicBool::new(false));
    let tids = [const { AtomicI32::new(0) }; TAKERS as usize];
    let is_enough = || {
        let (out, hit) = (ends.timed_out.get(), ends.interrupted.get());
        out.min(hit) >= EACH_END && signals.get() * 2 + ends.taken.get() * 2 + out + hit >= wanted
    };
    let take = |number: u64| {
        // Relaxed: it is a number and nothing else.
        tids[number as usize].store(Tid::current().0, Ordering::Relaxed);
        let mut dice = Dice::new(number);
        // Acquire: pairs with the release below.
        while !is_over.load(Ordering::Acquire) {
            let timeout = match dice.roll(8) {
                0 => Timeout::Poll,
                1..4 => Timeout::After(Duration::from_nanos(dice.roll(300_000))),
                _ => Timeout::Never,
            };
            match work.wait(timeout) {
                Ok(()) if is_over.load(Ordering::Acquire) => {
                    // The last signal goes from one to the next, until all have left.
                    work.signal().unwrap();
                    break;
                }
                Ok(()) => {
                    assert_eq!(ends.taken.add(), signals.get(), "waits that signals released");
                    answer.signal().unwrap();
                }
                Err(WaitError::TimedOut) if timeout == Timeout::Poll => yield_now(),
                Err(WaitError::TimedOut) => _ = ends.timed_out.add(),
                Err(WaitError::Interrupted) => _ = ends.interrupted.add(),
                Err(error) => panic!("{error}"),
            }
        }
    };
    let produce = || {
        while !is_enough() {
            assert!(signals.add() < most, "waits do not end in every way: {ends:?}");
            work.signal().unwrap();
            assert_eq!(answer.wait(Timeout::Never), Ok(()));
        }
        is_over.store(true, Ordering::Release);
        work.signal().unwrap();
    };
    let disturb = || {
        let mut dice = Dice::new(THREADS);
        while !is_over.load(Ordering::Acquire) {
            let victim = &tids[dice.roll(TAKERS) as usize];
            Tid(victim.load(Ordering::Relaxed)).poke();
            sleep(Duration::from_micros(dice.roll(100)));
        }
    };
    watched(
        // Timeouts and interrupts go on whatever happens, and are no progress.
        || format!("{signals:?}, taken: {:?}, over: {is_over:?}", ends.taken),
        || {
            crowd(THREADS, |number| match number {
                0..TAKERS => take(number),
                TAKERS => produce(),
                _ => disturb(),
            })
        },
    );
    assert_eq!(ends.taken.get(), signals.get());
    assert_eq!(answer.wait(Timeout::Poll), Err(WaitError::TimedOut));
    // The last signal that went round is left, once.
    assert_eq!(work.wait(Timeout::Poll), Ok(()));
    assert_eq!(work.wait(Timeout::Poll), Err(WaitError::TimedOut));
}

/// Two manual-reset events as the gates of a barrier: a signal releases all 64 threads, those that sleep
/// and those that come later, and nobody passes a gate before all have come to it.
#[test]
fn gates_release_everybody() {
    let rounds = operations() / THREADS;
    let session = Session::open().unwrap();
    let gates = [session.manual_reset_event().unwrap(), session.manual_reset_event().unwrap()];
    let (arrived, passed) = (Count::default(), Count::default());
    let work = |_| {
        for round in 1..=rounds {
            let gate = &gates[(round % 2) as usize];
            if arrived.add() == round * THREADS {
                // All have passed the other gate, because all are here.
                gates[(round as usize + 1) % 2].reset().unwrap();
                gate.signal().unwrap();
            }
            assert_eq!(gate.wait(Timeout::Never), Ok(()));
            assert!(arrived.get() >= round * THREADS, "somebody passed before all had come");
            passed.add();
        }
    };
    watched(
        || format!("{rounds} rounds, {arrived:?}, {passed:?}, {gates:?}"),
        || crowd(THREADS, work),
    );
    assert_eq!(passed.get(), rounds * THREADS);
}

/// A signal with a reset at once releases who was waiting. The state word tells the signaller whether
/// somebody was; if so, nothing else is done for that wait.
#[test]
fn pulse_releases_who_was_waiting() {
    const PAIRS: usize = THREADS as usize / 2;
    const MEANT: Meant = Meant::any(EventMulti);
    let rounds = operations() / 3 / PAIRS as u64;
    let raw = Raw::open();
    let call = |handle, what| {
        raw.call(handle, Call { kind: EventMulti, what }, Way::Request, Limit::Never)
    };
    let handles: Vec<u32> = (0..PAIRS).map(|_| raw.create(EventMulti)).collect();
    let (passed, pulsed) = ([const { AtomicU64::new(0) }; PAIRS], Count::default());
    let wait = |pair: usize| {
        for round in 1..=rounds {
            assert_eq!(call(handles[pair], What::Wait), Status::VINF_SUCCESS);
            // Release: pairs with the acquire of the other. The wait's mark in the word is gone.
            passed[pair].store(round, Ordering::Release);
        }
    };
    let pulse = |word: StateWord<'_>| {
        let found = word.signal(EventMulti, MEANT).unwrap();
        word.reset(MEANT).unwrap();
        found
    };
    let signal = |pair: usize| {
        for round in 1..=rounds {
            let has_passed = || passed[pair].load(Ordering::Acquire) >= round;
            while !has_passed() {
                if raw.with_word(handles[pair], pulse) == Some(Fast::EnterDriver) {
                    pulsed.add();
                    assert_eq!(call(handles[pair], What::Wake), Status::VINF_SUCCESS);
                    while !has_passed() {
                        yield_now();
                    }
                }
                yield_now();
            }
        }
    };
    watched(
        || format!("{pulsed:?}, rounds of {rounds}: {passed:?}"),
        || {
            crowd(THREADS, |number| {
                let pair = number as usize / 2;
                if number % 2 == 0 { wait(pair) } else { signal(pair) }
            })
        },
    );
    assert!(pulsed.get() > 0, "nobody was ever found waiting");
    for handle in handles {
        assert_eq!(call(handle, What::Close), Status::VINF_OBJECT_DESTROYED);
    }
}

/// What the waits of one group came to.
#[derive(Debug, Default)]
struct Group {
    /// Handle and kind of the semaphore, the handle in the upper bits.
    current: AtomicU64,
    is_over: AtomicBool,
    calls: Count,
    destroyed: Count,
    event_signals: Count,
    event_waits: Count,
}

impl Group {
    fn publish(&self, handle: u32, kind: SemaphoreKind) {
        // Release: pairs with the acquire in `current`.
        self.current
            .store(u64::from(handle) << 1 | u64::from(kind == EventMulti), Ordering::Release);
    }

    fn current(&self) -> (u32, SemaphoreKind) {
        let current = self.current.load(Ordering::Acquire);
        ((current >> 1) as u32, if current & 1 == 0 { Event } else { EventMulti })
    }
}

/// Semaphores are closed in the middle of waits, and their numbers used again by others of either kind:
/// every wait ends, and no semaphore's signals reach another's waits.
#[test]
fn closing_ends_every_wait() {
    const GROUP: u64 = 8;
    const GROUPS: u64 = THREADS / GROUP;
    let share = operations() / GROUPS;
    let raws: Vec<Raw> = (0..GROUPS).map(|_| Raw::open()).collect();
    let groups: Vec<Group> = raws.iter().map(|_| Group::default()).collect();
    let work = |number: u64| {
        let (raw, group) = (&raws[(number / GROUP) as usize], &groups[(number / GROUP) as usize]);
        match number % GROUP {
            0 => open_and_close(raw, group, share),
            _ => wait_and_see(raw, group, number),
        }
    };
    // Semaphores come and go whatever happens: only waits that end are progress.
    let ended = |group: &Group| (group.event_waits.get(), group.destroyed.get());
    let state = || format!("{:?}", groups.iter().map(ended).collect::<Vec<_>>());
    watched(state, || crowd(THREADS, work));
    for (raw, group) in raws.iter().zip(&groups) {
        assert_eq!(raw.open_handles(), 0);
        assert!(group.event_waits.get() <= group.event_signals.get(), "{group:?}");
    }
}

/// Until enough waits were destroyed.
fn open_and_close(raw: &Raw, group: &Group, share: u64) {
    let mut dice = Dice::new(share);
    while group.calls.get() < share || group.destroyed.get() < share / 64 {
        let kind = if dice.roll(2) == 0 { Event } else { EventMulti };
        let handle = raw.create(kind);
        let call = |what| raw.call(handle, Call { kind, what }, Way::Fast, Limit::Never);
        group.publish(handle, kind);
        for _ in 0..dice.roll(4) {
            yield_now();
            if dice.roll(4) == 0 {
                group.calls.add();
                if kind == Event {
                    group.event_signals.add();
                }
                assert_eq!(call(What::Signal), Status::VINF_SUCCESS);
            }
        }
        group.calls.add();
        let status = call(What::Close);
        assert!(
            [Status::VINF_SUCCESS, Status::VINF_OBJECT_DESTROYED].contains(&status),
            "{status}"
        );
        assert_eq!(call(What::Close), Status::VERR_INVALID_HANDLE);
    }
    // Release: pairs with the acquire of those who wait.
    group.is_over.store(true, Ordering::Release);
}

/// Until there is nothing to wait for any more.
fn wait_and_see(raw: &Raw, group: &Group, number: u64) {
    let mut dice = Dice::new(number);
    while !group.is_over.load(Ordering::Acquire) {
        let (handle, kind) = group.current();
        let limit = match dice.roll(4) {
            0 => Limit::Nanos(dice.roll(100_000)),
            _ => Limit::Never,
        };
        match raw.call(handle, Call { kind, what: What::Wait }, Way::Request, limit) {
            Status::VINF_SUCCESS => {
                group.calls.add();
                if kind == Event {
                    group.event_waits.add();
                }
            }
            Status::VERR_SEM_DESTROYED => {
                group.calls.add();
                group.destroyed.add();
            }
            Status::VERR_TIMEOUT if limit != Limit::Never => _ = group.calls.add(),
            Status::VERR_INVALID_HANDLE => yield_now(),
            status => panic!("{kind:?} {handle}, {limit:?}: {status}"),
        }
    }
}
