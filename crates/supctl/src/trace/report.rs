//! `supctl trace report`: a trace file summed up, for people, for programs, or as a picture.
//!
//! Neighbours: `output/traces.rs` makes the tables, `sup_trace::svg` the picture. Invariant: what was lost or
//! cannot be read is said before anything else.

use std::io::Write;

use sup_trace::{Report, svg};

use super::export::{ANYBODYS, beside, put_in_place};
use super::file::{Progress, open, unusable};
use crate::cli::ReportArgs;
use crate::failure::Failure;
use crate::output;

pub(super) fn run(args: &ReportArgs) -> Result<(), Failure> {
    let mut trace = open(&args.file)?;
    let progress = Progress::new("report: reading", trace.totals().events)?;
    let report = Report::of(&mut trace, &mut |done| progress.step(done))
        .map_err(|error| unusable(&args.file, error))?;
    drop(progress);
    if let Some(file) = &args.svg {
        let mut picture = beside(file, ANYBODYS)?;
        picture.write_all(svg::draw(&report).as_bytes()).map_err(Failure::of_file(file))?;
        put_in_place(picture, file)?;
        return output::line(format_args!("{}: {} events", file.display(), report.events));
    }
    if args.json { output::json(&report) } else { output::trace_report(&report) }
}
