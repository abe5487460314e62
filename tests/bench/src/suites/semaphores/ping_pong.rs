//! Two threads that wake each other in turn, each waiting while the other runs.
//!
//! One event for each direction; a round trip is two signals and two waits. The same round trip is made
//! of what the system has for it ([`peers`]), with the same threads in the same places: both on one
//! processor, where each wake-up is a switch of threads, and on two, where it is a message to another
//! processor.
//!
//! The peers sleep in every wait; the library's semaphores watch for a moment first, and hardly ever
//! sleep here. What they cost where watching does not help is the ping-pong by requests: there every
//! wait goes into the driver and sleeps, too.
//!
//! No side is inlined into the loop, as none would be into a program. It matters more than it looks: a
//! switch of threads overwrites the processor's predictions of returns where the kernel is told to
//! fill them ("RSB filling" in `/sys/devices/system/cpu/vulnerabilities/spectre_v2`), so the first
//! return after a system call that slept costs as much as some hundred instructions. An inlined futex
//! has no such return, and anything that is called has.

mod peers;

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use sup::{EventSemaphore, Session, Timeout};

use self::peers::{Condition, EventFd, Futex, PosixSemaphore};
use crate::figure::{Figure, Goal};
use crate::measure::{Routine, compare};
use crate::suites::open_session;
use crate::suites::raw::RawSession;

/// What a round trip may cost, in round trips of bare futexes.
const NEAR_FUTEX: f64 = 1.15;
const FASTER: f64 = 1.0;

/// What a thread can wait for. A signal releases one wait, now or later.
trait Event: Sync {
    fn signal(&self) -> Result<()>;
    fn wait(&self) -> Result<()>;
}

impl Event for EventSemaphore {
    fn signal(&self) -> Result<()> {
        Ok(self.signal()?)
    }

    fn wait(&self) -> Result<()> {
        Ok(self.wait(Timeout::Never)?)
    }
}

/// An event that is signalled and waited for in the driver, without a look at its word before.
struct ByRequest<'a> {
    session: &'a RawSession,
    handle: u32,
}

impl Event for ByRequest<'_> {
    fn signal(&self) -> Result<()> {
        self.session.signal(self.handle)
    }

    fn wait(&self) -> Result<()> {
        self.session.wait(self.handle)
    }
}

#[inline(never)]
fn signal(event: &impl Event) -> Result<()> {
    event.signal()
}

#[inline(never)]
fn wait(event: &impl Event) -> Result<()> {
    event.wait()
}

/// Where the two threads run.
#[derive(Debug)]
struct Placement {
    name: &'static str,
    cpus: [CpuSet; 2],
}

pub(super) fn figures() -> Result<Vec<Figure>> {
    let (session, raw) = (open_session()?, RawSession::open()?);
    let mut figures = Vec::new();
    for placement in placements()? {
        let figure = Comparison { session: &session, raw: &raw, placement: &placement };
        figures.push(figure.with("bare futexes", NEAR_FUTEX, || Ok(Futex::default()))?);
        figures.push(figure.with("eventfds", FASTER, EventFd::new)?);
        figures.push(figure.with("pthread conditions", FASTER, || Ok(Condition::default()))?);
        figures.push(figure.with("POSIX semaphores", FASTER, PosixSemaphore::new)?);
        figures.push(figure.by_requests()?);
    }
    Ok(figures)
}

#[derive(Debug)]
struct Comparison<'a> {
    session: &'a Session,
    raw: &'a RawSession,
    placement: &'a Placement,
}

impl Comparison<'_> {
    fn with<E: Event>(
        &self,
        name: &str,
        most: f64,
        make: impl Fn() -> Result<E>,
    ) -> Result<Figure> {
        let ours = [self.session.event()?, self.session.event()?];
        let theirs = [make()?, make()?];
        self.figure("ping-pong", &ours, name, &theirs, most)
    }

    /// Two waits that sleep.
    fn by_requests(&self) -> Result<Figure> {
        let event = || Ok(ByRequest { session: self.raw, handle: self.raw.create_event()? });
        let ours: Result<_> = event().and_then(|ping| Ok([ping, event()?]));
        let theirs = [Futex::default(), Futex::default()];
        self.figure("ping-pong by requests", &ours?, "bare futexes", &theirs, NEAR_FUTEX)
    }

    fn figure<O: Event, T: Event>(
        &self,
        name: &str,
        ours: &[O; 2],
        compared_to: &str,
        theirs: &[T; 2],
        most: f64,
    ) -> Result<Figure> {
        let placement = self.placement;
        let pair = compare(placement.round_trips(ours), placement.round_trips(theirs))?;
        Ok(Figure {
            name: format!("{name}, {}", placement.name),
            unit: "us",
            compared_to: compared_to.into(),
            pair: pair.scaled(1e-3, 1e-3),
            goal: Some(Goal::Ratio(most)),
        })
    }
}

/// One processor, and two if this process has them.
fn placements() -> Result<Vec<Placement>> {
    let allowed = sched_getaffinity(None)?;
    let only = |cpu| {
        let mut set = CpuSet::new();
        set.set(cpu);
        set
    };
    let mut cpus = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu)).map(only);
    let first = cpus.next().ok_or_else(|| anyhow!("no processor may run this process"))?;
    let mut placements = vec![Placement { name: "one processor", cpus: [first, first] }];
    if let Some(second) = cpus.next() {
        placements.push(Placement { name: "two processors", cpus: [first, second] });
    }
    Ok(placements)
}

impl Placement {
    fn round_trips<E: Event>(&self, [ping, pong]: &[E; 2]) -> impl Routine {
        move |iterations| {
            thread::scope(|scope| {
                // One more than is timed: it ends when the second thread is there.
                let answer = scope.spawn(move || -> Result<()> {
                    sched_setaffinity(None, &self.cpus[1])?;
                    for _ in 0..=iterations {
                        wait(ping)?;
                        signal(pong)?;
                    }
                    Ok(())
                });
                let ask = scope.spawn(move || -> Result<Duration> {
                    sched_setaffinity(None, &self.cpus[0])?;
                    let round_trip = || signal(ping).and_then(|()| wait(pong));
                    round_trip()?;
                    let start = Instant::now();
                    for _ in 0..iterations {
                        round_trip()?;
                    }
                    Ok(start.elapsed())
                });
                let died = |_| anyhow!("a thread of the ping-pong died");
                let time = ask.join().map_err(died)??;
                answer.join().map_err(died)??;
                Ok(time)
            })
        }
    }
}
