//! [`SemaphoreTable`]: a session's semaphore handles.
//!
//! A handle is a number from 1 to 32 768. Numbers become free 2048 at a time, when none is left, and
//! are used in the order in which they became free. So a handle that was just closed is not handed out
//! at once, and whoever still uses it finds no semaphore rather than somebody else's.
//!
//! The state word of handle `h` is word `(h - 1) % 512` of the session's word page `(h - 1) / 512`:
//! ring 3 finds it without a call. A page, with its slots, is made when its first number is used.
//!
//! The table lives under a spin lock, so creating takes three steps: take a number, make the semaphore
//! with no lock held, put it in place. A page of words is made the same way.
//!
//! The memory of one closed semaphore is kept for the next one: whoever creates and closes in turn pays
//! for neither an allocation nor the second lock.
//!
//! Invariant: the free list runs through exactly the free slots; a slot in creation is in no list. The
//! numbers of the last 2048 that have no slot yet became free before every one in the list.

use sup_abi::HANDLES_MAX;
use sup_abi::Status;
use sup_abi::request::SemaphoreKind;
use sup_alloc::{Arc, OutOfMemory, Vec};

use super::Semaphore;
use crate::host::{Host, WORDS_PER_PAGE};

/// How many numbers become free together.
const GROWTH: usize = 2048;
// So there are no new numbers left when the last of them has a slot.
const _: () = assert!((HANDLES_MAX as usize).is_multiple_of(GROWTH));

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

/// A block to be added, and with the first one the directory of all: most sessions have no semaphore.
pub(crate) struct Room<H: Host> {
    block: Block<H>,
    directory: Vec<Block<H>>,
}

impl<H: Host> Room<H> {
    /// Makes a block around a page of words.
    pub(crate) fn try_new(page: H::WordPage) -> Result<Self, OutOfMemory> {
        let slots = Vec::try_with_capacity(WORDS_PER_PAGE)?;
        let directory = Vec::try_with_capacity(HANDLES_MAX as usize / WORDS_PER_PAGE)?;
        Ok(Self { block: Block { page, slots }, directory })
    }
}

impl<H: Host> Block<H> {
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
        Ok(Arc::try_new(self.semaphore(kind).ok_or(Status::VERR_INTERNAL_ERROR)?)?)
    }

    fn semaphore(&self, kind: SemaphoreKind) -> Option<Semaphore<H>> {
        Semaphore::new(kind, self.page.clone(), self.index % WORDS_PER_PAGE)
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
    /// Has the capacity for all blocks once there is one.
    blocks: Vec<Block<H>>,
    /// Number of slots in the blocks: the next number that was never used, less one.
    length: usize,
    oldest_free: Option<usize>,
    newest_free: Option<usize>,
    /// Number of handles that are open or in creation.
    count: usize,
    /// A semaphore that was closed, and that nobody else owns. It goes with the session.
    spare: Option<Arc<Semaphore<H>>>,
}

impl<H: Host> SemaphoreTable<H> {
    pub(crate) const fn new() -> Self {
        Self {
            blocks: Vec::new(),
            length: 0,
            oldest_free: None,
            newest_free: None,
            count: 0,
            spare: None,
        }
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
        self.is_next_new() && self.length == self.blocks.len().saturating_mul(WORDS_PER_PAGE)
    }

    /// True if the number that is free for the longest time was never used.
    fn is_next_new(&self) -> bool {
        let has_new = !self.length.is_multiple_of(GROWTH);
        has_new || (self.oldest_free.is_none() && self.length < HANDLES_MAX as usize)
    }

    /// Adds a block; returns what is not used of the room, for the caller to drop with no lock held.
    pub(crate) fn add_block(&mut self, room: Room<H>) -> (Option<Block<H>>, Vec<Block<H>>) {
        let Room { block, mut directory } = room;
        if !self.needs_block() {
            return (Some(block), directory);
        }
        if self.blocks.capacity() == 0 {
            core::mem::swap(&mut self.blocks, &mut directory);
        }
        // The capacity is there; a failure would drop the block and leave the need.
        let _ = self.blocks.try_push(block);
        (None, directory)
    }

    /// All of creating at once, in the memory of a closed semaphore; `None` if there is none.
    ///
    /// # Errors
    /// Those of [`take_place`](Self::take_place).
    pub(crate) fn create_in_spare(&mut self, kind: SemaphoreKind) -> Option<Result<u32, Status>> {
        let mut spare = self.spare.take()?;
        let place = match self.take_place() {
            Ok(place) => place,
            Err(status) => {
                self.spare = Some(spare);
                return Some(Err(status));
            }
        };
        // What it was before drops a reference of a page that its block keeps.
        let made = Arc::get_mut(&mut spare).zip(place.semaphore(kind));
        let Some(()) = made.map(|(memory, semaphore)| *memory = semaphore) else {
            self.give_back(place);
            return Some(Err(Status::VERR_INTERNAL_ERROR));
        };
        Some(Ok(self.fill(place, spare)))
    }

    /// Keeps the memory of a closed semaphore that nobody else owns; returns what is not kept, for the
    /// caller to drop with no lock held.
    pub(crate) fn keep(&mut self, mut closed: Arc<Semaphore<H>>) -> Option<Arc<Semaphore<H>>> {
        if self.spare.is_some() || Arc::get_mut(&mut closed).is_none() {
            return Some(closed);
        }
        self.spare = Some(closed);
        None
    }

    /// First step of creating: takes the number that is free for the longest time.
    ///
    /// # Errors
    /// `VERR_NO_MORE_HANDLES`, and `VERR_TRY_AGAIN` if a block is needed.
    pub(crate) fn take_place(&mut self) -> Result<Place<H>, Status> {
        let index = if self.is_next_new() { self.add_slot()? } else { self.take_oldest_free()? };
        let block = self.blocks.get(index / WORDS_PER_PAGE).ok_or(Status::VERR_INTERNAL_ERROR)?;
        let page = block.page.clone();
        self.count = self.count.saturating_add(1);
        Ok(Place { index, page })
    }

    /// Takes a number that was never used.
    fn add_slot(&mut self) -> Result<usize, Status> {
        let block = self.blocks.get_mut(self.length / WORDS_PER_PAGE);
        // The block has the capacity for all its slots from the start.
        block.ok_or(Status::VERR_TRY_AGAIN)?.slots.try_push(Slot::InCreation)?;
        let index = self.length;
        self.length = index.saturating_add(1);
        Ok(index)
    }

    fn take_oldest_free(&mut self) -> Result<usize, Status> {
        let index = self.oldest_free.ok_or(Status::VERR_NO_MORE_HANDLES)?;
        let slot = self.slot_mut(index).ok_or(Status::VERR_INTERNAL_ERROR)?;
        if let Slot::Free { next } = core::mem::replace(slot, Slot::InCreation) {
            self.oldest_free = next;
            if next.is_none() {
                self.newest_free = None;
            }
        }
        Ok(index)
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

    /// Destroys the semaphore, which wakes its waiters, and frees the number. Returns what its close
    /// answers, too: whether others are inside a call on it is looked at before these are woken.
    ///
    /// # Errors
    /// `VERR_INVALID_HANDLE`.
    pub(crate) fn remove(
        &mut self,
        handle: u32,
        kind: SemaphoreKind,
    ) -> Result<(Arc<Semaphore<H>>, Status), Status> {
        let index = handle.checked_sub(1).ok_or(Status::VERR_INVALID_HANDLE)? as usize;
        let status = match self.slot_mut(index) {
            Some(Slot::Used(semaphore)) if semaphore.kind() == kind => {
                // The table is locked, so nobody comes; who leaves meanwhile was inside.
                let is_alone = Arc::strong_count(semaphore) == 1;
                // Before the number can be used again: the word must be nobody's by then.
                semaphore.destroy();
                if is_alone { Status::VINF_OBJECT_DESTROYED } else { Status::VINF_SUCCESS }
            }
            _ => return Err(Status::VERR_INVALID_HANDLE),
        };
        match self.free(index) {
            Some(Slot::Used(semaphore)) => Ok((semaphore, status)),
            _ => Err(Status::VERR_INTERNAL_ERROR),
        }
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

    /// Puts a slot at the end of the free list; returns what it was before.
    fn free(&mut self, index: usize) -> Option<Slot<H>> {
        let before = core::mem::replace(self.slot_mut(index)?, Slot::Free { next: None });
        match self.newest_free.replace(index) {
            Some(newest) => {
                if let Some(Slot::Free { next }) = self.slot_mut(newest) {
                    *next = Some(index);
                }
            }
            None => self.oldest_free = Some(index),
        }
        self.count = self.count.saturating_sub(1);
        Some(before)
    }

    fn slot_mut(&mut self, index: usize) -> Option<&mut Slot<H>> {
        self.blocks.get_mut(index / WORDS_PER_PAGE)?.slots.get_mut(index % WORDS_PER_PAGE)
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests;
