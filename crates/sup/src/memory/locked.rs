//! [`LockedMemory`]: memory of the process that is locked where it is; and further mappings in ring 0.
//!
//! Neighbours: `block.rs` has the memory that the driver allocates; the driver's half is
//! `sup-core/src/memory/calls.rs`.
//!
//! Invariant: nobody has a reference into the buffer while it is locked, since ring 0 may write to it.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

use sup_abi::request::{
    AddressIn, LockPages, LockPagesIn, PageMapKernel, PageMapKernelIn, UnlockPages,
};
use sup_abi::{PAGE_SIZE, PhysAddr, R0Ptr, R3Ptr, Status};
use sup_core::host::AddressSource;

use super::block::{SharedPages, address_source};
use super::view::SharedView;
use crate::Session;
use crate::connection::name;
use crate::error::{Error, Result};

/// A buffer of the process whose pages stay where they are, borrowed until it is unlocked by dropping
/// this. Corresponds to `SUPR0LockMem`.
///
/// ```
/// use sup::{PageMemory, Session};
///
/// let session = Session::open()?;
/// let mut buffer = PageMemory::new(4)?;
/// buffer[0] = 42;
/// let locked = session.lock_memory(&mut buffer)?;
/// assert_eq!(locked.pages().len(), 4);
/// assert_eq!(locked.view().read::<u8>(0)?, 42);
/// drop(locked);
/// buffer[0] += 1;
/// # Ok::<(), sup::Error>(())
/// ```
pub struct LockedMemory<'a> {
    session: Session,
    start: NonNull<u8>,
    pages: Vec<PhysAddr>,
    source: AddressSource,
    buffer: PhantomData<&'a mut [u8]>,
}

// SAFETY: the buffer is memory of the process, borrowed for as long as this lives, and is used through
// atomics only; the session behind it is `Send`.
unsafe impl Send for LockedMemory<'_> {}
// SAFETY: shared access is through atomics only; the session behind it is `Sync`.
unsafe impl Sync for LockedMemory<'_> {}

impl LockedMemory<'_> {
    /// Its length in bytes.
    #[expect(clippy::len_without_is_empty, reason = "at least one page is locked")]
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

    /// The memory as words, any of which ring 0 may change at any time.
    pub fn words(&self) -> &[AtomicU64] {
        let start = self.start.as_ptr().cast::<AtomicU64>();
        // SAFETY: the start and the length are those of the buffer, which is borrowed exclusively while
        // `self` lives, page-aligned and initialised; atomics allow for ring 0's writes.
        unsafe { std::slice::from_raw_parts(start, self.len() / size_of::<u64>()) }
    }

    /// Maps some of the pages into ring 0, readable and writable, until the memory is unlocked.
    /// Corresponds to `SUPR3PageMapKernel`. The embedded backend has no second place for memory of the
    /// process: ring 0 sees it where ring 3 does.
    ///
    /// # Errors
    /// `VERR_INVALID_PARAMETER` if there are no such pages, `VERR_MAP_FAILED`, `VERR_NO_MEMORY`.
    pub fn map_kernel(&self, pages: Range<u32>) -> Result<R0Ptr> {
        map_kernel(&self.session, self.start, pages)
    }
}

impl SharedPages {
    /// Maps some of the pages into ring 0 once more, readable and writable, until the block is freed.
    /// Corresponds to `SUPR3PageMapKernel`.
    ///
    /// # Errors
    /// `VERR_INVALID_PARAMETER` if there are no such pages; `VERR_MAP_FAILED` if ring 0 has no room, or
    /// the block 64 such mappings; `VERR_NO_MEMORY`.
    pub fn map_kernel(&self, pages: Range<u32>) -> Result<R0Ptr> {
        let (session, start) = self.parts();
        map_kernel(session, start, pages)
    }
}

fn map_kernel(session: &Session, start: NonNull<u8>, pages: Range<u32>) -> Result<R0Ptr> {
    let bytes = |pages: u32| pages.checked_mul(PAGE_SIZE as u32);
    let count = pages.end.checked_sub(pages.start);
    let (Some(offset), Some(bytes)) = (bytes(pages.start), count.and_then(bytes)) else {
        let detail = format!("there are no pages {} to {}", pages.start, pages.end);
        return Err(Error::new(name::<PageMapKernel>(), Status::VERR_INVALID_PARAMETER, detail));
    };
    let r3 = R3Ptr::new(start.addr().get() as u64);
    let input = PageMapKernelIn { r3, offset, bytes, flags: 0, reserved: 0 };
    Ok(session.connection().call::<PageMapKernel>(&input)?.r0)
}

impl Drop for LockedMemory<'_> {
    fn drop(&mut self) {
        let input = AddressIn { r3: R3Ptr::new(self.start.addr().get() as u64) };
        if let Err(error) = self.session.connection().call::<UnlockPages>(&input) {
            tracing::error!(target: "supdrv", %error, "cannot unlock memory");
        }
    }
}

impl fmt::Debug for LockedMemory<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockedMemory")
            .field("start", &self.start)
            .field("pages", &self.pages.len())
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

impl Session {
    /// Locks a buffer: its pages are present, writable and stay where they are.
    ///
    /// The buffer starts at a page and is whole pages long, as [`PageMemory`](crate::PageMemory) is:
    /// what shares a page with it would be locked too.
    ///
    /// # Errors
    /// `VERR_INVALID_PARAMETER` for another buffer, `VERR_LOCK_FAILED`, `VERR_NO_MEMORY` if the limit on
    /// locked memory (`ulimit -l`) does not allow it, `VERR_NO_TMP_MEMORY`.
    pub fn lock_memory<'a>(&self, buffer: &'a mut [u8]) -> Result<LockedMemory<'a>> {
        let is_whole = buffer.len().is_multiple_of(PAGE_SIZE) && !buffer.is_empty();
        if !is_whole || !buffer.as_ptr().addr().is_multiple_of(PAGE_SIZE) {
            return Session::refuse(
                name::<LockPages>(),
                Status::VERR_INVALID_PARAMETER,
                "the buffer is not made of whole pages",
            );
        }
        let Ok(pages) = u32::try_from(buffer.len() / PAGE_SIZE) else {
            let detail = "the buffer has more than 2^32 pages";
            return Session::refuse(name::<LockPages>(), Status::VERR_OUT_OF_RANGE, detail);
        };
        let start = NonNull::from(buffer).cast::<u8>();
        let r3 = R3Ptr::new(start.addr().get() as u64);
        let input = LockPagesIn { r3, pages, reserved: 0 };
        let (output, pages) = self.allocate::<LockPages>(&input, pages)?;
        let source = address_source(output.flags);
        Ok(LockedMemory { session: self.clone(), start, pages, source, buffer: PhantomData })
    }
}
