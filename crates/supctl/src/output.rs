//! The one place that prints.
//!
//! What goes to a terminal is a table with colours, what goes into a pipe is plain aligned text;
//! `anstream` strips colours where they do not belong. A reader that went away
//! (`supctl doctor | head -1`) is no failure; one that cannot take more (a full disk) is.

mod tables;
mod traces;

use std::fmt::Display;
use std::io::{self, ErrorKind, IsTerminal, Write};

use anstyle::{AnsiColor, Style};
use serde::Serialize;
use sup::Status;
use sup::ringtrace::{ProbeLocation, TraceCounts};

use self::tables::Medium;
use crate::doctor::Report;
use crate::failure::Failure;
use crate::gip::Look;
use crate::module::Listed;
use crate::trace::stat::Summary;
use crate::verify::Survey;

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const RED: Style = AnsiColor::Red.on_default().bold();
const GREEN: Style = AnsiColor::Green.on_default().bold();

/// Goes to the start of the line and empties it.
const CLEAR_LINE: &str = "\r\x1b[2K";

/// Writes to standard output, all or nothing that matters.
fn write(work: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Failure> {
    let mut stdout = anstream::stdout().lock();
    match work(&mut stdout).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::Output(error)),
        _ => Ok(()),
    }
}

/// Prints a line.
pub(crate) fn line(text: impl Display) -> Result<(), Failure> {
    write(|out| writeln!(out, "{text}"))
}

/// Tells on standard error what goes on; who does not read it misses nothing.
pub(crate) fn note(text: impl Display) {
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}

/// Prints bytes as they are.
pub(crate) fn bytes(bytes: &[u8]) -> Result<(), Failure> {
    write(|out| out.write_all(bytes))
}

/// Prints a JSON document.
pub(crate) fn json(document: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(document);
    line(text.map_err(|error| Failure::Output(error.into()))?)
}

/// Prints a JSON document on a line of its own; false if nobody reads any more.
pub(crate) fn json_line(document: &impl Serialize) -> Result<bool, Failure> {
    let text = serde_json::to_string(document).map_err(|error| Failure::Output(error.into()))?;
    write_live(|out| writeln!(out, "{text}"))
}

/// Writes one of many things; false if nobody reads any more.
fn write_live(work: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<bool, Failure> {
    let mut stdout = anstream::stdout().lock();
    match work(&mut stdout).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::Output(error)),
    }
}

/// Looks at the Global Information Page: on a terminal a table that each new one takes the place of, in a
/// pipe a line a processor.
#[derive(Debug, Default)]
pub(crate) struct LiveTable {
    /// Lines of the last table on the terminal.
    lines: usize,
    has_header: bool,
}

impl LiveTable {
    /// Shows a look; false if nobody reads any more.
    pub(crate) fn show(&mut self, look: &Look) -> Result<bool, Failure> {
        let medium = Medium::of_stdout();
        if medium == Medium::Pipe {
            let rows = tables::cpu_lines(look, std::mem::replace(&mut self.has_header, true));
            return write_live(|out| out.write_all(rows.as_bytes()));
        }
        let table = tables::cpus(&look.cpus, medium);
        let text = format!(
            "{BOLD}{}{BOLD:#}, {} updates a second, {} ns  {DIM}Ctrl-C ends{DIM:#}\n{table}\n",
            look.mode, look.update_hz, look.now_ns
        );
        let up = std::mem::replace(&mut self.lines, text.lines().count());
        write_live(|out| {
            if up > 0 {
                // Up to the first line of the last table, and empty the rest.
                write!(out, "\x1b[{up}A\x1b[J")?;
            }
            out.write_all(text.as_bytes())
        })
    }
}

/// Text on standard error that each new one takes the place of; nothing if that is no terminal.
#[derive(Debug, Default)]
pub(crate) struct LiveText {
    /// Lines of the last one.
    lines: usize,
}

impl LiveText {
    pub(crate) fn show(&mut self, text: &str) {
        let mut stderr = io::stderr().lock();
        if stderr.is_terminal() {
            let up = std::mem::replace(&mut self.lines, text.lines().count());
            let clear = if up > 0 { format!("\x1b[{up}A\x1b[J") } else { String::new() };
            // It is a comfort: nothing depends on it.
            let _ = writeln!(stderr, "{clear}{text}");
        }
    }

    /// Takes the last one away.
    pub(crate) fn clear(&mut self) {
        if self.lines > 0 {
            let _ = write!(io::stderr().lock(), "\x1b[{}A\x1b[J", self.lines);
            self.lines = 0;
        }
    }
}

/// Prints names with their values, one a line.
pub(crate) fn fields(fields: &[(&str, String)]) -> Result<(), Failure> {
    let width = fields.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    write(|out| {
        for (name, value) in fields {
            writeln!(out, "{DIM}{name:<width$}{DIM:#}  {value}")?;
        }
        Ok(())
    })
}

/// What became of one rule.
#[derive(Debug)]
pub(crate) struct Finding {
    pub(crate) rule: &'static str,
    pub(crate) is_kept: bool,
    pub(crate) sentence: String,
}

impl Finding {
    pub(crate) fn kept(rule: &'static str, sentence: String) -> Self {
        Self { rule, is_kept: true, sentence }
    }

    pub(crate) fn broken(rule: &'static str, sentence: String) -> Self {
        Self { rule, is_kept: false, sentence }
    }
}

/// Prints what became of rules, one a line.
pub(crate) fn findings(findings: &[Finding]) -> Result<(), Failure> {
    let width = findings.iter().map(|finding| finding.rule.len()).max().unwrap_or_default();
    write(|out| {
        for Finding { rule, is_kept, sentence } in findings {
            let (style, mark) = if *is_kept { (GREEN, "ok") } else { (RED, "no") };
            writeln!(out, "{style}{mark}{style:#}  {rule:<width$}  {sentence}")?;
        }
        Ok(())
    })
}

/// Prints bytes as a hex dump with their text beside them.
pub(crate) fn hex_dump(bytes: &[u8]) -> Result<(), Failure> {
    const ROW: usize = 16;
    let printable = |byte: &u8| if matches!(byte, b' '..=b'~') { char::from(*byte) } else { '.' };
    write(|out| {
        for (number, row) in bytes.chunks(ROW).enumerate() {
            let hex: String = row.iter().map(|byte| format!(" {byte:02x}")).collect();
            let text: String = row.iter().map(printable).collect();
            writeln!(out, "{DIM}{:08x}{DIM:#} {hex:<48}  {text}", number * ROW)?;
        }
        Ok(())
    })
}

/// Prints the doctor's report.
pub(crate) fn report(report: &Report) -> Result<(), Failure> {
    let failed = report.checks.iter().filter(|check| !check.passed).count();
    let total = report.checks.len();
    write(|out| {
        let backend = report.backend.unwrap_or("no");
        write!(out, "{BOLD}supdrv {}, {backend} backend{BOLD:#}", report.version)?;
        writeln!(out, "  {DIM}{}{DIM:#}", report.reason)?;
        writeln!(out, "{}\n", tables::report(report, Medium::of_stdout()))?;
        match failed {
            0 => writeln!(out, "{GREEN}all {total} checks passed{GREEN:#}"),
            _ => writeln!(out, "{RED}{failed} of {total} checks failed{RED:#}"),
        }
    })
}

/// Prints a look at the Global Information Page.
pub(crate) fn gip(look: &Look) -> Result<(), Failure> {
    let synthetic = if look.is_synthetic { "synthetic" } else { "the machine's" };
    fields(&[
        ("mode", look.mode.to_owned()),
        ("updates", format!("{} Hz", look.update_hz)),
        ("address", format!("{}, {synthetic}", look.physical_address)),
        ("time", format!("{} ns", look.now_ns)),
        ("ahead", format!("{} ns of CLOCK_MONOTONIC", look.ahead_of_monotonic_ns)),
    ])?;
    line(tables::cpus(&look.cpus, Medium::of_stdout()))
}

/// Prints a trace summed up.
pub(crate) fn trace_report(report: &sup_trace::Report) -> Result<(), Failure> {
    let medium = Medium::of_stdout();
    write(|out| {
        let duration_s = report.duration_ns as f64 / 1e9;
        writeln!(out, "{BOLD}{} events in {duration_s:.6} s{BOLD:#}", report.events)?;
        if report.lost > 0 {
            writeln!(
                out,
                "{RED}{} events lost{RED:#}, so times of pairs may be missing",
                report.lost
            )?;
        }
        if !report.is_whole {
            writeln!(
                out,
                "{RED}file {}{RED:#}, {} events damaged",
                report.condition, report.damaged
            )?;
        }
        if report.unknown > 0 {
            writeln!(out, "{} events of probes that the file does not name", report.unknown)?;
        }
        let about = [&report.host, &report.kernel, &report.backend, &report.command];
        let about: Vec<_> = about.into_iter().filter(|part| !part.is_empty()).cloned().collect();
        writeln!(out, "{DIM}{}{DIM:#}", about.join(", "))?;
        writeln!(out, "\n{}", traces::probes(report, medium))?;
        if !report.latencies.is_empty() {
            writeln!(out, "\n{}", traces::latencies(&report.latencies, medium))?;
        }
        if report.lost > 0 {
            writeln!(out, "\n{}", traces::cpus(report, medium))?;
        }
        Ok(())
    })
}

/// Prints where probes can fire.
pub(crate) fn trace_locations(locations: &[ProbeLocation]) -> Result<(), Failure> {
    line(traces::locations(locations, Medium::of_stdout()))
}

/// Prints how often probes were hit.
pub(crate) fn trace_hits(summary: &Summary) -> Result<(), Failure> {
    line(hits_text(summary, Medium::of_stdout()))
}

/// The same while it goes on, without colours.
pub(crate) fn trace_hits_text(summary: &Summary) -> String {
    hits_text(summary, Medium::Pipe)
}

fn hits_text(summary: &Summary, medium: Medium) -> String {
    let mut text = traces::hits(summary, medium);
    if !summary.pairs.is_empty() {
        text += &format!("\n\n{}", traces::latencies(&summary.pairs, medium));
    }
    text += &format!("\n\n{} hits in {:.1} s", summary.hits, summary.seconds);
    let TraceCounts { lost, overwritten, .. } = summary.counts;
    if lost + overwritten > 0 {
        text += &format!(
            "; {lost} lost and {overwritten} overwritten: a larger --buffer or a --filter helps"
        );
    }
    text
}

/// Prints the modules that are loaded.
pub(crate) fn modules(modules: &[Listed]) -> Result<(), Failure> {
    line(tables::modules(modules, Medium::of_stdout()))
}

/// Prints what a verification found.
pub(crate) fn survey(survey: &Survey) -> Result<(), Failure> {
    let path = survey.path.escape_debug();
    let below = match survey.folders.saturating_add(survey.files) {
        0 => String::new(),
        _ => format!(", with {} folders and {} files in it", survey.folders, survey.files),
    };
    if survey.is_trusted {
        return line(format_args!("'{path}' can be trusted: root alone can change it{below}"));
    }
    line(tables::violations(&survey.violations, Medium::of_stdout()))?;
    write(|out| {
        let count = survey.violations.len();
        let noun = if count == 1 { "violation" } else { "violations" };
        writeln!(out, "\n{RED}'{path}' cannot be trusted: {count} {noun}{RED:#}{below}")
    })
}

/// Prints statuses with their meanings.
pub(crate) fn statuses(rows: &[(Status, &str, &str)]) -> Result<(), Failure> {
    line(tables::statuses(rows, Medium::of_stdout()))
}

/// Tells the user on standard error why a command ended early.
pub(crate) fn failure(failure: &Failure) {
    // There is nobody left to tell if this fails.
    let _ = writeln!(anstream::stderr().lock(), "{RED}supctl{RED:#}: {failure}");
}

/// Shows on a terminal what is going on, until the next line of output.
pub(crate) fn progress(what: &str) {
    let mut stderr = io::stderr().lock();
    if stderr.is_terminal() {
        // Progress is a comfort: nothing depends on it.
        let _ = write!(stderr, "{CLEAR_LINE}{what} …");
        let _ = stderr.flush();
    }
}

/// Takes the last progress away.
pub(crate) fn progress_ends() {
    log();
}

/// Standard error for a line of the log, which takes the place of the progress.
pub(crate) fn log() -> io::Stderr {
    let mut stderr = io::stderr();
    if stderr.is_terminal() {
        let _ = write!(stderr, "{CLEAR_LINE}");
    }
    stderr
}
