//! Event semaphores with threads asleep on them. Every wait has an end, so that a failure does too.

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::scope;
use std::time::{Duration, Instant};

use sup::{Status, Timeout, WaitError};
use sup_abi::request::{SemaphoreKind, SemaphoreOperation};

use super::semaphores::{KINDS, leave_numbers, monotonic_ns};
use crate::backend::Backend;
use crate::case::{Verdict, cases, check, same};
use crate::client::Client;
use crate::probe::{OWN, PROBE, PROBE_HANDLER, Probe, op, probe_request};
use crate::process::child;
use crate::threads::{PATIENCE, PATIENCE_NS, QuietSignal, Sleeper};

use SemaphoreKind::{Event, EventMulti};
use SemaphoreOperation::{Close, Reset, Signal, WaitDeadline, WaitMillis, WaitNanos};

cases! { Waits {
    signal_ends_a_wait:
        "A signal ends a wait that sleeps, whatever way the wait was asked for (spec 3.5).",
    one_signal_releases_one_of_many:
        "One signal of an event releases exactly one of several waiters (spec 3.7).",
    one_signal_releases_all: "One signal of a manual-reset event releases every waiter (spec 3.4).",
    reset_does_not_hold_who_waited_before:
        "A signal releases the present waiters even if a reset follows at once (spec 3.4).",
    who_comes_after_the_reset_waits:
        "A wait that begins after the reset is not released by the signal before it (spec 3.4).",
    ring_zero_signal_ends_a_wait:
        "A signal from ring 0 ends a wait of ring 3, and the other way round (spec 3.1).",
    library_signal_ends_a_wait: "The library's fast path wakes who sleeps (spec 3.7).",
    posix_signal_interrupts:
        "A POSIX signal ends a wait with VERR_INTERRUPTED, and the semaphore stays usable (spec \
         3.5).",
    posix_signal_interrupts_despite_sa_restart:
        "A handler that restarts system calls does not restart a wait (spec 3.5).",
    ring_zero_wait_is_not_interrupted:
        "SUPSemEventWait goes on when a POSIX signal comes in (spec 3.5).",
    close_ends_waits:
        "Closing wakes the waiters with VERR_SEM_DESTROYED, and answers VINF_SUCCESS because of them \
         (spec 3.3).",
    library_wait_ends_when_ring_zero_closes:
        "A wait of the library says that its semaphore was closed behind its back (spec 3.3).",
    closed_number_is_free_for_others:
        "A waiter of a closed semaphore does not touch the next one with its number (spec 3.3).",
    child_process_does_not_disturb:
        "Starting another program leaves the waits of this one alone (spec 3.9).",
    process_can_die_asleep:
        "A process that exits with twenty threads asleep is gone at once (spec 3.9).",
    no_signal_is_lost:
        "Two threads that pass an event back and forth never miss a signal (spec 3.7).",
    timeouts_swallow_no_signal:
        "A signal is taken by a wait or stays, however short the waits are (spec 3.7).",
    forever_means_forever:
        "All ones in any unit, and sums that overflow, wait without a deadline (spec 3.5).",
}}

const OK: Status = Status::VINF_SUCCESS;

/// Starts `count` threads that wait, and returns when all are asleep.
fn asleep<'scope, 'env>(
    scope: &'scope std::thread::Scope<'scope, 'env>,
    client: &'env Client,
    kind: SemaphoreKind,
    handle: u32,
    count: usize,
) -> Verdict<Vec<Sleeper<'scope, Verdict<Status>>>> {
    (0..count)
        .map(|_| {
            let wait = move || client.operate(kind, handle, WaitNanos, PATIENCE_NS);
            let sleeper = Sleeper::start(scope, wait)?;
            sleeper.wait_until_asleep()?;
            Ok(sleeper)
        })
        .collect()
}

fn signal_ends_a_wait(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    for kind in KINDS {
        let handle = client.create(kind)?;
        for (operation, timeout) in [
            (WaitMillis, PATIENCE.as_millis() as u64),
            (WaitNanos, PATIENCE_NS),
            (WaitDeadline, monotonic_ns() + PATIENCE_NS),
        ] {
            scope(|scope| {
                let wait = || client.operate(kind, handle, operation, timeout);
                let sleeper = Sleeper::start(scope, wait)?;
                sleeper.wait_until_asleep()?;
                same!(client.operate(kind, handle, Signal, 0)?, OK);
                same!(sleeper.join()??, OK, "{kind:?}, {operation:?}");
                Verdict::Ok(())
            })?;
            if kind == EventMulti {
                same!(client.operate(kind, handle, Reset, 0)?, OK);
            }
            same!(client.operate(kind, handle, WaitNanos, 0)?, Status::VERR_TIMEOUT);
        }
    }
    Ok(())
}

fn one_signal_releases_one_of_many(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let event = client.create(Event)?;
    scope(|scope| {
        let mut sleepers = asleep(scope, &client, Event, event, 4)?;
        while !sleepers.is_empty() {
            same!(client.operate(Event, event, Signal, 0)?, OK);
            let end = Instant::now() + PATIENCE;
            while !sleepers.iter().any(Sleeper::is_over) && Instant::now() < end {
                std::thread::yield_now();
            }
            std::thread::sleep(Duration::from_millis(10));
            let (over, rest): (Vec<_>, Vec<_>) = sleepers.into_iter().partition(Sleeper::is_over);
            same!(over.len(), 1, "waits that one signal released");
            for sleeper in over {
                same!(sleeper.join()??, OK);
            }
            sleepers = rest;
        }
        Ok(())
    })
}

fn one_signal_releases_all(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let event = client.create(EventMulti)?;
    scope(|scope| {
        let sleepers = asleep(scope, &client, EventMulti, event, 4)?;
        same!(client.operate(EventMulti, event, Signal, 0)?, OK);
        for sleeper in sleepers {
            same!(sleeper.join()??, OK);
        }
        Ok(())
    })
}

fn reset_does_not_hold_who_waited_before(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let event = client.create(EventMulti)?;
    for _ in 0..10 {
        scope(|scope| {
            let sleepers = asleep(scope, &client, EventMulti, event, 3)?;
            same!(client.operate(EventMulti, event, Signal, 0)?, OK);
            same!(client.operate(EventMulti, event, Reset, 0)?, OK);
            for sleeper in sleepers {
                same!(sleeper.join()??, OK);
            }
            Verdict::Ok(())
        })?;
    }
    Ok(())
}

fn who_comes_after_the_reset_waits(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let event = client.create(EventMulti)?;
    for operation in [Signal, Reset] {
        same!(client.operate(EventMulti, event, operation, 0)?, OK);
    }
    same!(client.operate(EventMulti, event, WaitMillis, 20)?, Status::VERR_TIMEOUT);
    Ok(())
}

fn ring_zero_signal_ends_a_wait(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let probe = Probe::load(&client)?;
    for (kind, signal, wait) in [(Event, 2, 3), (EventMulti, 12, 13)] {
        let handle = client.create(kind)?;
        let numbers = [OWN, wait, handle.into(), PATIENCE.as_millis() as u64];
        scope(|scope| {
            for sleeper in asleep(scope, &client, kind, handle, 1)? {
                same!(probe.status(op::SEMAPHORE, &[OWN, signal, handle.into()])?, OK);
                same!(sleeper.join()??, OK);
            }
            if kind == EventMulti {
                same!(client.operate(kind, handle, Reset, 0)?, OK);
            }
            let sleeper = Sleeper::start(scope, || probe.status(op::SEMAPHORE, &numbers))?;
            sleeper.wait_until_asleep()?;
            same!(client.operate(kind, handle, Signal, 0)?, OK);
            same!(sleeper.join()??, OK);
            Verdict::Ok(())
        })?;
    }
    Ok(())
}

fn library_signal_ends_a_wait(backend: &dyn Backend) -> Verdict {
    let session = backend.open()?;
    let (event, manual) = (session.event()?, session.manual_reset_event()?);
    for timeout in [Timeout::After(PATIENCE), Timeout::Deadline(monotonic_ns() + PATIENCE_NS)] {
        scope(|scope| {
            let on_event = Sleeper::start(scope, || event.wait(timeout))?;
            let on_manual = Sleeper::start(scope, || manual.wait(timeout))?;
            on_event.wait_until_asleep()?;
            on_manual.wait_until_asleep()?;
            event.signal()?;
            manual.signal()?;
            same!((on_event.join()?, on_manual.join()?), (Ok(()), Ok(())));
            manual.reset()?;
            Verdict::Ok(())
        })?;
    }
    same!(event.wait(Timeout::Millis(1)), Err(WaitError::TimedOut));
    Ok(())
}

/// Waits of every kind are interrupted, while SIGUSR1 has a handler with these flags.
fn interrupts(backend: &dyn Backend, flags: libc::c_int) -> Verdict {
    let _handler = QuietSignal::install(flags);
    let client = Client::connect(backend)?;
    for kind in KINDS {
        let handle = client.create(kind)?;
        for (operation, timeout) in [
            (WaitMillis, 120_000),
            (WaitMillis, u32::MAX.into()),
            (WaitNanos, PATIENCE_NS),
            (WaitNanos, u64::MAX),
            (WaitDeadline, monotonic_ns() + PATIENCE_NS),
            (WaitDeadline, u64::MAX),
        ] {
            scope(|scope| {
                let wait = || client.operate(kind, handle, operation, timeout);
                let sleeper = Sleeper::start(scope, wait)?;
                sleeper.wait_until_asleep()?;
                if !sleeper.poke_until_over() {
                    // Ends a wait that no signal does.
                    same!(client.operate(kind, handle, Signal, 0)?, OK);
                }
                let status = sleeper.join()??;
                same!(status, Status::VERR_INTERRUPTED, "{kind:?}, {operation:?} {timeout:#x}");
                Verdict::Ok(())
            })?;
        }
        same!(client.operate(kind, handle, WaitNanos, 0)?, Status::VERR_TIMEOUT);
        same!(client.operate(kind, handle, Signal, 0)?, OK);
        same!(client.operate(kind, handle, WaitNanos, 0)?, OK);
        same!(client.operate(kind, handle, Close, 0)?, Status::VINF_OBJECT_DESTROYED);
    }
    Ok(())
}

fn posix_signal_interrupts(backend: &dyn Backend) -> Verdict {
    interrupts(backend, 0)
}

fn posix_signal_interrupts_despite_sa_restart(backend: &dyn Backend) -> Verdict {
    interrupts(backend, libc::SA_RESTART)
}

fn ring_zero_wait_is_not_interrupted(backend: &dyn Backend) -> Verdict {
    let _handler = QuietSignal::install(0);
    let client = Client::connect(backend)?;
    let probe = Probe::load(&client)?;
    let handle = client.create(Event)?;
    let numbers = [OWN, 3, handle.into(), u32::MAX.into()];
    scope(|scope| {
        let sleeper = Sleeper::start(scope, || probe.status(op::SEMAPHORE, &numbers))?;
        sleeper.wait_until_asleep()?;
        for _ in 0..5 {
            sleeper.poke();
            std::thread::sleep(Duration::from_millis(2));
        }
        check!(!sleeper.is_over(), "the wait ended");
        same!(client.operate(Event, handle, Signal, 0)?, OK);
        same!(sleeper.join()??, OK);
        Ok(())
    })
}

fn close_ends_waits(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    for kind in KINDS {
        let handle = client.create(kind)?;
        scope(|scope| {
            let sleepers = asleep(scope, &client, kind, handle, 3)?;
            same!(client.operate(kind, handle, Close, 0)?, OK, "others are inside");
            same!(client.operate(kind, handle, Close, 0)?, Status::VERR_INVALID_HANDLE);
            for sleeper in sleepers {
                same!(sleeper.join()??, Status::VERR_SEM_DESTROYED, "{kind:?}");
            }
            Verdict::Ok(())
        })?;
    }
    same!(client.statistics()?.session.handles, 0);
    Ok(())
}

fn library_wait_ends_when_ring_zero_closes(backend: &dyn Backend) -> Verdict {
    let session = backend.open()?;
    let probe = session.load_service_image(
        &sup_test_key::signed(PROBE, "probe"),
        "probe",
        PROBE_HANDLER,
    )?;
    let event = session.event()?;
    let request = probe_request([OWN, 1, event.handle().into()]);
    scope(|scope| {
        let sleeper = Sleeper::start(scope, || event.wait(Timeout::After(PATIENCE)))?;
        sleeper.wait_until_asleep()?;
        check!(probe.call_with(op::SEMAPHORE, 0, &mut request.clone()[..])?.is_success());
        same!(sleeper.join()?, Err(WaitError::Destroyed));
        Ok(())
    })
}

fn closed_number_is_free_for_others(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    // One number is left, so that the next semaphore has the same one.
    leave_numbers(&client, 1)?;
    for kind in KINDS {
        for _ in 0..50 {
            let handle = client.create(kind)?;
            scope(|scope| {
                let sleepers = asleep(scope, &client, kind, handle, 1)?;
                same!(client.operate(kind, handle, Close, 0)?, OK, "another one is inside");
                let next = client.create(kind)?;
                same!(next, handle);
                same!(client.operate(kind, next, Signal, 0)?, OK);
                for sleeper in sleepers {
                    same!(sleeper.join()??, Status::VERR_SEM_DESTROYED);
                }
                same!(client.operate(kind, next, WaitNanos, 0)?, OK, "the next one's signal");
                same!(client.operate(kind, next, Close, 0)?, Status::VINF_OBJECT_DESTROYED);
                Verdict::Ok(())
            })?;
        }
    }
    Ok(())
}

fn child_process_does_not_disturb(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let (event, manual) = (client.create(Event)?, client.create(EventMulti)?);
    scope(|scope| {
        let mut sleepers = asleep(scope, &client, Event, event, 1)?;
        sleepers.extend(asleep(scope, &client, EventMulti, manual, 2)?);
        child(backend, "nothing")?;
        check!(!sleepers.iter().any(Sleeper::is_over), "a wait ended");
        same!(client.operate(Event, event, Signal, 0)?, OK);
        same!(client.operate(EventMulti, manual, Signal, 0)?, OK);
        for sleeper in sleepers {
            same!(sleeper.join()??, OK);
        }
        same!(client.operate(Event, event, Close, 0)?, Status::VINF_OBJECT_DESTROYED);
        same!(client.operate(EventMulti, manual, Close, 0)?, Status::VINF_OBJECT_DESTROYED);
        Ok(())
    })
}

fn process_can_die_asleep(backend: &dyn Backend) -> Verdict {
    (0..4).try_for_each(|_| child(backend, "die-asleep"))
}

fn no_signal_is_lost(backend: &dyn Backend) -> Verdict {
    const ROUNDS: u32 = 3000;
    let session = backend.open()?;
    let (ping, pong) = (session.event()?, session.event()?);
    let patience = Timeout::After(PATIENCE);
    scope(|scope| {
        let other = scope.spawn(|| -> Verdict {
            for _ in 0..ROUNDS {
                ping.wait(patience)?;
                pong.signal()?;
            }
            Ok(())
        });
        for _ in 0..ROUNDS {
            ping.signal()?;
            pong.wait(patience)?;
        }
        other.join().map_err(|_| crate::case::Stop::failed("the thread panicked"))?
    })
}

fn timeouts_swallow_no_signal(backend: &dyn Backend) -> Verdict {
    const SIGNALS: u32 = 300;
    let client = Client::connect(backend)?;
    let event = client.create(Event)?;
    let taken = AtomicU32::new(0);
    scope(|scope| {
        let takers: Vec<_> = (0..3_u64)
            .map(|number| {
                let (client, taken) = (&client, &taken);
                scope.spawn(move || -> Verdict {
                    let end = Instant::now() + PATIENCE;
                    while taken.load(Ordering::SeqCst) < SIGNALS && Instant::now() < end {
                        match client.operate(Event, event, WaitNanos, 20_000 * (number + 1))? {
                            OK => {
                                taken.fetch_add(1, Ordering::SeqCst);
                            }
                            status => same!(status, Status::VERR_TIMEOUT),
                        }
                    }
                    Ok(())
                })
            })
            .collect();
        for number in 1..=SIGNALS {
            same!(client.operate(Event, event, Signal, 0)?, OK);
            let end = Instant::now() + PATIENCE;
            while taken.load(Ordering::SeqCst) < number && Instant::now() < end {
                std::thread::yield_now();
            }
            same!(taken.load(Ordering::SeqCst), number, "waits that took a signal");
        }
        takers.into_iter().try_for_each(|taker| {
            taker.join().map_err(|_| crate::case::Stop::failed("a thread panicked"))?
        })
    })
}

fn forever_means_forever(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    for (operation, timeout) in [
        (WaitMillis, u64::from(u32::MAX)),
        (WaitMillis, 1 << 32),
        (WaitNanos, u64::MAX),
        (WaitNanos, u64::MAX - 1),
        (WaitDeadline, u64::MAX),
    ] {
        let event = client.create(Event)?;
        scope(|scope| {
            let wait = || client.operate(Event, event, operation, timeout);
            let sleeper = Sleeper::start(scope, wait)?;
            let is_asleep = sleeper.wait_until_asleep();
            same!(client.operate(Event, event, Signal, 0)?, OK);
            same!(sleeper.join()??, OK, "{operation:?} {timeout:#x}");
            is_asleep
        })?;
    }
    Ok(())
}
