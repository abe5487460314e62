//! Documents that say which test rules a defect out: the files and tests that they name exist.
//!
//! Where a table has the columns `defect`, as the first, and `test`, each cell of the latter names files in
//! code style, relative to the root or to `crates/`, and behind a colon the tests or functions in that file:
//! "`a/b.rs`: `one`, `another`".
//! Neighbours: `docs.rs`, which asks this for every document.

use std::path::Path;

use super::Finding;

/// What is wrong with the tests that a document names. `read` gives a file's text by its path from the root.
pub(super) fn missing(text: &str, read: impl Fn(&Path) -> Option<String>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut column = None;
    for (index, line) in text.lines().enumerate() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        if cells.len() < 3 {
            column = None;
            continue;
        }
        let Some(column) = column else {
            let is_of_defects = cells.get(1) == Some(&"defect");
            column = Some(cells.iter().position(|cell| is_of_defects && *cell == "test"));
            continue;
        };
        let Some(cell) = column.and_then(|column| cells.get(column)) else { continue };
        if cell.starts_with("---") {
            continue;
        }
        findings.extend(unnamed(cell, &read).into_iter().map(|what| Finding::new(index + 1, what)));
    }
    findings
}

/// What is wrong with one cell.
fn unnamed(cell: &str, read: impl Fn(&Path) -> Option<String>) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut named = 0;
    // Every second piece stands between backquotes.
    let mut file: Option<(&str, String)> = None;
    for code in cell.split('`').skip(1).step_by(2) {
        if code.contains('/') && Path::new(code).extension().is_some() {
            file = ["", "crates"]
                .into_iter()
                .find_map(|folder| read(&Path::new(folder).join(code)))
                .map(|text| (code, text));
            match file {
                Some(_) => named += 1,
                None => wrong.push(format!("there is no file {code}")),
            }
        } else if let Some((path, text)) = &file
            && is_name(code)
            && !has_test(text, code)
        {
            wrong.push(format!("{path} has no `{code}`"));
        }
    }
    if named == 0 && wrong.is_empty() {
        wrong.push("a defect without the file of a test".to_owned());
    }
    wrong
}

fn is_name(code: &str) -> bool {
    !code.is_empty()
        && code
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// Whether a file defines a function of that name, or names a test so.
fn has_test(text: &str, name: &str) -> bool {
    text.contains(&format!("fn {name}(")) || text.contains(&format!("\"{name}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &Path) -> Option<String> {
        let texts = [
            ("crates/a/tests.rs", "#[test]\nfn is_refused() {}\n"),
            ("tests/b.rs", "Trial::test(\"cannot_pass\", run)"),
        ];
        texts.iter().find(|(at, _)| Path::new(at) == path).map(|(_, text)| (*text).to_owned())
    }

    fn found(cell: &str) -> Vec<Finding> {
        missing(&format!("text\n\n| defect | test |\n|---|---|\n| it failed | {cell} |\n"), read)
    }

    #[test]
    fn named_tests_are_looked_for() {
        assert_eq!(found("`a/tests.rs`: `is_refused`; `tests/b.rs`: `cannot_pass`, twice"), []);
        let gone = Finding::new(5, "a/tests.rs has no `cannot_pass`");
        assert_eq!(found("`a/tests.rs`: `is_refused`, `cannot_pass`"), [gone]);
        assert_eq!(
            found("`c/tests.rs`: `is_refused`"),
            [Finding::new(5, "there is no file c/tests.rs")]
        );
        assert_eq!(found("somewhere"), [Finding::new(5, "a defect without the file of a test")]);
    }

    #[test]
    fn other_tables_say_what_they_like() {
        assert_eq!(missing("| a | test |\n|---|---|\n| b | `c/d.rs` |\n", read), []);
        assert_eq!(missing("| a | test |\n\n| a | b |\n|---|---|\n| c | d |\n", read), []);
    }
}
