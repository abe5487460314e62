//! The rule of ring 0's memory: every allocation can fail, and says so.
//!
//! The kernel build proves it: there `alloc` is compiled without the calls below. This rule finds a
//! slip without that build. It cannot see types: a call whose failure is handed on with `?` at once is
//! a fallible one of the same name, and any other that needs no memory stands with
//! `// alloc: reason` on its line, or on the one before.

use super::Finding;
use super::source::Source;

const CRATES: [&str; 3] = ["sup-alloc", "sup-core", "sup-ring0"];
const EXCUSE: &str = "// alloc: ";

const INFALLIBLE: [&str; 16] = [
    "vec ! [",
    "format ! (",
    "Box :: new (",
    "Arc :: new (",
    "Rc :: new (",
    "String :: from (",
    ":: with_capacity (",
    ". to_string (",
    ". to_owned (",
    ". to_vec (",
    ". push (",
    ". push_str (",
    ". insert (",
    ". reserve (",
    ". resize (",
    ". extend_from_slice (",
];

/// Ring 0 allocates only through what returns an error.
pub(super) fn fallible_alloc(source: &Source) -> Vec<Finding> {
    let is_ours = source.crate_name().is_some_and(|name| CRATES.contains(&name));
    if !is_ours || source.is_test() {
        return Vec::new();
    }
    let mut findings: Vec<Finding> = INFALLIBLE
        .iter()
        .flat_map(|pattern| source.find(pattern).map(move |found| (pattern, found)))
        .filter(|(_, found)| !found.token.is_test && !found.is_handed_on())
        .filter(|(_, found)| !is_excused(source, found.token.line))
        .map(|(pattern, found)| {
            let call = pattern.replace(' ', "");
            let sentence = format!("`{call}` cannot report that memory is out: use a `try_` one");
            Finding::new(found.token.line, sentence)
        })
        .collect();
    findings.sort_by_key(|finding| finding.line);
    findings
}

fn is_excused(source: &Source, line: usize) -> bool {
    let has_reason = |number: usize| {
        let text = number.checked_sub(1).and_then(|index| source.lines.get(index));
        text.and_then(|text| text.split_once(EXCUSE)).is_some_and(|(_, reason)| !reason.is_empty())
    };
    has_reason(line) || has_reason(line.saturating_sub(1))
}
