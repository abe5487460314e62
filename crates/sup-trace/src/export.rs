//! What all exports have in common: how they go through a trace, and how they end.
//!
//! Neighbours: `chrome.rs`, `perfetto.rs`, `ctf.rs`. Invariant: whoever exports is asked after every
//! [`STEP_EVENTS`] events whether to go on.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, Read, Seek};

use crate::event::Event;
use crate::pairs::{Open, Pairs, Side, Track};
use crate::read::{Item, ReadError, Trace};

/// After so many events the caller is asked.
pub const STEP_EVENTS: u64 = 1 << 16;

/// Whether to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// With the next events.
    Continue,
    /// Not at all: the result is not wanted any more.
    Stop,
}

/// Why a trace was not gone through.
#[derive(Debug)]
pub enum ExportError {
    /// It cannot be read.
    Read(ReadError),
    /// The output takes no more.
    Write(io::Error),
    /// The caller said so.
    Stopped,
}

impl fmt::Display for ExportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => error.fmt(f),
            Self::Write(error) => error.fmt(f),
            Self::Stopped => f.write_str("stopped"),
        }
    }
}

impl std::error::Error for ExportError {}

impl From<ReadError> for ExportError {
    fn from(error: ReadError) -> Self {
        Self::Read(error)
    }
}

impl From<io::Error> for ExportError {
    fn from(error: io::Error) -> Self {
        Self::Write(error)
    }
}

/// What was gone through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Exported {
    /// Events.
    pub events: u64,
    /// Lost ones, with those in damaged blocks.
    pub lost: u64,
    /// Those in damaged blocks.
    pub damaged: u64,
}

/// Goes through a trace; `step` gets the events so far.
pub(crate) fn for_each<R: Read + Seek>(
    trace: &mut Trace<R>,
    step: &mut dyn FnMut(u64) -> Step,
    mut take: impl FnMut(&Item) -> io::Result<()>,
) -> Result<Exported, ExportError> {
    let mut exported = Exported::default();
    let mut events = trace.events()?;
    while let Some(item) = events.next()? {
        match item {
            Item::Event(_) => exported.events += 1,
            Item::Lost { events, .. } => exported.lost = exported.lost.saturating_add(events),
        }
        take(&item)?;
        if exported.events.is_multiple_of(STEP_EVENTS) && step(exported.events) == Step::Stop {
            return Err(ExportError::Stopped);
        }
    }
    exported.damaged = events.damaged();
    Ok(exported)
}

/// What an event is in a picture of slices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Instant,
    Begin,
    End,
}

/// Makes slices of pairs. Viewers want them nested, so an end that is not that of the last begin on its
/// track is an instant.
#[derive(Debug)]
pub(crate) struct Slices {
    sides: HashMap<u32, (usize, Side)>,
    open: Open<Track, usize>,
}

impl Slices {
    pub(crate) fn new(pairs: Pairs) -> Self {
        Self { sides: pairs.sides, open: Open::new() }
    }

    pub(crate) fn shape(&mut self, event: &Event) -> Shape {
        let track = Track::of(event);
        match self.sides.get(&event.id) {
            Some(&(pair, Side::Begin)) if self.open.begin(track, pair) => Shape::Begin,
            Some(&(pair, Side::End)) if self.open.end(&track, |last| *last == pair).is_some() => {
                Shape::End
            }
            _ => Shape::Instant,
        }
    }
}
