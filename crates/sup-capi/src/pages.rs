//! `SUPR3PageAlloc` and `SUPR3PageFree`: pages of the process alone, with or without a session.
//!
//! The list knows what was given out, so that a second free, or one with a wrong address, takes nothing
//! that is somebody else's. A free may give back a part; the rest stays.
//!
//! Invariant: each range of the list is mapped by this library and used by the caller alone.

#![expect(non_snake_case, reason = "the header's names")]

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::ptr;

use sup::PageMemory;
use sup_abi::{PAGE_SIZE, Status};

use crate::entry::c_functions;
use crate::lock::Lock;
use crate::pointer::{Out, check};

/// Where each range starts, and its bytes.
type Ranges = BTreeMap<usize, usize>;

static RANGES: Lock<Ranges> = Lock::new(BTreeMap::new());

/// Takes `start..start + bytes` out of the range that holds all of it.
fn take(ranges: &mut Ranges, start: usize, bytes: usize) -> bool {
    let Some(end) = start.checked_add(bytes) else { return false };
    let holder = ranges.range(..=start).next_back().map(|(first, bytes)| (*first, first + bytes));
    let Some((first, last)) = holder.filter(|(_, last)| end <= *last) else { return false };
    ranges.remove(&first);
    for (from, to) in [(first, start), (end, last)] {
        if from < to {
            ranges.insert(from, to - from);
        }
    }
    true
}

/// Forgets the pages in a forked child, for which they are not mapped.
///
/// # Safety
/// No other thread exists, and this one is in no call.
pub(crate) unsafe fn renew_in_child() {
    // SAFETY: the caller's promise.
    unsafe { RANGES.renew(Ranges::new()) };
}

c_functions! {
    /// Allocates zeroed pages of the process.
    status fn SUPR3PageAlloc(cPages: usize, ppvPages: *mut *mut c_void) {
        // SAFETY: the caller has room for an address there.
        let start = unsafe { Out::required(ppvPages) }?;
        start.put(ptr::null_mut());
        let mut pages = PageMemory::new(cPages)?;
        RANGES.lock().insert(pages.as_ptr().addr(), pages.len());
        start.put(pages.as_mut_ptr().cast());
        // From now on the list is its owner.
        std::mem::forget(pages);
        Ok(Status::VINF_SUCCESS)
    }

    /// Frees pages of `SUPR3PageAlloc`. What is none of them is left alone, with success.
    status fn SUPR3PageFree(pvPages: *mut c_void, cPages: usize) {
        check(pvPages)?;
        if cPages == 0 {
            return Err(Status::VERR_PAGE_COUNT_OUT_OF_RANGE);
        }
        let bytes = cPages.saturating_mul(PAGE_SIZE);
        let mut ranges = RANGES.lock();
        let is_whole = pvPages.addr().is_multiple_of(PAGE_SIZE);
        if is_whole && take(&mut ranges, pvPages.addr(), bytes) {
            // Under the lock: the kernel may give the place to another call at once.
            // SAFETY: the list says that all of it is ours, and the caller has done with it.
            unsafe { libc::munmap(pvPages, bytes) };
        }
        Ok(Status::VINF_SUCCESS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_can_be_taken_and_the_rest_stays() {
        let mut ranges = Ranges::from([(100, 50), (200, 50)]);
        assert!(take(&mut ranges, 110, 10));
        assert_eq!(ranges, Ranges::from([(100, 10), (120, 30), (200, 50)]));
        assert!(take(&mut ranges, 200, 50));
        assert!(take(&mut ranges, 100, 10));
        assert_eq!(ranges, Ranges::from([(120, 30)]));
    }

    #[test]
    fn cannot_take_what_is_not_all_there() {
        let whole = Ranges::from([(100, 50), (150, 50)]);
        for (start, bytes) in [(99, 1), (90, 20), (140, 20), (200, 1), (199, 2), (150, usize::MAX)]
        {
            let mut ranges = whole.clone();
            assert!(!take(&mut ranges, start, bytes), "{start} {bytes}");
            assert_eq!(ranges, whole);
        }
    }
}
