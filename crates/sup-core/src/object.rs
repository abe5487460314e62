//! The object registry: reference counts of driver-wide objects, in total and for each session.
//!
//! A module registers an object with a destructor and gets an [`ObjectHandle`]. Sessions take and
//! give references; the last one out runs the destructor. A session can only give back what it took:
//! a [`Usage`] record counts the references of one session to one object. Corresponds to `SUPR0Obj*`.
//!
//! ```text
//! object A ── usage(S1, 2) ── usage(S2, 1)         an object's list: usually one or two long
//!                 │
//! session S1 ─ usage(A, 2) ── usage(B, 1)          a session's list: newest first
//! ```
//! Both lists run through the records in the slab `usages`, so every operation is constant in the
//! number of objects, and linear only in the number of sessions that share one. Records that are
//! given back are kept, so that a reference can often be taken without memory; the registry never
//! allocates itself (see [`segments`](crate::segments)), as it lives under a spin lock.
//!
//! Destructors run with no lock held, by whoever dropped the last reference: `release` returns a
//! [`Destroyed`], and its duty is to be run.
//!
//! Invariant: an object's `total` is the sum of the counts in its list; it and `pins` are never both zero
//! while the object is in the table; a handle never comes back to life (see [`Slots`](crate::slots)).

use core::fmt;

use arrayvec::ArrayVec;
use sup_abi::{R0Ptr, SUPDRVOBJTYPE, Status, UserId};
use sup_alloc::OutOfMemory;

use crate::host::Destructor;
use crate::segments::{self, Grow, Missing, Segments};
use crate::slots::{Handle, HandleKind, Liveness, Slot, Slots};

/// The opaque value that names a registered object: the `void *` of `SUPR0ObjRegister`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ObjectHandle(pub R0Ptr);

impl ObjectHandle {
    fn handle(self) -> Handle {
        Handle::from_raw(self.0.get())
    }

    fn from_handle(handle: Handle) -> Self {
        Self(R0Ptr::new(handle.raw()))
    }
}

/// Whether a call may wait for memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blocking {
    /// It may.
    Allowed,
    /// It may not, and never allocates.
    Never,
}

/// A session's list in the registry, given by [`Registry::add_session`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SessionSlot(Handle);

pub(crate) struct Object<D> {
    /// The header's type. The registry looks at it only to tell VMs.
    kind: SUPDRVOBJTYPE,
    creator: UserId,
    /// `None` once the module that holds the destructor was unloaded.
    destructor: Option<D>,
    total: u64,
    /// How often it is the VM of a session's fast calls, which keeps it alive without a reference.
    pins: u64,
    /// First usage record of this object.
    first: Option<usize>,
}

/// References of one session to one object, a member of two lists.
pub(crate) struct Usage {
    object: Handle,
    session: SessionSlot,
    count: u64,
    next_of_object: Option<usize>,
    next_of_session: Option<usize>,
    previous_of_session: Option<usize>,
}

/// The user who may use everybody's objects.
const ROOT: UserId = UserId::new(0);

pub(crate) enum UsageSlot {
    Free(Option<usize>),
    Used(Usage),
}

/// An object that lost its last reference and left the table. Running it calls the destructor.
#[must_use = "the destructor of a dead object must run, with no lock held"]
#[derive(Debug)]
pub struct Destroyed<D> {
    handle: ObjectHandle,
    destructor: Option<D>,
}

impl<D: Destructor> Destroyed<D> {
    /// Calls the destructor, unless its module is gone. No lock may be held.
    pub fn run(self) {
        if let Some(destructor) = self.destructor {
            destructor.run(self.handle);
        }
    }
}

/// Objects that keep a module loaded, because their destructor lies in it.
#[derive(Debug)]
pub(crate) struct Dangling {
    /// How many.
    pub(crate) count: usize,
    /// Some of them, for a person to find.
    first: ArrayVec<(ObjectHandle, SUPDRVOBJTYPE), 3>,
}

impl fmt::Display for Dangling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} object(s) have their destructor in it:", self.count)?;
        for (ObjectHandle(handle), kind) in &self.first {
            write!(f, " {:#x} (type {})", handle.get(), u32::from(*kind))?;
        }
        match self.count.saturating_sub(self.first.len()) {
            0 => Ok(()),
            rest => write!(f, " and {rest} more"),
        }
    }
}

/// What a release led to.
#[derive(Debug)]
pub(crate) enum Released<D> {
    /// Others hold references.
    Alive,
    /// It was the last reference.
    Last(Destroyed<D>),
}

impl<D: Destructor> Released<D> {
    /// The object, if it was the last reference.
    pub(crate) fn last(&self) -> Option<ObjectHandle> {
        match self {
            Self::Alive => None,
            Self::Last(destroyed) => Some(destroyed.handle),
        }
    }

    /// Calls the destructor if it was the last reference, and says what happened. No lock may be held.
    pub(crate) fn finish(self) -> Status {
        match self {
            Self::Alive => Status::VINF_SUCCESS,
            Self::Last(destroyed) => {
                destroyed.run();
                Status::VINF_OBJECT_DESTROYED
            }
        }
    }
}

/// All registered objects and who uses them. The driver guards it with a spin lock.
pub(crate) struct Registry<D> {
    objects: Slots<Object<D>>,
    usages: Segments<UsageSlot>,
    free_usage: Option<usize>,
    /// First usage record of each session.
    sessions: Slots<Option<usize>>,
}

impl<D: Destructor> Registry<D> {
    pub(crate) const fn new() -> Self {
        Self {
            objects: Slots::new(HandleKind::Object),
            usages: Segments::new(),
            free_usage: None,
            sessions: Slots::new(HandleKind::Session),
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.objects.count()
    }

    /// Gives a new session its list of usage records; `None` if there is no room.
    pub(crate) fn add_session(&mut self) -> Option<SessionSlot> {
        self.sessions.insert_with(|_| None).map(SessionSlot)
    }

    /// Forgets a session whose objects were all taken by [`Registry::take_next_of`].
    pub(crate) fn remove_session(&mut self, session: SessionSlot) {
        self.sessions.remove(session.0);
    }

    /// Registers an object with one reference of `session`; `None` if there is no room. Corresponds
    /// to `SUPR0ObjRegister`.
    pub(crate) fn register(
        &mut self,
        session: SessionSlot,
        kind: SUPDRVOBJTYPE,
        creator: UserId,
        destructor: D,
    ) -> Option<ObjectHandle> {
        if self.need().is_some() {
            return None;
        }
        let handle = self.objects.insert_with(|_| Object {
            kind,
            creator,
            destructor: Some(destructor),
            total: 0,
            pins: 0,
            first: None,
        })?;
        self.add_usage(handle, session)?;
        Some(ObjectHandle::from_handle(handle))
    }

    /// Takes one more reference for `session`, without memory. Corresponds to `SUPR0ObjAddRefEx`.
    ///
    /// # Errors
    /// `VERR_INVALID_PARAMETER` if there never was such an object, `VERR_WRONG_ORDER` if it is dead,
    /// `VERR_TRY_AGAIN` if a record would be needed and there is no room.
    pub(crate) fn add_ref(
        &mut self,
        object: ObjectHandle,
        session: SessionSlot,
    ) -> Result<(), Status> {
        match self.objects.liveness(object.handle()) {
            Liveness::Alive => {}
            Liveness::Dead => return Err(Status::VERR_WRONG_ORDER),
            Liveness::Unknown => return Err(Status::VERR_INVALID_PARAMETER),
        }
        if let Some(index) = self.find_usage(object.handle(), session) {
            self.change_counts(index, |count| count.saturating_add(1));
            return Ok(());
        }
        self.add_usage(object.handle(), session).ok_or(Status::VERR_TRY_AGAIN)
    }

    /// Gives one reference of `session` back. Corresponds to `SUPR0ObjRelease`.
    ///
    /// # Errors
    /// `VERR_INVALID_PARAMETER` if the object is not alive or the session has no reference to it.
    pub(crate) fn release(
        &mut self,
        object: ObjectHandle,
        session: SessionSlot,
    ) -> Result<Released<D>, Status> {
        let index =
            self.find_usage(object.handle(), session).ok_or(Status::VERR_INVALID_PARAMETER)?;
        Ok(match self.change_counts(index, |count| count.saturating_sub(1)) {
            0 => self.remove_usage(index),
            _ => Released::Alive,
        })
    }

    /// Takes all references of `session` to the object that it referenced last; `None` when there is
    /// none left. For the end of a session.
    pub(crate) fn take_next_of(&mut self, session: SessionSlot) -> Option<Released<D>> {
        let index = self.first_of_session(session)?;
        self.change_counts(index, |_| 0);
        Some(self.remove_usage(index))
    }

    /// Corresponds to `SUPR0ObjVerifyAccess`: the creator's user may, and root.
    ///
    /// # Errors
    /// `VERR_INVALID_PARAMETER` if the object is not alive, `VERR_PERMISSION_DENIED`.
    pub(crate) fn verify_access(&self, object: ObjectHandle, user: UserId) -> Result<(), Status> {
        let object = self.objects.get(object.handle()).ok_or(Status::VERR_INVALID_PARAMETER)?;
        if object.creator == user || user == ROOT {
            Ok(())
        } else {
            Err(Status::VERR_PERMISSION_DENIED)
        }
    }

    /// Keeps the VM alive that a session names by its handle or by the first value of its registration;
    /// `None` if the session references no such object.
    pub(crate) fn pin_vm(&mut self, session: SessionSlot, vm: R0Ptr) -> Option<ObjectHandle> {
        let is_vm = |handle: Handle| {
            let object = self.objects.get(handle).filter(|o| o.kind == SUPDRVOBJTYPE::Vm)?;
            let value = object.destructor.as_ref().map(Destructor::first_value);
            (handle.raw() == vm.get() || value == Some(vm)).then_some(handle)
        };
        let handle = self.of_session(session).find_map(|usage| is_vm(usage.object))?;
        let object = self.objects.get_mut(handle)?;
        object.pins = object.pins.saturating_add(1);
        Some(ObjectHandle::from_handle(handle))
    }

    /// Undoes [`pin_vm`](Self::pin_vm). The object dies if its last reference went meanwhile.
    pub(crate) fn unpin(&mut self, object: ObjectHandle) -> Released<D> {
        if let Some(pinned) = self.objects.get_mut(object.handle()) {
            pinned.pins = pinned.pins.saturating_sub(1);
        }
        self.remove_unused(object.handle())
    }

    /// The objects whose destructor lies in `bytes` bytes from `base`, of those that `session` uses, or of
    /// all.
    pub(crate) fn destructors_in(
        &self,
        base: R0Ptr,
        bytes: usize,
        session: Option<SessionSlot>,
    ) -> Dangling {
        let mut dangling = Dangling { count: 0, first: ArrayVec::new() };
        let mut look_at = |handle: Handle| {
            let Some(object) = self.objects.get(handle) else { return };
            if object.destructor.as_ref().is_some_and(|d| is_within(d.address(), base, bytes)) {
                dangling.count = dangling.count.saturating_add(1);
                // Those for which there is no room are only counted.
                let _ = dangling.first.try_push((ObjectHandle::from_handle(handle), object.kind));
            }
        };
        match session {
            None => self.objects.iter_after(None).for_each(|(handle, _)| look_at(handle)),
            Some(session) => self.of_session(session).for_each(|usage| look_at(usage.object)),
        }
        dangling
    }

    /// Forgets the destructors that lie in an image that is about to be unmapped.
    pub(crate) fn forget_destructors_in(&mut self, base: R0Ptr, bytes: usize) {
        for object in self.objects.values_mut() {
            if object.destructor.as_ref().is_some_and(|d| is_within(d.address(), base, bytes)) {
                object.destructor = None;
            }
        }
    }

    /// Number of objects that `session` references.
    pub(crate) fn count_of(&self, session: SessionSlot) -> usize {
        self.of_session(session).count()
    }

    fn of_session(&self, session: SessionSlot) -> impl Iterator<Item = &Usage> {
        let mut next = self.first_of_session(session);
        core::iter::from_fn(move || {
            let usage = self.usage(next?)?;
            next = usage.next_of_session;
            Some(usage)
        })
    }

    fn find_usage(&self, object: Handle, session: SessionSlot) -> Option<usize> {
        let mut next = self.objects.get(object)?.first;
        while let Some(index) = next {
            let usage = self.usage(index)?;
            if usage.session == session {
                return Some(index);
            }
            next = usage.next_of_object;
        }
        None
    }

    /// Changes the count of a record and its object's total with it; returns the record's new count.
    fn change_counts(&mut self, index: usize, change: impl FnOnce(u64) -> u64) -> u64 {
        let Some(UsageSlot::Used(usage)) = self.usages.get_mut(index) else { return 0 };
        let before = usage.count;
        usage.count = change(before);
        let after = usage.count;
        if let Some(object) = self.objects.get_mut(usage.object) {
            object.total = object.total.saturating_sub(before).saturating_add(after);
        }
        after
    }

    /// Takes a record into use, with one reference, at the head of both lists; `None` if there is no
    /// room.
    fn add_usage(&mut self, object: Handle, session: SessionSlot) -> Option<()> {
        let index = match self.free_usage {
            Some(index) => index,
            None => self.usages.push(UsageSlot::Free(None))?,
        };
        let first_of_session = self.first_of_session(session);
        let referenced = self.objects.get_mut(object)?;
        let usage = Usage {
            object,
            session,
            count: 1,
            next_of_object: referenced.first.replace(index),
            next_of_session: first_of_session,
            previous_of_session: None,
        };
        referenced.total = referenced.total.saturating_add(1);
        if let UsageSlot::Free(next) =
            core::mem::replace(self.usages.get_mut(index)?, UsageSlot::Used(usage))
        {
            self.free_usage = next;
        }
        if let Some(old_first) = first_of_session.and_then(|old| self.usage_mut(old)) {
            old_first.previous_of_session = Some(index);
        }
        self.set_first_of_session(session, Some(index));
        Some(())
    }

    /// Gives a record whose count is zero back, and the object with it if it was the last one.
    fn remove_usage(&mut self, index: usize) -> Released<D> {
        let free = UsageSlot::Free(self.free_usage);
        let Some(slot) = self.usages.get_mut(index) else { return Released::Alive };
        let UsageSlot::Used(usage) = core::mem::replace(slot, free) else { return Released::Alive };
        self.free_usage = Some(index);

        match usage.previous_of_session.and_then(|previous| self.usage_mut(previous)) {
            Some(previous) => previous.next_of_session = usage.next_of_session,
            None => self.set_first_of_session(usage.session, usage.next_of_session),
        }
        if let Some(next) = usage.next_of_session.and_then(|next| self.usage_mut(next)) {
            next.previous_of_session = usage.previous_of_session;
        }
        self.unlink_from_object(&usage, index);

        self.remove_unused(usage.object)
    }

    /// Takes an object out of the table that nobody refers to any more.
    fn remove_unused(&mut self, handle: Handle) -> Released<D> {
        match self.objects.get(handle) {
            Some(object) if object.total == 0 && object.pins == 0 => {}
            _ => return Released::Alive,
        }
        let destructor = self.objects.remove(handle).and_then(|object| object.destructor);
        Released::Last(Destroyed { handle: ObjectHandle::from_handle(handle), destructor })
    }

    fn unlink_from_object(&mut self, usage: &Usage, index: usize) {
        let Some(object) = self.objects.get_mut(usage.object) else { return };
        if object.first == Some(index) {
            object.first = usage.next_of_object;
            return;
        }
        let mut at = object.first;
        while let Some(here) = at.and_then(|at| self.usage_mut(at)) {
            if here.next_of_object == Some(index) {
                here.next_of_object = usage.next_of_object;
                return;
            }
            at = here.next_of_object;
        }
    }

    fn usage(&self, index: usize) -> Option<&Usage> {
        match self.usages.get(index)? {
            UsageSlot::Used(usage) => Some(usage),
            UsageSlot::Free(_) => None,
        }
    }

    fn usage_mut(&mut self, index: usize) -> Option<&mut Usage> {
        match self.usages.get_mut(index)? {
            UsageSlot::Used(usage) => Some(usage),
            UsageSlot::Free(_) => None,
        }
    }

    fn first_of_session(&self, session: SessionSlot) -> Option<usize> {
        self.sessions.get(session.0).copied().flatten()
    }

    fn set_first_of_session(&mut self, session: SessionSlot, first: Option<usize>) {
        if let Some(slot) = self.sessions.get_mut(session.0) {
            *slot = first;
        }
    }
}

/// What [`Registry`] may be missing, in this order.
pub(crate) enum Need {
    Objects(Missing),
    Usages(Missing),
    Sessions(Missing),
}

/// What a [`Need`] is made of.
pub(crate) enum Room<D> {
    Objects(segments::Room<Slot<Object<D>>>),
    Usages(segments::Room<UsageSlot>),
    Sessions(segments::Room<Slot<Option<usize>>>),
}

impl<D> Grow for Registry<D> {
    type Need = Need;
    type Room = Room<D>;

    fn need(&self) -> Option<Need> {
        let usages = || match self.free_usage {
            None => self.usages.missing(),
            Some(_) => None,
        };
        (self.objects.need().map(Need::Objects))
            .or_else(|| usages().map(Need::Usages))
            .or_else(|| self.sessions.need().map(Need::Sessions))
    }

    fn make(need: Need) -> Result<Self::Room, OutOfMemory> {
        Ok(match need {
            Need::Objects(need) => Room::Objects(Slots::make(need)?),
            Need::Usages(need) => Room::Usages(Segments::make(need)?),
            Need::Sessions(need) => Room::Sessions(Slots::make(need)?),
        })
    }

    fn add(&mut self, room: Self::Room) -> Option<Self::Room> {
        match room {
            Room::Objects(room) => self.objects.add(room).map(Room::Objects),
            Room::Usages(room) => self.usages.add(room).map(Room::Usages),
            Room::Sessions(room) => self.sessions.add(room).map(Room::Sessions),
        }
    }
}

fn is_within(address: R0Ptr, base: R0Ptr, bytes: usize) -> bool {
    address.get().checked_sub(base.get()).is_some_and(|offset| offset < bytes as u64)
}

#[cfg(test)]
#[cfg(loom)]
mod loom_tests;
#[cfg(test)]
#[cfg(not(loom))]
mod tests;
