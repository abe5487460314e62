//! Physical memory in a process: one memfd, handed out in runs of pages.
//!
//! The file's offsets are the synthetic physical addresses: a pool from 16 MiB to 4 GiB serves what
//! has to be low, one above serves the rest, and every run is contiguous. A block is one run with two
//! mappings, so that ring 3 and ring 0 have different addresses and protections of their own, and
//! mixing them up shows. The file is sparse: pages exist while a block holds them, and are zero when a
//! block gets them.
//!
//! The addresses that a block reports are the machine's if the kernel shows them and they keep the
//! promise of the service (low, contiguous); otherwise they are the file's, and the block says so. A
//! process cannot choose pages: they are low where the machine's memory is, or by chance. Where they are,
//! contiguous memory is cut from a huge page (`contiguous.rs`).
//!
//! A block of 2 MiB and more lies in the file so that the kernel may use huge pages for it.
//!
//! What may lie anywhere is handed out from the end of the file: the kernel gives addresses downwards
//! too, and joins neighbours that fit to one mapping, of which a process may only have so many (65 530
//! unless an administrator changed it). So there may be many more blocks that ring 3 alone sees. A
//! block whose views cannot be unmapped is not used again.
//!
//! Pages are locked, so a block counts against `RLIMIT_MEMLOCK` once.
//!
//! Memory that the process has itself can be locked too. No second mapping of it can be made, so ring 0
//! sees it where ring 3 does; and if the process unmaps it, it is gone.

use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use rustix::fs::{self, FallocateFlags, MemfdFlags};
use rustix::io::Errno;
use rustix::mm::MprotectFlags;
use sup_abi::{PAGE_SIZE, Pages, PhysAddr, R0Ptr, R3Ptr, Status};
use sup_core::host::{
    AddressSource, Allocation, KernelProtection, Memory, Placement, UserProtection, Views,
};

use crate::contiguous::{Chunks, HUGE_BYTES};
use crate::locked::{LockedPages, LockedRange};
use crate::mapping::{Access, Mapping};
use crate::pagemap::Pagemap;
use crate::ranges::Ranges;

const PAGE: u64 = PAGE_SIZE as u64;
const LOW_START: u64 = 16 << 20;
const LOW_END: u64 = 4 << 30;
const HIGH_END: u64 = 1 << 40;

/// The memory that blocks come from.
#[derive(Debug)]
pub(crate) struct PhysicalMemory {
    file: OwnedFd,
    low: Mutex<Ranges>,
    high: Mutex<Ranges>,
    chunks: Chunks,
    locked: Arc<LockedPages>,
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
            chunks: Chunks::default(),
            locked: Arc::default(),
            pagemap: Pagemap::open(),
        })
    }

    /// Allocates a block.
    ///
    /// # Errors
    /// `VERR_NO_MEMORY`, with the cause in the log.
    pub(crate) fn allocate(self: &Arc<Self>, request: Allocation) -> Result<Block, Status> {
        let bytes = request.pages.bytes();
        let is_run = request.placement == Placement::ContiguousBelow4GiB && request.pages.get() > 1;
        if is_run
            && let Some(start) = self.chunks.take(bytes)
            && let Some(block) = self.in_chunk(start, request)
        {
            return Ok(block);
        }
        let run = Run::take(self, request.placement, request.pages)?;
        let mut block = map(run, request).map_err(|error| {
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
        })?;
        if is_run
            && block.keeps(Placement::Below4GiB)
            && !block.keeps(request.placement)
            && let Some(start) = self.chunks.take_new(self.file.as_fd(), &self.low, bytes)
            && let Some(better) = self.in_chunk(start, request)
        {
            return Ok(better);
        }
        if !block.keeps(request.placement) {
            block.machine = None;
        }
        Ok(block)
    }

    /// A block in a piece of a chunk; `None` if that does not keep the promise either.
    fn in_chunk(self: &Arc<Self>, start: u64, request: Allocation) -> Option<Block> {
        let block = map(Run::new(self, start, request.pages, Origin::Chunk), request).ok()?;
        if block.keeps(request.placement) {
            return Some(block);
        }
        drop(block);
        self.chunks.refuse(self.file.as_fd(), &self.low);
        None
    }

    /// Locks memory of the process.
    ///
    /// # Errors
    /// `VERR_LOCK_FAILED`, `VERR_NO_MEMORY` with the cause in the log.
    pub(crate) fn lock(&self, start: R3Ptr, pages: Pages) -> Result<Block, Status> {
        let locked = LockedRange::lock(&self.locked, start, pages)?;
        let machine = self.pagemap.addresses(start.get(), pages.get() as usize);
        Ok(Block { pages, user: None, kernel: None, machine, source: Source::Locked(locked) })
    }
}

/// Maps and locks a run, with the machine's addresses whatever they are.
fn map(run: Run, request: Allocation) -> Result<Block, Errno> {
    let all = || {
        let mapping = run.map(0..run.pages.get())?;
        if run.pages.bytes() >= HUGE_BYTES {
            mapping.prefer_huge_pages();
        }
        Ok(mapping)
    };
    let (user, kernel) = match request.views {
        Views::User => (Some(all()?), None),
        Views::UserAndKernel => (Some(all()?), Some(all()?)),
        Views::Kernel => (None, Some(all()?)),
    };
    // One of them is enough: what is locked are the pages.
    let mut machine = None;
    if let Some(mapping) = user.as_ref().or(kernel.as_ref()) {
        mapping.lock()?;
        let count = run.pages.get() as usize;
        machine = run.memory.pagemap.addresses(mapping.address(), count);
    }
    let pages = run.pages;
    Ok(Block { pages, user, kernel, machine, source: Source::Run(Arc::new(run)) })
}

/// True if the addresses are where the service promises them to be.
fn keeps_promise(addresses: &[PhysAddr], placement: Placement) -> bool {
    let is_low = || addresses.iter().all(|address| address.get() < LOW_END);
    let is_contiguous =
        || addresses.windows(2).all(|pair| pair[0].checked_add(PAGE) == Some(pair[1]));
    match placement {
        Placement::Anywhere => true,
        Placement::Below4GiB => is_low(),
        Placement::ContiguousBelow4GiB => is_low() && is_contiguous(),
    }
}

/// Where a run goes back to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    Pool,
    Chunk,
}

/// A run of pages of the file. Dropping it gives the pages back to the system.
#[derive(Debug)]
struct Run {
    memory: Arc<PhysicalMemory>,
    start: u64,
    pages: Pages,
    origin: Origin,
    /// A view of it could not be unmapped.
    is_still_mapped: AtomicBool,
}

impl Run {
    fn take(
        memory: &Arc<PhysicalMemory>,
        placement: Placement,
        pages: Pages,
    ) -> Result<Self, Status> {
        let bytes = pages.bytes();
        let alignment = if bytes >= HUGE_BYTES { HUGE_BYTES } else { PAGE };
        let start = match placement {
            Placement::Anywhere => memory.high.lock().take_last(bytes, alignment),
            Placement::Below4GiB | Placement::ContiguousBelow4GiB => {
                memory.low.lock().take(bytes, PAGE)
            }
        };
        let start = start.ok_or(Status::VERR_NO_MEMORY)?;
        Ok(Self::new(memory, start, pages, Origin::Pool))
    }

    fn new(memory: &Arc<PhysicalMemory>, start: u64, pages: Pages, origin: Origin) -> Self {
        let (memory, is_still_mapped) = (memory.clone(), AtomicBool::new(false));
        Self { memory, start, pages, origin, is_still_mapped }
    }

    /// Maps some of the pages.
    fn map(&self, pages: Range<u32>) -> Result<Mapping, Errno> {
        let offset = self.start + Pages::new(pages.start).bytes();
        let bytes = Pages::new(pages.end - pages.start).bytes() as usize;
        Mapping::shared(self.memory.file.as_fd(), offset, bytes, Access::ReadWrite)
    }

    /// Unmaps; a run that stays mapped somewhere is never used again.
    fn unmap(&self, mapping: Option<&mut Mapping>) {
        if mapping.map_or(Ok(()), Mapping::unmap).is_err() {
            // Relaxed: whoever drops the run comes after every share in it.
            self.is_still_mapped.store(true, Ordering::Relaxed);
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let (file, length) = (self.memory.file.as_fd(), self.pages.bytes());
        if self.origin == Origin::Chunk {
            if !*self.is_still_mapped.get_mut() {
                self.memory.chunks.give_back(file, &self.memory.low, self.start, length);
            }
            return;
        }
        // The hole frees the pages, and reads as zero when the run is used again.
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        if let Err(error) = fs::fallocate(file, flags, self.start, length) {
            // Never hand out what may not be zero: the run is lost until the driver stops.
            tracing::error!(target: "supdrv", %error, "cannot give memory back");
            return;
        }
        let pool = if self.start < LOW_END { &self.memory.low } else { &self.memory.high };
        if !*self.is_still_mapped.get_mut() {
            pool.lock().give_back(self.start, length);
        }
    }
}

/// Where the pages of a block come from.
#[derive(Debug)]
enum Source {
    /// The file.
    Run(Arc<Run>),
    /// The process.
    Locked(LockedRange),
}

/// A further mapping in ring 0. The fields drop in order: the mapping, then its share in the pages.
#[derive(Debug)]
pub struct KernelView {
    mapping: Option<Mapping>,
    run: Option<Arc<Run>>,
}

/// A run of pages with its mappings. The fields drop in order: ring 3's view, ring 0's, the pages.
#[derive(Debug)]
pub struct Block {
    /// Also in the source, but that is further away.
    pages: Pages,
    user: Option<Mapping>,
    kernel: Option<Mapping>,
    /// The machine's addresses, if they are known and keep the promise.
    machine: Option<Vec<PhysAddr>>,
    source: Source,
}

impl Drop for KernelView {
    fn drop(&mut self) {
        if let Some(run) = &self.run {
            run.unmap(self.mapping.as_mut());
        }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        if let Source::Run(run) = &self.source {
            run.unmap(self.user.as_mut());
            run.unmap(self.kernel.as_mut());
        }
    }
}

impl Block {
    /// True if the machine's addresses are known, and where a service promises them to be.
    fn keeps(&self, placement: Placement) -> bool {
        self.machine.as_ref().is_some_and(|addresses| keeps_promise(addresses, placement))
    }
}

/// Synthetic physical addresses of locked memory: its address in the process above this, where the
/// file's numbers do not reach.
const LOCKED_START: u64 = 1 << 47;
const _: () = assert!(HIGH_END <= LOCKED_START);

impl Memory for Block {
    type KernelView = KernelView;

    fn pages(&self) -> Pages {
        self.pages
    }

    fn user_address(&self) -> R3Ptr {
        match &self.source {
            Source::Run(_) => {
                self.user.as_ref().map_or(R3Ptr::NIL, |user| R3Ptr::new(user.address()))
            }
            Source::Locked(locked) => locked.start(),
        }
    }

    fn kernel_address(&self) -> R0Ptr {
        self.kernel.as_ref().map_or(R0Ptr::NIL, |kernel| R0Ptr::new(kernel.address()))
    }

    fn physical_address(&self, page: u32) -> PhysAddr {
        if page >= self.pages().get() {
            return PhysAddr::NIL;
        }
        match &self.machine {
            Some(machine) => machine[page as usize],
            None => {
                let start = match &self.source {
                    Source::Run(run) => run.start,
                    Source::Locked(locked) => LOCKED_START | locked.start().get(),
                };
                PhysAddr::new(start + Pages::new(page).bytes())
            }
        }
    }

    fn address_source(&self) -> AddressSource {
        match self.machine {
            Some(_) => AddressSource::Machine,
            None => AddressSource::Synthetic,
        }
    }

    fn map_kernel(&self, pages: Range<u32>) -> Result<(R0Ptr, KernelView), Status> {
        match &self.source {
            Source::Run(run) => {
                let mapping = run.map(pages).map_err(|_| Status::VERR_MAP_FAILED)?;
                let address = R0Ptr::new(mapping.address());
                Ok((address, KernelView { mapping: Some(mapping), run: Some(run.clone()) }))
            }
            Source::Locked(locked) => {
                let address = locked.start().get() + Pages::new(pages.start).bytes();
                Ok((R0Ptr::new(address), KernelView { mapping: None, run: None }))
            }
        }
    }

    fn protect_user(&self, pages: Range<u32>, protection: UserProtection) -> Result<(), Status> {
        let flags = match protection {
            UserProtection::Nothing => MprotectFlags::empty(),
            UserProtection::Read => MprotectFlags::READ,
            UserProtection::ReadWrite => MprotectFlags::READ | MprotectFlags::WRITE,
        };
        protect(self.user.as_ref(), pages, flags)
    }

    fn protect_kernel(
        &self,
        pages: Range<u32>,
        protection: KernelProtection,
    ) -> Result<(), Status> {
        let flags = match protection {
            KernelProtection::Nothing => MprotectFlags::empty(),
            KernelProtection::Read => MprotectFlags::READ,
            KernelProtection::ReadWrite => MprotectFlags::READ | MprotectFlags::WRITE,
            KernelProtection::ReadExecute => MprotectFlags::READ | MprotectFlags::EXEC,
        };
        protect(self.kernel.as_ref(), pages, flags)
    }
}

fn protect(
    mapping: Option<&Mapping>,
    pages: Range<u32>,
    flags: MprotectFlags,
) -> Result<(), Status> {
    let mapping = mapping.ok_or(Status::VERR_INVALID_PARAMETER)?;
    let byte = |page| Pages::new(page).bytes() as usize;
    // SAFETY: the driver itself never accesses a block. Its client or its module asked for this, and an
    // access that is forbidden from now on ends in a fault, not in memory of somebody else.
    let result = unsafe { mapping.protect(byte(pages.start)..byte(pages.end), flags) };
    // ENOMEM is also what a range answers that the process unmapped behind the driver's back.
    result.map_err(|_| Status::VERR_INVALID_PARAMETER)
}

#[cfg(test)]
mod tests;
