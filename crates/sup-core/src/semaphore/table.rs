//! [`SemaphoreTable`]: a session's semaphore handles.
//!
//! A handle is a number from 1 to 32 768. Free numbers are used again in the order in which they were
//! freed, so that a handle that was just closed is not handed out at once. The state word of handle
//! `h` is word `(h - 1) % 512` of the session's word page `(h - 1) / 512`: ring 3 finds it without a
//! call, and pages are made as the table grows.
//!
//! The table lives under a spin lock, so creating takes three steps: take a number, make the semaphore
//! with no lock held, put it in place. A page of words is made the same way.
//!
//! Invariant: the free list runs through exactly the free slots; a slot in creation is in no list.

use sup_abi::HANDLES_MAX;
use sup_abi::Status;
use sup_abi::request::SemaphoreKind;
use sup_alloc::{Arc, OutOfMemory, Vec};

use super::Semaphore;
use crate::host::{Host, WORDS_PER_PAGE};

enum Slot<H: Host> {
    Free {
        next: Option<usize>,
    },
    /// The number is taken, the semaphore is being made.
    InCreation,
    Used(Arc<Semaphore<H>>),
}

/// The words and slots of 512 handles.
pub(crate) struct Block<H: Host> {
    page: H::WordPage,
    slots: Vec<Slot<H>>,
}

impl<H: Host> Block<H> {
    /// Makes a block around a page of words.
    pub(crate) fn try_new(page: H::WordPage) -> Result<Self, OutOfMemory> {
        Ok(Self { page, slots: Vec::try_with_capacity(WORDS_PER_PAGE)? })
    }

    /// Destroys its semaphores, which wakes who still waits on them.
    pub(crate) fn destroy(self) {
        for slot in self.slots {
            if let Slot::Used(semaphore) = slot {
                semaphore.destroy();
            }
        }
    }
}

/// A handle number that is taken, with the place of its state word.
pub(crate) struct Place<H: Host> {
    index: usize,
    page: H::WordPage,
}

impl<H: Host> Place<H> {
    /// Makes the semaphore for this place.
    pub(crate) fn make(&self, kind: SemaphoreKind) -> Result<Arc<Semaphore<H>>, Status> {
        let semaphore = Semaphore::new(kind, self.page.clone(), self.index % WORDS_PER_PAGE);
        Ok(Arc::try_new(semaphore.ok_or(Status::VERR_INTERNAL_ERROR)?)?)
    }
}

/// Where the state word of a semaphore handle is: the word page's number and the index in it.
///
/// ```
/// use sup_core::semaphore::word_position;
/// assert_eq!(word_position(1), Some((0, 0)));
/// assert_eq!(word_position(513), Some((1, 0)));
/// assert_eq!(word_position(0), None);
/// ```
pub const fn word_position(handle: u32) -> Option<(usize, usize)> {
    match handle.checked_sub(1) {
        Some(index) => {
            let index = index as usize;
            Some((index / WORDS_PER_PAGE, index % WORDS_PER_PAGE))
        }
        None => None,
    }
}

/// A session's semaphores. The session guards it with a spin lock.
pub(crate) struct SemaphoreTable<H: Host> {
    /// Has the capacity for all blocks from the start.
    blocks: Vec<Block<H>>,
    /// Number of slots in the blocks.
    length: usize,
    oldest_free: Option<usize>,
    newest_free: Option<usize>,
    /// Number of handles that are open or in creation.
    count: usize,
}

impl<H: Host> SemaphoreTable<H> {
    pub(crate) fn try_new() -> Result<Self, OutOfMemory> {
        let blocks = Vec::try_with_capacity(HANDLES_MAX as usize / WORDS_PER_PAGE)?;
        Ok(Self { blocks, length: 0, oldest_free: None, newest_free: None, count: 0 })
    }

    /// Number of open handles.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// The word page with this number, once there is a handle whose word lies in it.
    pub(crate) fn page(&self, number: usize) -> Option<H::WordPage> {
        self.blocks.get(number).map(|block| block.page.clone())
    }

    /// True if the next handle needs one more block.
    pub(crate) fn needs_block(&self) -> bool {
        self.oldest_free.is_none()
            && self.length == self.blocks.len().saturating_mul(WORDS_PER_PAGE)
            && self.length < HANDLES_MAX as usize
    }

    /// Adds a block, or returns it if another thread was quicker.
    pub(crate) fn add_block(&mut self, block: Block<H>) -> Option<Block<H>> {
        if !self.needs_block() {
            return Some(block);
        }
        // The capacity is there from the start; a failure would drop the block and leave the need.
        let _ = self.blocks.try_push(block);
        None
    }

    /// First step of creating: takes the number that was free for the longest time, or a new one.
    ///
    /// # Errors
    /// `VERR_NO_MORE_HANDLES`, and `VERR_TRY_AGAIN` if a block is needed.
    pub(crate) fn take_place(&mut self) -> Result<Place<H>, Status> {
        let index = match self.oldest_free {
            Some(index) => index,
            None if self.length >= HANDLES_MAX as usize => {
                return Err(Status::VERR_NO_MORE_HANDLES);
            }
            None => {
                let block = self.blocks.get_mut(self.length / WORDS_PER_PAGE);
                let slots = &mut block.ok_or(Status::VERR_TRY_AGAIN)?.slots;
                slots.try_push(Slot::Free { next: None })?;
                let index = self.length;
                self.length = index.saturating_add(1);
                self.append_free(index);
                index
            }
        };
        let block =
            self.blocks.get_mut(index / WORDS_PER_PAGE).ok_or(Status::VERR_INTERNAL_ERROR)?;
        let page = block.page.clone();
        let slot =
            block.slots.get_mut(index % WORDS_PER_PAGE).ok_or(Status::VERR_INTERNAL_ERROR)?;
        if let Slot::Free { next } = core::mem::replace(slot, Slot::InCreation) {
            self.oldest_free = next;
            if next.is_none() {
                self.newest_free = None;
            }
        }
        self.count = self.count.saturating_add(1);
        Ok(Place { index, page })
    }

    /// Last step of creating: the handle names the semaphore from now on.
    pub(crate) fn fill(&mut self, place: Place<H>, semaphore: Arc<Semaphore<H>>) -> u32 {
        if let Some(slot) = self.slot_mut(place.index) {
            *slot = Slot::Used(semaphore);
        }
        u32::try_from(place.index.saturating_add(1)).unwrap_or(0)
    }

    /// Gives a place back whose semaphore could not be made.
    pub(crate) fn give_back(&mut self, place: Place<H>) {
        self.free(place.index);
    }

    /// The semaphore behind a handle of this kind.
    ///
    /// # Errors
    /// `VERR_INVALID_HANDLE`.
    pub(crate) fn get(
        &self,
        handle: u32,
        kind: SemaphoreKind,
    ) -> Result<Arc<Semaphore<H>>, Status> {
        let index = handle.checked_sub(1).ok_or(Status::VERR_INVALID_HANDLE)? as usize;
        let block = self.blocks.get(index / WORDS_PER_PAGE);
        match block.and_then(|block| block.slots.get(index % WORDS_PER_PAGE)) {
            Some(Slot::Used(semaphore)) if semaphore.kind() == kind => Ok(semaphore.clone()),
            _ => Err(Status::VERR_INVALID_HANDLE),
        }
    }

    /// Destroys the semaphore, which wakes its waiters, and frees the number.
    ///
    /// # Errors
    /// `VERR_INVALID_HANDLE`.
    pub(crate) fn remove(
        &mut self,
        handle: u32,
        kind: SemaphoreKind,
    ) -> Result<Arc<Semaphore<H>>, Status> {
        let semaphore = self.get(handle, kind)?;
        // Before the number can be used again: the word must be nobody's by then.
        semaphore.destroy();
        self.free(handle.saturating_sub(1) as usize);
        Ok(semaphore)
    }

    /// Takes every semaphore out, for the end of a session. The caller [destroys](Block::destroy) them
    /// with no lock held.
    pub(crate) fn take_all(&mut self) -> Vec<Block<H>> {
        self.length = 0;
        self.count = 0;
        self.oldest_free = None;
        self.newest_free = None;
        core::mem::take(&mut self.blocks)
    }

    /// Puts a slot at the end of the free list.
    fn free(&mut self, index: usize) {
        if let Some(slot) = self.slot_mut(index) {
            *slot = Slot::Free { next: None };
            self.append_free(index);
            self.count = self.count.saturating_sub(1);
        }
    }

    fn append_free(&mut self, index: usize) {
        match self.newest_free.replace(index) {
            Some(newest) => {
                if let Some(Slot::Free { next }) = self.slot_mut(newest) {
                    *next = Some(index);
                }
            }
            None => self.oldest_free = Some(index),
        }
    }

    fn slot_mut(&mut self, index: usize) -> Option<&mut Slot<H>> {
        self.blocks.get_mut(index / WORDS_PER_PAGE)?.slots.get_mut(index % WORDS_PER_PAGE)
    }
}
