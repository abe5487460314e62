//! The same services by number, address and name, without owners: for programs that keep their own books,
//! as those in C do.
//!
//! What is made here belongs to the session alone: it is given back by a call of this module, by ring 0, or
//! when the session is closed. Safe Rust has the owners of this crate's root instead, which cannot forget
//! and cannot give back twice.
//!
//! Neighbours: `sup-capi` is the user; `semaphore.rs`, `memory/block.rs` and `module.rs` carry it out.
//! Invariant: a number, address or name that means nothing is answered with a status; what takes memory
//! away that others may be using is `unsafe`.

use sup_abi::request::{
    AddressIn, ContFree, Empty, LockPages, LockPagesIn, LowFree, PageFree, PageMapKernel,
    PageMapKernelIn, PageProtect, PageProtectIn, Request, UnlockPages,
};
use sup_abi::{PhysAddr, R0Ptr, R3Ptr, Status};

pub use sup_abi::request::SemaphoreKind;

pub use crate::memory::Block;

use crate::error::Result;
use crate::semaphore::Place;
pub use crate::service::ServiceName;
use crate::{RingZeroView, Session, Timeout, WaitError, module, service};

/// A semaphore by its number, for the length of an operation.
#[derive(Clone, Copy)]
pub struct Semaphore<'a>(Place<'a>);

impl std::fmt::Debug for Semaphore<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Semaphore").finish_non_exhaustive()
    }
}

impl<'a> Semaphore<'a> {
    /// The semaphore with that number, whoever created it. Whether there is one shows the operation.
    ///
    /// # Errors
    /// `VERR_INVALID_HANDLE` if none can have it; `VERR_NO_MEMORY`, `VERR_MAP_FAILED`.
    #[inline]
    pub fn at(session: &'a Session, kind: SemaphoreKind, handle: u32) -> Result<Self> {
        Place::of(session, kind, handle).map(Self)
    }

    /// Creates one, and returns its number.
    ///
    /// # Errors
    /// `VERR_NO_MEMORY`, `VERR_NO_MORE_HANDLES`.
    pub fn create(session: &Session, kind: SemaphoreKind) -> Result<u32> {
        session.create_semaphore(kind)
    }

    /// Signals.
    ///
    /// # Errors
    /// `VERR_INVALID_HANDLE` if there is none of this kind.
    #[inline]
    pub fn signal(self) -> Result<()> {
        self.0.signal()
    }

    /// Resets a manual-reset event.
    ///
    /// # Errors
    /// `VERR_INVALID_HANDLE` if there is none of this kind.
    #[inline]
    pub fn reset(self) -> Result<()> {
        self.0.reset()
    }

    /// Waits.
    ///
    /// # Errors
    /// [`WaitError`]; `VERR_INVALID_HANDLE` if there is none of this kind.
    #[inline]
    pub fn wait(self, timeout: Timeout) -> Result<(), WaitError> {
        self.0.wait(timeout)
    }

    /// Closes it: `VINF_OBJECT_DESTROYED`, or `VINF_SUCCESS` while another call is in it.
    ///
    /// # Errors
    /// `VERR_INVALID_HANDLE` if there is none of this kind.
    pub fn close(self) -> Result<Status> {
        self.0.close()
    }
}

/// Allocates pages below 4 GiB. Corresponds to `SUPR3LowAlloc`.
///
/// # Errors
/// Those of [`Session::low_memory`].
pub fn low_alloc(session: &Session, pages: u32) -> Result<Block> {
    session.low_block(pages)
}

/// Allocates one physically contiguous run of pages below 4 GiB. Corresponds to `SUPR3ContAlloc`.
///
/// # Errors
/// Those of [`Session::contiguous_memory`].
pub fn cont_alloc(session: &Session, pages: u32) -> Result<Block> {
    session.contiguous_block(pages)
}

/// Allocates pages. Corresponds to `SUPR3PageAllocEx`.
///
/// # Errors
/// Those of [`Session::shared_pages`].
pub fn page_alloc(session: &Session, pages: u32, view: RingZeroView) -> Result<Block> {
    session.shared_block(pages, view)
}

/// Frees a block of [`low_alloc`], whichever ring allocated it. Corresponds to `SUPR3LowFree`.
///
/// # Errors
/// `VERR_INVALID_PARAMETER` if no such block starts there.
///
/// # Safety
/// No reference into the block is left, and no owner of this crate has it.
pub unsafe fn low_free(session: &Session, start: R3Ptr) -> Result<()> {
    give_back::<LowFree>(session, start)
}

/// Frees a block of [`cont_alloc`], whichever ring allocated it. Corresponds to `SUPR3ContFree`.
///
/// # Errors
/// `VERR_INVALID_PARAMETER` if no such block starts there.
///
/// # Safety
/// No reference into the block is left, and no owner of this crate has it.
pub unsafe fn cont_free(session: &Session, start: R3Ptr) -> Result<()> {
    give_back::<ContFree>(session, start)
}

/// Frees a block of [`page_alloc`], whichever ring allocated it. Corresponds to `SUPR3PageFreeEx`.
///
/// # Errors
/// `VERR_INVALID_PARAMETER` if no such block starts there.
///
/// # Safety
/// No reference into the block is left, and no owner of this crate has it.
pub unsafe fn page_free(session: &Session, start: R3Ptr) -> Result<()> {
    give_back::<PageFree>(session, start)
}

fn give_back<R: Request<In = AddressIn, Out = Empty>>(
    session: &Session,
    start: R3Ptr,
) -> Result<()> {
    session.connection().call::<R>(&AddressIn { r3: start }).map(|_| ())
}

/// Locks pages of this process where they are, and returns their physical addresses. Corresponds to
/// `supR3PageLock`.
///
/// # Errors
/// `VERR_INVALID_PARAMETER` unless `start` is that of a page and there are some, `VERR_LOCK_FAILED` if not
/// all of them are mapped and writable, `VERR_NO_MEMORY`, `VERR_NO_TMP_MEMORY`.
pub fn lock_pages(session: &Session, start: R3Ptr, pages: u32) -> Result<Vec<PhysAddr>> {
    let input = LockPagesIn { r3: start, pages, reserved: 0 };
    session.allocate::<LockPages>(&input, pages).map(|(_, addresses)| addresses)
}

/// Unlocks what was locked from `start` on. Corresponds to `supR3PageUnlock`.
///
/// # Errors
/// `VERR_INVALID_PARAMETER` if nothing was.
///
/// # Safety
/// No [`LockedMemory`](crate::LockedMemory) has it, and ring 0 does not use it any more.
pub unsafe fn unlock_pages(session: &Session, start: R3Ptr) -> Result<()> {
    give_back::<UnlockPages>(session, start)
}

/// Maps a part of a block into ring 0 once more. Corresponds to `SUPR3PageMapKernel`.
///
/// # Errors
/// `VERR_INVALID_PARAMETER` unless those are whole pages of a block that starts there,
/// `VERR_MAP_FAILED`, `VERR_NO_MEMORY`.
pub fn map_kernel(session: &Session, start: R3Ptr, offset: u32, bytes: u32) -> Result<R0Ptr> {
    let input = PageMapKernelIn { r3: start, offset, bytes, flags: 0, reserved: 0 };
    Ok(session.connection().call::<PageMapKernel>(&input)?.r0)
}

/// Changes what both rings may do with a part of a block of [`page_alloc`]; a NIL address leaves its ring
/// as it is. Corresponds to `SUPR3PageProtect`.
///
/// # Errors
/// `VERR_INVALID_PARAMETER` unless those are whole pages of one block and the bits are `RTMEM_PROT_*`;
/// `VERR_NOT_SUPPORTED` for execution in ring 3, or with writing in ring 0; `VERR_PERMISSION_DENIED` for
/// execution in ring 0 without the right to load modules.
///
/// # Safety
/// Nobody accesses the pages in a way that the new protection forbids.
pub unsafe fn page_protect(
    session: &Session,
    start: R3Ptr,
    r0: R0Ptr,
    offset: u32,
    bytes: u32,
    protection: u32,
) -> Result<()> {
    let input = PageProtectIn { r3: start, r0, offset, bytes, protection, reserved: 0 };
    session.connection().call::<PageProtect>(&input).map(|_| ())
}

/// Reads a module's file, with the signature that stands beside it.
///
/// # Errors
/// `VERR_FILE_NOT_FOUND`, `VERR_ACCESS_DENIED`, `VERR_IS_A_DIRECTORY`, `VERR_GENERAL_FAILURE`; in a process with more
/// rights than its user `VERR_SUPLIB_*` of a file that others than root can have written.
pub fn read_module(file: &std::path::Path) -> Result<Vec<u8>> {
    Ok(module::read_image(file)?.bytes().to_vec())
}

/// Loads a module, and returns its base in ring 0; `handler` is empty for none. Corresponds to
/// `SUPR3LoadModule` and `SUPR3LoadServiceModule`.
///
/// # Errors
/// Those of [`Session::load_module`].
pub fn load_module(session: &Session, image: &[u8], name: &str, handler: &str) -> Result<R0Ptr> {
    session.load_image(image, name, handler).map(|module| module.into_base())
}

/// Gives a reference to a module back. Corresponds to `SUPR3FreeModule`.
///
/// # Errors
/// `VERR_INVALID_HANDLE` if the session has none with that base, `VERR_DANGLING_OBJECTS`.
pub fn free_module(session: &Session, base: R0Ptr) -> Result<()> {
    session.free_module_at(base)
}

/// The address of an exported symbol. Corresponds to `SUPR3GetSymbolR0`.
///
/// # Errors
/// `VERR_INVALID_HANDLE` if the session has no module with that base, `VERR_SYMBOL_NOT_FOUND`.
pub fn symbol(session: &Session, base: R0Ptr, name: &str) -> Result<R0Ptr> {
    session.symbol_at(base, name)
}

/// Calls a service of the session by its name, and returns its status, whichever it is. Corresponds to
/// `SUPR3CallR0Service`. The packet is as the service left it; an empty one is none.
///
/// # Errors
/// Those of [`ServiceModule::call_with`](crate::ServiceModule::call_with) that concern the packet.
#[inline]
pub fn call_service(
    session: &Session,
    name: ServiceName,
    operation: u32,
    argument: u64,
    packet: &mut [u8],
) -> Result<Status> {
    if !packet.is_empty() {
        service::check_packet(packet)?;
    }
    session.exchange_with_service(name, operation, argument, packet)
}
