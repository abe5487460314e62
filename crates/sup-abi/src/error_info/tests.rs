//! Tests of the two questions that can be asked about an error information structure.

use core::ptr;

use super::{RTERRINFO, RTERRINFO_FLAGS_MAGIC, RTERRINFO_FLAGS_SET, RTERRINFO_FLAGS_T_ALLOC};
use crate::Status;

fn with_flags(flags: u32) -> RTERRINFO {
    RTERRINFO {
        fFlags: flags,
        rc: Status::VINF_SUCCESS,
        cbMsg: 0,
        pszMsg: ptr::null_mut(),
        apvReserved: [ptr::null_mut(); 2],
    }
}

#[test]
fn magic_makes_it_prepared() {
    let info = with_flags(RTERRINFO_FLAGS_MAGIC | RTERRINFO_FLAGS_T_ALLOC);
    assert!(info.is_prepared() && !info.is_set());
}

#[test]
fn set_counts_only_with_the_magic() {
    assert!(with_flags(RTERRINFO_FLAGS_MAGIC | RTERRINFO_FLAGS_SET).is_set());
    assert!(!with_flags(RTERRINFO_FLAGS_SET).is_set());
}

#[test]
fn cannot_pass_with_half_a_magic() {
    for flags in [0, 0xbabf_0000, 0xba00_0000, 0x00be_0000] {
        assert!(!with_flags(flags).is_prepared(), "{flags:#x}");
    }
}
