//! [`ViewTable`]: what a session has mapped into its processes: pages of state words, and the Global
//! Information Page.
//!
//! A session belongs to whoever holds its descriptor, so it may have several processes; each gets
//! mappings of its own, at its own addresses. A mapping is made once and stays until the session is
//! closed; that of the Global Information Page can be given back before.
//!
//! Ring 0 may ask for updates of the Global Information Page without a mapping: it has the page anyway.
//!
//! Invariant: there is at most one view of a thing in an address space, and the session counts as one
//! user of the Global Information Page while it has any view of it or has asked for its updates.

use sup_abi::{R3Ptr, Status};
use sup_alloc::Vec;

use crate::gip::Gip;
use crate::host::{AddressSpace, Host, View};
use crate::{Driver, Session};

/// What a view shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    Gip,
    /// The page of state words with this number.
    Words(u32),
}

struct Entry<H: Host> {
    space: AddressSpace,
    shown: Shown,
    view: H::View,
}

/// The views of a session.
pub(crate) struct ViewTable<H: Host> {
    /// A page of words for every 512 semaphores, and the Global Information Page, for each process:
    /// few enough to search.
    entries: Vec<Entry<H>>,
    /// Ring 0 asked for updates without a view.
    wants_gip_updates: bool,
}

impl<H: Host> ViewTable<H> {
    pub(crate) const fn new() -> Self {
        Self { entries: Vec::new(), wants_gip_updates: false }
    }

    fn find(&self, space: AddressSpace, shown: Shown) -> Option<R3Ptr> {
        let mut entries = self.entries.iter();
        let entry = entries.find(|entry| entry.space == space && entry.shown == shown)?;
        Some(entry.view.address())
    }

    fn uses_gip(&self) -> bool {
        self.wants_gip_updates || self.entries.iter().any(|entry| entry.shown == Shown::Gip)
    }

    /// Takes the view out; the caller drops it with no lock held.
    fn take(&mut self, space: AddressSpace, shown: Shown) -> Option<Entry<H>> {
        let mut entries = self.entries.iter();
        let index = entries.position(|entry| entry.space == space && entry.shown == shown)?;
        self.entries.swap_remove(index)
    }
}

impl<H: Host> Driver<H> {
    /// Maps the Global Information Page into the calling process, once. Corresponds to `SUPR0GipMap`.
    ///
    /// # Errors
    /// `VERR_NO_MEMORY`, `VERR_MAP_FAILED`. Nothing has changed.
    ///
    /// # Context
    /// May sleep.
    pub fn map_gip(&self, session: &Session<H>) -> Result<R3Ptr, Status> {
        let space = self.host().address_space();
        let mut views = session.views().lock();
        if let Some(address) = views.find(space, Shown::Gip) {
            return Ok(address);
        }
        views.entries.try_reserve(1)?;
        let view = self.host().map_gip(session.client(), self.gip().memory())?;
        if !views.uses_gip() {
            Gip::add_user(self.gip(), self.host())?;
        }
        let address = view.address();
        views.entries.try_push(Entry { space, shown: Shown::Gip, view })?;
        Ok(address)
    }

    /// Lets the Global Information Page be updated for the session, without a mapping: what is left of
    /// `SUPR0GipMap` if nobody wants ring 3's address.
    ///
    /// # Errors
    /// `VERR_NO_MEMORY`. Nothing has changed.
    ///
    /// # Context
    /// May sleep.
    pub fn want_gip_updates(&self, session: &Session<H>) -> Result<(), Status> {
        let mut views = session.views().lock();
        if !views.uses_gip() {
            Gip::add_user(self.gip(), self.host())?;
        }
        views.wants_gip_updates = true;
        Ok(())
    }

    /// Undoes any number of maps by the calling process, and any wish for updates. Corresponds to
    /// `SUPR0GipUnmap`.
    ///
    /// # Context
    /// May sleep.
    pub fn unmap_gip(&self, session: &Session<H>) {
        let space = self.host().address_space();
        let mut views = session.views().lock();
        let was_user = views.uses_gip();
        let taken = views.take(space, Shown::Gip);
        views.wants_gip_updates = false;
        if was_user && !views.uses_gip() {
            self.gip().remove_user(self.host());
        }
        drop(views);
        drop(taken);
    }

    /// Maps a page of the session's state words into the calling process, once.
    ///
    /// # Errors
    /// `VERR_INVALID_PARAMETER` if no handle has its word there yet; `VERR_NO_MEMORY`,
    /// `VERR_MAP_FAILED`.
    pub(crate) fn map_words(&self, session: &Session<H>, number: u32) -> Result<R3Ptr, Status> {
        let space = self.host().address_space();
        let mut views = session.views().lock();
        if let Some(address) = views.find(space, Shown::Words(number)) {
            return Ok(address);
        }
        let page = session.semaphores().lock().page(number as usize);
        let page = page.ok_or(Status::VERR_INVALID_PARAMETER)?;
        views.entries.try_reserve(1)?;
        let view = self.host().map_words(session.client(), &page)?;
        let address = view.address();
        views.entries.try_push(Entry { space, shown: Shown::Words(number), view })?;
        Ok(address)
    }

    /// Takes all views back, at the end of a session.
    pub(crate) fn unmap_all(&self, session: &Session<H>) {
        let mut views = session.views().lock();
        let was_user = views.uses_gip();
        let entries = core::mem::take(&mut views.entries);
        views.wants_gip_updates = false;
        drop(views);
        if was_user {
            self.gip().remove_user(self.host());
        }
        drop(entries);
    }
}
