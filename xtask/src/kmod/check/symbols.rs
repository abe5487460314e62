//! Symbols that must not be there: panics, and imports that neither the shim nor the kernel has.

use std::collections::{BTreeMap, BTreeSet};

use object::{Object, ObjectSymbol};

use super::image::{Image, demangled};

/// Parts of the names of everything that ends in a panic.
const PANICS: [&str; 10] = [
    "core::panicking::",
    "core::option::unwrap_failed",
    "core::option::expect_failed",
    "core::result::unwrap_failed",
    "core::cell::panic_",
    "_index_fail",
    "_len_fail",
    "_order_fail",
    "_mismatch_fail",
    "slice_error_fail",
];

/// The same for memory that is out.
const ALLOCATION_FAILURES: [&str; 3] =
    ["handle_alloc_error", "raw_vec::handle_error", "raw_vec::capacity_overflow"];

/// The driver's own panic handler. The compiler demands it, and nobody may call it.
const HANDLER: &str = "rust_begin_unwind";

/// What the compiler calls by itself, and the kernel exports.
const FROM_KERNEL: [&str; 6] =
    ["memcpy", "memmove", "memset", "memcmp", "strlen", "__x86_return_thunk"];
const THUNKS: &str = "__x86_indirect_thunk_";

/// At most so many callers are named.
const NAMED: usize = 5;

/// Who refers to each symbol.
type Referrers = BTreeMap<String, BTreeSet<String>>;

fn referrers(image: &Image<'_>) -> Referrers {
    let mut referrers = Referrers::new();
    for reference in image.references() {
        referrers.entry(reference.to).or_default().insert(reference.from);
    }
    referrers
}

/// `a, b and 3 more`, or `nothing`.
fn named(referrers: Option<&BTreeSet<String>>) -> String {
    let Some(referrers) = referrers else { return "nothing".to_owned() };
    let names: Vec<&str> = referrers.iter().take(NAMED).map(String::as_str).collect();
    match referrers.len() - names.len() {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}

/// Panics in the object, each with those who refer to it.
pub(super) fn panics(image: &Image<'_>) -> Vec<String> {
    let referrers = referrers(image);
    let is_panic = |name: &String| {
        PANICS.iter().chain(&ALLOCATION_FAILURES).any(|part| name.contains(part))
            || (name.contains(HANDLER) && referrers.contains_key(name))
    };
    let names: BTreeSet<String> = image.symbol_names().filter(is_panic).collect();
    let sentence = |name: &String| {
        format!("`{name}` is in the object, referred to by {}", named(referrers.get(name)))
    };
    names.iter().map(sentence).collect()
}

/// Imports that nobody provides.
pub(super) fn foreign_imports(image: &Image<'_>, shim_header: &str) -> Vec<String> {
    let shim = functions_of(shim_header);
    let referrers = referrers(image);
    let undefined = image.file.symbols().filter(ObjectSymbol::is_undefined);
    undefined
        .filter_map(|symbol| symbol.name().ok().filter(|name| !name.is_empty()))
        .filter(|name| {
            !FROM_KERNEL.contains(name) && !name.starts_with(THUNKS) && !shim.contains(name)
        })
        .map(|name| {
            let users = named(referrers.get(&demangled(name)));
            format!("`{name}` is neither in shim.h nor among the kernel's that are allowed, used by {users}")
        })
        .collect()
}

/// The functions that a header declares: its words in front of a parenthesis.
pub(super) fn functions_of(header: &str) -> BTreeSet<&str> {
    let is_word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    header
        .split('(')
        .filter_map(|text| text.rsplit(|letter| !is_word(letter)).next())
        .filter(|name| name.starts_with("supdrv_"))
        .collect()
}
