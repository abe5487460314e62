//! [`Chunks`]: pieces of the file that are contiguous in the machine too.
//!
//! The kernel gives a process contiguous memory in one form only: as a huge page. A chunk is 2 MiB of the
//! file for which the kernel was asked to use one (`MADV_COLLAPSE`, which heeds no setting for huge
//! pages). Blocks take pieces of it, each with mappings of its own. Which pages of the machine it is,
//! nobody can ask for: whoever uses a piece has to look.
//!
//! A chunk keeps its pages while any piece is in use, since a hole would break the huge page up. So pieces
//! are wiped when they come back, and the pages go when nobody has one any more; one free chunk stays, as
//! making one takes milliseconds. Chunks are locked: the kernel would not swap a huge page in one piece.
//!
//! Neighbours: `memory.rs` says when pieces are wanted, and has the pool that chunks come from. Lock order:
//! the chunks, then the pool.
//!
//! Invariant: what is free in a chunk is zero, and mapped nowhere but in the chunk's own mapping.

use std::os::fd::BorrowedFd;

use parking_lot::Mutex;
use rustix::fs::{self, FallocateFlags};
use sup_abi::PAGE_SIZE;

use crate::mapping::Mapping;
use crate::ranges::Ranges;

/// The size of a huge page, and its alignment in the file and in the address space.
pub(crate) const HUGE_BYTES: u64 = 2 << 20;

/// The chunks of a file.
#[derive(Debug, Default)]
pub(crate) struct Chunks(Mutex<List>);

#[derive(Debug, Default)]
struct List {
    chunks: Vec<Chunk>,
    /// The kernel did not give one: it is not asked again.
    is_refused: bool,
}

#[derive(Debug)]
struct Chunk {
    /// Where it starts in the file.
    start: u64,
    view: Mapping,
    free: Ranges,
    /// Bytes that are not free.
    used: u64,
}

impl Chunks {
    /// Takes a piece of a chunk that is there already; `None` if none has room.
    pub(crate) fn take(&self, bytes: u64) -> Option<u64> {
        self.0.lock().take(bytes)
    }

    /// Takes a piece of a new chunk, whose place in the file is from `pool`; `None` if the kernel does
    /// not give one.
    pub(crate) fn take_new(
        &self,
        file: BorrowedFd<'_>,
        pool: &Mutex<Ranges>,
        bytes: u64,
    ) -> Option<u64> {
        let mut list = self.0.lock();
        if list.is_refused {
            return None;
        }
        match Chunk::new(file, pool) {
            Some(chunk) => list.chunks.push(chunk),
            None => list.is_refused = true,
        }
        list.take(bytes)
    }

    /// Asks for no more of them, as they turned out to lie in the wrong place.
    pub(crate) fn refuse(&self, file: BorrowedFd<'_>, pool: &Mutex<Ranges>) {
        let mut list = self.0.lock();
        list.is_refused = true;
        for unused in list.chunks.extract_if(.., |chunk| chunk.used == 0) {
            unused.release(file, pool);
        }
    }

    /// Wipes a piece that is mapped nowhere any more, and takes it back.
    pub(crate) fn give_back(
        &self,
        file: BorrowedFd<'_>,
        pool: &Mutex<Ranges>,
        start: u64,
        bytes: u64,
    ) {
        let mut list = self.0.lock();
        let has_it = |chunk: &Chunk| (chunk.start..chunk.start + HUGE_BYTES).contains(&start);
        let Some(index) = list.chunks.iter().position(has_it) else { return };
        list.chunks[index].give_back(start, bytes);
        let is_unused = |chunk: &&Chunk| chunk.used == 0;
        if list.chunks[index].used == 0 && list.chunks.iter().filter(is_unused).count() > 1 {
            list.chunks.swap_remove(index).release(file, pool);
        }
    }
}

impl List {
    fn take(&mut self, bytes: u64) -> Option<u64> {
        self.chunks.iter_mut().find_map(|chunk| {
            let start = chunk.free.take(bytes, PAGE_SIZE as u64)?;
            chunk.used += bytes;
            Some(start)
        })
    }
}

impl Chunk {
    fn new(file: BorrowedFd<'_>, pool: &Mutex<Ranges>) -> Option<Self> {
        let start = pool.lock().take(HUGE_BYTES, HUGE_BYTES)?;
        let Ok(view) = Mapping::shared_aligned(file, start, HUGE_BYTES as usize) else {
            pool.lock().give_back(start, HUGE_BYTES);
            return None;
        };
        let made = view.collapse().and_then(|()| view.lock());
        let chunk = Self { start, view, free: Ranges::new(start, start + HUGE_BYTES), used: 0 };
        if let Err(error) = made {
            tracing::debug!(target: "supdrv", %error, "the kernel gives no huge page");
            chunk.release(file, pool);
            return None;
        }
        Some(chunk)
    }

    fn give_back(&mut self, start: u64, bytes: u64) {
        let offset = (start - self.start) as usize;
        // SAFETY: the piece is mapped nowhere but here, by the contract of `Chunks::give_back`, and not
        // free yet, so that nobody else gets it.
        unsafe { self.view.wipe(offset..offset + bytes as usize) };
        self.free.give_back(start, bytes);
        self.used -= bytes;
    }

    /// Gives the pages back to the system, and their place to the pool.
    fn release(mut self, file: BorrowedFd<'_>, pool: &Mutex<Ranges>) {
        // What may not be zero, or is still mapped, is not used again.
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        let result =
            self.view.unmap().and_then(|()| fs::fallocate(file, flags, self.start, HUGE_BYTES));
        match result {
            Ok(()) => pool.lock().give_back(self.start, HUGE_BYTES),
            Err(error) => tracing::error!(target: "supdrv", %error, "cannot give memory back"),
        }
    }
}
