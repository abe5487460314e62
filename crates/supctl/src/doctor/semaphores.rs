//! Both kinds of event semaphores, between threads and alone.

use std::thread::{self, Builder, ScopedJoinHandle};
use std::time::{Duration, Instant};

use sup::{EventSemaphore, ManualResetEvent, Session, Timeout, WaitError};

use super::check::{Finding, Outcome, Trouble, median, ns_per_round, require};

/// Longer than any wait that ends well.
const PATIENCE: Timeout = Timeout::After(Duration::from_secs(5));

/// Two threads hand the turn to each other.
pub(super) fn ping_pong(session: &Session) -> Outcome {
    const ROUNDS: u32 = 20_000;
    let (ping, pong) = (session.event()?, session.event()?);
    let elapsed = thread::scope(|scope| {
        let answerer = Builder::new().spawn_scoped(scope, || take_turns(&ping, &pong, ROUNDS))?;
        let start = Instant::now();
        let called = call_turns(&ping, &pong, ROUNDS);
        let elapsed = start.elapsed();
        joined(answerer)?;
        called.map(|()| elapsed)
    })?;
    let figure = elapsed.as_secs_f64() * 1e9 / f64::from(ROUNDS);
    let detail = format!("{ROUNDS} round trips between two threads, two events");
    Ok(Finding { figure, detail })
}

fn call_turns(ping: &EventSemaphore, pong: &EventSemaphore, rounds: u32) -> Result<(), Trouble> {
    for _ in 0..rounds {
        ping.signal()?;
        pong.wait(PATIENCE)?;
    }
    Ok(())
}

fn take_turns(ping: &EventSemaphore, pong: &EventSemaphore, rounds: u32) -> Result<(), Trouble> {
    for _ in 0..rounds {
        ping.wait(PATIENCE)?;
        pong.signal()?;
    }
    Ok(())
}

/// Signals do not add up, a wait takes one, and neither is a request when nobody else is there.
pub(super) fn uncontended(session: &Session) -> Outcome {
    let event = session.event()?;
    event.signal()?;
    event.signal()?;
    event.wait(Timeout::Poll)?;
    let second = event.wait(Timeout::Poll);
    require(second == Err(WaitError::TimedOut), || "two signals released two waits".to_owned())?;
    let figure = ns_per_round(1_000_000, || {
        event.signal()?;
        Ok(event.wait(Timeout::Poll)?)
    })?;
    let detail = "no request while nobody waits; signals do not add up";
    Ok(Finding { figure, detail: detail.to_owned() })
}

/// A signal releases every waiter and stays until it is reset.
pub(super) fn manual_reset(session: &Session) -> Outcome {
    const WAITERS: usize = 4;
    const ROUNDS: usize = 15;
    let event = session.manual_reset_event()?;
    let mut releases = Vec::new();
    for _ in 0..ROUNDS {
        releases.push(release(&event, WAITERS)?.as_secs_f64() * 1e6);
        event.wait(Timeout::Poll)?;
        event.wait(Timeout::Poll)?;
        event.reset()?;
        let after = event.wait(Timeout::Poll);
        require(after == Err(WaitError::TimedOut), || "signalled after its reset".to_owned())?;
    }
    let detail = format!("one signal releases {WAITERS} threads, until it is reset");
    Ok(Finding { figure: median(releases), detail })
}

/// Lets `waiters` threads wait, signals, and returns when the last of them went on.
fn release(event: &ManualResetEvent, waiters: usize) -> Result<Duration, Trouble> {
    // Enough for the threads to fall asleep; one that comes late is released all the same.
    const FALL_ASLEEP: Duration = Duration::from_millis(2);
    thread::scope(|scope| {
        let wait = || Ok(event.wait(PATIENCE).map(|()| Instant::now())?);
        let mut threads = Vec::new();
        for _ in 0..waiters {
            threads.push(Builder::new().spawn_scoped(scope, wait)?);
        }
        thread::sleep(FALL_ASLEEP);
        let start = Instant::now();
        event.signal()?;
        let mut longest = Duration::ZERO;
        for waiter in threads {
            longest = longest.max(joined(waiter)?.saturating_duration_since(start));
        }
        Ok(longest)
    })
}

fn joined<T>(thread: ScopedJoinHandle<'_, Result<T, Trouble>>) -> Result<T, Trouble> {
    thread.join().unwrap_or_else(|_| Err(Trouble::defect("a waiting thread panicked")))
}
