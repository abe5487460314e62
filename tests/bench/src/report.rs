//! The one place that prints. Colours reach terminals only: `anstream` strips them elsewhere.
//!
//! A reader that went away (`cargo xtask bench | head`) is no error, so failed writes are let go.

use std::fmt;
use std::io::{IsTerminal, Write};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use anyhow::Result;
use serde::Serialize;

use crate::figure::{Figure, Goal, Line, Skip, Tally};
use crate::suites::Suite;

const PLAIN: Style = Style::new();
const HEADING: Style = Style::new().bold();
const RED: Style = AnsiColor::Red.on_default().bold();
const GREEN: Style = AnsiColor::Green.on_default().bold();

/// The columns; numbers stand to the right.
const COLUMNS: [(&str, Align); 9] = [
    ("figure", Align::Left),
    ("median", Align::Right),
    ("spread", Align::Right),
    ("unit", Align::Left),
    ("compared to", Align::Left),
    ("median", Align::Right),
    ("ratio", Align::Right),
    ("goal", Align::Left),
    ("met", Align::Left),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Align {
    Left,
    Right,
}

type Row = [String; COLUMNS.len()];

pub(crate) fn error(error: &anyhow::Error) {
    let _ = writeln!(anstream::stderr().lock(), "{RED}error{RED:#}: {error:#}");
}

/// Shows on a terminal how far a long figure is.
pub(crate) fn progress(what: &str, passed: Duration, all: Duration) {
    let mut stderr = std::io::stderr().lock();
    if stderr.is_terminal() {
        let _ = write!(stderr, "\r\x1b[2K{what}: {} of {} s", passed.as_secs(), all.as_secs());
        let _ = stderr.flush();
    }
}

/// Takes the last progress away.
pub(crate) fn progress_ends() {
    let mut stderr = std::io::stderr().lock();
    if stderr.is_terminal() {
        let _ = write!(stderr, "\r\x1b[2K");
    }
}

pub(crate) fn suites(suites: &[Suite]) {
    for suite in suites {
        print(format_args!("{:<12} {}", suite.name, suite.about));
    }
}

/// The aligned table, what is not in it, and the tally on the last line.
pub(crate) fn table(lines: &[Line], skips: &[Skip], tally: Tally) {
    let headings: Row = COLUMNS.map(|(heading, _)| heading.to_owned());
    let rows: Vec<Row> = lines.iter().map(|line| row(&line.figure)).collect();
    let widths: [usize; COLUMNS.len()] = std::array::from_fn(|column| {
        let cells = rows.iter().chain([&headings]).map(|row| row[column].chars().count());
        cells.max().unwrap_or(0)
    });
    let mut suite = "";
    for (line, row) in lines.iter().zip(&rows) {
        if line.suite != suite {
            suite = line.suite;
            print(format_args!("{HEADING}{suite}{HEADING:#}"));
            print_row(&headings, &widths, HEADING);
        }
        let style = match line.figure.is_met() {
            Some(true) => GREEN,
            Some(false) => RED,
            None => PLAIN,
        };
        print_row(row, &widths, style);
    }
    for Skip { name, reason } in skips {
        print(format_args!("skipped: {name}: {reason}"));
    }
    print(format_args!("{} of {} goals met", tally.met, tally.goals));
}

/// Only the last cell has the style: the figures are to be read.
fn print_row(row: &Row, widths: &[usize; COLUMNS.len()], style: Style) {
    let (verdict, cells) = row.split_last().unwrap_or((&row[0], &[]));
    let mut text = String::new();
    for ((cell, width), (_, align)) in cells.iter().zip(widths).zip(COLUMNS) {
        text += &match align {
            Align::Left => format!("{cell:<width$}  "),
            Align::Right => format!("{cell:>width$}  "),
        };
    }
    if verdict.is_empty() {
        return print(format_args!("  {}", text.trim_end()));
    }
    print(format_args!("  {text}{style}{verdict}{style:#}"));
}

fn row(figure: &Figure) -> Row {
    let Figure { name, unit, compared_to, pair, goal } = figure;
    let goal = match goal {
        Some(Goal::Median(most)) => format!("<= {most} {unit}"),
        Some(Goal::Ratio(most)) => format!("<= {most}x"),
        Some(Goal::Beyond(most)) => format!("<= +{most} {unit}"),
        None => String::new(),
    };
    let verdict = match figure.is_met() {
        Some(true) => "yes",
        Some(false) => "NO",
        None => "",
    };
    [
        name.clone(),
        number(pair.ours.median),
        number(pair.ours.spread()),
        (*unit).to_owned(),
        compared_to.clone(),
        number(pair.theirs.median),
        ratio(pair.ratio),
        goal,
        verdict.to_owned(),
    ]
}

/// Three digits, as far as there is a point to drop them behind.
fn number(value: f64) -> String {
    let decimals = match value {
        100.0.. => 0,
        10.0.. => 1,
        _ => 2,
    };
    format!("{value:.decimals$}")
}

/// Two decimals, or what it takes to compare a small one with its goal.
fn ratio(value: f64) -> String {
    let decimals = if value < 0.1 { 3 } else { 2 };
    format!("{value:.decimals$}x")
}

/// A line of the JSON report. `goal` limits what `goal_of` names.
#[derive(Debug, Serialize)]
struct JsonFigure<'a> {
    suite: &'a str,
    name: &'a str,
    median: f64,
    spread: f64,
    lower_quartile: f64,
    upper_quartile: f64,
    unit: &'a str,
    compared_to: &'a str,
    compared_median: f64,
    ratio: f64,
    goal: Option<f64>,
    goal_of: Option<&'static str>,
    met: Option<bool>,
}

#[derive(Debug, Serialize)]
struct JsonReport<'a> {
    figures: Vec<JsonFigure<'a>>,
    skipped: &'a [Skip],
    goals: usize,
    goals_met: usize,
}

/// One object: `figures`, what was `skipped`, and the tally.
///
/// # Errors
/// A figure that JSON cannot hold.
pub(crate) fn json(lines: &[Line], skips: &[Skip], tally: Tally) -> Result<()> {
    let figures = lines.iter().map(json_figure).collect();
    let report = JsonReport { figures, skipped: skips, goals: tally.goals, goals_met: tally.met };
    print(format_args!("{}", serde_json::to_string_pretty(&report)?));
    Ok(())
}

fn json_figure(line: &Line) -> JsonFigure<'_> {
    let Figure { name, unit, compared_to, pair, goal } = &line.figure;
    let (goal, goal_of) = match goal {
        Some(Goal::Median(most)) => (Some(*most), Some("median")),
        Some(Goal::Ratio(most)) => (Some(*most), Some("ratio")),
        Some(Goal::Beyond(most)) => (Some(*most), Some("difference")),
        None => (None, None),
    };
    JsonFigure {
        suite: line.suite,
        name,
        median: pair.ours.median,
        spread: pair.ours.spread(),
        lower_quartile: pair.ours.lower,
        upper_quartile: pair.ours.upper,
        unit,
        compared_to,
        compared_median: pair.theirs.median,
        ratio: pair.ratio,
        goal,
        goal_of,
        met: line.figure.is_met(),
    }
}

fn print(text: fmt::Arguments<'_>) {
    let _ = writeln!(anstream::stdout().lock(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits() {
        let cases = [(0.333, "0.33"), (5.678, "5.68"), (56.78, "56.8"), (567.8, "568")];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
    }
}
