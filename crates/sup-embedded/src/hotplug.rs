//! [`Watch`]: looks now and then which processors are online, and tells the page.
//!
//! A process hears nothing of processors that come and go, but the kernel lists them in a file. The
//! timer's thread reads it once a [`PERIOD`], and does more only if the list has changed.
//!
//! Neighbours: `timer.rs` calls; `sup_core`'s `gip/cpus.rs` writes the page.
//! Invariant: only processors that the process may run on get on the page.

use std::fs::File;
use std::ops::RangeInclusive;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use sup_core::gip::GipTicker;

use crate::{EmbeddedHost, cpu};

/// How late the page may hear of a processor.
pub(crate) const PERIOD: Duration = Duration::from_secs(1);

/// The longest list that is read: as many numbers of three digits as a page has processors.
const LIST_BYTES: usize = 1024;

/// The kernel's list, and what it was when the page was told.
#[derive(Debug)]
pub(crate) struct Watch {
    file: File,
    told: Vec<u8>,
    allowed: Vec<RangeInclusive<u16>>,
}

impl Watch {
    /// Watches for the current thread, which may be kept on one processor afterwards; `None` on a system
    /// that does not list its processors.
    pub(crate) fn new() -> Option<Self> {
        let file = File::open(cpu::ONLINE).ok()?;
        Some(Self { file, told: Vec::new(), allowed: cpu::allowed()? })
    }

    /// Tells the page what has changed since the last look. The first one compares with the page.
    pub(crate) fn look(&mut self, ticker: &GipTicker<EmbeddedHost>, host: &EmbeddedHost) {
        let mut list = [0; LIST_BYTES];
        let Ok(bytes) = self.file.read_at(&mut list, 0) else { return };
        let list = &list[..bytes];
        if list == self.told {
            return;
        }
        let Some(online) = std::str::from_utf8(list).ok().and_then(cpu::ranges) else { return };
        let is_on_page = |index| ticker.is_online(index);
        for change in changes(&online, &self.allowed, is_on_page) {
            match change {
                Change::Comes(index) => cpu::visit(index, |cpu| ticker.cpu_comes(host, cpu)),
                Change::Goes(index) => ticker.cpu_goes(index),
            }
        }
        self.told = list.to_vec();
    }
}

/// What the page has to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Comes(u16),
    Goes(u16),
}

/// The differences between who is online, of those that count, and who is so on the page.
fn changes(
    online: &[RangeInclusive<u16>],
    allowed: &[RangeInclusive<u16>],
    is_on_page: impl Fn(u16) -> bool,
) -> Vec<Change> {
    let is_in =
        |ranges: &[RangeInclusive<u16>], index| ranges.iter().any(|range| range.contains(&index));
    (0..sup_abi::GIP_MAX_CPUS as u16)
        .filter_map(|index| match (is_in(online, index), is_on_page(index)) {
            (true, false) if is_in(allowed, index) => Some(Change::Comes(index)),
            (false, true) => Some(Change::Goes(index)),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::Change::{Comes, Goes};
    use super::*;

    #[test]
    fn only_what_differs_and_may_be_used_is_told() {
        let on_page = |index| [0, 1, 5].contains(&index);
        let everywhere = [0..=255];
        let told = |online: &[_], allowed: &[_]| changes(online, allowed, on_page);
        assert_eq!(told(&[0..=1, 5..=5], &everywhere), []);
        assert_eq!(told(&[0..=3], &everywhere), [Comes(2), Comes(3), Goes(5)]);
        assert_eq!(told(&[0..=3], &[0..=2]), [Comes(2), Goes(5)]);
        // Beyond what the page can tell apart.
        assert_eq!(told(&[0..=1, 5..=5, 300..=301], &[0..=400]), []);
    }
}
