//! Tests of the arithmetic and of the text of the newtypes.

extern crate std;

use std::format;
use std::string::ToString;

use super::{
    CpuId, Nanoseconds, PAGE_SIZE, Pages, PhysAddr, ProcessId, R0Ptr, R3Ptr, VirtualCpuId,
};

#[test]
fn nil_is_what_the_header_says() {
    assert_eq!(PhysAddr::NIL.get(), u64::MAX);
    assert_eq!(R0Ptr::NIL.get(), 0);
    assert_eq!(R3Ptr::NIL.get(), 0);
    assert_eq!(CpuId::NIL.get(), 0xffff_ffff);
    assert_eq!(VirtualCpuId::NIL.get(), 0xffff_fffd);
    assert!(ProcessId::NIL.is_nil() && !ProcessId::new(0).is_nil());
}

#[test]
fn addresses_print_in_hexadecimal() {
    let address = PhysAddr::new(0xdead_b000);
    assert_eq!(address.to_string(), "0xdeadb000");
    assert_eq!(format!("{address:?}"), "PhysAddr(0xdeadb000)");
    assert_eq!(format!("{address:016x}"), "00000000deadb000");
}

#[test]
fn identifiers_print_nil_by_name() {
    assert_eq!(CpuId::new(7).to_string(), "7");
    assert_eq!(CpuId::NIL.to_string(), "nil");
}

#[test]
fn page_alignment() {
    assert!(R3Ptr::new(0).is_page_aligned());
    assert!(R3Ptr::new(0x5000).is_page_aligned());
    assert!(!R3Ptr::new(0x5800).is_page_aligned());
}

#[test]
fn cannot_wrap_an_address() {
    assert_eq!(R0Ptr::new(u64::MAX).checked_add(1), None);
    assert_eq!(R0Ptr::new(1).checked_add(2), Some(R0Ptr::new(3)));
}

#[test]
fn cannot_wrap_the_clock() {
    assert_eq!(Nanoseconds::INDEFINITE.checked_add(Nanoseconds::new(1)), None);
    assert_eq!(Nanoseconds::new(1).saturating_sub(Nanoseconds::new(2)), Nanoseconds::new(0));
    assert_eq!(Nanoseconds::from_millis(u32::MAX).get(), 4_294_967_295_000_000);
}

#[test]
fn page_counts_round_up_and_never_overflow() {
    assert_eq!(Pages::covering(0), Some(Pages::new(0)));
    assert_eq!(Pages::covering(1), Some(Pages::new(1)));
    assert_eq!(Pages::covering(PAGE_SIZE as u64), Some(Pages::new(1)));
    assert_eq!(Pages::covering(Pages::new(u32::MAX).bytes()), Some(Pages::new(u32::MAX)));
    assert_eq!(Pages::covering(u64::MAX), None);
    assert_eq!(Pages::new(u32::MAX).bytes(), 0xfff_ffff_f000);
    assert_eq!(
        (Pages::new(1).to_string(), Pages::new(2).to_string()),
        ("1 page".into(), "2 pages".into())
    );
}

#[test]
fn plausible_pointers_are_canonical_and_outside_the_first_and_last_page() {
    // With four levels of page tables, with five.
    for (address, expected) in [
        (0, [false, false]),
        (0xfff, [false, false]),
        (0x1000, [true, true]),
        (0x7fff_ffff_ffff, [true, true]),
        (0x8000_0000_0000, [false, true]),
        (0x00ff_ffff_ffff_ffff, [false, true]),
        (0x0100_0000_0000_0000, [false, false]),
        (0xff8e_c64b_c3b3_f000, [false, true]),
        (0xffff_8000_0000_0000, [true, true]),
        (0xffff_ffff_ffff_f000, [false, false]),
    ] {
        let found = [48, 57].map(|bits| R0Ptr::new(address).is_plausible(bits));
        assert_eq!(found, expected, "{address:#x}");
    }
}
