//! `VMMR0.r0`: the module that holds the entry points of a hypervisor.
//!
//! It is a module like others but for its name, which makes three entries a must, and for who may use it:
//! every session calls it, and modules of a session that has loaded it import from it. Whoever does holds
//! it: a call for its time, a module that imports for its life, a session whose VM is set until that is
//! taken back. Those are its dependents, beside the references of the sessions that loaded it.
//!
//! Lock order: that of [`table`](super::table).
//!
//! Invariant: a dependent is counted before it uses anything of the module, and stops using it before it
//! is counted off; the module is retired when neither references nor dependents are left.

use sup_abi::{R0Ptr, Status, VMM_MODULE_NAME};
use sup_alloc::Arc;

use super::calls::Call;
use super::table::State;
use super::{LoadError, LoadedImage, ModuleName};
use crate::host::{EntryPoint, Host, Image};
use crate::{Driver, Session};

/// What the driver calls in it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct VmmEntries {
    /// `VMMR0EntryFast`.
    pub(crate) fast: EntryPoint,
    /// `VMMR0EntryEx`.
    pub(crate) ex: EntryPoint,
}

impl VmmEntries {
    /// The entries of an image if its name says that it is the VMM.
    ///
    /// # Errors
    /// `VERR_SYMBOL_NOT_FOUND` for the first of the three that it does not export as code.
    #[inline(never)]
    pub(super) fn of(name: &ModuleName, image: &impl Image) -> Result<Option<Self>, LoadError> {
        if name.as_str() != VMM_MODULE_NAME {
            return Ok(None);
        }
        let entry = |name: &str| {
            image.entry_point(name).ok_or_else(|| {
                let status = Status::VERR_SYMBOL_NOT_FOUND;
                LoadError::new(
                    status,
                    format_args!("{VMM_MODULE_NAME} exports no function '{name}'"),
                )
            })
        };
        // The header's users call it from ring 0; it is a must, and the driver has no use for it.
        entry("VMMR0EntryInt")?;
        Ok(Some(Self { fast: entry("VMMR0EntryFast")?, ex: entry("VMMR0EntryEx")? }))
    }
}

/// Refuses to make the VMM a service.
///
/// # Errors
/// `VERR_INTERNAL_ERROR`.
pub(super) fn refuse_service(name: &ModuleName, handler: &str) -> Result<(), LoadError> {
    if handler.is_empty() || name.as_str() != VMM_MODULE_NAME {
        return Ok(());
    }
    let status = Status::VERR_INTERNAL_ERROR;
    Err(LoadError::new(status, format_args!("{VMM_MODULE_NAME} cannot be a service module")))
}

impl<H: Host> Driver<H> {
    /// The VMM, with one more dependent; `None` while none is loaded.
    pub(crate) fn hold_vmm(&self) -> Option<Arc<LoadedImage<H>>> {
        let mut table = self.images().lock();
        let State::Live { loaded, dependents, .. } = &mut table.find(VMM_MODULE_NAME)?.state else {
            return None;
        };
        *dependents = dependents.saturating_add(1);
        Some(loaded.clone())
    }

    /// The VMM for a module that `session` loads, if the session has loaded it too. It does not import
    /// from itself.
    pub(super) fn hold_provider(
        &self,
        session: &Session<H>,
        name: &ModuleName,
    ) -> Option<Arc<LoadedImage<H>>> {
        let is_vmm = |name: &ModuleName| name.as_str() == VMM_MODULE_NAME;
        let has_loaded = session.images().lock().iter().any(|used| is_vmm(&used.loaded.name));
        if is_vmm(name) || !has_loaded { None } else { self.hold_vmm() }
    }

    /// Counts a dependent off.
    ///
    /// # Context
    /// May sleep. Runs `ModuleTerm` if nobody else holds the VMM; no lock may be held.
    pub(crate) fn release_vmm(&self, vmm: Arc<LoadedImage<H>>) {
        let last = {
            let mut table = self.images().lock();
            table.find(&vmm.name).and_then(|entry| entry.give_back(0, 1))
        };
        if let Some(rest) = last {
            self.retire(vmm, &rest);
        }
    }

    /// Begins a call of the VMM, whoever loaded it.
    ///
    /// # Errors
    /// `VERR_WRONG_ORDER` while none is loaded.
    pub(crate) fn begin_vmm_call(&self) -> Result<Call<'_, H>, Status> {
        let mut table = self.images().lock();
        let entry = table.find(VMM_MODULE_NAME).ok_or(Status::VERR_WRONG_ORDER)?;
        let State::Live { loaded, .. } = &entry.state else { return Err(Status::VERR_WRONG_ORDER) };
        Call::begin_vmm(loaded, self.ended_calls()).ok_or(Status::VERR_WRONG_ORDER)
    }
}

/// A symbol of the VMM, for a module that imports it.
pub(super) fn import<H: Host>(vmm: Option<&Arc<LoadedImage<H>>>, symbol: &str) -> Option<R0Ptr> {
    vmm?.image.symbol(symbol)
}
