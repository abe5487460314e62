//! VTG objects: whatever an object says, it is refused with a status, or everything that is read of it keeps
//! its bounds.
//!
//! An input is a byte that says whose the object is, the object, and the records of its locations. It is
//! judged as the driver does: the header first, then copies of what that says is there.
//!
//! Neighbours: `sup-core/src/vtg/tests/` has a test for each rule. Invariant: a header that passed once passes
//! again, and nothing that it says is different then.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sup_abi::{R0Ptr, VTGOBJHDR};
use sup_core::vtg::{Kind, Object, check_header};
use sup_fuzz::{VTG_ADDRESS, VTG_IMAGE_REACH};
use zerocopy::{FromBytes, IntoBytes};

/// Holds what an object says against what is promised of all.
fn read(object: &Object<'_>) {
    let name = |offset: u32| {
        let text = object.name(offset);
        assert!(text.len() < 4096 && text.is_ascii() && !text.contains('\0'));
    };
    for provider in object.providers() {
        name(provider.offName);
        assert_eq!(object.probes_of(provider).len(), usize::from(provider.cProbes));
    }
    for (index, probe) in object.probes().iter().enumerate() {
        name(probe.offName);
        assert_eq!(usize::from(probe.idxEnabled), index);
        assert!(usize::from(probe.idxProvider) < object.providers().len());
        let (list, args) = object.args(probe);
        assert!(args.len() <= 16 && args.len() == usize::from(list.cArgs));
        args.iter().for_each(|arg| name(arg.offType));
    }
    assert_eq!(object.locations().count(), object.location_count() as usize);
    for location in object.locations() {
        assert!(location.probe < object.probe_count() && location.line < 1 << 30);
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((whose, bytes)) = input.split_first() else { return };
    let kind = match whose % 3 {
        0 => Kind::Image {
            base: R0Ptr::new(VTG_ADDRESS - VTG_IMAGE_REACH),
            bytes: 2 * VTG_IMAGE_REACH,
        },
        1 => Kind::Driver { address_bits: 48 },
        _ => Kind::User,
    };
    let Ok((mut header, _)) = VTGOBJHDR::read_from_prefix(bytes) else { return };
    let before = header;
    if check_header(&kind, &mut header, VTG_ADDRESS).is_err() {
        return;
    }
    let once = header;
    assert_eq!(check_header(&kind, &mut header, VTG_ADDRESS), Ok(()));
    assert_eq!(header, once);
    assert!(before == once || before.offProbeLocs == 0);
    let Some((object, rest)) = bytes.split_at_checked(header.cbObj as usize) else { return };
    let Some(locations) = rest.get(..header.cbProbeLocs as usize) else { return };
    // The driver's copy is aligned.
    let mut words = vec![0_u64; object.len().div_ceil(8)];
    let copy = &mut words.as_mut_bytes()[..object.len()];
    copy.copy_from_slice(object);
    if let Ok(object) = Object::check(&kind, VTG_ADDRESS, copy, locations) {
        assert_eq!(*object.header(), header);
        read(&object);
    }
});
