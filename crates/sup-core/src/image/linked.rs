//! Symbols of modules for kernel clients, who name a module without having loaded it.
//!
//! Whoever gets an address must be sure of it, so the client's session is counted among those that have
//! loaded the module, until it ends. A client that lies in the module itself is not: its session ends with
//! the module, which would never go if that waited for the session.
//!
//! Neighbours: [`table`](super::table) keeps the counts, `sup-ring0` has the packets. Lock order: that of the
//! table, then the table of sessions.
//!
//! Invariant: a session that is closed gets no reference: it is taken out of the table of sessions before its
//! list is emptied, and looked up there under the lock of its list.

use sup_abi::{R0Ptr, Status};

use super::table::{State, add_use};
use crate::host::{Host, Image};
use crate::{Driver, Session};

impl<H: Host> Driver<H> {
    /// The address of a symbol of a module, which stays loaded until the session ends.
    ///
    /// # Errors
    /// `VERR_INVALID_PARAMETER` if the session is a process' or closed, `VERR_MODULE_NOT_FOUND`,
    /// `VERR_WRONG_ORDER` while the module is being loaded or unloaded, `VERR_SYMBOL_NOT_FOUND`,
    /// `VERR_INTERNAL_ERROR_5` if there is no memory to keep it loaded.
    ///
    /// # Context
    /// May sleep.
    #[inline(never)]
    pub fn link_symbol(
        &self,
        session: &Session<H>,
        module: &str,
        symbol: &str,
    ) -> Result<R0Ptr, Status> {
        session.require_kernel().map_err(|_| Status::VERR_INVALID_PARAMETER)?;
        let mut table = self.images().lock();
        let entry = table.find(module).ok_or(Status::VERR_MODULE_NOT_FOUND)?;
        let State::Live { loaded, references, .. } = &mut entry.state else {
            return Err(Status::VERR_WRONG_ORDER);
        };
        let image = &loaded.image;
        let address = image.symbol(symbol).ok_or(Status::VERR_SYMBOL_NOT_FOUND)?;
        let kept = session.kept_at().get().checked_sub(image.base().get());
        if kept.is_some_and(|offset| offset < image.bytes() as u64) {
            return Ok(address);
        }
        let mut list = session.images().lock();
        self.session(session.handle())?;
        add_use(&mut list, loaded).map_err(|_| Status::VERR_INTERNAL_ERROR_5)?;
        *references = references.saturating_add(1);
        Ok(address)
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests;
