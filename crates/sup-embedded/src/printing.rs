//! How many lines a second each module may print: `SUP_PRINT_LIMIT`, 0 for as many as it likes.
//!
//! Neighbour: `sup-core/src/logger/printers.rs` keeps the budgets. Invariant: a value without meaning changes nothing.

use std::ffi::OsStr;
use std::num::NonZeroU32;

use sup_core::logger::PRINT_LIMIT_DEFAULT;

/// The variable that says it.
const VARIABLE: &str = "SUP_PRINT_LIMIT";

/// What the environment asks for.
pub(crate) fn limit() -> Option<NonZeroU32> {
    of(std::env::var_os(VARIABLE).as_deref())
}

fn of(value: Option<&OsStr>) -> Option<NonZeroU32> {
    let Some(value) = value else { return PRINT_LIMIT_DEFAULT };
    match value.to_str().and_then(|text| text.parse().ok()) {
        Some(lines) => NonZeroU32::new(lines),
        None => {
            tracing::warn!(target: "supdrv", ?value, "{VARIABLE} is no number of lines a second");
            PRINT_LIMIT_DEFAULT
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_without_meaning_changes_nothing() {
        for (value, lines) in [
            (None, PRINT_LIMIT_DEFAULT),
            (Some("7"), NonZeroU32::new(7)),
            (Some("0"), None),
            (Some(""), PRINT_LIMIT_DEFAULT),
            (Some("-1"), PRINT_LIMIT_DEFAULT),
            (Some("many"), PRINT_LIMIT_DEFAULT),
            (Some("4294967296"), PRINT_LIMIT_DEFAULT),
        ] {
            assert_eq!(of(value.map(OsStr::new)), lines, "{value:?}");
        }
    }
}
