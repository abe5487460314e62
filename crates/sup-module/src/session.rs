//! [`Session`]: whoever called the module, and the owner of what the call makes.
//!
//! Neighbours: `object`, `event`, `manual` and `memory` hold what a session makes. Invariant: the pointer is only handed
//! back to the driver, which looks it up in its table and never follows it.

use core::marker::PhantomData;

use sup_abi::SUPDRVSESSION;

/// The session of a call, for the time of the call.
#[derive(Debug, Clone, Copy)]
pub struct Session<'a> {
    raw: *mut SUPDRVSESSION,
    call: PhantomData<&'a ()>,
}

impl Session<'_> {
    pub(crate) fn new(raw: *mut SUPDRVSESSION) -> Self {
        Self { raw, call: PhantomData }
    }

    /// As the driver names it.
    pub fn as_raw(self) -> *mut SUPDRVSESSION {
        self.raw
    }
}
