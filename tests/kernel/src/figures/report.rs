//! The table of the figures, and the same as JSON.

use std::io::{self, Write};

use serde::Serialize;

use super::figure::{Figure, Goal, Value};
use super::measure::Clock;

/// How many goals there are, and how many of them are met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Tally {
    pub(super) goals: usize,
    pub(super) goals_met: usize,
}

impl Tally {
    pub(super) fn of(figures: &[Figure], clock: Clock) -> Self {
        let verdicts = || figures.iter().filter_map(|figure| figure.is_met(clock));
        Self { goals: verdicts().count(), goals_met: verdicts().filter(|is_met| *is_met).count() }
    }
}

const HEADINGS: [&str; 8] =
    ["figure", "median", "unit", "beside", "median", "ratio", "goal", "met"];

/// The columns that hold numbers.
const TO_THE_RIGHT: [usize; 3] = [1, 4, 5];

fn row(figure: &Figure, clock: Clock) -> [String; 8] {
    let (beside, compared) = match &figure.beside {
        Some((name, value)) => (name.clone(), grouped(*value)),
        None => Default::default(),
    };
    let goal = figure.goal.map(|goal| match goal {
        Goal::AtMost(most) => format!("<= {}", grouped(most)),
        Goal::TimesAtMost(most) => format!("<= {most}x"),
    });
    let verdict = match figure.is_met(clock) {
        Some(true) => "yes",
        Some(false) => "NO",
        None => "",
    };
    [
        figure.name.clone(),
        figure.measured().map_or_else(|| "skipped".to_owned(), grouped),
        figure.measured().map_or("", |_| figure.unit.name(clock)).to_owned(),
        beside,
        compared,
        figure.ratio().map_or_else(String::new, |ratio| format!("{ratio:.2}x")),
        goal.unwrap_or_default(),
        verdict.to_owned(),
    ]
}

/// Digits in threes.
fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// Prints the aligned table, the reasons of what was skipped, and the tally.
///
/// # Errors
/// Standard output is gone.
pub(super) fn table(figures: &[Figure], clock: Clock) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let rows: Vec<_> = [HEADINGS.map(str::to_owned)]
        .into_iter()
        .chain(figures.iter().map(|figure| row(figure, clock)))
        .collect();
    for row in &rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
            line += &if TO_THE_RIGHT.contains(&column) {
                format!("{cell:>width$}  ")
            } else {
                format!("{cell:<width$}  ")
            };
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    for figure in figures {
        if let Value::Skipped(reason) = &figure.value {
            writeln!(out, "skipped {}: {reason}", figure.name)?;
        }
    }
    if clock == Clock::Runs {
        writeln!(
            out,
            "The clock of this machine does not count instructions, so times are no more than a hint \
             and have no verdict: run it by `cargo xtask bench kernel`"
        )?;
    }
    let Tally { goals, goals_met } = Tally::of(figures, clock);
    writeln!(out, "{goals_met} of {goals} goals met")
}

/// A line of the JSON report. `goal` limits what `goal_of` names.
#[derive(Debug, Serialize)]
struct JsonFigure<'a> {
    suite: &'static str,
    name: &'a str,
    median: Option<u64>,
    unit: &'static str,
    compared_to: Option<&'a str>,
    compared_median: Option<u64>,
    ratio: Option<f64>,
    goal: Option<f64>,
    goal_of: Option<&'static str>,
    met: Option<bool>,
    skipped: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct JsonReport<'a> {
    figures: Vec<JsonFigure<'a>>,
    counts_instructions: bool,
    #[serde(flatten)]
    tally: Tally,
}

/// Prints one object, of the shape that `cargo xtask bench --json` has.
///
/// # Errors
/// Standard output is gone.
pub(super) fn json(figures: &[Figure], clock: Clock) -> io::Result<()> {
    let lines = figures.iter().map(|figure| JsonFigure {
        suite: "kernel",
        name: &figure.name,
        median: figure.measured(),
        unit: figure.unit.name(clock),
        compared_to: figure.beside.as_ref().map(|beside| beside.0.as_str()),
        compared_median: figure.beside.as_ref().map(|beside| beside.1),
        ratio: figure.ratio(),
        goal: figure.goal.map(|goal| match goal {
            Goal::AtMost(most) => most as f64,
            Goal::TimesAtMost(most) => most,
        }),
        goal_of: figure.goal.map(|goal| match goal {
            Goal::AtMost(_) => "median",
            Goal::TimesAtMost(_) => "ratio",
        }),
        met: figure.is_met(clock),
        skipped: if let Value::Skipped(reason) = &figure.value { Some(reason) } else { None },
    });
    let report = JsonReport {
        figures: lines.collect(),
        counts_instructions: clock == Clock::CountsInstructions,
        tally: Tally::of(figures, clock),
    };
    writeln!(io::stdout(), "{}", serde_json::to_string_pretty(&report)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_stand_in_threes() {
        let cases = [(0, "0"), (999, "999"), (1000, "1 000"), (12_345_678, "12 345 678")];
        for (value, text) in cases {
            assert_eq!(grouped(value), text);
        }
    }
}
