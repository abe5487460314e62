//! [`LockedRange`]: memory of the process that is locked where it is.
//!
//! The system does not count locks: one `munlock` undoes any number of `mlock`. So [`LockedPages`] counts
//! them for every page, and unlocks what nobody holds any more. While locked, pages are not inherited by
//! children of a fork.
//!
//! Key types: [`LockedPages`] is the count, [`LockedRange`] one share in it. Neighbour: `memory.rs` makes
//! blocks of it. Invariant: between two keys of the map every page has the count of the first one; the
//! last count is zero.

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::ops::Range;
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::io::Errno;
use rustix::mm::{self, Advice};
use sup_abi::{Pages, R3Ptr, Status};

use crate::kept::{self, Keep};

/// How many locks hold each page of the process.
#[derive(Debug, Default)]
pub(crate) struct LockedPages(Mutex<Counts>);

/// The count from each address on, up to the next one.
#[derive(Debug, Default)]
struct Counts(BTreeMap<u64, u32>);

impl Counts {
    fn count_at(&self, address: u64) -> u32 {
        self.0.range(..=address).next_back().map_or(0, |(_, count)| *count)
    }

    fn split(&mut self, address: u64) {
        let count = self.count_at(address);
        self.0.entry(address).or_insert(count);
    }

    fn add(&mut self, range: Range<u64>) {
        self.split(range.start);
        self.split(range.end);
        self.0.range_mut(range).for_each(|(_, count)| *count += 1);
    }

    /// Takes one lock off the range and names the parts that have none left.
    fn remove(&mut self, range: Range<u64>) -> Vec<Range<u64>> {
        let mut free = Vec::new();
        let ends: Vec<u64> = self.0.range(range.clone()).skip(1).map(|(end, _)| *end).collect();
        let ends = ends.into_iter().chain([range.end]);
        for ((start, count), end) in self.0.range_mut(range.clone()).zip(ends) {
            *count -= 1;
            if *count == 0 {
                free.push(*start..end);
            }
        }
        // Keys that separate nothing any more.
        let inner: Vec<u64> = self.0.range(range.start..=range.end).map(|(key, _)| *key).collect();
        for key in inner {
            let before = key.checked_sub(1).map_or(0, |before| self.count_at(before));
            if self.0.get(&key) == Some(&before) {
                self.0.remove(&key);
            }
        }
        free
    }
}

/// Pages that stay where they are. Dropping it undoes one lock of them.
#[derive(Debug)]
pub(crate) struct LockedRange {
    all: Arc<LockedPages>,
    start: R3Ptr,
    pages: Pages,
}

impl LockedRange {
    /// Makes the pages present, writable and locked.
    ///
    /// # Errors
    /// `VERR_LOCK_FAILED` if not all of them are mapped and writable; `VERR_NO_MEMORY`, with the cause
    /// in the log, if the limit on locked memory is too low. Nothing stays locked.
    pub(crate) fn lock(all: &Arc<LockedPages>, start: R3Ptr, pages: Pages) -> Result<Self, Status> {
        let range = start.get()..start.get().saturating_add(pages.bytes());
        advise(&range, Advice::LinuxPopulateWrite).map_err(|_| Status::VERR_LOCK_FAILED)?;
        let mut counts = all.0.lock();
        counts.add(range.clone());
        let result = lock(&range).and_then(|()| advise(&range, Advice::LinuxDontFork));
        if let Err(error) = result {
            counts.remove(range).iter().for_each(unlock);
            tracing::warn!(
                target: "supdrv",
                pages = pages.get(),
                "cannot lock memory: {error}; is the limit on locked memory (ulimit -l) large enough?"
            );
            return Err(Status::VERR_NO_MEMORY);
        }
        Ok(Self { all: all.clone(), start, pages })
    }

    pub(crate) fn start(&self) -> R3Ptr {
        self.start
    }
}

impl Drop for LockedRange {
    fn drop(&mut self) {
        let start = self.start.get();
        let mut counts = self.all.0.lock();
        // Under the lock, so that a new lock of the same pages comes before or after.
        counts.remove(start..start.saturating_add(self.pages.bytes())).iter().for_each(unlock);
    }
}

fn place(range: &Range<u64>) -> (*mut c_void, usize) {
    (range.start as usize as *mut c_void, (range.end - range.start) as usize)
}

/// Undoes [`lock`], as far as the process has not unmapped the memory, and nothing of ours is there.
fn unlock(range: &Range<u64>) {
    kept::for_parts(range, |part, keep| {
        let (start, bytes) = place(part);
        if keep != Some(Keep::Everything) {
            // SAFETY: unlocking changes nothing that a program can see; the range may be any.
            let _ = unsafe { mm::munlock(start, bytes) };
        }
        if keep.is_none() {
            let _ = advise(part, Advice::LinuxDoFork);
        }
    });
}

fn lock(range: &Range<u64>) -> Result<(), Errno> {
    let (start, bytes) = place(range);
    // SAFETY: locking changes nothing that a program can see; the range may be any.
    unsafe { mm::mlock(start, bytes) }
}

/// Gives one of the advices of this file, none of which changes contents.
fn advise(range: &Range<u64>, advice: Advice) -> Result<(), Errno> {
    let (start, bytes) = place(range);
    // SAFETY: populating touches pages as a write of what they hold does, and the others only decide
    // what a child of a fork gets; for a range that is not mapped the call answers an error.
    unsafe { mm::madvise(start, bytes, advice) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::Mapping;
    use sup_abi::PAGE_SIZE;

    fn free(counts: &mut Counts, range: Range<u64>) -> Vec<(u64, u64)> {
        counts.remove(range).into_iter().map(|free| (free.start, free.end)).collect()
    }

    #[test]
    fn what_two_locks_hold_is_free_after_both() {
        let mut counts = Counts::default();
        counts.add(0x1000..0x5000);
        counts.add(0x3000..0x8000);
        counts.add(0x3000..0x4000);
        assert_eq!(free(&mut counts, 0x1000..0x5000), [(0x1000, 0x3000)]);
        assert_eq!(free(&mut counts, 0x3000..0x8000), [(0x4000, 0x8000)]);
        assert_eq!(free(&mut counts, 0x3000..0x4000), [(0x3000, 0x4000)]);
        assert!(counts.0.is_empty(), "{counts:?}");
    }

    /// The kernel's flags of the mapping that starts there, joined to no other; see proc_pid_smaps(5).
    fn flags(address: u64) -> Option<String> {
        let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut lines =
            smaps.lines().skip_while(|line| !line.starts_with(&format!("{address:x}-")));
        lines.find_map(|line| line.strip_prefix("VmFlags:")).map(str::to_owned)
    }

    #[test]
    fn what_comes_to_the_place_of_locked_memory_stays_locked_and_childless() {
        let all = Arc::default();
        let at = |address: u64| address..address + PAGE_SIZE as u64;
        // The kernel mostly gives the place again that was given back; other threads may be faster.
        for _ in 0..1000 {
            let lost = Mapping::anonymous(PAGE_SIZE).unwrap();
            let address = lost.address();
            let locked = LockedRange::lock(&all, R3Ptr::new(address), Pages::new(1)).unwrap();
            drop(lost);
            let ours = Mapping::anonymous(PAGE_SIZE).unwrap();
            if ours.address() != address {
                continue;
            }
            ours.lock().unwrap();
            let before = flags(address);
            drop(locked);
            let (Some(before), Some(after)) = (before, flags(address)) else { continue };
            // Locked, too; but for ThreadSanitizer, which makes nothing of the call.
            assert_eq!(before, after);
            assert!(after.split_whitespace().any(|flag| flag == "dc"), "a child has it: {after}");
            kept::for_parts(&at(address), |_, keep| assert_eq!(keep, Some(Keep::Everything)));
            return;
        }
        panic!("no mapping came to the place of another one");
    }
}
