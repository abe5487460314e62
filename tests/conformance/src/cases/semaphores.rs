//! Event semaphores: handles, signals, resets and polls. Nothing sleeps here for longer than a moment.

use std::time::{Duration, Instant};

use sup::{Status, Timeout, WaitError};
use sup_abi::HANDLES_MAX;
use sup_abi::request::{
    SemaphoreCreate, SemaphoreCreateIn, SemaphoreKind, SemaphoreOp, SemaphoreOpIn,
    SemaphoreOperation, SemaphoreQuery,
};
use sup_core::semaphore::word::{Fast, Meant, NotThatSemaphore, StateWord};

use crate::backend::Backend;
use crate::case::{Verdict, cases, check, same};
use crate::client::Client;
use crate::probe::{OWN, PROBE, PROBE_HANDLER, Probe, op, probe_request};

use SemaphoreKind::{Event, EventMulti};
use SemaphoreOperation::{Close, Reset, Signal, WaitDeadline, WaitMillis, WaitNanos, Wake};

cases! { Semaphores {
    event_life:
        "An event is unsignalled at first, a signal releases one wait, closing destroys it (spec \
         3.9).",
    manual_reset_event_life: "A manual-reset event stays signalled until it is reset (spec 3.9).",
    signals_of_an_event_do_not_add_up: "Two signals of an event release one wait (spec 3.4).",
    signalling_and_resetting_twice_changes_nothing:
        "Signal of a signalled and reset of an unsignalled semaphore succeed (spec 3.4).",
    zero_timeout_polls: "A zero timeout is VERR_TIMEOUT at once, or takes the signal (spec 3.5).",
    past_deadline_polls:
        "A deadline in the past is VERR_TIMEOUT at once, or takes the signal (spec 3.5).",
    waits_are_not_early:
        "An unsignalled wait ends with VERR_TIMEOUT, not before its time (spec 3.5).",
    cannot_use_other_kind: "A handle of one kind is VERR_INVALID_HANDLE to the other (spec 3.1).",
    cannot_use_closed_handle:
        "Every operation on a closed handle is VERR_INVALID_HANDLE (spec 3.9).",
    cannot_use_wild_handle: "A number that is no handle is VERR_INVALID_HANDLE (spec 3.1).",
    nil_can_only_be_closed:
        "Closing NIL succeeds, everything else with it is VERR_INVALID_HANDLE (spec 3.3).",
    cannot_reset_event: "Reset of an event that resets itself is VERR_INVALID_FUNCTION (spec 3.4).",
    cannot_do_unknown_operation:
        "An operation that does not exist is VERR_INVALID_FUNCTION (spec 3.8).",
    handles_belong_to_their_session:
        "The same number means different things in different sessions (spec 3.1).",
    handles_are_reused_first_in_first_out:
        "A closed handle's number comes back after all that were freed before it (spec 3.1).",
    closed_number_is_not_used_at_once:
        "Numbers become free 2048 at a time, and a closed one comes after those (spec 3.1).",
    cannot_open_more_than_32768_handles:
        "The 32769th handle is VERR_NO_MORE_HANDLES, and closing one makes room (spec 3.1).",
    resolution_is_the_same_for_both_kinds:
        "The resolution of waits is a positive number of nanoseconds, one for both kinds (spec \
         3.6).",
    fast_path_and_requests_see_one_state:
        "A signal through the state word satisfies a request, and the other way round (spec 3.7).",
    library_and_ring_zero_see_one_state:
        "The library's semaphore is the one that ring 0 knows by its handle (spec 3.1).",
    cannot_use_stale_state_word:
        "The word of a closed semaphore refuses the fast path, also when the other kind has it \
         now (spec 3.1).",
    spoiled_word_harms_its_own_semaphore_only:
        "Whatever a process writes into a state word, handles and other semaphores stay right \
         (spec 3.7).",
    wake_without_sleepers_does_nothing:
        "Waking an unsignalled semaphore signals nothing (spec 3.7).",
}}

pub(super) const KINDS: [SemaphoreKind; 2] = [Event, EventMulti];
/// How many numbers become free together, when none is left.
const GROWTH: u32 = 2048;
const OPERATIONS: [SemaphoreOperation; 7] =
    [WaitMillis, WaitDeadline, WaitNanos, Signal, Reset, Close, Wake];
const OK: Status = Status::VINF_SUCCESS;
const TIMEOUT: Status = Status::VERR_TIMEOUT;
const NO_HANDLE: Status = Status::VERR_INVALID_HANDLE;

/// Carries operations out one after the other and compares their statuses.
#[track_caller]
fn script(
    client: &Client,
    kind: SemaphoreKind,
    handle: u32,
    steps: &[(SemaphoreOperation, u64, Status)],
) -> Verdict {
    for (number, (operation, timeout, expected)) in steps.iter().enumerate() {
        let status = client.operate(kind, handle, *operation, *timeout)?;
        same!(status, *expected, "{kind:?}, step {number}, {operation:?} {timeout}");
    }
    Ok(())
}

/// Opens handles until `left` of the numbers that are free now remain.
pub(super) fn leave_numbers(client: &Client, left: u32) -> Verdict {
    for number in 1..=GROWTH - left {
        same!(client.create(Event)?, number, "a session without handles");
    }
    Ok(())
}

fn event_life(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let event = client.create(Event)?;
    let steps = [
        (WaitMillis, 0, TIMEOUT),
        (WaitMillis, 20, TIMEOUT),
        (Signal, 0, OK),
        (WaitMillis, 0, OK),
        (WaitMillis, 0, TIMEOUT),
        (Signal, 0, OK),
        (WaitMillis, 20, OK),
        (WaitMillis, 20, TIMEOUT),
        (Close, 0, Status::VINF_OBJECT_DESTROYED),
        (Close, 0, NO_HANDLE),
    ];
    script(&client, Event, event, &steps)
}

fn manual_reset_event_life(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let event = client.create(EventMulti)?;
    let steps = [
        (WaitMillis, 0, TIMEOUT),
        (WaitMillis, 20, TIMEOUT),
        (Signal, 0, OK),
        (WaitMillis, 0, OK),
        (WaitMillis, 0, OK),
        (WaitMillis, 20, OK),
        (Reset, 0, OK),
        (WaitMillis, 0, TIMEOUT),
        (Signal, 0, OK),
        (WaitMillis, 20, OK),
        (Reset, 0, OK),
        (WaitMillis, 20, TIMEOUT),
        (Close, 0, Status::VINF_OBJECT_DESTROYED),
        (Close, 0, NO_HANDLE),
    ];
    script(&client, EventMulti, event, &steps)
}

fn signals_of_an_event_do_not_add_up(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let event = client.create(Event)?;
    let steps = [(Signal, 0, OK), (Signal, 0, OK), (WaitNanos, 0, OK), (WaitNanos, 0, TIMEOUT)];
    script(&client, Event, event, &steps)
}

fn signalling_and_resetting_twice_changes_nothing(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let event = client.create(EventMulti)?;
    let steps = [
        (Reset, 0, OK),
        (WaitNanos, 0, TIMEOUT),
        (Signal, 0, OK),
        (Signal, 0, OK),
        (WaitNanos, 0, OK),
        (Reset, 0, OK),
        (Reset, 0, OK),
        (WaitNanos, 0, TIMEOUT),
    ];
    script(&client, EventMulti, event, &steps)
}

/// Unsignalled, the wait times out at once; signalled, it succeeds.
#[track_caller]
fn polls(client: &Client, operation: SemaphoreOperation, timeout: u64) -> Verdict {
    for kind in KINDS {
        let event = client.create(kind)?;
        let start = Instant::now();
        for _ in 0..10 {
            same!(client.operate(kind, event, operation, timeout)?, TIMEOUT, "{operation:?}");
        }
        check!(start.elapsed() < Duration::from_secs(2), "{operation:?} {timeout} takes time");
        same!(client.operate(kind, event, Signal, 0)?, OK);
        same!(client.operate(kind, event, operation, timeout)?, OK, "{operation:?}, signalled");
    }
    Ok(())
}

fn zero_timeout_polls(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    polls(&client, WaitMillis, 0)?;
    polls(&client, WaitNanos, 0)?;
    let session = backend.open()?;
    let event = session.event()?;
    same!(event.wait(Timeout::Poll), Err(WaitError::TimedOut));
    event.signal()?;
    same!(event.wait(Timeout::Poll), Ok(()));
    Ok(())
}

fn past_deadline_polls(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    polls(&client, WaitDeadline, 0)?;
    polls(&client, WaitDeadline, monotonic_ns() - 1)
}

/// What deadlines are measured by.
pub(super) fn monotonic_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}

fn waits_are_not_early(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    for kind in KINDS {
        let event = client.create(kind)?;
        for micros in [1, 5, 15, 50, 250, 900, 2200] {
            let nanos = micros * 1000;
            let start = monotonic_ns();
            same!(client.operate(kind, event, WaitNanos, nanos)?, TIMEOUT);
            check!(monotonic_ns() >= start + nanos, "{nanos} ns from now were shorter");
            let deadline = monotonic_ns() + nanos;
            same!(client.operate(kind, event, WaitDeadline, deadline)?, TIMEOUT);
            check!(monotonic_ns() >= deadline, "the deadline in {nanos} ns came early");
        }
        for millis in [1, 3, 8] {
            let start = monotonic_ns();
            same!(client.operate(kind, event, WaitMillis, millis)?, TIMEOUT);
            // A host that counts in ticks may be one early.
            let waited = monotonic_ns() - start;
            check!(waited + 10_000_000 >= millis * 1_000_000, "{millis} ms took {waited} ns");
        }
    }
    Ok(())
}

fn cannot_use_other_kind(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    for (kind, other) in [(Event, EventMulti), (EventMulti, Event)] {
        let handle = client.create(kind)?;
        for operation in OPERATIONS.into_iter().filter(|what| (other, *what) != (Event, Reset)) {
            same!(client.operate(other, handle, operation, 0)?, NO_HANDLE, "{operation:?}");
        }
        same!(client.operate(kind, handle, Close, 0)?, Status::VINF_OBJECT_DESTROYED);
    }
    Ok(())
}

fn cannot_use_closed_handle(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    for kind in KINDS {
        let handle = client.create(kind)?;
        script(&client, kind, handle, &[(Close, 0, Status::VINF_OBJECT_DESTROYED)])?;
        for operation in OPERATIONS.into_iter().filter(|what| (kind, *what) != (Event, Reset)) {
            script(&client, kind, handle, &[(operation, 0, NO_HANDLE)])?;
        }
    }
    Ok(())
}

fn cannot_use_wild_handle(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    client.create(Event)?;
    for handle in [2, 513, HANDLES_MAX, HANDLES_MAX + 1, 1 << 31, u32::MAX] {
        for operation in OPERATIONS {
            script(&client, EventMulti, handle, &[(operation, 0, NO_HANDLE)])?;
        }
    }
    Ok(())
}

fn nil_can_only_be_closed(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    for kind in KINDS {
        script(&client, kind, 0, &[(Close, 0, OK), (Close, 0, OK)])?;
        for operation in [WaitMillis, WaitDeadline, WaitNanos, Signal, Wake] {
            script(&client, kind, 0, &[(operation, 0, NO_HANDLE)])?;
        }
    }
    script(&client, EventMulti, 0, &[(Reset, 0, NO_HANDLE)])
}

fn cannot_reset_event(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let event = client.create(Event)?;
    let refused = Status::VERR_INVALID_FUNCTION;
    let steps = [(Signal, 0, OK), (Reset, 0, refused), (WaitNanos, 0, OK)];
    script(&client, Event, event, &steps)
}

fn cannot_do_unknown_operation(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let handle = client.create(Event)?;
    for operation in [7, 8, 0x100, u32::MAX] {
        let input = SemaphoreOpIn { kind: 0, handle, operation, reserved: 0, timeout: 0 };
        same!(client.call::<SemaphoreOp>(&input)?.0, Status::VERR_INVALID_FUNCTION);
    }
    for operation in [2, 3, 0x100, u32::MAX] {
        let input = SemaphoreCreateIn { kind: 0, handle: 0, operation, reserved: 0, reserved2: 0 };
        same!(client.call::<SemaphoreCreate>(&input)?.0, Status::VERR_INVALID_FUNCTION);
    }
    same!(client.statistics()?.session.handles, 1);
    Ok(())
}

fn handles_belong_to_their_session(backend: &dyn Backend) -> Verdict {
    let (first, second) = (Client::connect(backend)?, Client::connect(backend)?);
    let handle = first.create(Event)?;
    same!(second.operate(Event, handle, Signal, 0)?, NO_HANDLE);
    same!(second.create(EventMulti)?, handle, "the first number of a session");
    same!(second.operate(EventMulti, handle, Signal, 0)?, OK);
    same!(first.operate(Event, handle, WaitNanos, 0)?, TIMEOUT);
    same!(second.operate(EventMulti, handle, Close, 0)?, Status::VINF_OBJECT_DESTROYED);
    same!(first.operate(Event, handle, Close, 0)?, Status::VINF_OBJECT_DESTROYED);
    Ok(())
}

fn handles_are_reused_first_in_first_out(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    leave_numbers(&client, 0)?;
    for handle in [5, 2, 7] {
        same!(client.operate(Event, handle, Close, 0)?, Status::VINF_OBJECT_DESTROYED);
    }
    let handles: Verdict<Vec<_>> = (0..4).map(|_| client.create(EventMulti)).collect();
    same!(handles?, [5, 2, 7, GROWTH + 1]);
    // A number that was used again is new: not signalled, and of its new kind.
    same!(client.operate(EventMulti, 5, WaitNanos, 0)?, TIMEOUT);
    same!(client.operate(Event, 5, WaitNanos, 0)?, NO_HANDLE);
    Ok(())
}

fn closed_number_is_not_used_at_once(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    for number in (1..=GROWTH).chain(1..=GROWTH) {
        same!(client.create(Event)?, number);
        same!(client.operate(Event, number, Close, 0)?, Status::VINF_OBJECT_DESTROYED);
    }
    Ok(())
}

fn cannot_open_more_than_32768_handles(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    for number in 1..=HANDLES_MAX {
        same!(client.create(KINDS[number as usize % 2])?, number);
    }
    same!(client.statistics()?.session.handles, u64::from(HANDLES_MAX));
    for kind in KINDS {
        same!(client.try_create(kind)?, Err(Status::VERR_NO_MORE_HANDLES));
    }
    for handle in [HANDLES_MAX, 1] {
        let kind = KINDS[handle as usize % 2];
        same!(client.operate(kind, handle, Close, 0)?, Status::VINF_OBJECT_DESTROYED);
        same!(client.create(Event)?, handle);
        same!(client.try_create(Event)?, Err(Status::VERR_NO_MORE_HANDLES));
    }
    drop(client);
    same!(Client::connect(backend)?.totals()?, [1, 0, 0, 0, 0, 0]);
    Ok(())
}

fn resolution_is_the_same_for_both_kinds(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let resolution = |kind: SemaphoreKind| {
        let (kind, operation) = (kind.into(), SemaphoreQuery::Resolution.into());
        let input = SemaphoreCreateIn { kind, handle: 0, operation, reserved: 0, reserved2: 0 };
        client.get::<SemaphoreCreate>(&input).map(|output| output.value)
    };
    let nanos = resolution(Event)?;
    check!((1..=10_000_000).contains(&nanos), "{nanos} ns");
    same!(resolution(EventMulti)?, nanos);
    same!(backend.open()?.wait_resolution_ns()?, nanos);
    let probe = Probe::load(&client)?;
    for function in [7, 17] {
        same!(probe.status(op::SEMAPHORE, &[OWN, function])?, Status::new(nanos.cast_signed()));
    }
    Ok(())
}

fn fast_path_and_requests_see_one_state(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    for kind in KINDS {
        // The last one has its word in another page.
        let handles: Verdict<Vec<_>> = (0..600).map(|_| client.create(kind)).collect();
        for handle in [handles.as_ref().map_or(0, |all| all[0]), handles.map_or(0, |all| all[599])]
        {
            let take = || {
                client.with_state_word(handle, |word| {
                    StateWord::new(word).try_take(kind, Meant::any(kind))
                })
            };
            let signal = || {
                client.with_state_word(handle, |word| {
                    StateWord::new(word).signal(kind, Meant::any(kind))
                })
            };
            same!(take()?, Ok(Fast::EnterDriver));
            same!(signal()?, Ok(Fast::Done));
            same!(client.operate(kind, handle, WaitNanos, 0)?, OK);
            same!(client.operate(kind, handle, Signal, 0)?, OK);
            same!(take()?, Ok(Fast::Done));
            if kind == EventMulti {
                let reset = client
                    .with_state_word(handle, |word| StateWord::new(word).reset(Meant::any(kind)))?;
                same!(reset, Ok(()));
            }
            same!(client.operate(kind, handle, WaitNanos, 0)?, TIMEOUT);
        }
    }
    Ok(())
}

fn library_and_ring_zero_see_one_state(backend: &dyn Backend) -> Verdict {
    let session = backend.open()?;
    // The service must act in the library's session, so it is loaded there.
    let probe = session.load_service_image(
        &sup_test_key::signed(PROBE, "probe"),
        "probe",
        PROBE_HANDLER,
    )?;
    let ask = |function: u64, handle: u32| -> Verdict<Status> {
        let mut request = probe_request([OWN, function, handle.into()]);
        let result = probe.call_with(op::SEMAPHORE, 0, &mut request[..]);
        Ok(result.unwrap_or_else(|error| error.status()))
    };
    let event = session.event()?;
    let manual = session.manual_reset_event()?;
    event.signal()?;
    same!(ask(3, event.handle())?, OK);
    same!(ask(3, event.handle())?, TIMEOUT);
    same!(ask(2, event.handle())?, OK);
    same!(event.wait(Timeout::Poll), Ok(()));
    same!(ask(12, manual.handle())?, OK);
    same!(manual.wait(Timeout::Poll), Ok(()));
    same!(ask(18, manual.handle())?, OK);
    same!(manual.wait(Timeout::Poll), Err(WaitError::TimedOut));
    // What ring 0 closes, the library's owner finds closed.
    same!(ask(1, event.handle())?, Status::VINF_OBJECT_DESTROYED);
    same!(event.signal().map_err(|error| error.status()), Err(NO_HANDLE));
    same!(event.wait(Timeout::Poll).map_err(|error| error.status()), Err(NO_HANDLE));
    Ok(())
}

fn cannot_use_stale_state_word(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    // One number is left, so that the next semaphore has the same word.
    leave_numbers(&client, 1)?;
    let handle = client.create(Event)?;
    let signal = |kind| {
        client.with_state_word(handle, |word| StateWord::new(word).signal(kind, Meant::any(kind)))
    };
    same!(signal(EventMulti)?, Err(NotThatSemaphore));
    same!(client.operate(Event, handle, Close, 0)?, Status::VINF_OBJECT_DESTROYED);
    same!(signal(Event)?, Err(NotThatSemaphore));
    same!(client.create(EventMulti)?, handle);
    same!(signal(Event)?, Err(NotThatSemaphore));
    same!(client.operate(EventMulti, handle, WaitNanos, 0)?, TIMEOUT);
    same!(signal(EventMulti)?, Ok(Fast::Done));
    Ok(())
}

fn spoiled_word_harms_its_own_semaphore_only(backend: &dyn Backend) -> Verdict {
    use std::sync::atomic::Ordering::SeqCst;
    let client = Client::connect(backend)?;
    leave_numbers(&client, 2)?;
    for kind in KINDS {
        let (victim, neighbour) = (client.create(kind)?, client.create(kind)?);
        for value in [0, u64::MAX, 0x5555_5555_5555_5555, !0x5555_5555_5555_5555, 1, 2, 12] {
            client.with_state_word(victim, |word| word.store(value, SeqCst))?;
            for operation in [WaitNanos, Signal, Wake, WaitDeadline] {
                let status = client.operate(kind, victim, operation, 0)?;
                check!([OK, TIMEOUT].contains(&status), "{operation:?} on {value:#x}: {status}");
            }
        }
        client.with_state_word(victim, |word| word.store(u64::MAX, SeqCst))?;
        script(
            &client,
            kind,
            neighbour,
            &[(WaitNanos, 0, TIMEOUT), (Signal, 0, OK), (WaitNanos, 0, OK)],
        )?;
        let destroyed = Status::VINF_OBJECT_DESTROYED;
        script(&client, kind, victim, &[(Close, 0, destroyed), (Signal, 0, NO_HANDLE)])?;
        client.with_state_word(victim, |word| word.store(u64::MAX, SeqCst))?;
        script(&client, kind, neighbour, &[(Close, 0, destroyed)])?;
        let fresh = client.create(kind)?;
        same!(fresh, victim);
        script(&client, kind, fresh, &[(WaitNanos, 0, TIMEOUT), (Close, 0, destroyed)])?;
    }
    Ok(())
}

fn wake_without_sleepers_does_nothing(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    for kind in KINDS {
        let handle = client.create(kind)?;
        script(&client, kind, handle, &[(Wake, 0, OK), (WaitNanos, 0, TIMEOUT)])?;
    }
    Ok(())
}
