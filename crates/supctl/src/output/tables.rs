//! The tables: what is in their cells, and how they look on each medium.

use std::io::{IsTerminal, stdout};

use comfy_table::presets::NOTHING;
use comfy_table::{
    Attribute, Cell, CellAlignment, Color, ColumnConstraint, ContentArrangement, Table,
    TableComponent,
};
use sup::Status;

use crate::doctor::{Check, Report};
use crate::gip::{Cpu, Look};
use crate::module::{Listed, User};
use crate::verify::Broken;

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

    pub(super) fn table(self) -> Table {
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
        "ahead ns",
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
            cpu.ahead_ns.map_or_else(|| "-".to_owned(), |ahead| ahead.to_string()),
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

/// A line for each processor, under a header unless there was one before.
pub(super) fn cpu_lines(look: &Look, has_header: bool) -> String {
    let mut text = String::new();
    if !has_header {
        text.push_str("        time ns  cpu            Hz  interval ns    ahead ns  errors\n");
    }
    for cpu in &look.cpus {
        let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        text.push_str(&format!(
            "{:>15}  {:>3}  {:>12}  {:>11}  {:>10}  {:>6}\n",
            look.now_ns,
            cpu.id,
            or_dash(cpu.hz.map(|hz| hz.to_string())),
            cpu.interval_ns,
            or_dash(cpu.ahead_ns.map(|ahead| ahead.to_string())),
            cpu.errors,
        ));
    }
    text
}

/// The modules that are loaded, by name.
pub(super) fn modules(modules: &[Listed], medium: Medium) -> String {
    let mut table = medium.table();
    let header = ["module", "uses", "running", "bytes", "base", "sha256", "signer", "loaded by"];
    table.set_header(header.map(heading));
    for module in modules {
        table.add_row([
            module.name.clone(),
            module.references.saturating_add(module.dependents).to_string(),
            module.running.to_string(),
            module.bytes.to_string(),
            module.base.clone().unwrap_or_else(|| "not told".to_owned()),
            shortened(&module.sha256),
            signer(module),
            users(module),
        ]);
    }
    for column in 1..4 {
        align_right(&mut table, column);
    }
    keep_whole(&mut table, header.len() - 1);
    table.trim_fmt()
}

/// As many digits as sentences of the driver show.
fn shortened(digits: &str) -> String {
    digits.chars().take(16).collect()
}

fn signer(module: &Listed) -> String {
    match &module.signer {
        None => "nobody".to_owned(),
        Some(key) if module.is_trusted => shortened(key),
        Some(key) => format!("{}, not trusted", shortened(key)),
    }
}

/// The sessions that use a module, and how many references are not told of.
fn users(module: &Listed) -> String {
    let times = |user: &User| match user.references {
        1 => String::new(),
        more => format!(" × {more}"),
    };
    let known = module.users.iter();
    let mut parts: Vec<_> = known
        .map(|user| format!("{} of user {}{}", user.process, user.user, times(user)))
        .collect();
    let told: u64 = module.users.iter().map(|user| user.references).sum();
    match module.references.saturating_sub(told) {
        0 => {}
        1 => parts.push("another one".to_owned()),
        more => parts.push(format!("{more} others")),
    }
    if module.dependents > 0 {
        parts.push(format!("{} that depend on it", module.dependents));
    }
    parts.join(", ")
}

/// What is wrong, from the root downwards.
pub(super) fn violations(violations: &[Broken], medium: Medium) -> String {
    let mut table = medium.table();
    let header = ["path", "owner", "group", "mode", "status", "what is wrong", "to mend it"];
    table.set_header(header.map(heading));
    let known = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    for violation in violations {
        table.add_row([
            // A stranger's file name does not write on the terminal.
            violation.path.escape_debug().to_string(),
            known(violation.owner.map(|owner| owner.to_string())),
            known(violation.group.map(|group| group.to_string())),
            known(violation.mode.clone()),
            violation.status.clone(),
            violation.complaint.clone(),
            violation.remedy.clone(),
        ]);
    }
    for column in 1..4 {
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

pub(super) fn heading(text: &str) -> Cell {
    Cell::new(text).add_attribute(Attribute::Bold)
}

/// Never wraps the first columns.
fn keep_whole(table: &mut Table, columns: usize) {
    for column in table.column_iter_mut().take(columns) {
        column.set_constraint(ColumnConstraint::ContentWidth);
    }
}

pub(super) fn align_right(table: &mut Table, column: usize) {
    if let Some(column) = table.column_mut(column) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(name: &str, base: Option<&str>, signer: Option<String>, users: Vec<User>) -> Listed {
        Listed {
            name: name.to_owned(),
            sha256: "ab".repeat(32),
            signer,
            is_trusted: false,
            base: base.map(str::to_owned),
            bytes: 16_384,
            references: 6,
            dependents: 0,
            running: 1,
            users,
        }
    }

    #[test]
    fn what_is_not_told_of_a_module_is_shown_as_unknown() {
        let user = |process, references| User { process, user: 1000, references };
        let stranger = listed("hello", None, Some("cd".repeat(32)), vec![user(7, 3), user(8, 1)]);
        let known = listed("VMMR0.r0", Some("0xffff"), None, vec![user(9, 6)]);
        let text = modules(&[Listed { dependents: 2, ..known }, stranger], Medium::Pipe);
        let rows: Vec<Vec<_>> = text.lines().map(|row| row.split_whitespace().collect()).collect();
        assert_eq!(rows.len(), 3, "{text}");
        assert_eq!(
            rows[1][..7],
            ["VMMR0.r0", "8", "1", "16384", "0xffff", "abababababababab", "nobody"]
        );
        assert!(text.contains("9 of user 1000 × 6, 2 that depend on it"), "{text}");
        assert_eq!(rows[2][..6], ["hello", "6", "1", "16384", "not", "told"]);
        assert!(text.contains("cdcdcdcdcdcdcdcd, not trusted"), "{text}");
        assert!(text.contains("7 of user 1000 × 3, 8 of user 1000, 2 others"), "{text}");
    }

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
