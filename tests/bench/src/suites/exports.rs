//! What exporting a trace costs, beside copying its file: a part of the suite `trace`.
//!
//! The trace is of pairs with five arguments, on two processors, whose records alternate; it is written to a file,
//! and so is each export. The goal, ten million events in five seconds, is asked of each event.

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use sup_abi::{VTG_TYPE_FIXED_SIZED, VTG_TYPE_UNSIGNED};
use sup_trace::{Argument, Event, Exported, Header, Probe, Step, Trace, TraceWriter};

use crate::figure::{Figure, Goal};
use crate::measure::compare_at_least;

/// Events in the trace.
const EVENTS: u32 = 300_000;
/// What an event may take.
const GOAL_NS: f64 = 500.0;
const ROUNDS: usize = 5;

/// Writes the trace in a folder into which the export goes too.
type Export = fn(&mut Trace<File>, &Path) -> Result<Exported>;

const EXPORTS: [(&str, Export); 3] = [
    ("perfetto", |trace, folder| {
        let output = BufWriter::new(File::create(folder.join("out"))?);
        Ok(sup_trace::perfetto::export(trace, output, &mut |_| Step::Continue)?)
    }),
    ("chrome", |trace, folder| {
        let output = BufWriter::new(File::create(folder.join("out"))?);
        Ok(sup_trace::chrome::export(trace, output, &mut |_| Step::Continue)?)
    }),
    ("ctf", |trace, folder| {
        let folder = folder.join("ctf");
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir(&folder)?;
        Ok(sup_trace::ctf::export(trace, &folder, &mut |_| Step::Continue)?)
    }),
];

pub(super) fn run() -> Result<Vec<Figure>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("trace.sup");
    write(&path).context("cannot write the trace")?;
    let mut figures = Vec::new();
    for (format, export) in EXPORTS {
        let pair = compare_at_least(
            ROUNDS,
            |iterations| {
                let start = Instant::now();
                for _ in 0..iterations {
                    let exported = export(&mut Trace::open(File::open(&path)?)?, folder.path())?;
                    ensure!(exported.events == u64::from(EVENTS), "{format}: {exported:?}");
                }
                Ok(start.elapsed())
            },
            |iterations| {
                let start = Instant::now();
                for _ in 0..iterations {
                    fs::copy(&path, folder.path().join("copy"))?;
                }
                Ok(start.elapsed())
            },
        )?;
        let each = 1.0 / f64::from(EVENTS);
        figures.push(Figure {
            name: format!("export as {format}, an event"),
            unit: "ns",
            compared_to: "a copy of the file".to_owned(),
            pair: pair.scaled(each, each),
            goal: Some(Goal::Median(GOAL_NS)),
        });
    }
    Ok(figures)
}

fn write(path: &Path) -> Result<()> {
    let header = Header { tsc_hz: 1_000_000_000, ..Header::default() };
    let mut writer = TraceWriter::new(BufWriter::new(File::create(path)?), &header)?;
    let number = Argument {
        type_text: "uint64_t".to_owned(),
        flags: VTG_TYPE_FIXED_SIZED | VTG_TYPE_UNSIGNED | 8,
    };
    let probe = |id: u32, name: &str| Probe {
        id,
        provider: "bench".to_owned(),
        probe: name.to_owned(),
        arguments: vec![number.clone(); 5],
        ..Probe::default()
    };
    writer.probes(&[probe(1, "round-begin"), probe(2, "round-end")])?;
    for index in 0..EVENTS {
        writer.event(&Event {
            time_tsc: u64::from(index) * 100,
            id: 1 + index / 2 % 2,
            cpu: (index % 2) as u16,
            kind: 0,
            arg_count: 5,
            who: 0,
            args: [index.into(); 5],
        })?;
    }
    writer.finish()?;
    Ok(())
}
