//! The command line of what works on trace files: `supctl trace report | export`.
//!
//! Neighbours: `trace/report.rs` and `trace/export.rs` act.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Sum a trace file up: events, losses, and how long pairs of probes took
///
/// Two probes of one provider are a pair if their names end in begin and end, entry and return, or start
/// and done, after - or _. An end belongs to the last begin on its thread. A file that was cut or damaged
/// is read as far as it can be, and the report says so.
#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// The trace file
    pub(crate) file: PathBuf,
    /// Draw a picture into this file instead: events over time, and latencies
    #[arg(long, value_name = "FILE.svg", conflicts_with = "json")]
    pub(crate) svg: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

/// Write a trace file in another tool's format
///
/// chrome is read by chrome://tracing and ui.perfetto.dev, perfetto by ui.perfetto.dev and
/// trace_processor, ctf by babeltrace2 and Trace Compass. The output takes its place only when it is
/// whole; Ctrl-C leaves nothing.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// The trace file
    pub(crate) file: PathBuf,
    /// The format
    #[arg(long, value_enum)]
    pub(crate) format: TraceFormat,
    /// Where to; for ctf a folder that is not there yet [default: FILE with the format's ending]
    #[arg(short, long, value_name = "OUT")]
    pub(crate) output: Option<PathBuf>,
}

/// What other tools read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TraceFormat {
    /// Perfetto's protobuf
    Perfetto,
    /// Trace Event JSON
    Chrome,
    /// Common Trace Format 1.8, a folder
    Ctf,
}

impl TraceFormat {
    /// What files in it are called.
    pub(crate) fn ending(self) -> &'static str {
        match self {
            Self::Perfetto => "perfetto-trace",
            Self::Chrome => "json",
            Self::Ctf => "ctf",
        }
    }
}
