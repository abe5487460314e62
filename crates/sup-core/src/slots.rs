//! [`Slots`]: things named by opaque handles instead of pointers.
//!
//! Ring-0 modules name sessions, objects and themselves by a pointer-sized value that they keep and
//! give back later, perhaps after the thing is gone. Such a value is never dereferenced: it is a
//! [`Handle`] that a table resolves, and a table knows for every handle that it ever gave out whether
//! the thing is alive or dead.
//!
//! ```text
//! bit  63      47 46        28 27     4 3    0
//!      0 ....... 0 generation   slot     kind
//! ```
//! The slot numbers start so high that a handle looks like an ordinary kernel or user pointer: not in
//! the first page, and with the upper bits zero, as the header's users check.
//!
//! Invariant: a handle is given out once. A slot whose generations are used up is retired, so that no
//! dead handle ever comes back to life.

use sup_alloc::OutOfMemory;

use crate::segments::{Grow, Missing, Room, Segments};

/// What a handle names. Distinct kinds never resolve in each other's tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum HandleKind {
    /// A session: `PSUPDRVSESSION` in ring 0.
    Session = 1,
    /// A registered object: what `SUPR0ObjRegister` returns.
    Object = 2,
    /// A module image: the `hMod` of `ModuleInit` and `ModuleTerm`.
    Module = 3,
}

const KIND_BITS: u32 = 4;
const SLOT_BITS: u32 = 24;
const GENERATION_SHIFT: u32 = KIND_BITS + SLOT_BITS;
const GENERATION_BITS: u32 = 19;
const LAST_GENERATION: u32 = (1 << GENERATION_BITS) - 1;
/// The first slot number in a handle; `FIRST_SLOT << KIND_BITS` is one page.
const FIRST_SLOT: u64 = 4096 >> KIND_BITS;
const MAX_SLOTS: usize = (1 << SLOT_BITS) - FIRST_SLOT as usize;

/// The handle of a thing in a [`Slots`] table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Handle(u64);

impl Handle {
    /// A handle from a value that somebody claims to be one. Only a table can tell.
    pub(crate) const fn from_raw(value: u64) -> Self {
        Self(value)
    }

    pub(crate) const fn raw(self) -> u64 {
        self.0
    }

    fn new(kind: HandleKind, index: usize, generation: u32) -> Self {
        let slot = (index as u64).wrapping_add(FIRST_SLOT) << KIND_BITS;
        Self(u64::from(generation) << GENERATION_SHIFT | slot | kind as u64)
    }

    /// The index and generation, if the value has the form of a handle of `kind`.
    fn parts(self, kind: HandleKind) -> Option<(usize, u32)> {
        let is_kind = self.0 & ((1 << KIND_BITS) - 1) == kind as u64;
        let slot = self.0 >> KIND_BITS & ((1 << SLOT_BITS) - 1);
        let generation = u32::try_from(self.0 >> GENERATION_SHIFT).ok()?;
        let index = usize::try_from(slot.checked_sub(FIRST_SLOT)?).ok()?;
        (is_kind && generation <= LAST_GENERATION).then_some((index, generation))
    }
}

/// What a table knows of a handle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Liveness {
    /// The table never gave this value out.
    Unknown,
    /// It named something that is gone.
    Dead,
    /// It names something.
    Alive,
}

pub(crate) enum Slot<T> {
    /// Unused; `generation` is the next to be given out. The next free slot follows.
    Free {
        generation: u32,
        next: Option<usize>,
    },
    Used {
        generation: u32,
        value: T,
    },
    /// Every generation was given out.
    Retired,
}

/// A table of things of one kind. Inserting and removing take constant time.
pub(crate) struct Slots<T> {
    kind: HandleKind,
    slots: Segments<Slot<T>>,
    free: Option<usize>,
    count: usize,
}

impl<T> Slots<T> {
    pub(crate) const fn new(kind: HandleKind) -> Self {
        Self { kind, slots: Segments::new(), free: None, count: 0 }
    }

    /// Number of things in the table.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Puts a value into the table that knows its own handle; `None` if there is no room.
    pub(crate) fn insert_with(&mut self, make: impl FnOnce(Handle) -> T) -> Option<Handle> {
        let index = match self.free {
            Some(index) => index,
            None if self.slots.len() < MAX_SLOTS => {
                self.slots.push(Slot::Free { generation: 0, next: None })?
            }
            None => return None,
        };
        let slot = self.slots.get_mut(index)?;
        let Slot::Free { generation, next } = *slot else { return None };
        let handle = Handle::new(self.kind, index, generation);
        *slot = Slot::Used { generation, value: make(handle) };
        self.free = next;
        self.count = self.count.saturating_add(1);
        Some(handle)
    }

    /// Takes the thing out of the table; its handle is dead from now on.
    pub(crate) fn remove(&mut self, handle: Handle) -> Option<T> {
        let (index, generation) = handle.parts(self.kind)?;
        let slot = self.slots.get_mut(index)?;
        if !matches!(slot, Slot::Used { generation: used, .. } if *used == generation) {
            return None;
        }
        let next_generation = generation.saturating_add(1);
        let empty = if next_generation > LAST_GENERATION {
            Slot::Retired
        } else {
            let next = self.free.replace(index);
            Slot::Free { generation: next_generation, next }
        };
        self.count = self.count.saturating_sub(1);
        match core::mem::replace(slot, empty) {
            Slot::Used { value, .. } => Some(value),
            Slot::Free { .. } | Slot::Retired => None,
        }
    }

    pub(crate) fn get(&self, handle: Handle) -> Option<&T> {
        let (index, generation) = handle.parts(self.kind)?;
        match self.slots.get(index)? {
            Slot::Used { generation: used, value } if *used == generation => Some(value),
            _ => None,
        }
    }

    pub(crate) fn get_mut(&mut self, handle: Handle) -> Option<&mut T> {
        let (index, generation) = handle.parts(self.kind)?;
        match self.slots.get_mut(index)? {
            Slot::Used { generation: used, value } if *used == generation => Some(value),
            _ => None,
        }
    }

    /// Whether the handle names something, named something, or never did.
    pub(crate) fn liveness(&self, handle: Handle) -> Liveness {
        let known = handle.parts(self.kind).and_then(|(index, generation)| {
            Some(match self.slots.get(index)? {
                Slot::Retired => Liveness::Dead,
                Slot::Used { generation: used, .. } if *used == generation => Liveness::Alive,
                Slot::Used { generation: current, .. } | Slot::Free { generation: current, .. }
                    if generation < *current =>
                {
                    Liveness::Dead
                }
                Slot::Used { .. } | Slot::Free { .. } => Liveness::Unknown,
            })
        });
        known.unwrap_or(Liveness::Unknown)
    }

    /// Everything in slots after that of `after`, or in all, in the order of the slots.
    pub(crate) fn iter_after(&self, after: Option<Handle>) -> impl Iterator<Item = (Handle, &T)> {
        let start = match after.and_then(|handle| handle.parts(self.kind)) {
            Some((index, _)) => index.saturating_add(1),
            None => 0,
        };
        (start..self.slots.len()).filter_map(|index| match self.slots.get(index)? {
            Slot::Used { generation, value } => {
                Some((Handle::new(self.kind, index, *generation), value))
            }
            Slot::Free { .. } | Slot::Retired => None,
        })
    }

    /// Everything in the table, for change.
    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.slots.iter_mut().filter_map(|slot| match slot {
            Slot::Used { value, .. } => Some(value),
            Slot::Free { .. } | Slot::Retired => None,
        })
    }
}

impl<T> Grow for Slots<T> {
    type Need = Missing;
    type Room = Room<Slot<T>>;

    fn need(&self) -> Option<Missing> {
        if self.free.is_some() { None } else { self.slots.missing() }
    }

    fn make(need: Missing) -> Result<Self::Room, OutOfMemory> {
        Segments::make(need)
    }

    fn add(&mut self, room: Self::Room) -> Option<Self::Room> {
        self.slots.add(room)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn insert<T>(slots: &mut Slots<T>, value: T) -> Handle {
        while let Some(need) = slots.need() {
            slots.add(Slots::<T>::make(need).unwrap());
        }
        slots.insert_with(|_| value).unwrap()
    }

    #[test]
    fn handle_looks_like_a_pointer() {
        let mut slots = Slots::new(HandleKind::Object);
        for value in 0..1_000 {
            let raw = insert(&mut slots, value).raw();
            assert!((4096..1 << 47).contains(&raw), "{raw:#x}");
        }
    }

    #[test]
    fn dead_handle_stays_dead_when_its_slot_is_used_again() {
        let mut slots = Slots::new(HandleKind::Object);
        let first = insert(&mut slots, "first");
        assert_eq!(slots.liveness(first), Liveness::Alive);
        assert_eq!(slots.remove(first), Some("first"));
        assert_eq!(slots.liveness(first), Liveness::Dead);
        let second = insert(&mut slots, "second");
        assert_ne!(first, second);
        assert_eq!(slots.get(first), None);
        assert_eq!(slots.remove(first), None);
        assert_eq!(slots.liveness(first), Liveness::Dead);
        assert_eq!(slots.get(second), Some(&"second"));
    }

    #[test]
    fn cannot_resolve_what_was_never_given_out() {
        let mut slots = Slots::new(HandleKind::Object);
        let handle = insert(&mut slots, ());
        let sessions = Slots::<()>::new(HandleKind::Session);
        assert_eq!(sessions.liveness(handle), Liveness::Unknown);
        for raw in [0, 1, 4096, handle.raw() + 16, handle.raw() | 1 << 60, u64::MAX] {
            assert_eq!(slots.liveness(Handle::from_raw(raw)), Liveness::Unknown, "{raw:#x}");
            assert_eq!(slots.get(Handle::from_raw(raw)), None);
        }
    }

    #[test]
    fn slot_with_used_up_generations_is_retired() {
        let mut slots = Slots::new(HandleKind::Module);
        let first = insert(&mut slots, 0);
        slots.remove(first);
        for _ in 1..=LAST_GENERATION {
            let handle = insert(&mut slots, 0);
            assert_eq!(slots.slots.len(), 1);
            slots.remove(handle);
        }
        insert(&mut slots, 0);
        assert_eq!(slots.slots.len(), 2, "the first slot is retired");
        assert_eq!(slots.liveness(first), Liveness::Dead);
    }
}
