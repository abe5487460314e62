//! Physical memory in a process: one memfd, handed out in runs of pages.
//!
//! The file's offsets are the synthetic physical addresses: a pool from 16 MiB to 4 GiB serves what
//! has to be low, one above serves the rest, and every run is contiguous. A block is one run with two
//! mappings, so that ring 3 and ring 0 have different addresses and protections of their own, and
//! mixing them up shows. The file is sparse: pages exist while a block holds them, and are zero when a
//! block gets them.
//!
//! The addresses that a block reports are the machine's if the kernel shows them and they keep the
//! promise of the service (low, contiguous); otherwise they are the file's, and the block says so.
//!
//! What may lie anywhere is handed out from the end of the file: the kernel gives addresses downwards
//! too, and joins neighbours that fit to one mapping, of which a process may only have so many (65 530
//! unless an administrator changed it). So there may be many more blocks that ring 3 alone sees. A
//! block whose views cannot be unmapped is not used again.
//!
//! Pages are locked, so a block counts against `RLIMIT_MEMLOCK` once.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::fs::{self, FallocateFlags, MemfdFlags};
use rustix::io::Errno;
use sup_abi::{PAGE_SIZE, Pages, PhysAddr, R0Ptr, R3Ptr, Status};
use sup_core::host::{AddressSource, Allocation, Memory, Placement, Views};

use crate::mapping::{Access, Mapping};
use crate::pagemap::Pagemap;
use crate::ranges::Ranges;

const LOW_START: u64 = 16 << 20;
const LOW_END: u64 = 4 << 30;
const HIGH_END: u64 = 1 << 40;

/// The memory that blocks come from.
#[derive(Debug)]
pub(crate) struct PhysicalMemory {
    file: OwnedFd,
    low: Mutex<Ranges>,
    high: Mutex<Ranges>,
    pagemap: Pagemap,
}

impl PhysicalMemory {
    /// # Errors
    /// `VERR_NO_MEMORY` if the process cannot have the file.
    pub(crate) fn new() -> Result<Self, Status> {
        let file = fs::memfd_create("supdrv-memory", MemfdFlags::CLOEXEC)
            .and_then(|file| fs::ftruncate(&file, HIGH_END).map(|()| file))
            .map_err(|error| {
                tracing::error!(target: "supdrv", %error, "cannot make the file that holds memory");
                Status::VERR_NO_MEMORY
            })?;
        Ok(Self {
            file,
            low: Mutex::new(Ranges::new(LOW_START, LOW_END)),
            high: Mutex::new(Ranges::new(LOW_END, HIGH_END)),
            pagemap: Pagemap::open(),
        })
    }

    /// Allocates a block.
    ///
    /// # Errors
    /// `VERR_NO_MEMORY`, with the cause in the log.
    pub(crate) fn allocate(self: &Arc<Self>, request: Allocation) -> Result<Block, Status> {
        let run = Run::take(self, request.placement, request.pages)?;
        self.map(run, request).map_err(|error| {
            tracing::warn!(
                target: "supdrv",
                pages = request.pages.get(),
                "cannot map and lock memory: {error}{}",
                match error {
                    Errno::NOMEM | Errno::AGAIN | Errno::PERM =>
                        "; is the limit on locked memory (ulimit -l) large enough?",
                    _ => "",
                }
            );
            Status::VERR_NO_MEMORY
        })
    }

    fn map(&self, run: Run, request: Allocation) -> Result<Block, Errno> {
        let map = || {
            let file = self.file.as_fd();
            Mapping::shared(file, run.start, run.bytes(), Access::ReadWrite)
        };
        let user = map()?;
        let kernel = match request.views {
            Views::User => None,
            Views::UserAndKernel => Some(map()?),
        };
        user.lock()?;
        let machine = self
            .pagemap
            .addresses(user.address(), run.pages.get() as usize)
            .filter(|addresses| keeps_promise(addresses, request.placement));
        Ok(Block { user, kernel, machine, run })
    }
}

/// True if the addresses are where the service promises them to be.
fn keeps_promise(addresses: &[PhysAddr], placement: Placement) -> bool {
    let page = PAGE_SIZE as u64;
    let is_low = || addresses.iter().all(|address| address.get() < LOW_END);
    let is_contiguous =
        || addresses.windows(2).all(|pair| pair[0].checked_add(page) == Some(pair[1]));
    match placement {
        Placement::Anywhere => true,
        Placement::Below4GiB => is_low(),
        Placement::ContiguousBelow4GiB => is_low() && is_contiguous(),
    }
}

/// A run of pages of the file. Dropping it gives the pages back to the system.
#[derive(Debug)]
struct Run {
    memory: Arc<PhysicalMemory>,
    start: u64,
    pages: Pages,
    /// A view of it could not be unmapped.
    is_still_mapped: bool,
}

impl Run {
    fn take(
        memory: &Arc<PhysicalMemory>,
        placement: Placement,
        pages: Pages,
    ) -> Result<Self, Status> {
        let start = match placement {
            Placement::Anywhere => memory.high.lock().take_last(pages.bytes()),
            Placement::Below4GiB | Placement::ContiguousBelow4GiB => {
                memory.low.lock().take(pages.bytes())
            }
        };
        let start = start.ok_or(Status::VERR_NO_MEMORY)?;
        Ok(Self { memory: memory.clone(), start, pages, is_still_mapped: false })
    }

    fn bytes(&self) -> usize {
        self.pages.bytes() as usize
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // The hole frees the pages, and reads as zero when the run is used again.
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        let length = self.pages.bytes();
        if let Err(error) = fs::fallocate(&self.memory.file, flags, self.start, length) {
            // Never hand out what may not be zero: the run is lost until the driver stops.
            tracing::error!(target: "supdrv", %error, "cannot give memory back");
            return;
        }
        let pool = if self.start < LOW_END { &self.memory.low } else { &self.memory.high };
        if !self.is_still_mapped {
            pool.lock().give_back(self.start, length);
        }
    }
}

/// A run of pages with its mappings: dropped, it goes with ring 3's view, ring 0's, the pages.
#[derive(Debug)]
pub struct Block {
    user: Mapping,
    kernel: Option<Mapping>,
    /// The machine's addresses, if they are known and keep the promise.
    machine: Option<Vec<PhysAddr>>,
    run: Run,
}

impl Drop for Block {
    fn drop(&mut self) {
        let user = self.user.unmap();
        let kernel = self.kernel.as_mut().map_or(Ok(()), Mapping::unmap);
        self.run.is_still_mapped = user.and(kernel).is_err();
    }
}

impl Memory for Block {
    fn pages(&self) -> Pages {
        self.run.pages
    }

    fn user_address(&self) -> R3Ptr {
        R3Ptr::new(self.user.address())
    }

    fn kernel_address(&self) -> R0Ptr {
        self.kernel.as_ref().map_or(R0Ptr::NIL, |kernel| R0Ptr::new(kernel.address()))
    }

    fn physical_address(&self, page: u32) -> PhysAddr {
        if page >= self.run.pages.get() {
            return PhysAddr::NIL;
        }
        match &self.machine {
            Some(machine) => machine[page as usize],
            None => PhysAddr::new(self.run.start + u64::from(page) * PAGE_SIZE as u64),
        }
    }

    fn address_source(&self) -> AddressSource {
        match self.machine {
            Some(_) => AddressSource::Machine,
            None => AddressSource::Synthetic,
        }
    }
}

#[cfg(test)]
mod tests;
