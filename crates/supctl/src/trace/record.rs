//! `supctl trace record`: hits into a file of `sup-trace`.
//!
//! Neighbours: `run` reads the rings. Invariant: the file under its name is whole; while it is written it has
//! another one beside it.

use std::fs::File;
use std::io::{self, BufWriter};
use std::time::Duration;

use sup::ringtrace::{ProbeLocation, Record, TraceCounts};
use sup_trace::{Header, TraceWriter, WriteError};

use super::export::{beside, put_in_place};
use super::run::{Run, Sink, run as run_with};
use super::{Opened, probe};
use crate::cli::TraceRecordArgs;
use crate::failure::Failure;
use crate::output;

/// Writes records, and tells how far it is.
struct Recorder<'a> {
    writer: TraceWriter<BufWriter<&'a mut File>>,
    args: &'a TraceRecordArgs,
}

impl Sink for Recorder<'_> {
    fn take(&mut self, record: &Record) -> Result<(), Failure> {
        self.writer.event(record).map_err(|error| failure(self.args, error))
    }

    fn tick(&mut self, elapsed: Duration, counts: TraceCounts) {
        let TraceCounts { lost, overwritten, .. } = counts;
        let events = self.writer.events();
        let lost = lost + overwritten;
        output::progress(&format!("{events} events, {lost} lost, {} s", elapsed.as_secs()));
    }
}

pub(super) fn run(args: &TraceRecordArgs) -> Result<(), Failure> {
    let mut opened = Opened::new(&args.run.tracer)?;
    let locations = opened.traced(&args.run.patterns)?;
    if locations.is_empty() {
        return output::line(opened.nothing());
    }
    // What modules pass to their probes may be nobody else's business.
    let mut file = beside(&args.output, 0o600)?;
    let written = write(&mut opened, args, &locations, file.as_file_mut())?;
    put_in_place(file, &args.output)?;
    output::progress_ends();
    let Written { run, events, lost } = written;
    let (path, seconds) = (args.output.display(), run.elapsed.as_secs_f64());
    output::line(format_args!("{path}: {events} events, {lost} lost, in {seconds:.1} s"))?;
    Ok(run.called?)
}

/// What is in the file.
struct Written {
    run: Run,
    events: u64,
    lost: u64,
}

fn write(
    opened: &mut Opened,
    args: &TraceRecordArgs,
    locations: &[ProbeLocation],
    file: &mut File,
) -> Result<Written, Failure> {
    let refused = |error| failure(args, error);
    let header = header(opened, args)?;
    let writer = TraceWriter::new(BufWriter::new(file), &header).map_err(refused)?;
    let mut recorder = Recorder { writer, args };
    let probes: Vec<_> = locations.iter().map(probe).collect();
    recorder.writer.probes(&probes).map_err(refused)?;
    let run = run_with(opened, &args.run, locations, &mut recorder)?;
    for (cpu, counts) in (0..).zip(&run.counts) {
        recorder.writer.lost(cpu, counts.lost + counts.overwritten).map_err(refused)?;
    }
    let (events, lost) = (recorder.writer.events(), recorder.writer.lost_events());
    recorder.writer.finish().map_err(refused)?;
    Ok(Written { run, events, lost })
}

fn failure(args: &TraceRecordArgs, error: WriteError) -> Failure {
    let error = match error {
        WriteError::Io(error) => error,
        other => io::Error::other(other.to_string()),
    };
    Failure::of_file(&args.output)(error)
}

fn header(opened: &Opened, args: &TraceRecordArgs) -> Result<Header, Failure> {
    let anchor = sup::ringtrace::anchor();
    let system = rustix::system::uname();
    let command = if args.run.command.is_empty() {
        std::env::args().collect::<Vec<_>>().join(" ")
    } else {
        args.run.command.join(" ")
    };
    Ok(Header {
        tsc_hz: opened.tsc_hz()?,
        anchor_tsc: anchor.tsc,
        anchor_realtime_ns: anchor.realtime_ns,
        anchor_monotonic_ns: anchor.monotonic_ns,
        host: system.nodename().to_string_lossy().into_owned(),
        kernel: system.release().to_string_lossy().into_owned(),
        backend: opened.session.backend().kind().name().to_owned(),
        command,
    })
}
