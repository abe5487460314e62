//! Telling which modules are loaded, one module a call.
//!
//! Names have an order, so that who asks for the one behind the last is told of each module once, whatever
//! comes and goes meanwhile. Everybody may know which modules there are, by whom they are signed and how
//! often they are used. Who uses them is told to the user whose session it is, and where they lie to the
//! sessions that have loaded them; both are told to who [sees ring 0](Host::may_see_ring0).
//!
//! Neighbours: [`table`](super::table) keeps what is told. Lock order: the table, then the calling session's
//! list; the lists of the others, one at a time, with neither.
//!
//! Invariant: nothing of an image is kept beyond the call, which would keep it mapped.

use sup_abi::request::{ListModulesOut, ModuleUse, padded};
use sup_abi::{R0Ptr, Status};

use super::ModuleName;
use super::table::State;
use crate::host::{Host, Image};
use crate::{Driver, Session};

impl<H: Host> Driver<H> {
    /// Tells of the module whose name follows `after`, and calls `note` for each session that uses it and
    /// that the caller may know of.
    ///
    /// # Errors
    /// `VERR_NOT_FOUND` if no name does.
    ///
    /// # Context
    /// May sleep.
    pub(crate) fn module_after(
        &self,
        session: &Session<H>,
        after: &str,
        note: &mut dyn FnMut(ModuleUse),
    ) -> Result<ListModulesOut, Status> {
        let sees_all = self.host().may_see_ring0();
        let (name, mut told) = self.describe_after(session, after, sees_all)?;
        let mut position = None;
        while let Some((handle, other)) = self.session_after(position) {
            position = Some(handle);
            let caller = other.caller();
            let references = references_to(&other, &name);
            if references != 0 && (sees_all || caller.user == session.caller().user) {
                let (process, user) = (caller.process.get(), caller.user.get());
                note(ModuleUse { process, user, references });
                told.use_count = told.use_count.saturating_add(1);
            }
        }
        Ok(told)
    }

    /// What is told of a module but for the sessions that use it.
    #[inline(never)]
    fn describe_after(
        &self,
        session: &Session<H>,
        after: &str,
        sees_all: bool,
    ) -> Result<(ModuleName, ListModulesOut), Status> {
        let table = self.images().lock();
        let entry = table
            .entries
            .iter()
            .filter(|entry| {
                matches!(entry.state, State::Live { .. }) && entry.name.as_str() > after
            })
            .min_by_key(|entry| entry.name.as_str())
            .ok_or(Status::VERR_NOT_FOUND)?;
        let State::Live { loaded, references, dependents } = &entry.state else {
            return Err(Status::VERR_NOT_FOUND);
        };
        let own_references = references_to(session, &entry.name);
        let base = if sees_all || own_references != 0 { loaded.image.base() } else { R0Ptr::NIL };
        let running = loaded.image.running();
        let told = ListModulesOut {
            name: padded(&entry.name).ok_or(Status::VERR_INTERNAL_ERROR)?,
            hash: loaded.hash.0,
            signer: loaded.signer.key_bytes(),
            trust: loaded.signer.trust().into(),
            image_bytes: u32::try_from(loaded.image.bytes()).unwrap_or(u32::MAX),
            base,
            references: *references,
            own_references,
            dependents: *dependents,
            use_count: 0,
            running: u32::try_from(running).unwrap_or(u32::MAX),
        };
        Ok((entry.name, told))
    }
}

/// How often a session has loaded the module of that name.
fn references_to<H: Host>(session: &Session<H>, name: &ModuleName) -> u64 {
    let list = session.images().lock();
    let of_name = list.iter().filter(|used| used.loaded.name == *name);
    of_name.map(|used| used.count).fold(0, u64::saturating_add)
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests;
