//! Rules for whole crates: what each root declares, and where `unsafe` may stand.

use super::source::{Source, Token};
use super::{Finding, RING0_CRATES};

/// The crates in which `unsafe` may stand. README.md lists the same ones.
const UNSAFE_CRATES: [&str; 10] = [
    "sup-alloc",
    "sup-capi",
    "sup-embedded",
    "sup-kmod",
    "sup-module",
    "sup-probe",
    "sup-ring0",
    "sup-start",
    "sup-stub",
    "sup",
];

/// Encloses that list in README.md.
const LIST_OPENS: &str = "<!-- unsafe-crates -->";
const LIST_CLOSES: &str = "<!-- /unsafe-crates -->";

/// What keeps a panic out of ring 0. sup-abi is data only, so these five have the code.
const RING0_CODE: [&str; 5] = ["sup-alloc", "sup-core", "sup-kmod", "sup-ring0", "sup-signature"];
const RING0_LINTS: [&str; 5] =
    ["unwrap_used", "expect_used", "panic", "indexing_slicing", "arithmetic_side_effects"];

/// Every crate takes its lints from the workspace.
pub(super) fn lints_inherited(source: &Source) -> Vec<Finding> {
    let is_manifest = source.path.ends_with("/Cargo.toml");
    let mut lines = source.lines.iter().map(|line| line.trim());
    let inherits = lines.any(|line| line == "[lints]") && lines.next() == Some("workspace = true");
    if is_manifest && !inherits {
        return vec![Finding::new(1, "add `[lints]` with `workspace = true`")];
    }
    Vec::new()
}

/// The roots of ring-0 crates stand without std, and those with code refuse all that can panic.
pub(super) fn ring0_root(source: &Source) -> Vec<Finding> {
    let name = source.crate_name().unwrap_or_default();
    if !source.is_crate_root() || !RING0_CRATES.contains(&name) {
        return Vec::new();
    }
    let mut findings = Vec::new();
    if source.find("# ! [ no_std ]").next().is_none() {
        findings.push(Finding::new(1, "add `#![no_std]`"));
    }
    if RING0_CODE.contains(&name) {
        let missing = RING0_LINTS.iter().filter(|lint| !denies(source, lint));
        findings
            .extend(missing.map(|lint| Finding::new(1, format!("add `#![deny(clippy::{lint})]`"))));
    }
    findings
}

/// Whether the root denies or forbids a clippy lint for the whole crate, at least outside tests.
fn denies(source: &Source, lint: &str) -> bool {
    let attribute = |level: &str| {
        let mut inside = false;
        source.tokens.iter().any(|token| {
            inside = if inside { token.text != "]" } else { token.text == level };
            inside && token.text == lint
        })
    };
    attribute("deny") || attribute("forbid")
}

/// The driver is safe Rust, its tests included.
pub(super) fn core_safe(source: &Source) -> Vec<Finding> {
    if source.crate_name() != Some("sup-core") {
        return Vec::new();
    }
    let mut findings = unsafe_tokens(source, "sup-core is safe Rust: move this to sup-alloc");
    if source.is_crate_root() && source.find("# ! [ forbid ( unsafe_code ) ]").next().is_none() {
        findings.push(Finding::new(1, "add `#![forbid(unsafe_code)]`"));
    }
    findings
}

/// `unsafe` stands in the glue crates and in tests only. The type of a function pointer does nothing.
pub(super) fn unsafe_glue(source: &Source) -> Vec<Finding> {
    let name = source.crate_name().unwrap_or_default();
    if source.is_test() || UNSAFE_CRATES.contains(&name) || name == "sup-core" {
        return Vec::new();
    }
    unsafe_tokens(source, "this crate is none of those in which `unsafe` may stand")
}

/// Where `unsafe` stands, but for the types `unsafe fn(..)` and `unsafe extern "C" fn(..)`.
fn unsafe_tokens(source: &Source, sentence: &str) -> Vec<Finding> {
    source
        .find("unsafe")
        .filter(|found| !opens_fn_type(found.rest))
        .map(|found| Finding::new(found.token.line, sentence))
        .collect()
}

/// Whether a function pointer's type goes on here, behind its `unsafe`.
fn opens_fn_type(rest: &[Token]) -> bool {
    let mut words = rest.iter().map(|token| token.text.as_str()).peekable();
    if words.next_if_eq(&"extern").is_some() {
        words.next_if(|word| word.starts_with('"'));
    }
    words.next() == Some("fn") && words.next() == Some("(")
}

/// README.md tells the reader the truth about where to look for `unsafe`.
pub(super) fn unsafe_list(source: &Source) -> Vec<Finding> {
    if source.path != "README.md" {
        return Vec::new();
    }
    let line_of = |mark| source.lines.iter().position(|line| line.contains(mark));
    let (Some(opens), Some(closes)) = (line_of(LIST_OPENS), line_of(LIST_CLOSES)) else {
        let sentence =
            format!("list the crates with `unsafe` between {LIST_OPENS} and {LIST_CLOSES}");
        return vec![Finding::new(1, sentence)];
    };
    let list = source.lines.get(opens..closes).unwrap_or_default().join("\n");
    let mut named: Vec<&str> =
        list.split('`').skip(1).step_by(2).filter(|word| word.starts_with("sup")).collect();
    named.sort_unstable();
    let mut allowed = UNSAFE_CRATES;
    allowed.sort_unstable();
    if named == allowed {
        return Vec::new();
    }
    let sentence = format!("the crates with `unsafe` are {}, no others", allowed.join(", "));
    vec![Finding::new(opens + 1, sentence)]
}
