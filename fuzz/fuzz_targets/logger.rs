//! The texts of loggers: whatever they say, the driver reads them as the model of specification 6.5 does, and what
//! is written of the settings is read again as they were.
//!
//! An input is a byte that says where the groups begin, and the texts of flags and groups behind each other.
//! Neighbours: `sup-core/src/logger/tests/grammar.rs` has the same with made-up texts. Invariant: no text is an error.

#![no_main]

#[path = "../../crates/sup-core/src/logger/model.rs"]
mod model;

use libfuzzer_sys::fuzz_target;
use sup_core::logger::groups::{NAMES, change};
use sup_core::logger::{FlagsText, GroupText, flags::changed};

fuzz_target!(|input: &[u8]| {
    let Some((place, texts)) = input.split_first() else { return };
    let (flags, groups) = texts.split_at(usize::from(*place).min(texts.len()));
    if texts.contains(&0) {
        return;
    }
    let bits = changed(0, flags);
    assert_eq!(bits, model::flags(0, flags));
    assert_eq!(changed(!0, flags), model::flags(!0, flags));
    assert_eq!(changed(0, FlagsText(bits).to_string().as_bytes()), bits);

    for before in [[0; NAMES.len()], [!0; NAMES.len()]] {
        let mut bits = before;
        change(&mut bits, groups);
        assert_eq!(bits, model::groups(NAMES, before, groups));
        let written = NAMES.iter().zip(bits).map(|(name, bits)| GroupText { name, bits }.to_string());
        let mut read = [0; NAMES.len()];
        change(&mut read, written.collect::<Vec<_>>().join(" ").as_bytes());
        assert_eq!(read, bits);
    }
});
