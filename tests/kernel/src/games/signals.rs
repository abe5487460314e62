//! Signals to who sleeps in a request. The rule (spec 03.5): every signal that the kernel delivers ends an
//! interruptible wait with `VERR_INTERRUPTED`, the call itself succeeds, nothing restarts by itself, and
//! the semaphore is as it was. A stop is such a signal too; one that is ignored is none.

use std::io;
use std::ptr;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use sup::Status;

use crate::check::{Verdict, check, same, tests};
use crate::device::Device;
use crate::observer::Observer;
use crate::process::{Child, End};
use crate::wait::{State, until};

tests! { "signals":
    a_signal_interrupts_a_wait,
    a_signal_that_restarts_calls_interrupts_a_wait,
    an_ignored_signal_does_not_interrupt,
    a_stop_interrupts_a_wait,
}

const FOR_EVER: u64 = u64::MAX;

/// Sets what SIGALRM does to this process; `flags` are those of `sigaction`.
fn on_alarm(handler: libc::sighandler_t, flags: libc::c_int) -> Verdict {
    // SAFETY: all zeros are a valid action with the default handler and an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler;
    action.sa_flags = flags;
    // SAFETY: the action is this function's own and its handler does nothing, so it may run anywhere;
    // nothing is written through the null pointer.
    let result = unsafe { libc::sigaction(libc::SIGALRM, &raw const action, ptr::null_mut()) };
    check!(result == 0, "sigaction: {}", io::Error::last_os_error());
    Ok(())
}

extern "C" fn nothing(_signal: libc::c_int) {}

fn handler() -> libc::sighandler_t {
    let handler: extern "C" fn(libc::c_int) = nothing;
    handler as usize
}

/// Orders one SIGALRM.
fn alarm_after(time: Duration) -> Verdict {
    let (once, value) = (Duration::ZERO, time);
    let field = |time: Duration| libc::timeval {
        tv_sec: time.as_secs() as libc::time_t,
        tv_usec: time.subsec_micros().into(),
    };
    let timer = libc::itimerval { it_interval: field(once), it_value: field(value) };
    // SAFETY: the timer is this function's own; nothing is written through the null pointer.
    let result = unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const timer, ptr::null_mut()) };
    check!(result == 0, "setitimer: {}", io::Error::last_os_error());
    Ok(())
}

fn is_interrupted_with(flags: libc::c_int) -> Verdict {
    const TIME: Duration = Duration::from_millis(200);
    on_alarm(handler(), flags)?;
    let device = Device::open()?;
    let event = device.event()?;
    let begin = Instant::now();
    alarm_after(TIME)?;
    same!(device.wait(event, FOR_EVER)?, Status::VERR_INTERRUPTED);
    check!(begin.elapsed() >= TIME, "interrupted after {:?}, before the alarm", begin.elapsed());
    same!(device.wait(event, 0)?, Status::VERR_TIMEOUT, "the event after the interruption");
    device.signal(event)?;
    same!(device.wait(event, FOR_EVER)?, Status::VINF_SUCCESS);
    Ok(())
}

fn a_signal_interrupts_a_wait(_observer: &Observer) -> Verdict {
    is_interrupted_with(0)
}

fn a_signal_that_restarts_calls_interrupts_a_wait(_observer: &Observer) -> Verdict {
    is_interrupted_with(libc::SA_RESTART)
}

fn an_ignored_signal_does_not_interrupt(_observer: &Observer) -> Verdict {
    const TIME: Duration = Duration::from_millis(400);
    on_alarm(libc::SIG_IGN, 0)?;
    let device = Device::open()?;
    let event = device.event()?;
    let begin = Instant::now();
    alarm_after(TIME / 4)?;
    same!(device.wait(event, TIME.as_nanos() as u64)?, Status::VERR_TIMEOUT);
    check!(begin.elapsed() >= TIME, "the wait ended after {:?}", begin.elapsed());
    Ok(())
}

fn a_stop_interrupts_a_wait(_observer: &Observer) -> Verdict {
    let device = Device::open()?;
    let event = device.event()?;
    let mut waiter = Child::start(|| {
        same!(device.wait(event, FOR_EVER)?, Status::VERR_INTERRUPTED);
        // The parent signalled while this process was stopped: the signal is still there.
        same!(device.wait(event, FOR_EVER)?, Status::VINF_SUCCESS);
        Ok(())
    })?;
    until(waiter.id(), State::Asleep)?;
    waiter.send(Signal::STOP)?;
    until(waiter.id(), State::Stopped)?;
    device.signal(event)?;
    waiter.send(Signal::CONT)?;
    same!(waiter.wait()?, End::Exited(0));
    waiter.finish()?;
    same!(device.wait(event, 0)?, Status::VERR_TIMEOUT, "the event after its one wait");
    Ok(())
}
