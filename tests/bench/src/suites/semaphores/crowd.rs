//! Every operation among many open handles, against the same with one handle.
//!
//! Nothing in the driver may look through the handles of a session, so the cost must not move.

use std::hint::black_box;

use anyhow::{Context, Result, ensure};
use sup::{EventSemaphore, Session, Timeout, WaitError};

use crate::figure::{Figure, Goal};
use crate::measure::{Routine, compare, each};
use crate::suites::open_session;
use crate::suites::raw::RawSession;

const MANY: [usize; 2] = [10_000, 32_000];
/// What an operation among many handles may cost.
const INDEPENDENT: f64 = 1.2;

#[derive(Debug, Clone, Copy)]
enum Operation {
    SignalWait,
    RawSignal,
    Poll,
    CreateClose,
}

/// A session of the library's, and one of packets, each with the same number of open handles.
struct Crowd {
    session: Session,
    events: Vec<EventSemaphore>,
    raw: RawSession,
    raw_handles: Vec<u32>,
}

pub(super) fn figures() -> Result<Vec<Figure>> {
    use Operation::{CreateClose, Poll, RawSignal, SignalWait};
    let one = Crowd::open(1)?;
    let mut figures = Vec::new();
    for count in MANY {
        let many = Crowd::open(count)?;
        for operation in [SignalWait, RawSignal, Poll, CreateClose] {
            figures.push(Figure {
                name: format!("{}, {count} handles open", operation.name()),
                unit: "ns",
                compared_to: "the same with 1 handle".into(),
                pair: compare(many.routine(operation)?, one.routine(operation)?)?,
                goal: Some(Goal::Ratio(INDEPENDENT)),
            });
        }
    }
    Ok(figures)
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Self::SignalWait => "signal + wait",
            Self::RawSignal => "signal by request",
            Self::Poll => "wait that polls",
            Self::CreateClose => "create + close",
        }
    }
}

impl Crowd {
    fn open(count: usize) -> Result<Self> {
        let (session, raw) = (open_session()?, RawSession::open()?);
        let events = (0..count).map(|_| session.event()).collect::<Result<_, _>>()?;
        let raw_handles = (0..count).map(|_| raw.create_event()).collect::<Result<_>>()?;
        Ok(Self { session, events, raw, raw_handles })
    }

    /// The operation on the handle in the middle.
    fn routine(&self, operation: Operation) -> Result<impl Routine> {
        let event = self.events.get(self.events.len() / 2).context("no handle is open")?;
        let raw_handle = *self.raw_handles.get(self.raw_handles.len() / 2).context("no handle")?;
        // The wait that polls wants an event that is not signalled.
        let is_signalled = event.wait(Timeout::Poll).is_ok();
        ensure!(!is_signalled, "an event is signalled that nobody signalled");
        Ok(each(move || {
            let event = black_box(event);
            match operation {
                Operation::SignalWait => {
                    event.signal()?;
                    event.wait(Timeout::Never)?;
                }
                Operation::RawSignal => self.raw.signal(black_box(raw_handle))?,
                Operation::Poll => {
                    let result = event.wait(Timeout::Poll);
                    ensure!(result == Err(WaitError::TimedOut), "the event is signalled");
                }
                Operation::CreateClose => drop(self.session.event()?),
            }
            Ok(())
        }))
    }
}
