//! Steps 1 to 9: each field of the header.

use std::vec;

use sup_abi::{VTGOBJHDR, VtgArea};
use zerocopy::IntoBytes;

use super::*;
use crate::vtg::testing::{ProbeShape, ProviderShape};

const PTR: Status = Status::VERR_SUPDRV_VTG_BAD_HDR_PTR;
const TOO_LARGE: Status = Status::VERR_SUPDRV_TRACER_TOO_LARGE;
const TOO_MUCH: Status = Status::VERR_SUPDRV_VTG_BAD_HDR_TOO_MUCH;
const TOO_FEW: Status = Status::VERR_SUPDRV_VTG_BAD_HDR_TOO_FEW;
const NOT_MULTIPLE: Status = Status::VERR_SUPDRV_VTG_BAD_HDR_NOT_MULTIPLE;
const MAGIC: Status = Status::VERR_SUPDRV_VTG_MAGIC;
const BITS: Status = Status::VERR_SUPDRV_VTG_BITS;
const MISC: Status = Status::VERR_SUPDRV_VTG_BAD_HDR_MISC;
const OFF: Status = Status::VERR_SUPDRV_VTG_BAD_HDR_OFF;

const FIELDS: &[Row] = &[
    ("another version", |parts| parts.header.szMagic[21] = b'7', all(MAGIC)),
    ("no bits", |parts| parts.header.cBits = 0, all(BITS)),
    // A user's records are then read as 32-bit ones.
    (
        "32 bits",
        |parts| parts.header.cBits = 32,
        [BITS, BITS, Status::VERR_SUPDRV_VTG_BAD_PROBE_LOC],
    ),
    ("128 bits", |parts| parts.header.cBits = 128, all(BITS)),
    ("64 bits and more", |parts| parts.header.cBits |= 1 << 8, all(BITS)),
    ("no object", |parts| parts.header.cbObj = 0, all(OFF)),
    ("a byte less", |parts| parts.header.cbObj -= 1, all(OFF)),
    ("a byte more", |parts| parts.header.cbObj += 1, all(MISC)),
    ("the largest object", |parts| parts.header.cbObj = 1 << 20, [PTR, MISC, MISC]),
    ("too large", |parts| parts.header.cbObj = (1 << 20) + 1, [PTR, TOO_LARGE, TOO_LARGE]),
    ("no UUID", |parts| parts.header.Uuid = [0; 16], all(MISC)),
    ("another UUID", |parts| parts.header.Uuid = [1; 16], all(OK)),
    ("section", |parts| parts.header.u64VtgObjSectionStart = 1, all(OK)),
    ("first reserved word", |parts| parts.header.au32Reserved[0] = 1, all(MISC)),
    ("second reserved word", |parts| parts.header.au32Reserved[1] = 1 << 31, all(MISC)),
    // The string table.
    ("strings in the header", |parts| parts.header.StrTab.off = 127, all(MISC)),
    ("strings far away", |parts| parts.header.StrTab.off = u32::MAX, all(OFF)),
    (
        "strings one beyond",
        |parts| parts.header.StrTab.off = parts.header.cbObj - parts.header.StrTab.cb + 1,
        all(OFF),
    ),
    (
        "strings at the end",
        |parts| parts.header.StrTab.off = parts.header.cbObj - parts.header.StrTab.cb,
        all(MISC),
    ),
    ("no strings", |parts| parts.header.StrTab.cb = 0, all(TOO_FEW)),
    ("three bytes of strings", |parts| parts.header.StrTab.cb = 3, all(TOO_FEW)),
    ("nothing but strings", |parts| parts.header.StrTab.cb = parts.header.cbObj, all(OFF)),
    (
        "nearly nothing but strings",
        |parts| parts.header.StrTab.cb = parts.header.cbObj - 1,
        all(OFF),
    ),
    (
        "strings over the lists",
        |parts| parts.header.StrTab.cb = parts.header.ArgLists.off - parts.header.StrTab.off + 1,
        all(MISC),
    ),
    // Argument lists.
    ("misaligned lists", |parts| parts.header.ArgLists.off += 2, all(OFF)),
    ("lists over the strings", |parts| parts.header.ArgLists.off = 144, all(MISC)),
    ("lists far away", |parts| parts.header.ArgLists.off = u32::MAX - 3, all(OFF)),
    ("no lists", |parts| parts.header.ArgLists.cb = 0, all(TOO_FEW)),
    ("three bytes of lists", |parts| parts.header.ArgLists.cb = 3, all(TOO_FEW)),
    ("half a list", |parts| parts.header.ArgLists.cb = 6, all(NOT_MULTIPLE)),
    ("endless lists", |parts| parts.header.ArgLists.cb = u32::MAX, all(OFF)),
    // Probes.
    ("misaligned probes", |parts| parts.header.Probes.off += 1, all(OFF)),
    (
        "probes over the lists",
        |parts| parts.header.Probes.off = parts.header.ArgLists.off,
        all(MISC),
    ),
    ("no probes", |parts| parts.header.Probes.cb = 0, all(TOO_FEW)),
    ("fifteen bytes of probes", |parts| parts.header.Probes.cb = 15, all(TOO_FEW)),
    ("half a probe less", |parts| parts.header.Probes.cb -= 8, all(NOT_MULTIPLE)),
    ("a probe less than counts", |parts| parts.header.Probes.cb -= 16, all(MISC)),
    ("probes out of the object", |parts| parts.header.Probes.cb = 1 << 20, all(OFF)),
    // Providers.
    ("misaligned providers", |parts| parts.header.Providers.off += 3, all(OFF)),
    (
        "providers over the probes",
        |parts| parts.header.Providers.off = parts.header.Probes.off + 32,
        all(MISC),
    ),
    ("no providers", |parts| parts.header.Providers.cb = 0, all(TOO_FEW)),
    ("23 bytes of providers", |parts| parts.header.Providers.cb = 23, all(TOO_FEW)),
    ("half a provider less", |parts| parts.header.Providers.cb -= 12, all(NOT_MULTIPLE)),
    ("providers out of the object", |parts| parts.header.Providers.cb = 1 << 31, all(OFF)),
    // Counts.
    ("misaligned counts", |parts| parts.header.ProbeEnabled.off -= 2, all(OFF)),
    (
        "counts over the providers",
        |parts| parts.header.ProbeEnabled.off = parts.header.Providers.off,
        all(MISC),
    ),
    ("counts before the end", |parts| parts.header.ProbeEnabled.off -= 4, all(MISC)),
    ("counts beyond the end", |parts| parts.header.ProbeEnabled.off += 4, all(OFF)),
    ("no counts", |parts| parts.header.ProbeEnabled.cb = 0, all(TOO_FEW)),
    ("three bytes of counts", |parts| parts.header.ProbeEnabled.cb = 3, all(TOO_FEW)),
    ("half a count less", |parts| parts.header.ProbeEnabled.cb -= 2, all(NOT_MULTIPLE)),
    ("a count less than probes", |parts| parts.header.ProbeEnabled.cb -= 4, all(MISC)),
    ("a count more", |parts| parts.header.ProbeEnabled.cb += 4, all(OFF)),
    // Locations.
    ("locations a byte further", |parts| parts.header.offProbeLocs += 1, all(MISC)),
    ("locations on the other side", |parts| parts.header.offProbeLocs *= -1, all(MISC)),
    ("no locations", |parts| parts.header.cbProbeLocs = 0, all(TOO_FEW)),
    ("31 bytes of locations", |parts| parts.header.cbProbeLocs = 31, all(TOO_FEW)),
    ("half a location less", |parts| parts.header.cbProbeLocs -= 16, all(NOT_MULTIPLE)),
    ("a location less", |parts| parts.header.cbProbeLocs -= 32, all(MISC)),
    ("8191 locations", |parts| parts.header.cbProbeLocs = 8191 * 32, all(MISC)),
    ("8192 locations", |parts| parts.header.cbProbeLocs = 8192 * 32, [MISC, MISC, TOO_MUCH]),
    ("131071 locations", |parts| parts.header.cbProbeLocs = 131_071 * 32, [MISC, MISC, TOO_MUCH]),
    ("131072 locations", |parts| parts.header.cbProbeLocs = 131_072 * 32, all(TOO_MUCH)),
    ("locations at 0", |parts| parts.header.uProbeLocs = 0, [PTR, PTR, MISC]),
    ("locations elsewhere", |parts| parts.header.uProbeLocs -= 1 << 20, [PTR, MISC, MISC]),
    ("locations no pointer", |parts| parts.header.uProbeLocs |= 1 << 55, [PTR, PTR, MISC]),
    ("locations a record sooner", |parts| parts.header.uProbeLocs -= 32, all(MISC)),
    ("end at 0", |parts| parts.header.uProbeLocsEnd = 0, [PTR, PTR, MISC]),
    ("end no pointer", |parts| parts.header.uProbeLocsEnd |= 1 << 55, [PTR, PTR, MISC]),
    ("end a byte beyond", |parts| parts.header.uProbeLocsEnd += 1, [PTR, MISC, MISC]),
    ("end a record sooner", |parts| parts.header.uProbeLocsEnd -= 32, all(MISC)),
    // What comes first decides.
    (
        "magic before bits",
        |parts| (parts.header.szMagic[0], parts.header.cBits) = (0, 0),
        all(MAGIC),
    ),
    (
        "bits before reserved words",
        |parts| (parts.header.cBits, parts.header.au32Reserved[0]) = (0, 1),
        all(BITS),
    ),
    (
        "reserved words before areas",
        |parts| (parts.header.au32Reserved[0], parts.header.StrTab.cb) = (1, 0),
        all(MISC),
    ),
    (
        "an area before the next",
        |parts| (parts.header.ArgLists.cb, parts.header.Probes.off) = (0, 1),
        all(TOO_FEW),
    ),
    ("a place before a size", |parts| parts.header.Probes = VtgArea { off: 1, cb: 1 }, all(OFF)),
    (
        "areas before locations",
        |parts| (parts.header.ProbeEnabled.cb, parts.header.uProbeLocs) = (0, 0),
        all(TOO_FEW),
    ),
    (
        "locations before order",
        |parts| (parts.header.cbProbeLocs, parts.header.StrTab.off) = (0, 127),
        all(TOO_FEW),
    ),
];

#[test]
fn each_field_of_the_header_has_its_status() {
    hold_against(FIELDS);
}

#[test]
fn every_byte_of_the_magic_is_compared() {
    for place in 0..24 {
        let mut parts = sample();
        parts.header.szMagic[place] ^= 1;
        for kind in kinds(&parts) {
            assert_eq!(answer(&kind, &parts), MAGIC, "byte {place}, {kind:?}");
        }
    }
}

#[test]
fn a_uuid_needs_one_byte() {
    for place in 0..16 {
        let mut parts = sample();
        parts.header.Uuid = [0; 16];
        parts.header.Uuid[place] = 1;
        assert_eq!(answer(&Kind::User, &parts), OK, "byte {place}");
    }
}

/// The sizes of areas that a sample has no room for, in a header alone.
#[test]
fn areas_have_limits() {
    let check = |change: &dyn Fn(&mut VTGOBJHDR)| {
        let mut header = sample().header;
        header.cbObj = 1 << 20;
        change(&mut header);
        check_header(&Kind::User, &mut header, ADDRESS).err().unwrap()
    };
    // 32768 words or probes, 16 providers are too much. The object's own limit is below that of strings.
    let area = |off: u32, cb: u32| VtgArea { off, cb };
    assert_eq!(check(&|header| header.ArgLists = area(1024, 32768 * 4)), TOO_MUCH);
    assert_eq!(check(&|header| header.ArgLists = area(1024, 32768 * 4 - 4)), MISC);
    assert_eq!(check(&|header| header.Probes = area(1024, 32768 * 16)), TOO_MUCH);
    assert_eq!(check(&|header| header.Probes = area(1024, 32767 * 16)), MISC);
    assert_eq!(check(&|header| header.Providers = area(1024, 16 * 24)), TOO_MUCH);
    assert_eq!(check(&|header| header.Providers = area(1024, 15 * 24)), MISC);
    assert_eq!(check(&|header| header.Providers = area(1024, 15 * 24 + 8)), NOT_MULTIPLE);
    assert_eq!(check(&|header| header.ProbeEnabled = area(1024, 32768 * 4)), TOO_MUCH);
    assert_eq!(check(&|header| header.ProbeEnabled = area(1024, 32767 * 4)), MISC);
    assert_eq!(check(&|header| header.StrTab = area(0, 1 << 20)), OFF);
    assert_eq!(check(&|header| header.StrTab = area(1, (1 << 20) - 1)), MISC);
    assert_eq!(check(&|header| header.StrTab.cb = 4), MISC);
    // What is too much decides before what is no multiple.
    assert_eq!(check(&|header| header.Providers = area(1024, 16 * 24 + 1)), TOO_MUCH);
}

/// One of everything, the string table right behind the header, and the lists right behind that.
#[test]
fn the_least_object_passes() {
    let probe = ProbeShape::new("de", &[], 1);
    let provider = ProviderShape { name: "abc".into(), probes: vec![probe] };
    let shape = Shape { gap: 0, providers: vec![provider], ..Shape::sample() };
    let parts = shape.build(ADDRESS);
    let header = &parts.header;
    let sizes = [header.ArgLists.cb, header.Probes.cb, header.Providers.cb, header.ProbeEnabled.cb];
    assert_eq!((sizes, header.cbProbeLocs), ([4, 16, 24, 4], 32));
    assert_eq!([header.StrTab.off, header.ArgLists.off], [128, 128 + header.StrTab.cb]);
    for kind in kinds(&parts) {
        assert_eq!(answer(&kind, &parts), OK, "{kind:?}");
    }
}

#[test]
fn an_image_holds_the_header_the_last_byte_and_the_locations_or_ends_there() {
    // With the locations in front, the object is the last thing in the image.
    let parts = Shape { side: Side::InFront, ..Shape::sample() }.build(ADDRESS);
    let last = ADDRESS + u64::from(parts.header.cbObj) - 1;
    let start = parts.header.uProbeLocs;
    let in_image = |base: u64, end: u64| {
        answer(&Kind::Image { base: R0Ptr::new(base), bytes: end - base }, &parts)
    };
    assert_eq!(in_image(start, last + 1), OK);
    // One past the end is inside, for the last byte too.
    assert_eq!(in_image(start, last), OK);
    assert_eq!(in_image(start, last - 1), PTR);
    assert_eq!(in_image(ADDRESS + 1, last + 1), PTR);
    // The header alone is inside: its locations are not.
    assert_eq!(in_image(start + 1, last + 1), PTR);
    // With the locations behind, they are the last thing.
    let parts = sample();
    let in_image = |end: u64| {
        let base = R0Ptr::new(ADDRESS);
        answer(&Kind::Image { base, bytes: end - ADDRESS }, &parts)
    };
    assert_eq!(in_image(parts.header.uProbeLocsEnd), OK);
    assert_eq!(in_image(parts.header.uProbeLocsEnd - 1), PTR);
}

/// The place of the locations, where nobody has computed it yet.
#[test]
fn locations_are_found_from_their_addresses() {
    for side in [Side::Behind, Side::InFront] {
        let parts = Shape { side, ..Shape::sample() }.build(ADDRESS);
        for kind in kinds(&parts) {
            let mut header = parts.header;
            (header.offProbeLocs, header.cbProbeLocs) = (0, 0xdead);
            assert_eq!(check_header(&kind, &mut header, ADDRESS), Ok(()));
            assert_eq!(header, parts.header);
            // The second time they are there already.
            assert_eq!(check_header(&kind, &mut header, ADDRESS), Ok(()));
            assert_eq!(header, parts.header);
        }
    }
}

#[test]
fn locations_that_cannot_be_counted_are_refused_before_the_magic() {
    let start = sample().header.uProbeLocs;
    let far = ADDRESS + (1 << 31);
    let cases: [(u64, u64, Status); 6] = [
        (start, start - 1, TOO_MUCH),
        (start, start + 0xffff_ffff, TOO_MUCH),
        // One byte less can be counted; it is too much for step 8.
        (start, start + 0xffff_fffe, MAGIC),
        (far, far + 32, PTR),
        (far - 1, far + 31, MAGIC),
        (ADDRESS.wrapping_sub((1 << 31) + 1), ADDRESS.wrapping_sub((1 << 31) - 31), PTR),
    ];
    for (start, end, expected) in cases {
        let mut header = sample().header;
        header.szMagic[3] = 0;
        (header.offProbeLocs, header.uProbeLocs, header.uProbeLocsEnd) = (0, start, end);
        let found = check_header(&Kind::User, &mut header, ADDRESS);
        assert_eq!(found, Err(expected), "{start:#x} to {end:#x}");
    }
}

#[test]
fn nothing_is_written_before_the_magic_was_right() {
    let mut header = sample().header;
    (header.offProbeLocs, header.szMagic[0]) = (0, b'v');
    let before = header;
    assert_eq!(check_header(&Kind::User, &mut header, ADDRESS), Err(MAGIC));
    assert_eq!(header, before);
}

#[test]
fn locations_in_front_of_the_header_cannot_overlap_it() {
    let parts = Shape { side: Side::InFront, ..Shape::sample() }.build(ADDRESS);
    for offset in (-160_i32..=128).step_by(32) {
        let mut parts = parts.clone();
        let start = ADDRESS.wrapping_add_signed(offset.into());
        parts.header.offProbeLocs = offset;
        (parts.header.uProbeLocs, parts.header.uProbeLocsEnd) = (start, start + 160);
        for kind in kinds(&parts) {
            // Five records end where the header begins.
            let expected = if offset == -160 { OK } else { MISC };
            assert_eq!(answer(&kind, &parts), expected, "{offset}, {kind:?}");
        }
    }
}

#[test]
fn locations_behind_the_object_cannot_overlap_it() {
    for (offset, expected) in [(-32_i32, MISC), (-1, MISC), (0, OK), (1, OK)] {
        let mut parts = sample();
        let start = ADDRESS + u64::from(parts.header.cbObj);
        let start = start.wrapping_add_signed(offset.into());
        parts.header.offProbeLocs = (start - ADDRESS) as i32;
        (parts.header.uProbeLocs, parts.header.uProbeLocsEnd) = (start, start + 160);
        for kind in kinds(&parts) {
            assert_eq!(answer(&kind, &parts), expected, "{offset}, {kind:?}");
        }
    }
}

#[test]
fn a_user_of_32_bits_has_its_own_records_and_limits() {
    let parts = Shape { bits: 32, ..Shape::sample() }.build(ADDRESS);
    let check = |bytes: u32| {
        let mut header = parts.header;
        header.cbProbeLocs = bytes;
        check_header(&Kind::User, &mut header, ADDRESS)
    };
    assert_eq!(check(16 * 5), Ok(()));
    assert_eq!(check(15), Err(TOO_FEW));
    assert_eq!(check(16 * 5 - 8), Err(NOT_MULTIPLE));
    assert_eq!(check(16 * 8191), Err(MISC));
    assert_eq!(check(16 * 8192), Err(TOO_MUCH));
    for kind in &kinds(&parts)[..2] {
        assert_eq!(answer(kind, &parts), BITS);
    }
}

#[test]
fn copies_that_the_header_does_not_fit_are_refused() {
    let parts = sample();
    let (object, locations) = (parts.object(), parts.locations());
    let object = object.bytes();
    let check = |object: &[u8], locations: &[u8]| {
        Object::check(&Kind::User, ADDRESS, object, locations).map(drop)
    };
    assert_eq!(check(object, &locations), Ok(()));
    assert_eq!(check(&object[..127], &locations), Err(MISC));
    assert_eq!(check(&object[..object.len() - 1], &locations), Err(MISC));
    assert_eq!(check(object, &locations[32..]), Err(MISC));
    assert_eq!(check(object, &[]), Err(MISC));
    // A copy at an odd place cannot be read.
    let mut words = vec![0_u64; object.len() / 8 + 2];
    let odd = &mut words.as_mut_bytes()[1..][..object.len()];
    odd.copy_from_slice(object);
    assert_eq!(check(odd, &locations), Err(Status::VERR_INTERNAL_ERROR));
}
