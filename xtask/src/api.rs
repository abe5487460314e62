//! `cargo xtask api`: which functions of the header are there, where, and which program calls them.
//!
//! Looked at is what is there in the end: the dynamic symbols of `libsup.so`, the export table of ring 0,
//! what the modules export, and the sources in C that call. Every function of `docs/functions.tsv` gets a
//! row of `docs/api-status.md`, and every group of them one of README's table. One that is missing, or that nothing calls, is a gap; it fails unless it
//! stands in `docs/api-gaps.tsv` with the number of the issue that it comes with, and so does a row there
//! whose gap is closed.
//!
//! Invariant: this reads, and writes the one document, and in README what stands between its marks.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use object::{Object, ObjectSymbol};

use crate::project::Project;
use crate::{capi, modules, report, start};

const FUNCTIONS: &str = "docs/functions.tsv";
const SEED: &str = "../shared/seed/functions.tsv";
const GAPS: &str = "docs/api-gaps.tsv";
const STATUS: &str = "docs/api-status.md";
const README: &str = "README.md";
/// What encloses the table in README.
const OPENS: &str = "<!-- api: written by `cargo xtask api` -->\n";
const CLOSES: &str = "<!-- /api -->";
/// Where the export table of ring 0 is.
const TABLE: &str = "crates/sup-ring0/src/exports.rs";
/// A module that has both entry points, and programs and modules in C that call.
const MODULE: &str = "hello.r0";
const CALLERS: [&str; 5] =
    ["tests/c", "tests/c/start", "tests/conformance/modules", "modules/hello", "modules/vmmr0"];
/// What the library exports beside the header's functions: its variable, two functions for run-time libraries,
/// and one for the start with privileges.
const BESIDE: [&str; 4] =
    ["g_pSUPGlobalInfoPage", "supR3PageLock", "supR3PageUnlock", "supR3PreInit"];

/// A function of the header, and what was found of it.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    name: String,
    /// Where the header has it: `3`, `0`, `3+0` or `module`.
    ring: String,
    /// What it belongs to.
    group: String,
    exported: Vec<&'static str>,
    callers: Vec<String>,
}

impl Row {
    /// The one function that start programs are linked with.
    fn is_start(&self) -> bool {
        self.name == "SUPR3HardenedMain"
    }

    /// Whether something is missing, and what.
    fn gap(&self) -> Option<String> {
        let wanted: &[&str] = match self.ring.as_str() {
            "3" if self.is_start() => &[START],
            "3" => &[LIBRARY],
            "0" => &[RING0],
            "module" => &[MODULES],
            _ => &[LIBRARY, RING0],
        };
        let missing: Vec<&str> =
            wanted.iter().copied().filter(|place| !self.exported.contains(place)).collect();
        if !missing.is_empty() {
            return Some(format!("not in {}", missing.join(", nor in ")));
        }
        self.callers.is_empty().then(|| "nothing calls it".to_owned())
    }
}

const LIBRARY: &str = "libsup";
const START: &str = "libsup_hardened";
const RING0: &str = "ring 0";
const MODULES: &str = "modules";

/// What was found.
#[derive(Debug)]
pub(crate) struct Findings {
    pub(crate) functions: usize,
    pub(crate) gaps: usize,
    document: String,
    /// The table of README.
    table: String,
    problems: Vec<String>,
}

/// Writes the document and prints it.
pub(crate) fn write(project: &Project) -> Result<ExitCode> {
    let findings = look(project)?;
    project.sh.write_file(STATUS, &findings.document)?;
    let readme = project.sh.read_file(README)?;
    project.sh.write_file(README, with_table(&readme, &findings.table)?)?;
    report::line(format_args!("{}", findings.document.trim_end()));
    judge(&findings)?;
    Ok(ExitCode::SUCCESS)
}

/// The same for the step: the document has to be current.
///
/// # Errors
/// There is a gap that is not listed, a listed one is closed, or the document is another.
pub(crate) fn check(project: &Project) -> Result<Findings> {
    let findings = look(project)?;
    judge(&findings)?;
    let written = project.sh.read_file(STATUS).unwrap_or_default();
    ensure!(written == findings.document, "{STATUS} is not current: `cargo xtask api` writes it");
    let readme = project.sh.read_file(README)?;
    let current = with_table(&readme, &findings.table)? == readme;
    ensure!(current, "the table in {README} is not current: `cargo xtask api` writes it");
    Ok(findings)
}

fn judge(findings: &Findings) -> Result<()> {
    if findings.problems.is_empty() {
        return Ok(());
    }
    for problem in &findings.problems {
        report::line(format_args!("{problem}"));
    }
    bail!("{} functions are not what {GAPS} says", findings.problems.len())
}

fn look(project: &Project) -> Result<Findings> {
    let sh = &project.sh;
    let list = sh.read_file(FUNCTIONS)?;
    if project.root.join(SEED).is_file() {
        ensure!(sh.read_file(SEED)? == list, "{FUNCTIONS} differs from {SEED}");
    }
    let library = symbols(&capi::build(project)?.shared())?;
    let module = symbols(&modules::build(project)?.join(MODULE))?;
    let start = archive_symbols(&start::build(project)?.archive)?;
    let ring0 = table(&sh.read_file(TABLE)?);
    let calls = callers(project)?;

    let mut rows = Vec::new();
    for line in list.lines().skip(1) {
        let mut fields = line.split('\t');
        let (Some(name), Some(ring), Some(group)) = (fields.next(), fields.next(), fields.next())
        else {
            bail!("{FUNCTIONS}: `{line}` has no three fields");
        };
        let places = [(LIBRARY, &library), (START, &start), (RING0, &ring0), (MODULES, &module)];
        let exported =
            places.iter().filter(|(_, names)| names.contains(name)).map(|(place, _)| *place);
        rows.push(Row {
            name: name.to_owned(),
            ring: ring.to_owned(),
            group: group.to_owned(),
            exported: exported.collect(),
            callers: calls.get(name).cloned().unwrap_or_default(),
        });
    }
    let mut findings = compare(&rows, &sh.read_file(GAPS)?)?;
    let known: BTreeSet<&str> = rows.iter().map(|row| row.name.as_str()).chain(BESIDE).collect();
    let strange = library.iter().filter(|name| !known.contains(name.as_str()));
    findings
        .problems
        .extend(strange.map(|name| format!("{name}: exported, and none of the header's")));
    Ok(findings)
}

/// What a shared object exports.
fn symbols(path: &Path) -> Result<BTreeSet<String>> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let file = object::File::parse(&*bytes)?;
    let names = file.dynamic_symbols().filter(|symbol| symbol.is_definition());
    Ok(names.filter_map(|symbol| symbol.name().ok()).map(str::to_owned).collect())
}

/// The header's names that an archive defines.
fn archive_symbols(path: &Path) -> Result<BTreeSet<String>> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let archive = object::read::archive::ArchiveFile::parse(&*bytes)?;
    let symbols = archive.symbols()?.with_context(|| format!("{}: no index", path.display()))?;
    let names = symbols.map(|symbol| Ok(String::from_utf8_lossy(symbol?.name()).into_owned()));
    let names: Result<BTreeSet<String>> = names.collect();
    Ok(names?.into_iter().filter(|name| name.starts_with("SUP")).collect())
}

/// The names in the export table of ring 0: `"NAME" => function`.
fn table(source: &str) -> BTreeSet<String> {
    let rows = source.lines().filter_map(|line| line.trim().strip_prefix('"')?.split_once("\" =>"));
    rows.map(|(name, _)| name.to_owned()).collect()
}

/// Which sources call which function.
fn callers(project: &Project) -> Result<BTreeMap<String, Vec<String>>> {
    let mut calls: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for folder in CALLERS {
        let mut sources: Vec<PathBuf> = project.files_in(folder, "c");
        sources.extend(project.files_in(folder, "cpp"));
        sources.sort();
        for source in sources {
            let path = source.strip_prefix(&project.root)?.to_string_lossy().into_owned();
            for name in called(&project.sh.read_file(&source)?) {
                calls.entry(name).or_default().push(path.clone());
            }
        }
    }
    Ok(calls)
}

/// The words before an opening parenthesis, comments aside. Modules define their entry points that way.
fn called(source: &str) -> BTreeSet<String> {
    let mut code = String::new();
    let mut rest = source;
    while let Some((before, behind)) = rest.split_once("/*") {
        code.push_str(before);
        rest = behind.split_once("*/").map_or("", |(_, after)| after);
    }
    code.push_str(rest);
    let pieces = code.split('(').filter_map(|before| {
        let word =
            before.trim_end().rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '_').next()?;
        (!word.is_empty()).then(|| word.to_owned())
    });
    // An absolute symbol is a value: what a module does with it is to take its address.
    let absolute = code.split('&').skip(1).filter_map(|behind| {
        let word = behind.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next()?;
        word.starts_with("SUPR0Abs").then(|| word.to_owned())
    });
    pieces.chain(absolute).collect()
}

/// Compares with the list of gaps, and writes the document.
fn compare(rows: &[Row], gaps: &str) -> Result<Findings> {
    let mut listed = BTreeMap::new();
    for line in gaps.lines().skip(1) {
        let (name, issue) = line.split_once('\t').with_context(|| format!("{GAPS}: `{line}`"))?;
        listed.insert(name, issue);
    }
    let mut problems = Vec::new();
    let mut table = String::new();
    let mut open = 0;
    for row in rows {
        let status = match (row.gap(), listed.remove(row.name.as_str())) {
            (None, None) => {
                row.callers.iter().map(|path| format!("`{path}`")).collect::<Vec<_>>().join(", ")
            }
            (Some(gap), Some(issue)) => {
                open += 1;
                format!("{gap}: issue {issue}")
            }
            (Some(gap), None) => {
                problems.push(format!("{}: {gap}", row.name));
                continue;
            }
            (None, Some(_)) => {
                problems.push(format!("{}: there now, so {GAPS} must not list it", row.name));
                continue;
            }
        };
        let exported = row.exported.join(", ");
        writeln!(table, "| `{}` | {} | {exported} | {status} |", row.name, row.ring)?;
    }
    problems
        .extend(listed.keys().map(|name| format!("{name}: {GAPS} lists what the header has not")));
    let functions = rows.len();
    let there = functions - open;
    let document = format!(
        "# Which functions are there\n\n\
         Written by `cargo xtask api` from the symbols of `libsup.so` and `libsup_hardened.a`, the export table of ring 0 and the programs \
         and modules in C that call; the step `api` fails if it is not current.\n\n\
         {there} of {functions} functions are there; {open} come with their issues.\n\n\
         | function | ring | exported by | called by |\n|---|---|---|---|\n{table}"
    );
    Ok(Findings { functions, gaps: open, document, table: by_group(rows), problems })
}

/// How many functions of each group are there, and which are not, in the order of the header.
fn by_group(rows: &[Row]) -> String {
    let mut groups: Vec<(&str, Vec<&Row>)> = Vec::new();
    for row in rows {
        match groups.iter_mut().find(|(group, _)| *group == row.group) {
            Some((_, members)) => members.push(row),
            None => groups.push((&row.group, vec![row])),
        }
    }
    let mut table = "| functions of the header | there | not there |\n|---|---|---|\n".to_owned();
    for (group, members) in groups {
        let missing: Vec<String> = members
            .iter()
            .filter(|row| row.gap().is_some())
            .map(|row| format!("`{}`", row.name))
            .collect();
        let (all, there) = (members.len(), members.len() - missing.len());
        // Writing to a string cannot fail.
        let _ = writeln!(table, "| {group} | {there} of {all} | {} |", missing.join(", "));
    }
    table
}

/// README with the table between its marks.
fn with_table(readme: &str, table: &str) -> Result<String> {
    let marks = || format!("{README} has no place between {} and {CLOSES}", OPENS.trim_end());
    let (before, rest) = readme.split_once(OPENS).with_context(marks)?;
    let (_, behind) = rest.split_once(CLOSES).with_context(marks)?;
    Ok(format!("{before}{OPENS}{table}{CLOSES}{behind}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, ring: &str, exported: &[&'static str], callers: &[&str]) -> Row {
        let callers = callers.iter().map(|path| (*path).to_owned()).collect();
        let (name, ring, group) = (name.to_owned(), ring.to_owned(), "group".to_owned());
        Row { name, ring, group, exported: exported.to_vec(), callers }
    }

    #[test]
    fn readme_counts_groups_and_names_what_is_missing() {
        let mut rows = vec![row("a", "3", &[LIBRARY], &["x.c"]), row("b", "3", &[], &[])];
        rows.push(Row { group: "other".to_owned(), ..row("c", "0", &[RING0], &["x.c"]) });
        let table = by_group(&rows);
        assert!(table.ends_with("| group | 1 of 2 | `b` |\n| other | 1 of 1 |  |\n"), "{table}");
        let readme = format!("before\n{OPENS}old\n{CLOSES}\nbehind\n");
        let written = with_table(&readme, &table).unwrap();
        assert_eq!(written, format!("before\n{OPENS}{table}{CLOSES}\nbehind\n"));
        assert_eq!(with_table(&written, &table).unwrap(), written);
        assert!(with_table("no marks", &table).is_err());
    }

    #[test]
    fn a_function_has_to_be_everywhere_where_the_header_has_it_and_be_called() {
        assert_eq!(row("a", "3", &[LIBRARY], &["x.c"]).gap(), None);
        assert_eq!(row("a", "module", &[MODULES], &["x.c"]).gap(), None);
        assert!(row("a", "3", &[RING0], &["x.c"]).gap().is_some());
        assert!(row("a", "3+0", &[LIBRARY], &["x.c"]).gap().is_some());
        assert!(row("a", "0", &[RING0], &[]).gap().is_some());
    }

    #[test]
    fn cannot_hide_a_gap_or_keep_a_closed_one() {
        let rows = [row("a", "3", &[LIBRARY], &["x.c"]), row("b", "3", &[], &[])];
        let problems = |gaps: &str| compare(&rows, gaps).unwrap().problems.len();
        assert_eq!(problems("function\tissue\nb\t8\n"), 0);
        assert_eq!(problems("function\tissue\n"), 1);
        assert_eq!(problems("function\tissue\na\t8\nb\t8\n"), 1);
        assert_eq!(problems("function\tissue\nb\t8\nc\t8\n"), 1);
        assert!(compare(&rows, "function\tissue\nb 8\n").is_err());
    }

    #[test]
    fn a_call_is_a_word_before_a_parenthesis_and_not_in_a_comment() {
        let words = called("x = SUPA(1, SUPB (2)); /* SUPC(3) */ SUPD;");
        assert!(words.contains("SUPA") && words.contains("SUPB"));
        assert!(!words.contains("SUPC") && !words.contains("SUPD"));
    }

    #[test]
    fn the_table_of_ring_0_is_read_by_its_names() {
        let names =
            table("        \"SUPR0Printf\" => printf::f::<R> as *const (),\n    \"no row\"\n");
        assert_eq!(names.into_iter().collect::<Vec<_>>(), ["SUPR0Printf"]);
    }
}
