//! A session belongs to an open file: whoever has a descriptor of it has the session, and it ends with the
//! last descriptor and the last running request.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use sup::Status;
use sup_abi::request::{Empty, GetPagingMode};

use crate::check::{Stop, Verdict, check, same, tests};
use crate::device::{Device, Service};
use crate::observer::Observer;
use crate::process::{Child, End};
use crate::wait::{State, this_thread, until};

tests! { "sharing":
    a_duplicate_is_the_same_session,
    a_fork_shares_the_session,
    a_second_open_is_another_session,
    a_session_outlives_the_process_that_opened_it,
    a_wait_outlives_the_close_of_its_descriptor,
    a_signal_through_a_duplicate_ends_a_wait,
    a_killed_waiter_ends_at_once,
}

/// As long as no test wants to wait.
const FOR_EVER: u64 = u64::MAX;

fn a_duplicate_is_the_same_session(observer: &Observer) -> Verdict {
    let sessions = observer.sessions()?;
    let device = Device::open()?;
    let twin = device.duplicate()?;
    let event = device.event()?;
    twin.signal(event)?;
    same!(observer.sessions()?, sessions + 1);
    drop(device);
    same!(observer.sessions()?, sessions + 1, "sessions after the first descriptor was closed");
    same!(twin.wait(event, 0)?, Status::VINF_SUCCESS);
    drop(twin);
    same!(observer.sessions()?, sessions, "sessions after the last descriptor was closed");
    Ok(())
}

fn a_fork_shares_the_session(observer: &Observer) -> Verdict {
    let device = Device::open()?;
    let event = device.event()?;
    let sessions = observer.sessions()?;
    Child::start(|| {
        same!(device.statistics()?.session.handles, 1);
        device.signal(event)?;
        // The parent has to find these.
        device.event()?;
        device.allocate(Service::Low, 3)?;
        Ok(())
    })?
    .finish()?;
    same!(observer.sessions()?, sessions, "sessions after the child has ended");
    same!(device.wait(event, 0)?, Status::VINF_SUCCESS, "a wait for what the child signalled");
    let counts = device.statistics()?.session;
    same!((counts.handles, counts.memory_pages), (2, 3));
    Ok(())
}

fn a_second_open_is_another_session(observer: &Observer) -> Verdict {
    let sessions = observer.sessions()?;
    let (one, other) = (Device::open()?, Device::open()?);
    same!(observer.sessions()?, sessions + 2);
    check!(one.cookies() != other.cookies(), "two sessions have the cookies {:?}", one.cookies());
    let event = one.event()?;
    same!(other.statistics()?.session.handles, 0);
    same!(other.wait(event, 0)?, Status::VERR_INVALID_HANDLE);
    let memory = one.allocate(Service::Low, 1)?;
    drop(other);
    same!(observer.sessions()?, sessions + 1);
    check!(memory.can_write()?, "the end of one session took another's memory");
    Ok(())
}

fn a_session_outlives_the_process_that_opened_it(observer: &Observer) -> Verdict {
    let device = Device::open()?;
    let (opened, sessions) = (device.cookies(), observer.sessions()?);
    let mut heir = Child::start(|| {
        // Until the parent is gone for the session.
        rustix::process::kill_process(rustix::process::getpid(), Signal::STOP)?;
        same!(device.cookies(), opened);
        check!(device.allocate(Service::Contiguous, 2)?.is_all(0)?);
        Ok(())
    })?;
    until(heir.id(), State::Stopped)?;
    drop(device);
    same!(observer.sessions()?, sessions, "sessions while a child has the descriptor");
    heir.send(Signal::CONT)?;
    same!(heir.wait()?, End::Exited(0));
    same!(observer.sessions()?, sessions - 1, "sessions after the last process has ended");
    heir.finish()
}

fn a_wait_outlives_the_close_of_its_descriptor(observer: &Observer) -> Verdict {
    const LENGTH: Duration = Duration::from_millis(400);
    let device = Device::open()?;
    let (event, sessions) = (device.event()?, observer.sessions()?);
    let (sender, receiver) = mpsc::channel();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            sender.send(this_thread())?;
            let begin = Instant::now();
            let status = device.wait(event, LENGTH.as_nanos() as u64)?;
            Ok((status, begin.elapsed()))
        });
        until(receiver.recv()?, State::Asleep)?;
        device.replace_by_null()?;
        same!(observer.sessions()?, sessions, "sessions while a request runs");
        check!(!waiter.is_finished(), "the close ended the wait");
        let (status, elapsed) = waiter.join().unwrap_or_else(|_| unfinished())?;
        same!(status, Status::VERR_TIMEOUT);
        check!(elapsed >= LENGTH, "the wait ended after {elapsed:?} instead of {LENGTH:?}");
        same!(observer.sessions()?, sessions - 1, "sessions after the last request");
        // The number is another file's by now.
        check!(device.status::<GetPagingMode>(&Empty {}).is_err());
        Ok(())
    })
}

fn unfinished<T>() -> Verdict<T> {
    Err(Stop::failed("the thread panicked"))
}

fn a_signal_through_a_duplicate_ends_a_wait(_observer: &Observer) -> Verdict {
    let device = Device::open()?;
    let twin = device.duplicate()?;
    let event = device.event()?;
    let (sender, receiver) = mpsc::channel();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            sender.send(this_thread())?;
            device.wait(event, FOR_EVER)
        });
        until(receiver.recv()?, State::Asleep)?;
        device.replace_by_null()?;
        twin.signal(event)?;
        same!(waiter.join().unwrap_or_else(|_| unfinished())?, Status::VINF_SUCCESS);
        same!(twin.wait(event, 0)?, Status::VERR_TIMEOUT, "the signal released one wait");
        Ok(())
    })
}

fn a_killed_waiter_ends_at_once(observer: &Observer) -> Verdict {
    let before = observer.look()?;
    let mut waiter = Child::start(|| {
        let device = Device::open()?;
        let event = device.event()?;
        Err(Stop::failed(format_args!("the wait ended: {}", device.wait(event, FOR_EVER)?)))
    })?;
    until(waiter.id(), State::Asleep)?;
    same!(observer.sessions()?, before.counts.sessions + 1);
    waiter.send(Signal::KILL)?;
    let begin = Instant::now();
    same!(waiter.wait()?, End::Killed(libc::SIGKILL));
    check!(begin.elapsed() < Duration::from_secs(5), "it took {:?} to die", begin.elapsed());
    observer.wait_for(&before)
}
