//! Steps 10 to 13: each field of each record, and names.

use std::string::String;
use std::vec;

use sup_abi::{
    VTG_TYPE_FIXED_SIZED, VTG_TYPE_VALID_MASK, VTGDESCPROVIDER, VTGPROBELOC_ENABLED, VtgAttributes,
};

use super::*;
use crate::vtg::testing::{ProbeShape, ProviderShape};

const STRTAB_OFF: Status = Status::VERR_SUPDRV_VTG_STRTAB_OFF;
const BAD_STRING: Status = Status::VERR_SUPDRV_VTG_BAD_STRING;
const TOO_LONG: Status = Status::VERR_SUPDRV_VTG_STRING_TOO_LONG;
const ATTR: Status = Status::VERR_SUPDRV_VTG_BAD_ATTR;
const PROVIDER: Status = Status::VERR_SUPDRV_VTG_BAD_PROVIDER;
const PROBE: Status = Status::VERR_SUPDRV_VTG_BAD_PROBE;
const ARG_LIST: Status = Status::VERR_SUPDRV_VTG_BAD_ARGLIST;
const ARG_FLAGS: Status = Status::VERR_SUPDRV_TRACER_BAD_ARG_FLAGS;
const ENABLED: Status = Status::VERR_SUPDRV_VTG_BAD_PROBE_ENABLED;
const LOC: Status = Status::VERR_SUPDRV_VTG_BAD_PROBE_LOC;

/// Where the argument lists of the sample begin: of `open`, with an `int` and a `uint64_t`; of `close`,
/// empty; of `tick-tock`, with a pointer.
const OPEN: usize = 0;
const CLOSE: usize = 20;
const TICK: usize = 24;

const FIELDS: &[Row] = &[
    // Providers.
    (
        "provider's name behind the table",
        |parts| parts.providers[0].offName = parts.header.StrTab.cb,
        all(STRTAB_OFF),
    ),
    ("provider's name far away", |parts| parts.providers[1].offName = u32::MAX, all(STRTAB_OFF)),
    ("provider's name is another", |parts| parts.providers[1].offName = 1, all(OK)),
    ("first probe behind the last", |parts| parts.providers[1].iFirstProbe = 3, all(PROVIDER)),
    (
        "no probes, behind the last",
        |parts| (parts.providers[1].iFirstProbe, parts.providers[1].cProbes) = (3, 0),
        all(PROVIDER),
    ),
    ("a probe too many", |parts| parts.providers[1].cProbes = 2, all(PROVIDER)),
    ("probes without number", |parts| parts.providers[1].cProbes = u16::MAX, all(PROVIDER)),
    ("probes of two providers", |parts| parts.providers[0].cProbes = 3, all(OK)),
    ("no probes, but there is one", |parts| parts.providers[1].cProbes = 0, all(PROBE)),
    ("a probe of nobody", |parts| parts.providers[0].cProbes = 1, all(PROBE)),
    ("a probe before the first", |parts| parts.providers[0].iFirstProbe = 1, all(PROBE)),
    ("provider's reserved byte", |parts| parts.providers[0].bReserved = 1, all(PROVIDER)),
    (
        "attributes before the reserved byte",
        |parts| {
            parts.providers[0].bReserved = 1;
            parts.providers[0].AttrArguments.u8DataDep = 0;
        },
        all(ATTR),
    ),
    (
        "range before attributes",
        |parts| {
            parts.providers[0].AttrSelf.u8Code = 0;
            parts.providers[0].cProbes = 4;
        },
        all(PROVIDER),
    ),
    (
        "name before range",
        |parts| {
            parts.providers[0].offName = u32::MAX;
            parts.providers[0].cProbes = 4;
        },
        all(STRTAB_OFF),
    ),
    (
        "the last provider first",
        |parts| {
            parts.providers[0].AttrSelf.u8Code = 0;
            parts.providers[1].bReserved = 1;
        },
        all(PROVIDER),
    ),
    // Probes.
    ("probe's name", |parts| parts.probes[0].offName = parts.header.StrTab.cb, all(STRTAB_OFF)),
    (
        "list behind the area",
        |parts| parts.probes[1].offArgList = parts.header.ArgLists.cb,
        all(PROBE),
    ),
    ("list far away", |parts| parts.probes[1].offArgList = u32::MAX - 3, all(PROBE)),
    ("misaligned list", |parts| parts.probes[1].offArgList += 2, all(PROBE)),
    ("another one's list", |parts| parts.probes[1].offArgList = TICK as u32, all(OK)),
    ("another one's count", |parts| parts.probes[1].idxEnabled = 0, all(PROBE)),
    ("a count behind the last", |parts| parts.probes[2].idxEnabled = 3, all(PROBE)),
    ("another provider", |parts| parts.probes[1].idxProvider = 1, all(PROBE)),
    ("no provider", |parts| parts.probes[1].idxProvider = 2, all(PROBE)),
    ("nowhere near a provider", |parts| parts.probes[1].idxProvider = u16::MAX, all(PROBE)),
    ("header at the record", |parts| parts.probes[0].offObjHdr = 0, all(PROBE)),
    ("header a byte away", |parts| parts.probes[1].offObjHdr -= 1, all(PROBE)),
    ("header on the other side", |parts| parts.probes[1].offObjHdr *= -1, all(PROBE)),
    ("header far away", |parts| parts.probes[1].offObjHdr = i32::MIN, all(PROBE)),
    (
        "probe's name before its record",
        |parts| (parts.probes[1].offName, parts.probes[1].offObjHdr) = (u32::MAX, 0),
        all(STRTAB_OFF),
    ),
    (
        "record before list",
        |parts| {
            parts.probes[0].offObjHdr = 0;
            parts.arg_lists[OPEN] = 17;
        },
        all(PROBE),
    ),
    (
        "the last probe first",
        |parts| {
            parts.probes[0].offObjHdr = 0;
            parts.probes[2].offName = u32::MAX;
        },
        all(STRTAB_OFF),
    ),
    (
        "providers before probes",
        |parts| {
            parts.probes[2].offName = u32::MAX;
            parts.providers[0].bReserved = 1;
        },
        all(PROVIDER),
    ),
    // Argument lists.
    ("17 arguments", |parts| parts.arg_lists[OPEN] = 17, all(ARG_LIST)),
    ("255 arguments", |parts| parts.arg_lists[OPEN] = 255, all(ARG_LIST)),
    ("arguments behind the area", |parts| parts.arg_lists[TICK] = 2, all(ARG_LIST)),
    ("16 arguments behind the area", |parts| parts.arg_lists[TICK] = 16, all(ARG_LIST)),
    ("large is 2", |parts| parts.arg_lists[OPEN + 1] = 2, all(ARG_LIST)),
    ("large is 128", |parts| parts.arg_lists[CLOSE + 1] = 128, all(ARG_LIST)),
    ("list's first reserved byte", |parts| parts.arg_lists[CLOSE + 2] = 1, all(ARG_LIST)),
    ("list's last reserved byte", |parts| parts.arg_lists[CLOSE + 3] = 1, all(ARG_LIST)),
    ("large arguments denied", |parts| parts.arg_lists[OPEN + 1] = 0, all(PROBE)),
    ("large arguments made up", |parts| parts.arg_lists[CLOSE + 1] = 1, all(PROBE)),
    ("large argument left out", |parts| parts.arg_lists[OPEN] = 1, all(PROBE)),
    (
        "list before its arguments",
        |parts| {
            parts.arg_lists[OPEN + 2] = 1;
            parts.arg_lists[OPEN + 8] = 3;
        },
        all(ARG_LIST),
    ),
    // Arguments.
    ("3 bytes", |parts| parts.arg_lists[OPEN + 8] = 3, all(ARG_FLAGS)),
    ("fixed without a size", |parts| parts.arg_lists[OPEN + 8] = 0, all(ARG_FLAGS)),
    ("a pointer of 8 bytes", |parts| parts.arg_lists[TICK + 8] = 8, all(OK)),
    ("type behind the table", |parts| parts.arg_lists[OPEN + 7] = 1, all(STRTAB_OFF)),
    (
        "flags before the type",
        |parts| (parts.arg_lists[OPEN + 7], parts.arg_lists[OPEN + 8]) = (1, 3),
        all(ARG_FLAGS),
    ),
    (
        "the last argument first",
        |parts| (parts.arg_lists[OPEN + 8], parts.arg_lists[OPEN + 15]) = (3, 1),
        all(STRTAB_OFF),
    ),
    (
        "arguments before large ones",
        |parts| (parts.arg_lists[OPEN + 1], parts.arg_lists[OPEN + 8]) = (0, 3),
        all(ARG_FLAGS),
    ),
    // Locations.
    ("the last line", |parts| parts.records[0].line_and_enabled = (1 << 30) - 1, all(OK)),
    ("a line too many", |parts| parts.records[0].line_and_enabled = 1 << 30, all(LOC)),
    ("switched on", |parts| parts.records[4].line_and_enabled |= VTGPROBELOC_ENABLED, all(LOC)),
    ("numbered", |parts| parts.records[2].id = 1, all(LOC)),
    ("numbered high", |parts| parts.records[2].id = 1 << 31, all(LOC)),
    ("no function", |parts| parts.records[1].function = 0, [LOC, LOC, OK]),
    ("function no pointer", |parts| parts.records[1].function = 1 << 60, [LOC, LOC, OK]),
    (
        "function at the image's end",
        |parts| parts.records[1].function = parts.header.uProbeLocsEnd,
        all(OK),
    ),
    (
        "function behind the image",
        |parts| parts.records[1].function = parts.header.uProbeLocsEnd + 1,
        [LOC, OK, OK],
    ),
    ("no probe", |parts| parts.records[3].probe = 0, all(LOC)),
    ("between probes", |parts| parts.records[3].probe += 8, all(LOC)),
    ("another probe", |parts| parts.records[3].probe -= 32, all(OK)),
    ("before the first probe", |parts| parts.records[0].probe -= 16, all(LOC)),
    ("behind the last probe", |parts| parts.records[4].probe += 16, all(LOC)),
    ("far from probes", |parts| parts.records[4].probe = u64::MAX - 15, all(LOC)),
    (
        "counts before locations",
        |parts| (parts.enabled[0], parts.records[4].id) = (1, 1),
        all(ENABLED),
    ),
    (
        "probes before counts",
        |parts| (parts.enabled[0], parts.probes[0].offObjHdr) = (1, 0),
        all(PROBE),
    ),
];

#[test]
fn each_field_of_a_record_has_its_status() {
    hold_against(FIELDS);
}

#[test]
fn an_attribute_is_in_range_in_each_place() {
    let fields: [fn(&mut VTGDESCPROVIDER) -> &mut VtgAttributes; 5] = [
        |provider| &mut provider.AttrSelf,
        |provider| &mut provider.AttrModules,
        |provider| &mut provider.AttrFunctions,
        |provider| &mut provider.AttrNames,
        |provider| &mut provider.AttrArguments,
    ];
    let parts: [fn(&mut VtgAttributes) -> &mut u8; 3] =
        [|it| &mut it.u8Code, |it| &mut it.u8Data, |it| &mut it.u8DataDep];
    for (place, attributes) in fields.iter().enumerate() {
        for (part, highest) in parts.iter().zip([8, 8, 6]) {
            for value in [0, 1, highest, highest + 1, 255] {
                let mut parts = sample();
                *part(attributes(&mut parts.providers[0])) = value;
                let expected = if (1..=highest).contains(&value) { OK } else { ATTR };
                for kind in kinds(&parts) {
                    assert_eq!(answer(&kind, &parts), expected, "{place}: {value}, {kind:?}");
                }
            }
        }
    }
}

#[test]
fn an_argument_has_known_flags_and_a_size_of_one_slot() {
    let answer_to = |flags: u32| {
        let mut parts = sample();
        parts.arg_lists[TICK + 8..TICK + 12].copy_from_slice(&flags.to_ne_bytes());
        // Whether it is large is another rule.
        let is_large = flags & VTG_TYPE_FIXED_SIZED != 0 && flags & 0xff > 4;
        parts.arg_lists[TICK + 1] = is_large.into();
        answer(&Kind::User, &parts)
    };
    for size in 0..=255 {
        let is_size = [0, 1, 2, 4, 8].contains(&size);
        assert_eq!(answer_to(size), if is_size { OK } else { ARG_FLAGS }, "{size} bytes");
        let expected = if is_size && size != 0 { OK } else { ARG_FLAGS };
        assert_eq!(answer_to(VTG_TYPE_FIXED_SIZED | size), expected, "fixed, {size} bytes");
    }
    for bit in (8..32).map(|bit| 1 << bit) {
        let expected = if bit & VTG_TYPE_VALID_MASK == 0 { ARG_FLAGS } else { OK };
        assert_eq!(answer_to(bit | 1), expected, "{bit:#x}");
    }
}

#[test]
fn every_count_has_to_be_zero() {
    for place in 0..3 {
        for byte in 0..4 {
            let mut parts = sample();
            parts.enabled[place] = 1 << (8 * byte);
            for kind in kinds(&parts) {
                assert_eq!(answer(&kind, &parts), ENABLED, "count {place}, {kind:?}");
            }
        }
    }
}

#[test]
fn names_have_letters_digits_and_a_few_signs() {
    for byte in 0..=255_u8 {
        let mut parts = sample();
        parts.strings[1] = byte;
        let is_good = byte.is_ascii_alphanumeric() || b" _-(),*&\0".contains(&byte);
        for kind in kinds(&parts) {
            let expected = if is_good { OK } else { BAD_STRING };
            assert_eq!(answer(&kind, &parts), expected, "{byte:#x}, {kind:?}");
        }
    }
}

#[test]
fn a_name_has_at_most_4095_characters() {
    for (characters, expected) in [(4095, OK), (4096, TOO_LONG), (5000, TOO_LONG)] {
        let name = String::from_utf8(vec![b'x'; characters]).unwrap();
        let mut shape = Shape::sample();
        shape.providers[1].probes[0].name = name;
        let parts = shape.build(ADDRESS);
        for kind in kinds(&parts) {
            assert_eq!(answer(&kind, &parts), expected, "{characters} characters, {kind:?}");
        }
    }
    // A wrong character decides, but not one that comes too late.
    for (place, expected) in [(0, BAD_STRING), (4095, BAD_STRING), (4096, TOO_LONG)] {
        let mut shape = Shape::sample();
        shape.providers[0].probes[0].name = String::from_utf8(vec![b'x'; 5000]).unwrap();
        let mut parts = shape.build(ADDRESS);
        parts.strings[place] = b'.';
        assert_eq!(answer(&Kind::User, &parts), expected, "{place}");
    }
}

/// The original would read on into the argument lists.
#[test]
fn a_name_ends_inside_the_string_table() {
    let mut parts = sample();
    // The last name, which an argument may have for its type.
    let offset = (parts.header.StrTab.cb - 3).to_ne_bytes();
    parts.arg_lists[TICK + 4..TICK + 8].copy_from_slice(&offset);
    for kind in kinds(&parts) {
        assert_eq!(answer(&kind, &parts), OK);
        let mut parts = parts.clone();
        // Behind the table there is a NUL all the same: the gap before the lists.
        parts.header.StrTab.cb -= 1;
        assert_eq!(answer(&kind, &parts), TOO_LONG, "{kind:?}");
        *parts.strings.last_mut().unwrap() = b'x';
        parts.header.StrTab.cb += 1;
        assert_eq!(answer(&kind, &parts), TOO_LONG, "{kind:?}");
    }
}

/// Our own: 300 probes with 16 arguments mention 19 million characters, in 5 KB of names.
#[test]
fn long_names_can_be_shared_unless_the_table_has_a_bad_one() {
    let long = String::from_utf8(vec![b'x'; 4095]).unwrap();
    let probe = ProbeShape::new("probe", &[(long.as_str(), 4); 16], 1);
    let mut shape = Shape::sample();
    shape.providers[0].probes = vec![probe; 300];
    let mut parts = shape.build(ADDRESS);
    assert_eq!(answer(&Kind::User, &parts), OK);
    // The function's name is in the table too, and no record's.
    let place = parts.strings.windows(8).position(|bytes| bytes == b"function").unwrap();
    parts.strings[place] = b'.';
    assert_eq!(answer(&Kind::User, &parts), Status::VERR_SUPDRV_TRACER_TOO_LARGE);
    shape.providers[0].probes.truncate(200);
    let mut parts = shape.build(ADDRESS);
    parts.strings[place] = b'.';
    assert_eq!(answer(&Kind::User, &parts), OK);
}

#[test]
fn a_provider_may_have_no_probes() {
    for place in 0..=2 {
        let mut shape = Shape::sample();
        shape.providers.insert(place, ProviderShape { name: "none".into(), probes: vec![] });
        let parts = shape.build(ADDRESS);
        for kind in kinds(&parts) {
            assert_eq!(answer(&kind, &parts), OK, "place {place}, {kind:?}");
        }
    }
}

#[test]
fn a_probe_has_at_most_16_arguments() {
    for (count, expected) in [(16, OK), (17, ARG_LIST)] {
        let mut shape = Shape::sample();
        shape.providers[0].probes[1] = ProbeShape::new("many", &vec![("int", 4); count], 1);
        assert_eq!(answer(&Kind::User, &shape.build(ADDRESS)), expected, "{count} arguments");
    }
}

#[test]
fn locations_of_32_bits_have_the_same_rules() {
    type Row32 = (fn(&mut Parts), Status);
    let rows: [Row32; 6] = [
        (|_| (), OK),
        (|parts| parts.records[0].line_and_enabled = 1 << 30, LOC),
        (|parts| parts.records[1].id = 1, LOC),
        (|parts| parts.records[2].function = 0, OK),
        (|parts| parts.records[3].probe += 1, LOC),
        (|parts| parts.records[4].probe += 16, LOC),
    ];
    for (row, (change, expected)) in rows.iter().enumerate() {
        let mut parts = Shape { bits: 32, ..Shape::sample() }.build(ADDRESS);
        change(&mut parts);
        assert_eq!(answer(&Kind::User, &parts), *expected, "row {row}");
    }
}
