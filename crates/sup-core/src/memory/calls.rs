//! The memory calls of a session, the same from both rings.
//!
//! Every call finds its block under the table's lock, keeps it by a reference of its own and works on it
//! with that lock released. So a block can be freed while another thread maps or protects it.
//!
//! Invariant: a mapping in ring 3 is never executable, one in ring 0 never writable and executable.

use sup_abi::{
    PAGE_SIZE, Pages, R0Ptr, R3Ptr, RTMEM_PROT_EXEC, RTMEM_PROT_NONE, RTMEM_PROT_READ,
    RTMEM_PROT_WRITE, Status,
};
use sup_alloc::Arc;

use super::{Block, Service};
use crate::host::{Allocation, Host, KernelProtection, Memory, UserProtection, Views};
use crate::tracer::own::Probe;
use crate::{Driver, Session};

/// A block has at most so many further mappings in ring 0: they take address space and page tables that
/// are charged to nobody.
const KERNEL_VIEWS_MAX: usize = 64;

const PAGE_BYTES: u64 = PAGE_SIZE as u64;

/// A part of a block in bytes, as ring 3 or a module gives it: nothing is checked yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// Bytes from the start of the block.
    pub offset: u32,
    /// Length in bytes.
    pub bytes: u32,
}

impl Range {
    /// The pages that it names, if it is made of whole ones and not empty.
    ///
    /// # Errors
    /// `VERR_INVALID_PARAMETER`.
    fn pages(self) -> Result<core::ops::Range<u32>, Status> {
        let (start, bytes) = (u64::from(self.offset), u64::from(self.bytes));
        let end = start.saturating_add(bytes);
        if bytes == 0 || !start.is_multiple_of(PAGE_BYTES) || !end.is_multiple_of(PAGE_BYTES) {
            return Err(Status::VERR_INVALID_PARAMETER);
        }
        let page = |bytes: u64| u32::try_from(bytes / PAGE_BYTES);
        let range = page(start).and_then(|start| Ok(start..page(end)?));
        range.map_err(|_| Status::VERR_INVALID_PARAMETER)
    }

    /// The pages that it names, if `block` has them.
    ///
    /// # Errors
    /// `VERR_INVALID_PARAMETER`.
    fn within<H: Host>(self, block: &Block<H>) -> Result<core::ops::Range<u32>, Status> {
        let pages = self.pages()?;
        if pages.end > block.memory.pages().get() {
            return Err(Status::VERR_INVALID_PARAMETER);
        }
        Ok(pages)
    }
}

/// What `RTMEM_PROT_*` mean for each ring; `VERR_NOT_SUPPORTED` if that ring never gets it.
type Protections = (Result<UserProtection, Status>, Result<KernelProtection, Status>);

/// Takes `RTMEM_PROT_*` apart. Writing includes reading, and so does running.
///
/// # Errors
/// `VERR_INVALID_PARAMETER` for other bits.
fn protections(bits: u32) -> Result<Protections, Status> {
    const ALL: u32 = RTMEM_PROT_READ | RTMEM_PROT_WRITE | RTMEM_PROT_EXEC;
    const READ_EXECUTE: u32 = RTMEM_PROT_READ | RTMEM_PROT_EXEC;
    const READ_WRITE: u32 = RTMEM_PROT_READ | RTMEM_PROT_WRITE;
    let never = Status::VERR_NOT_SUPPORTED;
    if bits & !ALL != 0 {
        return Err(Status::VERR_INVALID_PARAMETER);
    }
    Ok(match bits {
        RTMEM_PROT_NONE => (Ok(UserProtection::Nothing), Ok(KernelProtection::Nothing)),
        RTMEM_PROT_READ => (Ok(UserProtection::Read), Ok(KernelProtection::Read)),
        RTMEM_PROT_WRITE | READ_WRITE => {
            (Ok(UserProtection::ReadWrite), Ok(KernelProtection::ReadWrite))
        }
        RTMEM_PROT_EXEC | READ_EXECUTE => (Err(never), Ok(KernelProtection::ReadExecute)),
        _ => (Err(never), Err(never)),
    })
}

impl<H: Host> Driver<H> {
    /// Allocates zeroed pages. Corresponds to `SUPR0PageAllocEx`, `SUPR0LowAlloc`, `SUPR0ContAlloc` and,
    /// with the size in pages, `SUPR0MemAlloc`.
    ///
    /// # Errors
    /// `VERR_PAGE_COUNT_OUT_OF_RANGE`, the service's own status if there are no pages, `VERR_NO_MEMORY`.
    ///
    /// # Context
    /// May sleep.
    pub fn memory_allocate(
        &self,
        session: &Session<H>,
        service: Service,
        pages: Pages,
        views: Views,
    ) -> Result<Arc<Block<H>>, Status> {
        if pages.get() == 0 || pages > service.max_pages() {
            return Err(Status::VERR_PAGE_COUNT_OUT_OF_RANGE);
        }
        let request = Allocation { pages, placement: service.placement(), views };
        let memory = self.host().allocate(session.client(), request);
        let memory = memory.map_err(|_| service.failure(views))?;
        let block = Block::try_new(service, memory)?;
        session.memory().lock().insert(block.clone())?;
        self.tell_of(session, &block);
        Ok(block)
    }

    /// Pins writable pages of the calling process. Corresponds to `SUPR0LockMem`.
    ///
    /// The same pages may be locked any number of times; each lock is a block of its own.
    ///
    /// # Errors
    /// `VERR_INVALID_PARAMETER` for no address, one that is not page aligned, or no page;
    /// `VERR_OUT_OF_RANGE` if the range ends beyond the address space; `VERR_LOCK_FAILED`,
    /// `VERR_NO_MEMORY`. Nothing stays locked.
    ///
    /// # Context
    /// May sleep; in the process whose memory it is.
    pub fn memory_lock(
        &self,
        session: &Session<H>,
        start: R3Ptr,
        pages: Pages,
    ) -> Result<Arc<Block<H>>, Status> {
        if start.get() < PAGE_BYTES || !start.is_page_aligned() || pages.get() == 0 {
            return Err(Status::VERR_INVALID_PARAMETER);
        }
        start.get().checked_add(pages.bytes()).ok_or(Status::VERR_OUT_OF_RANGE)?;
        let memory = self.host().lock(session.client(), start, pages)?;
        let block = Block::try_new(Service::Lock, memory)?;
        session.memory().lock().insert(block.clone())?;
        self.tell_of(session, &block);
        Ok(block)
    }

    /// The probe of a block that a session has got.
    fn tell_of(&self, session: &Session<H>, block: &Block<H>) {
        self.probe(Probe::MemoryAlloc, || {
            let memory = block.memory();
            let pages = u64::from(memory.pages().get());
            let (user, kernel) = (memory.user_address().get(), memory.kernel_address().get());
            [session.handle().0.get(), block.service as u64, pages, user, kernel]
        });
    }

    /// Gives a block back that starts at `address` in either ring. Corresponds to `SUPR0PageFree`,
    /// `SUPR0LowFree`, `SUPR0ContFree`, `SUPR0MemFree` and `SUPR0UnlockMem`.
    ///
    /// # Errors
    /// `VERR_INVALID_PARAMETER`.
    ///
    /// # Context
    /// May sleep.
    pub fn memory_free(
        &self,
        session: &Session<H>,
        service: Service,
        address: u64,
    ) -> Result<(), Status> {
        // The block goes after the lock.
        let removed = session.memory().lock().remove(service, address)?;
        self.probe(Probe::MemoryFree, || [session.handle().0.get(), service as u64, address]);
        drop(removed);
        Ok(())
    }

    /// The block of `service` that starts at `address` in either ring, for `SUPR0MemGetPhys`.
    ///
    /// # Errors
    /// `VERR_INVALID_PARAMETER`.
    ///
    /// # Context
    /// May sleep.
    pub fn memory_block(
        &self,
        session: &Session<H>,
        service: Service,
        address: u64,
    ) -> Result<Arc<Block<H>>, Status> {
        session.memory().lock().get(&[service], address)
    }

    /// Maps a part of a block of `PageAllocEx`, or of locked pages, into ring 0 once more; the mapping
    /// goes with the block. Corresponds to `SUPR0PageMapKernel`.
    ///
    /// # Errors
    /// `VERR_INVALID_PARAMETER` if there is no such block or part; `VERR_MAP_FAILED` if the host has no
    /// room, or the block 64 such mappings; `VERR_NO_MEMORY`.
    ///
    /// # Context
    /// May sleep.
    pub fn memory_map_kernel(
        &self,
        session: &Session<H>,
        start: R3Ptr,
        range: Range,
    ) -> Result<R0Ptr, Status> {
        range.pages()?;
        let services = [Service::Page, Service::Lock];
        let block = session.memory().lock().get(&services, start.get())?;
        // A block that has no address in ring 3 is not named by the one in ring 0.
        if block.memory.user_address() != start {
            return Err(Status::VERR_INVALID_PARAMETER);
        }
        let pages = range.within(&block)?;
        let mut views = block.kernel_views.lock();
        if views.len() >= KERNEL_VIEWS_MAX {
            return Err(Status::VERR_MAP_FAILED);
        }
        views.try_reserve(1)?;
        let (address, view) = block.memory.map_kernel(pages)?;
        views.try_push(view)?;
        Ok(address)
    }

    /// Changes what ring 3, ring 0 or both may do with a part of a block of `PageAllocEx`. Corresponds to
    /// `SUPR0PageProtect`.
    ///
    /// A NIL address leaves that ring's mapping as it is; of the others both have to be the block's.
    /// Ring 3 comes first, so if ring 0's change fails, ring 3's stands.
    ///
    /// # Errors
    /// `VERR_INVALID_PARAMETER` if the bits, the range or the addresses are wrong; `VERR_NOT_SUPPORTED`,
    /// and nothing has changed, for execution in ring 3, or with writing in ring 0;
    /// `VERR_PERMISSION_DENIED` for execution in ring 0 if the caller may not load modules; what the
    /// host ran out of.
    ///
    /// # Context
    /// May sleep; for ring 3 in the process that allocated the block.
    pub fn memory_protect(
        &self,
        session: &Session<H>,
        user: R3Ptr,
        kernel: R0Ptr,
        range: Range,
        bits: u32,
    ) -> Result<(), Status> {
        let (for_user, for_kernel) = protections(bits)?;
        range.pages()?;
        let address = if user.is_nil() { kernel.get() } else { user.get() };
        let block = session.memory().lock().get(&[Service::Page], address)?;
        let (found_user, found_kernel) =
            (block.memory.user_address(), block.memory.kernel_address());
        let is_meant = |named: u64, found: u64| named == 0 || named == found;
        if address == 0
            || !is_meant(user.get(), found_user.get())
            || !is_meant(kernel.get(), found_kernel.get())
        {
            return Err(Status::VERR_INVALID_PARAMETER);
        }
        let pages = range.within(&block)?;
        let for_user = (!user.is_nil()).then_some(for_user).transpose()?;
        let for_kernel = (!kernel.is_nil()).then_some(for_kernel).transpose()?;
        if let Some(protection) = for_user {
            block.memory.protect_user(pages.clone(), protection)?;
        }
        match for_kernel {
            Some(protection) => block.memory.protect_kernel(pages, protection),
            None => Ok(()),
        }
    }
}
