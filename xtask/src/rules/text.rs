//! Rules for any file: its opening, its length, words that may not stay.

use super::Finding;
use super::source::Source;

const MAX_LINES: usize = 600;
/// Its code is written into other crates.
const MACROS_FOR_OTHERS: &str = "crates/sup-probe/src/object.rs";

/// Put together here, because this file may not contain them either.
const MARKS: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
const REGISTRIES: [&str; 7] = [
    concat!("crates", ".io"),
    concat!("pypi", ".org"),
    concat!("pythonhosted", ".org"),
    concat!("npmjs", ".org"),
    concat!("npmjs", ".com"),
    concat!("debian", ".org"),
    concat!("proxy.golang", ".org"),
];

/// Every Rust file opens with what it is for.
pub(super) fn file_docs(source: &Source) -> Vec<Finding> {
    let opens = source.lines.first().is_some_and(|line| line.starts_with("//! "));
    if source.is_rust() && !opens {
        return vec![Finding::new(1, "open the file with `//!`: what it is for")];
    }
    Vec::new()
}

/// Lints are expected with a reason, so that an exception which is no longer needed is noticed.
///
/// But what a macro writes into other crates may need it or not: there an expectation would fail.
pub(super) fn no_allow(source: &Source) -> Vec<Finding> {
    if source.path == MACROS_FOR_OTHERS {
        return Vec::new();
    }
    ["# [ allow (", "# ! [ allow ("]
        .into_iter()
        .flat_map(|pattern| source.find(pattern))
        .map(|found| Finding::new(found.token.line, "write `expect` with a reason, not `allow`"))
        .collect()
}

/// Work that is left belongs in an issue.
pub(super) fn no_marks(source: &Source) -> Vec<Finding> {
    let is_mark = |word: &str| MARKS.contains(&word);
    lines_where(source, Source::is_code, |line| {
        let mut words = line.split(|char: char| !char.is_alphanumeric());
        words.any(is_mark).then(|| "file an issue instead of leaving a mark".to_owned())
    })
}

/// A file that needs more lines holds two subjects.
pub(super) fn file_length(source: &Source) -> Vec<Finding> {
    let is_counted = source.is_code() && !source.path.ends_with(".toml");
    let lines = source.lines.len();
    if is_counted && lines > MAX_LINES {
        let sentence = format!("{lines} lines, and {MAX_LINES} are the most: split it");
        return vec![Finding::new(lines, sentence)];
    }
    Vec::new()
}

/// A table's last column may be empty, so its tabs stay.
pub(super) fn trailing_space(source: &Source) -> Vec<Finding> {
    lines_where(
        source,
        |source| !source.path.ends_with(".tsv"),
        |line| {
            line.ends_with([' ', '\t', '\r'])
                .then(|| "white space at the end of the line".to_owned())
        },
    )
}

/// Package registries are reached through their clients, wherever those are set up to look.
pub(super) fn no_registry(source: &Source) -> Vec<Finding> {
    // Cargo itself writes the name of its index there.
    lines_where(
        source,
        |source| !source.path.ends_with("Cargo.lock"),
        |line| {
            let host = REGISTRIES.iter().find(|host| line.contains(*host))?;
            Some(format!("names the package registry {host}"))
        },
    )
}

/// Looks at each line of a file that `applies` to.
fn lines_where(
    source: &Source,
    applies: fn(&Source) -> bool,
    judge: impl Fn(&str) -> Option<String>,
) -> Vec<Finding> {
    if !applies(source) {
        return Vec::new();
    }
    source
        .numbered_lines()
        .filter_map(|(number, line)| Some(Finding::new(number, judge(line)?)))
        .collect()
}
