//! [`Protection`]: what either ring may do with a part of [`SharedPages`].
//!
//! Neighbours: `block.rs` has the owner; the driver's half is `sup-core/src/memory/calls.rs`.
//!
//! Invariant: no pages are executable in ring 3, or writable and executable in ring 0; the driver sees to
//! it.

use std::ops::Range;

use sup_abi::request::{PageProtect, PageProtectIn};
use sup_abi::{R0Ptr, R3Ptr, RTMEM_PROT_EXEC, RTMEM_PROT_NONE, RTMEM_PROT_READ, RTMEM_PROT_WRITE};

use super::block::SharedPages;
use super::region::part;
use crate::error::Result;

/// What may be done with pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    /// Nothing. Corresponds to `RTMEM_PROT_NONE`.
    Nothing,
    /// Reading. Corresponds to `RTMEM_PROT_READ`.
    Read,
    /// Reading and writing, as all blocks are at first. Corresponds to `RTMEM_PROT_WRITE`.
    ReadWrite,
    /// Reading and running, in ring 0 alone. Corresponds to `RTMEM_PROT_EXEC`.
    ReadExecute,
}

impl Protection {
    fn bits(self) -> u32 {
        match self {
            Self::Nothing => RTMEM_PROT_NONE,
            Self::Read => RTMEM_PROT_READ,
            Self::ReadWrite => RTMEM_PROT_READ | RTMEM_PROT_WRITE,
            Self::ReadExecute => RTMEM_PROT_READ | RTMEM_PROT_EXEC,
        }
    }
}

impl SharedPages {
    /// Changes what ring 0 may do with some of the pages through the block's own mapping; those of
    /// [`map_kernel`](Self::map_kernel) stay readable and writable. Corresponds to `SUPR3PageProtect`.
    ///
    /// A module that does what is forbidden faults.
    ///
    /// ```
    /// use sup::{Protection, RingZeroView, Session};
    ///
    /// let session = Session::open()?;
    /// let memory = session.shared_pages(4, RingZeroView::Mapped)?;
    /// // The last page guards the others, and the first one is for ring 3 alone to write.
    /// memory.protect_kernel(3..4, Protection::Nothing)?;
    /// memory.protect_kernel(0..1, Protection::Read)?;
    /// memory.view().write(0, &7_u32)?;
    /// # Ok::<(), sup::Error>(())
    /// ```
    ///
    /// # Errors
    /// `VERR_INVALID_PARAMETER` if there are no such pages, or ring 0 has no mapping of the block;
    /// `VERR_PERMISSION_DENIED` to run them without the right to load modules; `VERR_NOT_SUPPORTED` if
    /// the host cannot.
    pub fn protect_kernel(&self, pages: Range<u32>, protection: Protection) -> Result<()> {
        let (offset, bytes) = part::<PageProtect>(&pages)?;
        let r0 = self.r0_address();
        let protection = protection.bits();
        let input = PageProtectIn { r3: R3Ptr::NIL, r0, offset, bytes, protection, reserved: 0 };
        self.session().connection().call::<PageProtect>(&input).map(|_| ())
    }

    /// Changes what this process may do with some of the pages. Corresponds to `SUPR3PageProtect`.
    ///
    /// ```
    /// use sup::{Protection, RingZeroView, Session};
    ///
    /// let session = Session::open()?;
    /// let memory = session.shared_pages(2, RingZeroView::Mapped)?;
    /// memory.view().write(0, &7_u32)?;
    /// // SAFETY: nothing writes to the first page from here on, and it may still be read.
    /// unsafe { memory.protect_user(0..1, Protection::Read) }?;
    /// assert_eq!(memory.view().read::<u32>(0)?, 7);
    /// # Ok::<(), sup::Error>(())
    /// ```
    ///
    /// # Safety
    /// Until the pages are readable and writable again, nobody does with them what the protection
    /// forbids: neither through the block's [`view`](crate::SharedRegion::view) and
    /// [`words`](crate::SharedRegion::words), which do not know of it, nor through its address.
    ///
    /// # Errors
    /// `VERR_INVALID_PARAMETER` if there are no such pages; `VERR_NOT_SUPPORTED` to run them;
    /// `VERR_NO_MEMORY`, after which a kernel before 6.12 may have nothing mapped there.
    pub unsafe fn protect_user(&self, pages: Range<u32>, protection: Protection) -> Result<()> {
        let (offset, bytes) = part::<PageProtect>(&pages)?;
        let (r3, r0) = (self.r3(), R0Ptr::NIL);
        let input =
            PageProtectIn { r3, r0, offset, bytes, protection: protection.bits(), reserved: 0 };
        self.session().connection().call::<PageProtect>(&input).map(|_| ())
    }
}
