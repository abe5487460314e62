//! Tests of both kinds of processor set.

extern crate std;

use std::vec::Vec;

use super::{AtomicCpuSet, RTCPUSET, RTCPUSET_MAX_CPUS};

#[test]
fn indexes_come_and_go() {
    let mut set = RTCPUSET::EMPTY;
    for index in [255, 0, 63, 64] {
        assert!(set.add(index));
    }
    assert_eq!(set.iter().collect::<Vec<_>>(), [0, 63, 64, 255]);
    assert!(set.remove(63) && !set.contains(63));
    assert_eq!(set.count(), 3);
}

#[test]
fn bits_lie_where_c_code_looks_for_them() {
    let mut set = RTCPUSET::EMPTY;
    set.add(65);
    assert_eq!(set.bmSet, [0, 2, 0, 0]);
}

#[test]
fn cannot_hold_an_index_beyond_the_set() {
    let mut set = RTCPUSET::EMPTY;
    let shared = AtomicCpuSet::default();
    for index in [RTCPUSET_MAX_CPUS, usize::MAX] {
        assert!(!set.add(index) && !set.remove(index) && !set.contains(index));
        assert!(!shared.add(index) && !shared.remove(index));
    }
    assert_eq!((set, shared.load()), (RTCPUSET::EMPTY, RTCPUSET::EMPTY));
}

#[test]
fn shared_set_reads_back() {
    let shared = AtomicCpuSet::default();
    assert!(shared.add(3) && shared.add(130));
    assert_eq!(shared.load().iter().collect::<Vec<_>>(), [3, 130]);
    assert!(shared.remove(3));
    assert_eq!(shared.load().iter().collect::<Vec<_>>(), [130]);
    shared.store(RTCPUSET::EMPTY);
    assert_eq!(shared.load(), RTCPUSET::EMPTY);
}
