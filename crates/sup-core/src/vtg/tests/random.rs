//! Objects of random shape pass and read as they were made; damaged ones never do harm.

use std::string::String;
use std::vec::Vec;

use proptest::collection::vec;
use proptest::prelude::*;
use sup_abi::{VTG_TYPE_FIXED_SIZED, VTG_TYPE_POINTER, VtgProbe};

use super::*;
use crate::vtg::testing::{ProbeShape, ProviderShape};

/// Holds what an object says against the shape that it was made of.
pub(super) fn hold_against_shape(object: &Object<'_>, shape: &Shape) {
    let mut locations = object.locations();
    let (mut line, mut index) = (100, 0);
    assert_eq!(object.providers().len(), shape.providers.len());
    for (provider, expected) in object.providers().iter().zip(&shape.providers) {
        assert_eq!(object.name(provider.offName), expected.name);
        let probes = object.probes_of(provider);
        assert_eq!(probes.len(), expected.probes.len());
        for (probe, expected) in probes.iter().zip(&expected.probes) {
            assert_eq!(object.name(probe.offName), expected.name);
            let (list, args) = object.args(probe);
            assert_eq!(usize::from(list.cArgs), args.len());
            let args = args.iter().map(|arg| (object.name(arg.offType).into(), arg.fType));
            assert_eq!(args.collect::<Vec<(String, u32)>>(), expected.args);
            for _ in 0..expected.locations {
                let location = locations.next().unwrap();
                assert_eq!((location.line, location.probe), (line, index));
                line += 1;
            }
            index += 1;
        }
    }
    assert!(locations.next().is_none());
    assert_eq!(object.location_count(), line - 100);
    assert_eq!(object.probe_count(), index);
    assert_eq!(object.probes().len(), index as usize);
}

/// Holds a valid object, whatever it says, against what is promised of all.
fn hold_against_promises(object: &Object<'_>) {
    let is_name = |text: &str| text.len() < 4096 && text.is_ascii();
    assert!((1..=15).contains(&object.providers().len()));
    for provider in object.providers() {
        assert!(is_name(object.name(provider.offName)));
        assert_eq!(object.probes_of(provider).len(), usize::from(provider.cProbes));
    }
    for probe in object.probes() {
        let (list, args) = object.args(probe);
        assert!(args.len() <= 16 && args.len() == usize::from(list.cArgs));
        assert!(is_name(object.name(probe.offName)));
        assert!(args.iter().all(|arg| is_name(object.name(arg.offType))));
    }
    assert_eq!(object.locations().count(), object.location_count() as usize);
    assert!(object.locations().all(|location| location.probe < object.probe_count()));
    assert_eq!(object.location(object.location_count()), None);
}

fn names() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9_ (),*&-]{0,40}"
}

fn arguments() -> impl Strategy<Value = (String, u32)> {
    let fixed =
        prop::sample::select(&[1_u32, 2, 4, 8][..]).prop_map(|size| size | VTG_TYPE_FIXED_SIZED);
    (names(), prop_oneof![fixed, Just(VTG_TYPE_POINTER)])
}

fn probes() -> impl Strategy<Value = ProbeShape> {
    (names(), vec(arguments(), 0..=16), 0_u32..4).prop_map(|(name, args, locations)| ProbeShape {
        name,
        args,
        locations,
    })
}

fn shapes() -> impl Strategy<Value = Shape> {
    let providers =
        (names(), vec(probes(), 0..6)).prop_map(|(name, probes)| ProviderShape { name, probes });
    let sides = prop::sample::select(&[Side::Behind, Side::InFront][..]);
    let bits = prop::sample::select(&[32_u32, 64][..]);
    (vec(providers, 1..=15), sides, bits, 0_u32..3).prop_map(|(mut providers, side, bits, gap)| {
        // One probe, and one place for it, is the least.
        providers[0].probes.push(ProbeShape::new("least", &[], 1));
        Shape { bits, side, gap: 16 * gap, providers }
    })
}

proptest! {
    #[test]
    fn valid_objects_of_any_shape_pass(shape in shapes()) {
        let parts = shape.build(ADDRESS);
        let (bytes, locations) = (parts.object(), parts.locations());
        for kind in kinds(&parts) {
            let found = Object::check(&kind, ADDRESS, bytes.bytes(), &locations);
            if shape.bits == 32 && kind != Kind::User {
                prop_assert_eq!(found.err(), Some(Status::VERR_SUPDRV_VTG_BITS));
                continue;
            }
            let object = found.unwrap();
            hold_against_shape(&object, &shape);
            hold_against_promises(&object);
        }
    }

    #[test]
    fn a_damaged_object_is_refused_or_keeps_what_is_promised(
        shape in shapes(),
        damage in vec((any::<prop::sample::Index>(), any::<u32>(), 0_u32..4), 1..8),
    ) {
        let parts = shape.build(ADDRESS);
        let (mut object, mut locations) = (parts.object(), parts.locations());
        for (place, bits, width) in damage {
            let bytes = object.bytes_mut();
            let all = bytes.len() + locations.len();
            let place = place.index(all);
            let change = bits.to_ne_bytes();
            for (offset, byte) in change.iter().enumerate().take(width as usize + 1) {
                match (place + offset).checked_sub(bytes.len()) {
                    None => bytes[place + offset] ^= byte,
                    Some(place) => if let Some(there) = locations.get_mut(place) { *there ^= byte },
                }
            }
        }
        for kind in kinds(&parts) {
            if let Ok(object) = Object::check(&kind, ADDRESS, object.bytes(), &locations) {
                hold_against_promises(&object);
            }
        }
    }

    #[test]
    fn what_is_of_no_object_reads_as_nothing(offset: u32, address: u64) {
        let parts = sample();
        let (bytes, locations) = (parts.object(), parts.locations());
        let object = Object::check(&Kind::User, ADDRESS, bytes.bytes(), &locations).unwrap();
        let (list, args) = object.args(&VtgProbe { offArgList: offset, ..VtgProbe::default() });
        prop_assert!(usize::from(list.cArgs) == args.len());
        prop_assert!(object.name(offset.saturating_add(parts.header.StrTab.cb)).is_empty());
        // Nor does an address matter that is made up.
        let found = Object::check(&Kind::User, address, bytes.bytes(), &locations).map(drop);
        let expected = if address == ADDRESS { Ok(()) } else { Err(Status::VERR_SUPDRV_VTG_BAD_HDR_MISC) };
        prop_assert_eq!(found, expected);
    }
}
