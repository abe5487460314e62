//! Trace files: what a recording is kept in, and what is made of it.
//!
//! * [`TraceWriter`] writes a file, [`Trace`] opens one, [`Events`] reads it in the order of time.
//! * [`Report`] sums a trace up, [`Tally`] events as they come, [`svg::draw`] makes a picture of that.
//! * [`chrome::export`], [`perfetto::export`] and [`ctf::export`] write what other tools read.
//!
//! Neighbours: `supctl trace` is the command over all this; the records come from the tracer `ringtrace`.
//! Invariant: a file that was cut or damaged anywhere is read as far as it can be, and says so; no file makes
//! the reader panic, or take more memory than [`Trace`] tells.
//!
//! ```
//! use std::io::Cursor;
//! use sup_trace::{Event, Header, Item, Probe, Trace, TraceWriter};
//!
//! let header = Header { tsc_hz: 1_000_000_000, ..Header::default() };
//! let mut writer = TraceWriter::new(Vec::new(), &header)?;
//! writer.probes(&[Probe { id: 7, provider: "vmm".into(), probe: "exit".into(), ..Probe::default() }])?;
//! writer.event(&Event { time_tsc: 100, id: 7, arg_count: 1, args: [42, 0, 0, 0, 0], ..Event::default() })?;
//! let file = writer.finish()?;
//!
//! let mut trace = Trace::open(Cursor::new(file))?;
//! let mut events = trace.events()?;
//! while let Some(item) = events.next()? {
//!     if let Item::Event(event) = item {
//!         assert_eq!(event.args[0], 42);
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

pub mod chrome;
mod clock;
pub mod ctf;
mod event;
mod export;
mod format;
mod header;
mod pairs;
pub mod perfetto;
mod read;
mod report;
pub mod svg;
mod tally;
mod value;
mod write;

pub use clock::Clock;
pub use event::{ARGS_MAX, EVENT_BYTES, Event};
pub use export::{ExportError, Exported, STEP_EVENTS, Step};
pub use format::{BLOCK_EVENTS_MAX, CPUS_MAX};
pub use header::{Argument, Header, Probe};
pub use pairs::{Pair, Side};
pub use read::{Condition, Events, Item, ReadError, Totals, Trace};
pub use report::Report;
pub use tally::{CpuCount, Latency, LatencyBucket, ProbeCount, Tally};
pub use write::{TraceWriter, WriteError};
