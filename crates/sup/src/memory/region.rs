//! [`SharedRegion`]: pages of this process that ring 0 may write at any time, whoever owns them.
//!
//! Neighbours: the owners are in `block.rs` and `locked.rs`, each a smart pointer to its region; `view.rs`
//! is how values are read and written. Invariant: the pages are mapped, and nobody has a reference into
//! them but through atomics, for as long as the region lives.

use std::ops::Range;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

use sup_abi::request::{MEMORY_SYNTHETIC_PHYS, Request};
use sup_abi::{PAGE_SIZE, PhysAddr, R3Ptr, Status};
use sup_core::host::AddressSource;

use super::view::SharedView;
use crate::connection::name;
use crate::error::{Error, Result};

/// Pages that both rings may use. Its owner says how long they are there.
#[derive(Debug)]
pub struct SharedRegion {
    start: NonNull<u8>,
    pages: Vec<PhysAddr>,
    source: AddressSource,
}

// SAFETY: a region is memory of the process, which every thread reaches at the same address, and is used
// through atomics only.
unsafe impl Send for SharedRegion {}
// SAFETY: a shared region gives out atomics and numbers only.
unsafe impl Sync for SharedRegion {}

impl SharedRegion {
    /// The pages from `start` on, with the physical address of each and the flags of the driver's answer.
    ///
    /// # Safety
    /// They are mapped there, page-aligned, initialised, readable and writable, and used through atomics
    /// only, until the region is dropped.
    pub(super) unsafe fn new(start: NonNull<u8>, pages: Vec<PhysAddr>, flags: u32) -> Self {
        let source = if flags & MEMORY_SYNTHETIC_PHYS == 0 {
            AddressSource::Machine
        } else {
            AddressSource::Synthetic
        };
        Self { start, pages, source }
    }

    /// Where it starts, as requests name it.
    pub(super) fn r3(&self) -> R3Ptr {
        R3Ptr::new(self.start.addr().get() as u64)
    }

    /// Where it starts in this process.
    pub fn as_ptr(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    /// Its length in bytes.
    #[expect(clippy::len_without_is_empty, reason = "a region has at least one page")]
    pub fn len(&self) -> usize {
        self.pages.len() * PAGE_SIZE
    }

    /// The physical address of each page, first to last.
    pub fn pages(&self) -> impl ExactSizeIterator<Item = PhysAddr> + DoubleEndedIterator {
        self.pages.iter().copied()
    }

    /// Whose numbers the physical addresses are.
    pub fn address_source(&self) -> AddressSource {
        self.source
    }

    /// Typed access to the memory, any of which ring 0 may change at any time.
    pub fn view(&self) -> SharedView<'_> {
        SharedView::new(self.words())
    }

    /// The memory as words, any of which ring 0 may change at any time: for what needs an order, or a
    /// read and a write in one.
    pub fn words(&self) -> &[AtomicU64] {
        let start = self.start.as_ptr().cast::<AtomicU64>();
        // SAFETY: whoever made the region promised that so many pages are there, aligned and initialised,
        // until it is dropped, and used through atomics only, which allow for the other ring's writes.
        unsafe { std::slice::from_raw_parts(start, self.len() / size_of::<u64>()) }
    }
}

/// Offset and length in bytes of some pages, as requests take them. Whether a block has them, the driver
/// says.
///
/// # Errors
/// `VERR_INVALID_PARAMETER` if no block can have them.
pub(super) fn part<R: Request>(pages: &Range<u32>) -> Result<(u32, u32)> {
    let bytes = |pages: u32| pages.checked_mul(PAGE_SIZE as u32);
    let count = pages.end.checked_sub(pages.start);
    bytes(pages.start).zip(count.and_then(bytes)).ok_or_else(|| {
        let detail = format!("there are no pages {} to {}", pages.start, pages.end);
        Error::new(name::<R>(), Status::VERR_INVALID_PARAMETER, detail)
    })
}
