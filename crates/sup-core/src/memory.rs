//! Memory services: the blocks of pages that a session allocated.
//!
//! A block is found by its start address, in ring 3 or in ring 0, together with the service that it
//! came from; an interior address, another service's block and another session's block are all the
//! same `VERR_INVALID_PARAMETER`, without distinction. Corresponds to `SUPR3PageAllocEx`,
//! `SUPR3LowAlloc`, `SUPR3ContAlloc` and their counterparts in ring 0.
//!
//! The host allocates with no lock held; the record is added afterwards, and if that fails the block
//! goes back. Invariant: each block has one entry under its ring-3 address and one under its ring-0
//! address, if it has one; both are the same [`Block`].

use sup_abi::{LOW_CONT_ALLOC_MAX, PAGE_ALLOC_MAX, Pages, Status};
use sup_alloc::{Arc, OutOfMemory};

use crate::Session;
use crate::address_map::AddressMap;
use crate::host::{Allocation, Host, Memory, Placement, Views};

/// The service that a block came from, and must go back to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    /// `PageAllocEx`.
    Page,
    /// `LowAlloc`.
    Low,
    /// `ContAlloc`.
    Cont,
}

impl Service {
    fn max_pages(self) -> Pages {
        match self {
            Self::Page => PAGE_ALLOC_MAX,
            Self::Low | Self::Cont => LOW_CONT_ALLOC_MAX,
        }
    }

    fn placement(self) -> Placement {
        match self {
            Self::Page => Placement::Anywhere,
            Self::Low => Placement::Below4GiB,
            Self::Cont => Placement::ContiguousBelow4GiB,
        }
    }

    /// What the service answers when the host has no such pages.
    fn failure(self, views: Views) -> Status {
        match (self, views) {
            (Self::Page, Views::UserAndKernel) => Status::VERR_NO_MEMORY,
            (Self::Page, Views::User) => Status::VERR_NO_PHYS_MEMORY,
            (Self::Low, _) => Status::VERR_NO_LOW_MEMORY,
            (Self::Cont, _) => Status::VERR_NO_CONT_MEMORY,
        }
    }
}

/// A block of pages, and where it came from.
pub(crate) struct Block<H: Host> {
    service: Service,
    pub(crate) memory: H::Memory,
}

/// Checks the request, allocates the pages and records them in the session's table.
///
/// # Errors
/// `VERR_PAGE_COUNT_OUT_OF_RANGE`, the service's own status if there are no pages, `VERR_NO_MEMORY`.
pub(crate) fn allocate<H: Host>(
    host: &H,
    session: &Session<H>,
    service: Service,
    pages: Pages,
    views: Views,
) -> Result<Arc<Block<H>>, Status> {
    if pages.get() == 0 || pages > service.max_pages() {
        return Err(Status::VERR_PAGE_COUNT_OUT_OF_RANGE);
    }
    let request = Allocation { pages, placement: service.placement(), views };
    let memory = host.allocate(session.client(), request).map_err(|_| service.failure(views))?;
    let block = Arc::try_new(Block { service, memory })?;
    session.memory().lock().insert(block.clone())?;
    Ok(block)
}

/// The blocks of a session.
pub(crate) struct MemoryTable<H: Host> {
    by_address: AddressMap<Arc<Block<H>>>,
    blocks: u64,
    pages: u64,
}

impl<H: Host> MemoryTable<H> {
    pub(crate) const fn new(seed: u64) -> Self {
        Self { by_address: AddressMap::new(seed), blocks: 0, pages: 0 }
    }

    /// Number of blocks.
    pub(crate) fn blocks(&self) -> u64 {
        self.blocks
    }

    /// Number of pages in all blocks.
    pub(crate) fn pages(&self) -> u64 {
        self.pages
    }

    fn insert(&mut self, block: Arc<Block<H>>) -> Result<(), OutOfMemory> {
        self.by_address.reserve(2)?;
        self.blocks = self.blocks.saturating_add(1);
        self.pages = self.pages.saturating_add(u64::from(block.memory.pages().get()));
        let kernel = block.memory.kernel_address();
        if !kernel.is_nil() {
            self.by_address.try_insert(kernel.get(), block.clone())?;
        }
        self.by_address.try_insert(block.memory.user_address().get(), block)
    }

    /// Takes the block that `service` gave out at this address; the caller drops it with no lock held.
    ///
    /// # Errors
    /// `VERR_INVALID_PARAMETER`.
    pub(crate) fn remove(
        &mut self,
        service: Service,
        address: u64,
    ) -> Result<Arc<Block<H>>, Status> {
        match self.by_address.get(address) {
            Some(block) if block.service == service => {}
            _ => return Err(Status::VERR_INVALID_PARAMETER),
        }
        let block = self.by_address.remove(address).ok_or(Status::VERR_INVALID_PARAMETER)?;
        for other in [block.memory.user_address().get(), block.memory.kernel_address().get()] {
            if other != address {
                self.by_address.remove(other);
            }
        }
        self.blocks = self.blocks.saturating_sub(1);
        self.pages = self.pages.saturating_sub(u64::from(block.memory.pages().get()));
        Ok(block)
    }
}
