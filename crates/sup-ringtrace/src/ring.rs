//! A ring of records in memory that a reader in ring 3 shares with writers in ring 0.
//!
//! Writers of one processor are one thread and whoever interrupts it: interrupts, NMIs, another thread
//! after a preemption. A thread that is moved to another processor in the middle is one that writes beside
//! them. There is one reader.
//!
//! # Memory
//! ```text
//! sequence 0 │ sequence 1 │ … │ sequence N-1 │ record 0 │ record 1 │ … │ record N-1
//! ```
//! N is a power of two. A writer takes the next *ticket* T from the [`Head`], which is ring 0's own; its slot is
//! T modulo N. The sequence of a slot says whose it is, and what he does there:
//!
//! ```text
//!                    ┌────── the reader, under `Drop` ──────────┐
//!                    ▼                                          │
//! FREE of ticket T ──▶ WRITING of T ──▶ COMPLETE of T ──────────┴──▶ FREE of T + N
//!                           ▲                  │
//!  WRITING of T + N ◀───────┼── `Overwrite` ───┘
//! ```
//! A writer takes ticket T only if the slot is free for T, or, to overwrite, complete of T - N, by moving the
//! head from T to T + 1 in one step. Whoever succeeds has the slot alone until he completes it: only the
//! owner of ticket T changes a slot that is free for T, and the head comes to T once. A slot in which
//! somebody was interrupted is neither, so a writer that comes around to it loses its record, and counts
//! that; nobody waits. Another writer can be faster [`TRIES`] times, then the record counts as lost too.
//!
//! # Orderings
//! * *publish*: a writer stores COMPLETE with Release; the reader loads it with Acquire and finds the record.
//!   The next writer of the slot loads it with Acquire, so that its words come after those before.
//! * *give back*: the reader has read when it stores FREE with Release; the writer that finds it with Acquire
//!   writes after that.
//! * *announce*: a writer stores WRITING, then a fence with Release, then the words. The reader loads the words,
//!   then a fence with Acquire, then the sequence once more: if one of the words was of a newer record,
//!   the sequence is not the old one any more.
//!
//! Tests under loom (`ring/loom_tests.rs`) find *publish* and *announce* missing if either side is weakened;
//! *give back* loom cannot judge, because it moves no load behind a store.
//!
//! # Losses
//! Every hit is a record that the reader gets, one that the head counts as lost, or, under `Overwrite`, one
//! that the reader counts as overwritten. The counts are exact when nobody writes.
//!
//! # Trust
//! What a process writes into the memory can spoil or lose records, which are its own trace. Writers use the
//! sequence for nothing but the comparison, and the place comes from the head.
//!
//! Invariant: a slot that is WRITING of T has one writer.

use core::sync::atomic::Ordering;

use crate::record::{RECORD_WORDS, Record};
use crate::sync::{AtomicU64, fence};

#[cfg(all(test, loom))]
mod loom_tests;
#[cfg(all(test, not(loom)))]
mod tests;

/// Words of the memory that each slot takes: its record and its sequence.
pub const WORDS_PER_SLOT: usize = RECORD_WORDS.saturating_add(1);
/// The fewest slots that a ring can have.
pub const SLOTS_MIN: usize = 2;

/// How often a writer tries to get a ticket while others take them.
const TRIES: u32 = 8;

/// What a sequence says of its ticket, in the two lowest bits.
const FREE: u64 = 0;
const WRITING: u64 = 1;
const COMPLETE: u64 = 2;
const STATE_BITS: u32 = 2;

const fn sequence(ticket: u64, state: u64) -> u64 {
    ticket << STATE_BITS | state
}

/// What happens to a record for which there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// It is lost: what was before it stays. For a reader that keeps up.
    Drop,
    /// It takes the place of the oldest: a flight recorder.
    Overwrite,
}

/// The orderings, so that tests can weaken one.
#[derive(Debug, Clone, Copy)]
struct Orders {
    /// A writer's and a reader's look at a sequence.
    look: Ordering,
    /// A writer's COMPLETE.
    publish: Ordering,
    /// The reader's FREE.
    give_back: Ordering,
    /// The fence behind WRITING; `None` for none.
    announce: Option<Ordering>,
    /// The fence before the second look.
    look_again: Option<Ordering>,
}

const ORDERS: Orders = Orders {
    look: Ordering::Acquire,
    publish: Ordering::Release,
    give_back: Ordering::Release,
    announce: Some(Ordering::Release),
    look_again: Some(Ordering::Acquire),
};

/// The part of a ring that only its writers have.
#[derive(Debug)]
#[repr(align(64))]
pub struct Head {
    /// The next ticket.
    next: AtomicU64,
    /// Records that found no room.
    lost: AtomicU64,
}

impl Default for Head {
    fn default() -> Self {
        Self::new()
    }
}

impl Head {
    /// That of a fresh ring.
    #[cfg(not(loom))]
    #[must_use]
    pub const fn new() -> Self {
        Self { next: AtomicU64::new(0), lost: AtomicU64::new(0) }
    }

    /// That of a fresh ring.
    #[cfg(loom)]
    #[must_use]
    pub fn new() -> Self {
        Self { next: AtomicU64::new(0), lost: AtomicU64::new(0) }
    }

    /// Makes it that of a fresh ring. Nobody may be writing.
    pub fn reset(&self) {
        // Relaxed: whoever publishes the ring orders it.
        self.next.store(0, Ordering::Relaxed);
        self.lost.store(0, Ordering::Relaxed);
    }

    /// Records that were written.
    #[must_use]
    pub fn written(&self) -> u64 {
        // Relaxed: a count, exact when nobody writes.
        self.next.load(Ordering::Relaxed)
    }

    /// Records that found no room.
    #[must_use]
    pub fn lost(&self) -> u64 {
        // Relaxed: a count, exact when nobody writes.
        self.lost.load(Ordering::Relaxed)
    }

    fn lose(&self) {
        // Relaxed: a count, which orders nothing.
        self.lost.fetch_add(1, Ordering::Relaxed);
    }
}

/// A ring's memory.
#[derive(Debug, Clone, Copy)]
pub struct Ring<'a> {
    sequences: &'a [AtomicU64],
    records: &'a [AtomicU64],
    /// Slots - 1.
    mask: u64,
    policy: Policy,
}

impl<'a> Ring<'a> {
    /// A ring in memory of [`WORDS_PER_SLOT`] words for each slot. `None` if that is not a power of two of them.
    #[must_use]
    pub fn new(words: &'a [AtomicU64], policy: Policy) -> Option<Self> {
        let slots = words.len().checked_div(WORDS_PER_SLOT)?;
        if slots < SLOTS_MIN || !slots.is_power_of_two() {
            return None;
        }
        let (sequences, records) = words.split_at_checked(slots)?;
        if records.len() != slots.checked_mul(RECORD_WORDS)? {
            return None;
        }
        let mask = (slots as u64).checked_sub(1)?;
        Some(Self { sequences, records, mask, policy })
    }

    /// How many records fit.
    #[must_use]
    pub fn slots(&self) -> u64 {
        self.mask.saturating_add(1)
    }

    /// Makes every slot free for the tickets of a fresh [`Head`]. Nobody may be writing or reading.
    pub fn reset(&self) {
        for (ticket, sequence_at) in (0..).zip(self.sequences) {
            // Relaxed: whoever publishes the ring orders it.
            sequence_at.store(sequence(ticket, FREE), Ordering::Relaxed);
        }
    }

    /// Writes a record, or counts it as lost. True if it was written.
    ///
    /// # Context
    /// Any, NMIs too: no lock, no sleep, a bounded number of steps.
    #[inline]
    pub fn write(&self, head: &Head, record: &Record) -> bool {
        self.write_with(head, record, &ORDERS)
    }

    #[inline]
    fn write_with(&self, head: &Head, record: &Record, orders: &Orders) -> bool {
        let Some((ticket, sequence_at, words)) = self.take_slot(head, orders) else {
            head.lose();
            return false;
        };
        // Relaxed, with the fence: announce, at the top of this file.
        sequence_at.store(sequence(ticket, WRITING), Ordering::Relaxed);
        if let Some(order) = orders.announce {
            fence(order);
        }
        for (word_at, word) in words.iter().zip(record.to_words()) {
            // Relaxed: the slot is this writer's, and the next store publishes.
            word_at.store(word, Ordering::Relaxed);
        }
        sequence_at.store(sequence(ticket, COMPLETE), orders.publish);
        true
    }

    /// The next ticket and its slot, if it can be had.
    #[inline]
    fn take_slot(
        &self,
        head: &Head,
        orders: &Orders,
    ) -> Option<(u64, &'a AtomicU64, &'a [AtomicU64])> {
        for _ in 0..TRIES {
            // Relaxed, here and below: the head counts tickets, and the sequences order what is in the slots.
            let ticket = head.next.load(Ordering::Relaxed);
            let (sequence_at, words) = self.slot(ticket)?;
            let found = sequence_at.load(orders.look);
            if !self.is_free(ticket, found) {
                if head.next.load(Ordering::Relaxed) == ticket {
                    return None;
                }
                // Another writer was faster: what was found is its.
                continue;
            }
            let next = ticket.wrapping_add(1);
            let taken =
                head.next.compare_exchange(ticket, next, Ordering::Relaxed, Ordering::Relaxed);
            if taken.is_ok() {
                return Some((ticket, sequence_at, words));
            }
        }
        None
    }

    #[inline]
    fn is_free(&self, ticket: u64, found: u64) -> bool {
        if found == sequence(ticket, FREE) {
            return true;
        }
        let before = ticket.checked_sub(self.slots());
        self.policy == Policy::Overwrite
            && before.is_some_and(|before| found == sequence(before, COMPLETE))
    }

    #[inline]
    fn slot(&self, ticket: u64) -> Option<(&'a AtomicU64, &'a [AtomicU64])> {
        let index = (ticket & self.mask) as usize;
        let start = index.wrapping_mul(RECORD_WORDS);
        let words = self.records.get(start..start.wrapping_add(RECORD_WORDS))?;
        Some((self.sequences.get(index)?, words))
    }
}

/// Where the one reader of a ring is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reader {
    /// The next ticket.
    next: u64,
    overwritten: u64,
}

impl Reader {
    /// Records that were overwritten before they were read.
    #[must_use]
    pub fn overwritten(&self) -> u64 {
        self.overwritten
    }

    /// The next record, if it is there.
    pub fn read(&mut self, ring: &Ring<'_>) -> Option<Record> {
        self.read_with(ring, &ORDERS)
    }

    fn read_with(&mut self, ring: &Ring<'_>, orders: &Orders) -> Option<Record> {
        // A ring's length of steps finds the oldest; writers that overtake this reader again and again do not
        // keep it here.
        for _ in 0..=ring.slots() {
            let (sequence_at, words) = ring.slot(self.next)?;
            let found = sequence_at.load(orders.look);
            let ticket = found >> STATE_BITS;
            if found == sequence(self.next, COMPLETE) {
                let mut record = [0; RECORD_WORDS];
                for (word, word_at) in record.iter_mut().zip(words) {
                    // Relaxed: after the look, and before the fence or the store that follow.
                    *word = word_at.load(Ordering::Relaxed);
                }
                match ring.policy {
                    Policy::Drop => {
                        let after = self.next.wrapping_add(ring.slots());
                        sequence_at.store(sequence(after, FREE), orders.give_back);
                    }
                    Policy::Overwrite => {
                        if let Some(order) = orders.look_again {
                            fence(order);
                        }
                        // Relaxed, with the fence: announce, at the top of this file.
                        if sequence_at.load(Ordering::Relaxed) != found {
                            continue;
                        }
                    }
                }
                self.next = self.next.wrapping_add(1);
                return Some(Record::from_words(record));
            }
            if ticket <= self.next || ring.policy == Policy::Drop {
                return None;
            }
            // Overtaken: the oldest that can still be there is a whole ring before the newest seen.
            let oldest = ticket.saturating_sub(ring.mask).max(self.next.saturating_add(1));
            self.overwritten = self.overwritten.saturating_add(oldest.wrapping_sub(self.next));
            self.next = oldest;
        }
        None
    }
}
