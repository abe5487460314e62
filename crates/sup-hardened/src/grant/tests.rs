//! Lists and capabilities as the kernel writes them, and broken ones.

use super::*;

const OWNER: (u16, u16, u32) = (0x01, 6, u32::MAX);
const GROUP: (u16, u16, u32) = (0x04, 6, u32::MAX);
const OTHERS: (u16, u16, u32) = (0x20, 4, u32::MAX);

fn acl(named: &[(u16, u16, u32)]) -> Vec<u8> {
    let mut list = 2_u32.to_le_bytes().to_vec();
    for (tag, rights, id) in [&[OWNER, GROUP], named, &[OTHERS]].concat() {
        list.extend([&tag.to_le_bytes()[..], &rights.to_le_bytes(), &id.to_le_bytes()].concat());
    }
    list
}

#[test]
fn a_named_user_or_group_that_may_write_is_seen() {
    for tag in [TAG_USER, TAG_GROUP] {
        assert!(acl_grants_write(&acl(&[(tag, 6, 1000), (TAG_MASK, 7, u32::MAX)])));
        assert!(acl_grants_write(&acl(&[(tag, 2, 1000)])), "no mask");
        assert!(!acl_grants_write(&acl(&[(tag, 6, 1000), (TAG_MASK, 5, u32::MAX)])), "masked");
        assert!(!acl_grants_write(&acl(&[(tag, 5, 1000), (TAG_MASK, 7, u32::MAX)])), "reads");
        assert!(!acl_grants_write(&acl(&[(tag, 7, 0), (TAG_MASK, 7, u32::MAX)])), "root");
    }
    assert!(!acl_grants_write(&acl(&[])));
}

#[test]
fn cannot_pass_with_what_nobody_understands() {
    let good = acl(&[]);
    for end in 0..good.len() {
        let is_whole = end % 8 == 4;
        assert_eq!(acl_grants_write(&good[..end]), !is_whole, "{end} bytes");
    }
    let mut newer = good.clone();
    newer[0] = 3;
    assert!(acl_grants_write(&newer));
    assert!(capability_grants_write(&[]) && capability_grants_write(&[0; 8]));
}

#[test]
fn capabilities_that_write_are_told_from_those_that_do_not() {
    let capability = |permitted: u32, inheritable: u32| {
        [0x0200_0001_u32, permitted, inheritable, 0, 0].map(u32::to_le_bytes).concat()
    };
    for bit in [0, 1, 3] {
        assert!(capability_grants_write(&capability(1 << bit, 0)), "{bit}");
        assert!(capability_grants_write(&capability(0, 1 << bit)), "{bit}");
    }
    // CAP_NET_BIND_SERVICE and CAP_NET_RAW.
    assert!(!capability_grants_write(&capability(1 << 10 | 1 << 13, 0)));
}
