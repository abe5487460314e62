//! Documents that point somewhere: their links and the tests that they name exist, and the map names every
//! function of the header.

use std::fs;
use std::path::Path;

use anyhow::Result;

use super::{Finding, Violation, named_tests};

const MAP: &str = "docs/map.md";
const FUNCTIONS: &str = "docs/functions.tsv";

/// Checks the relative links of every Markdown file, the tests that it names, and the map.
pub(super) fn check(root: &Path, paths: &[String]) -> Result<Vec<Violation>> {
    let mut violations = Vec::new();
    for path in paths.iter().filter(|path| path.ends_with(".md")) {
        let text = fs::read_to_string(root.join(path))?;
        let folder = Path::new(path).parent().unwrap_or(Path::new(""));
        let exists = |target: &str| root.join(folder).join(target).exists();
        violations.extend(dead_links(&text, exists).into_iter().map(|finding| Violation {
            path: path.clone(),
            rule: "dead-link",
            finding,
        }));
        let read = |path: &Path| fs::read_to_string(root.join(path)).ok();
        violations.extend(named_tests::missing(&text, read).into_iter().map(|finding| Violation {
            path: path.clone(),
            rule: "tests-named",
            finding,
        }));
    }
    let read = |path| fs::read_to_string(root.join(path)).unwrap_or_default();
    violations.extend(
        unmapped(&read(FUNCTIONS), &read(MAP)).into_iter().map(|finding| Violation {
            path: MAP.to_owned(),
            rule: "docs-map",
            finding,
        }),
    );
    Ok(violations)
}

/// The relative link targets of a text that do not exist.
fn dead_links(text: &str, exists: impl Fn(&str) -> bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        for link in line.split("](").skip(1) {
            let target = link.split([')', '#']).next().unwrap_or_default();
            if !target.is_empty() && !target.contains("://") && !exists(target) {
                findings.push(Finding::new(index + 1, format!("there is no {target}")));
            }
        }
    }
    findings
}

/// The functions of the list that the map does not name.
fn unmapped(functions: &str, map: &str) -> Vec<Finding> {
    functions
        .lines()
        .skip(1)
        .filter_map(|line| line.split('\t').next())
        .filter(|name| !map.contains(&format!("`{name}`")))
        .map(|name| Finding::new(1, format!("does not say where `{name}` is")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_to_nothing_is_found_and_an_address_is_not_followed() {
        let text = "[a](there.md) [b](gone.md#part)\n[c](https://host.invalid/x) [d](#part)";
        let found = dead_links(text, |target| target == "there.md");
        assert_eq!(found, [Finding::new(1, "there is no gone.md")]);
    }

    #[test]
    fn function_that_the_map_forgot_is_found() {
        let found = unmapped("function\tring\nSUPR3Init\t3\nSUPR3Term\t3\n", "`SUPR3Init`");
        assert_eq!(found, [Finding::new(1, "does not say where `SUPR3Term` is")]);
    }
}
