//! Memory services: the blocks of pages that a session allocated or locked.
//!
//! A block is found by its start address, in ring 3 or in ring 0, together with the service that it
//! came from; an interior address, another service's block and another session's block are all the
//! same `VERR_INVALID_PARAMETER`, without distinction.
//!
//! Neighbours: `calls.rs` holds the calls of both rings, `dispatch/memory.rs` the packets.
//!
//! The host allocates with no lock held; the record is added afterwards, and if that fails the block
//! goes back. Whoever works on a block has a reference of its own, so a free that comes meanwhile takes
//! the record at once, and the last of them gives the pages back.
//!
//! At the session's end the blocks go in the order of their addresses: a system joins neighbours to one
//! mapping, and taking a piece out of the middle of it costs more the more pieces there are.
//!
//! Invariant: each block has one entry under its ring-3 address and one under its ring-0 address, as far
//! as it has them, with its service in the bits that are zero in the address of a page; both are the same
//! [`Block`].

mod calls;
#[cfg(test)]
#[cfg(not(loom))]
mod tests;

use sup_abi::{LOW_CONT_ALLOC_MAX, PAGE_ALLOC_MAX, PAGE_SIZE, Pages, R0Ptr, Status};
use sup_alloc::{Arc, OutOfMemory, Vec};

use crate::Lock;
use crate::address_map::AddressMap;
use crate::host::{Host, Memory, Placement, Views};

pub use calls::Range;

/// The service that a block came from, and must go back to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// `PageAllocEx`.
    Page,
    /// `LowAlloc`.
    Low,
    /// `ContAlloc`.
    Cont,
    /// `SUPR0MemAlloc`.
    Mem,
    /// `LockPages`.
    Lock,
}

impl Service {
    const ALL: [Self; 5] = [Self::Page, Self::Low, Self::Cont, Self::Mem, Self::Lock];

    /// What names a block of this service that starts at `address`; `None` if none can start there.
    fn key(self, address: u64) -> Option<u64> {
        const OFFSET: u64 = PAGE_SIZE as u64 - 1;
        let is_start = address != 0 && address & OFFSET == 0;
        is_start.then_some(address | self as u64)
    }

    fn max_pages(self) -> Pages {
        match self {
            Self::Page | Self::Mem => PAGE_ALLOC_MAX,
            Self::Low | Self::Cont => LOW_CONT_ALLOC_MAX,
            Self::Lock => Pages::new(u32::MAX),
        }
    }

    fn placement(self) -> Placement {
        match self {
            Self::Page | Self::Mem | Self::Lock => Placement::Anywhere,
            Self::Low => Placement::Below4GiB,
            Self::Cont => Placement::ContiguousBelow4GiB,
        }
    }

    /// What the service answers when the host has no such pages.
    fn failure(self, views: Views) -> Status {
        match (self, views) {
            (Self::Page, Views::User) => Status::VERR_NO_PHYS_MEMORY,
            (Self::Page | Self::Mem | Self::Lock, _) => Status::VERR_NO_MEMORY,
            (Self::Low, _) => Status::VERR_NO_LOW_MEMORY,
            (Self::Cont, _) => Status::VERR_NO_CONT_MEMORY,
        }
    }
}

/// A further mapping of a block in ring 0.
type KernelView<H> = <<H as Host>::Memory as Memory>::KernelView;

/// A block of pages, and where it came from. The fields are dropped in their order.
pub struct Block<H: Host> {
    service: Service,
    /// What `PageMapKernel` made.
    kernel_views: Lock<H::Mutex, Vec<KernelView<H>>>,
    memory: H::Memory,
}

impl<H: Host> Block<H> {
    fn try_new(service: Service, memory: H::Memory) -> Result<Arc<Self>, OutOfMemory> {
        Arc::try_new(Self { service, memory, kernel_views: Lock::new(Vec::new()) })
    }

    /// The pages.
    pub fn memory(&self) -> &H::Memory {
        &self.memory
    }
}

impl<H: Host> core::fmt::Debug for Block<H> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Block").field("service", &self.service).finish_non_exhaustive()
    }
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
        let [user, kernel] = keys(&block);
        if let Some(kernel) = kernel {
            self.by_address.try_insert(kernel, block.clone())?;
        }
        if let Some(user) = user {
            self.by_address.try_insert(user, block)?;
        }
        Ok(())
    }

    /// The block that one of `services` gave out at this address.
    ///
    /// # Errors
    /// `VERR_INVALID_PARAMETER`.
    fn get(&self, services: &[Service], address: u64) -> Result<Arc<Block<H>>, Status> {
        let mut keys = services.iter().filter_map(|service| service.key(address));
        let found = keys.find_map(|key| self.by_address.get(key, |_| true));
        found.cloned().ok_or(Status::VERR_INVALID_PARAMETER)
    }

    /// The block that starts at this address in ring 0.
    pub(crate) fn block_in_ring0(&self, address: R0Ptr) -> Option<Arc<Block<H>>> {
        let is_there = |block: &Arc<Block<H>>| block.memory.kernel_address() == address;
        let mut keys = Service::ALL.iter().filter_map(|service| service.key(address.get()));
        keys.find_map(|key| self.by_address.get(key, is_there)).cloned()
    }

    /// Takes the block that `service` gave out at this address; the caller drops it with no lock held.
    ///
    /// # Errors
    /// `VERR_INVALID_PARAMETER`.
    fn remove(&mut self, service: Service, address: u64) -> Result<Arc<Block<H>>, Status> {
        let key = service.key(address).ok_or(Status::VERR_INVALID_PARAMETER)?;
        let removed = self.by_address.remove(key, |_| true);
        let block = removed.ok_or(Status::VERR_INVALID_PARAMETER)?;
        for other in keys(&block).into_iter().flatten() {
            if other != key {
                self.by_address.remove(other, |found| Arc::ptr_eq(found, &block));
            }
        }
        self.blocks = self.blocks.saturating_sub(1);
        self.pages = self.pages.saturating_sub(u64::from(block.memory.pages().get()));
        Ok(block)
    }

    /// Gives all blocks back, in the order of their addresses.
    pub(crate) fn free_all(self) {
        self.by_address.drop_in_order();
    }
}

/// What a block is found by in ring 3 and in ring 0, as far as it is there.
fn keys<H: Host>(block: &Block<H>) -> [Option<u64>; 2] {
    let addresses = [block.memory.user_address().get(), block.memory.kernel_address().get()];
    addresses.map(|address| block.service.key(address))
}
