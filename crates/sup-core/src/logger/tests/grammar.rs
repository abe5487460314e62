//! The texts against a model that reads the specification slowly, and the settings written as texts and read again.

extern crate std;

use std::string::{String, ToString};
use std::vec::Vec;

use proptest::prelude::*;

use crate::logger::flags::changed;
use crate::logger::groups::{Groups, NAMES, change};
use crate::logger::{FlagsText, GroupText, model};

/// What texts are made of: names, near names, signs, separators, and anything.
fn text() -> impl Strategy<Value = Vec<u8>> {
    const PIECES: [&str; 56] = [
        "disabled",
        "enabled",
        "buffered",
        "unbuffered",
        "rel",
        "abs",
        "dec",
        "hex",
        "writethrough",
        "flag",
        "flagno",
        "group",
        "groupno",
        "tid",
        "pid",
        "thread",
        "time",
        "timeprog",
        "ts",
        "tsc",
        "no",
        "n",
        "o",
        "-",
        "!",
        "~",
        "+",
        ";",
        " ",
        "\t",
        "\n",
        "all",
        "ALL",
        "sup",
        "SUP",
        "sup_drv",
        "default",
        "_",
        "d",
        "*",
        ".",
        ".e",
        ".l2",
        ".EO",
        ".flow",
        ".nobody",
        ".s",
        "=",
        "=~",
        "0x1f",
        "017",
        "12",
        "-1",
        "99999999999",
        "x",
        "al",
    ];
    let piece = prop_oneof![
        8 => prop::sample::select(&PIECES[..]).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => prop::collection::vec(1_u8.., 0..3),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, ..ProptestConfig::default() })]

    #[test]
    fn flags_are_read_as_the_model_reads_them(before in any::<u32>(), text in text()) {
        prop_assert_eq!(changed(before, &text), model::flags(before, &text), "{}", text.escape_ascii());
    }

    #[test]
    fn groups_are_read_as_the_model_reads_them(before in any::<Groups>(), text in text()) {
        let mut groups = before;
        change(&mut groups, &text);
        prop_assert_eq!(groups, model::groups(NAMES, before, &text), "{}", text.escape_ascii());
    }

    #[test]
    fn settings_are_read_as_they_are_written(flags in text(), bits in any::<Groups>(), few in any::<bool>()) {
        let flags = changed(0, &flags);
        prop_assert_eq!(changed(0, FlagsText(flags).to_string().as_bytes()), flags);
        // Bits that have names, or any.
        let bits = bits.map(|bits| if few { bits & 0x7ff_01ff } else { bits });
        let written = NAMES.iter().zip(bits).map(|(name, bits)| GroupText { name, bits }.to_string());
        let written: Vec<String> = written.collect();
        let mut read = [0; NAMES.len()];
        change(&mut read, written.join(" ").as_bytes());
        prop_assert_eq!(read, bits, "{:?}", written);
    }
}

#[test]
fn settings_are_short() {
    let group = |bits| GroupText { name: "SUP", bits }.to_string();
    assert_eq!(group(7), "SUP.e.l2");
    assert_eq!(group(1), "SUP.eo");
    assert_eq!(group(0x8000_0003), "SUP=0x80000003");
    assert_eq!(group(0), "SUP=0");
    assert_eq!(
        FlagsText(changed(0, b"tsc nopid writethrough dec")).to_string(),
        "dec writethru tsc"
    );
    assert_eq!(FlagsText(0x400).to_string(), "");
}
