//! The house rules that neither the compiler nor clippy knows, each one small function.
//!
//! A rule looks at one [`Source`] and tells its [`Finding`]s; it reads nothing else, so that tests
//! can hand it samples. [`RULES`] gives each its name, which reports and CONTRIBUTING use. Only
//! [`seed`] and [`docs`] compare files with files.

mod crates;
mod docs;
mod named_tests;
mod ring0;
mod seed;
mod source;
#[cfg(test)]
mod tests;
mod text;

use std::fmt::{self, Display};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use self::source::Source;

/// The crates that are linked into the kernel.
pub(crate) const RING0_CRATES: [&str; 6] =
    ["sup-abi", "sup-alloc", "sup-core", "sup-kmod", "sup-ring0", "sup-signature"];

/// What a rule objects to.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    line: usize,
    sentence: String,
}

impl Finding {
    fn new(line: usize, sentence: impl Into<String>) -> Self {
        Self { line, sentence: sentence.into() }
    }
}

struct Rule {
    name: &'static str,
    check: fn(&Source) -> Vec<Finding>,
}

const RULES: [Rule; 13] = [
    Rule { name: "rust-syntax", check: source::rust_syntax },
    Rule { name: "lints-inherited", check: crates::lints_inherited },
    Rule { name: "ring0-root", check: crates::ring0_root },
    Rule { name: "core-safe", check: crates::core_safe },
    Rule { name: "unsafe-glue", check: crates::unsafe_glue },
    Rule { name: "unsafe-list", check: crates::unsafe_list },
    Rule { name: "fallible-alloc", check: ring0::fallible_alloc },
    Rule { name: "file-docs", check: text::file_docs },
    Rule { name: "no-allow", check: text::no_allow },
    Rule { name: "no-marks", check: text::no_marks },
    Rule { name: "file-length", check: text::file_length },
    Rule { name: "trailing-space", check: text::trailing_space },
    Rule { name: "no-registry", check: text::no_registry },
];

/// One broken rule, printed as `path:line: rule: sentence`.
#[derive(Debug)]
pub(crate) struct Violation {
    path: String,
    rule: &'static str,
    finding: Finding,
}

impl Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, rule, finding: Finding { line, sentence } } = self;
        write!(f, "{path}:{line}: {rule}: {sentence}")
    }
}

/// What a walk through the tree found.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) files: usize,
    pub(crate) violations: Vec<Violation>,
}

/// Applies every rule to every file of the tree.
pub(crate) fn check(root: &Path) -> Result<Checked> {
    let paths = files_below(root)?;
    let mut violations = Vec::new();
    for path in paths.iter().filter(|path| !path.starts_with(seed::OURS)) {
        // What is not text is none of the rules' business.
        if let Ok(text) = fs::read_to_string(root.join(path)) {
            violations.extend(check_source(&Source::new(path, &text)));
        }
    }
    violations.extend(seed::header_drift(root)?);
    violations.extend(docs::check(root, &paths)?);
    Ok(Checked { files: paths.len(), violations })
}

fn check_source(source: &Source) -> impl Iterator<Item = Violation> {
    RULES.iter().flat_map(|rule| {
        (rule.check)(source).into_iter().map(|finding| Violation {
            path: source.path.clone(),
            rule: rule.name,
            finding,
        })
    })
}

/// The paths, relative to `root` and sorted, of all files but git's and cargo's.
fn files_below(root: &Path) -> Result<Vec<String>> {
    let mut paths = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
        for entry in entries {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() && entry.file_name() != "target" && entry.file_name() != ".git" {
                folders.push(entry.path());
            } else if kind.is_file() {
                let path = entry.path();
                paths.push(path.strip_prefix(root)?.to_string_lossy().into_owned());
            }
        }
    }
    paths.sort();
    Ok(paths)
}
