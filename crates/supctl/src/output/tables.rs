//! The tables: what is in their cells, and how they look on each medium.

use std::io::{IsTerminal, stdout};

use comfy_table::presets::NOTHING;
use comfy_table::{
    Attribute, Cell, CellAlignment, Color, ColumnConstraint, ContentArrangement, Table,
    TableComponent,
};
use sup::Status;

use crate::doctor::{Check, Report};
use crate::gip::Cpu;

/// Where a table goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Medium {
    /// A terminal with so many columns: a rule, colours, wrapped lines.
    Terminal { columns: u16 },
    /// A pipe or a file: each row is one line of plain text.
    Pipe,
}

impl Medium {
    pub(super) fn of_stdout() -> Self {
        const COLUMNS: u16 = 100;
        const COLUMNS_MAX: u16 = 120;
        if !stdout().is_terminal() {
            return Self::Pipe;
        }
        let size = rustix::termios::tcgetwinsize(stdout()).ok();
        let columns = size.map(|size| size.ws_col).filter(|&columns| columns > 0);
        Self::Terminal { columns: columns.unwrap_or(COLUMNS).min(COLUMNS_MAX) }
    }

    fn table(self) -> Table {
        let mut table = Table::new();
        table.load_preset(NOTHING);
        match self {
            Self::Terminal { columns } => {
                table.set_style(TableComponent::HeaderLines, '─');
                table.set_content_arrangement(ContentArrangement::Dynamic);
                table.set_width(columns);
                table.enforce_styling();
            }
            Self::Pipe => {
                table.set_content_arrangement(ContentArrangement::Disabled);
            }
        }
        table
    }
}

/// The doctor's checks.
pub(super) fn report(report: &Report, medium: Medium) -> String {
    let mut table = medium.table();
    table.set_header(["", "check", "figure", "unit", "detail"].map(heading));
    for check in &report.checks {
        table.add_row([
            mark(check, medium),
            Cell::new(check.name),
            Cell::new(check.figure.map_or_else(|| "-".to_owned(), figure)),
            Cell::new(check.unit).add_attribute(Attribute::Dim),
            detail(check, medium),
        ]);
    }
    keep_whole(&mut table, 4);
    align_right(&mut table, 2);
    table.trim_fmt()
}

fn mark(check: &Check, medium: Medium) -> Cell {
    let (terminal, pipe, color) = if check.passed {
        ("✓", "ok", Color::DarkGreen)
    } else {
        ("✗", "FAILED", Color::DarkRed)
    };
    Cell::new(if medium == Medium::Pipe { pipe } else { terminal }).fg(color)
}

fn detail(check: &Check, medium: Medium) -> Cell {
    match check.remedy {
        None => Cell::new(&check.detail),
        Some(remedy) if medium == Medium::Pipe => {
            Cell::new(format!("{}; to do: {remedy}", check.detail))
        }
        Some(remedy) => Cell::new(format!("{}\n→ {remedy}", check.detail)).fg(Color::DarkRed),
    }
}

/// A figure with three digits that count, or as many as the whole number has.
fn figure(value: f64) -> String {
    let decimals = match value.abs() {
        size if size >= 100.0 || value.fract() == 0.0 => 0,
        size if size >= 10.0 => 1,
        _ => 2,
    };
    format!("{value:.decimals$}")
}

/// What the page says of each processor.
pub(super) fn cpus(cpus: &[Cpu], medium: Medium) -> String {
    let mut table = medium.table();
    let header = [
        "cpu",
        "APIC id",
        "frequency Hz",
        "interval ns",
        "interval ticks",
        "transaction",
        "errors",
    ];
    table.set_header(header.map(heading));
    for cpu in cpus {
        table.add_row([
            cpu.id.to_string(),
            cpu.apic_id.to_string(),
            cpu.hz.map_or_else(|| "-".to_owned(), |hz| hz.to_string()),
            cpu.interval_ns.to_string(),
            cpu.interval_ticks.to_string(),
            cpu.transaction.to_string(),
            cpu.errors.to_string(),
        ]);
    }
    for column in 0..header.len() {
        align_right(&mut table, column);
    }
    table.trim_fmt()
}

/// Statuses by number, with name and meaning.
pub(super) fn statuses(rows: &[(Status, &str, &str)], medium: Medium) -> String {
    let mut table = medium.table();
    table.set_header(["number", "name", "meaning"].map(heading));
    for (status, name, meaning) in rows {
        let color = if status.is_success() { Color::DarkGreen } else { Color::DarkRed };
        table.add_row([Cell::new(status.raw()), Cell::new(name).fg(color), Cell::new(meaning)]);
    }
    keep_whole(&mut table, 2);
    align_right(&mut table, 0);
    table.trim_fmt()
}

fn heading(text: &str) -> Cell {
    Cell::new(text).add_attribute(Attribute::Bold)
}

/// Never wraps the first columns.
fn keep_whole(table: &mut Table, columns: usize) {
    for column in table.column_iter_mut().take(columns) {
        column.set_constraint(ColumnConstraint::ContentWidth);
    }
}

fn align_right(table: &mut Table, column: usize) {
    if let Some(column) = table.column_mut(column) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_digits_that_count() {
        for (value, text) in [
            (0.0, "0"),
            (3.0, "3"),
            (0.126, "0.13"),
            (12.34, "12.3"),
            (123.4, "123"),
            (98765.4, "98765"),
        ] {
            assert_eq!(figure(value), text);
        }
    }
}
