//! [`LockedMemory`]: memory of the process that is locked where it is; and further mappings in ring 0.
//!
//! Neighbours: `block.rs` has the memory that the driver allocates; the driver's half is
//! `sup-core/src/memory/calls.rs`.
//!
//! Invariant: nobody has a reference into the buffer while it is locked but through its [`SharedRegion`],
//! since ring 0 may write to it.

use std::marker::PhantomData;
use std::ops::{Deref, Range};
use std::ptr::NonNull;

use sup_abi::request::{
    AddressIn, LockPages, LockPagesIn, PageMapKernel, PageMapKernelIn, UnlockPages,
};
use sup_abi::{PAGE_SIZE, R0Ptr, R3Ptr, Status};

use super::block::SharedPages;
use super::region::{SharedRegion, part};
use crate::Session;
use crate::connection::name;
use crate::error::Result;

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
#[derive(Debug)]
pub struct LockedMemory<'a> {
    session: Session,
    region: SharedRegion,
    buffer: PhantomData<&'a mut [u8]>,
}

/// What it has in common with all memory that ring 0 may write.
impl Deref for LockedMemory<'_> {
    type Target = SharedRegion;

    fn deref(&self) -> &SharedRegion {
        &self.region
    }
}

impl LockedMemory<'_> {
    /// Maps some of the pages into ring 0, readable and writable, until the memory is unlocked.
    /// Corresponds to `SUPR3PageMapKernel`. The embedded backend has no second place for memory of the
    /// process: ring 0 sees it where ring 3 does.
    ///
    /// # Errors
    /// `VERR_INVALID_PARAMETER` if there are no such pages, `VERR_MAP_FAILED`, `VERR_NO_MEMORY`.
    pub fn map_kernel(&self, pages: Range<u32>) -> Result<R0Ptr> {
        map_kernel(&self.session, &self.region, pages)
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
        map_kernel(self.session(), self, pages)
    }
}

fn map_kernel(session: &Session, region: &SharedRegion, pages: Range<u32>) -> Result<R0Ptr> {
    let (offset, bytes) = part::<PageMapKernel>(&pages)?;
    let input = PageMapKernelIn { r3: region.r3(), offset, bytes, flags: 0, reserved: 0 };
    Ok(session.connection().call::<PageMapKernel>(&input)?.r0)
}

impl Drop for LockedMemory<'_> {
    fn drop(&mut self) {
        let input = AddressIn { r3: self.region.r3() };
        if let Err(error) = self.session.connection().call::<UnlockPages>(&input) {
            tracing::error!(target: "supdrv", %error, "cannot unlock memory");
        }
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
        // SAFETY: the pages are the buffer's, whole ones, which is borrowed exclusively for as long as the
        // region's owner lives; bytes of a slice are initialised.
        let region = unsafe { SharedRegion::new(start, pages, output.flags) };
        Ok(LockedMemory { session: self.clone(), region, buffer: PhantomData })
    }
}
