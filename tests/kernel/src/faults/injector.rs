//! [`Injector`]: lets the kernel refuse one allocation of this thread.
//!
//! `/proc/thread-self/fail-nth` counts allocations of the thread down, and the kernel refuses the one that
//! brings it to zero: of slabs and of pages, whoever in the kernel asks on behalf of the thread. It is
//! there if the kernel was built with fault injection, which no distribution's is.
//!
//! Invariant: the count is zero, which means no fault, but during [`Injector::refusing`].

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::mm::{MlockAllFlags, mlockall};

use crate::check::{Stop, Verdict, check};

/// The count of the thread that opens it.
const COUNT: &str = "/proc/thread-self/fail-nth";

/// Where the kernel is told what it may refuse.
const SETTINGS: &str = "/sys/kernel/debug";

/// The settings under which any allocation is refused that may fail. The kernel spares those that may
/// sleep, as nearly all of ours do, those of pages that need no mapping in ring 0, and those of one page.
/// A refusal that is wanted is no news, and its trace would look like a complaint.
const EVERYTHING: [(&str, &str); 6] = [
    ("failslab/ignore-gfp-wait", "N"),
    ("failslab/verbose", "0"),
    ("fail_page_alloc/ignore-gfp-wait", "N"),
    ("fail_page_alloc/ignore-gfp-highmem", "N"),
    ("fail_page_alloc/min-order", "0"),
    ("fail_page_alloc/verbose", "0"),
];

/// Refuses allocations of the thread that made it.
#[derive(Debug)]
pub(super) struct Injector(File);

/// Whether an allocation was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Came,
    /// Fewer allocations were made than were to succeed.
    NeverCame,
}

impl Injector {
    /// [Skipped](Stop::Skipped) where the kernel cannot refuse on demand.
    pub(super) fn require() -> Verdict {
        let is_there = fs::exists(COUNT)?;
        if is_there {
            return Ok(());
        }
        Err(Stop::Skipped(
            "this kernel was built without fault injection; CONFIG_FAILSLAB=y and \
             CONFIG_FAIL_PAGE_ALLOC=y give it that, as kmod/debug-kernel.config does"
                .to_owned(),
        ))
    }

    /// The injector of this thread, whose process has its memory in place from now on: its own page
    /// faults would be refused too.
    pub(super) fn of_this_thread() -> Verdict<Self> {
        for (setting, value) in EVERYTHING {
            fs::write(Path::new(SETTINGS).join(setting), value)?;
        }
        mlockall(MlockAllFlags::CURRENT)?;
        Ok(Self(File::options().read(true).write(true).open(COUNT)?))
    }

    /// Does `work`, in which the kernel refuses the `nth` allocation, from 1 on.
    pub(super) fn refusing<R>(&self, nth: u32, work: impl FnOnce() -> R) -> Verdict<(R, Fault)> {
        let count = nth.to_string();
        self.set(count.as_bytes())?;
        let result = work();
        let mut left = [0; 16];
        let length = self.0.read_at(&mut left, 0);
        self.set(b"0")?;
        let left = str::from_utf8(&left[..length?])?.trim();
        check!(left.parse::<u32>()? <= nth, "the kernel's count is {left}, and was {nth}");
        Ok((result, if left == "0" { Fault::Came } else { Fault::NeverCame }))
    }

    fn set(&self, count: &[u8]) -> io::Result<()> {
        self.0.write_all_at(count, 0)
    }
}
