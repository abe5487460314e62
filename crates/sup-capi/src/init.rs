//! `SUPR3Init` and `SUPR3Term`. Neighbour: [`process`] counts and opens.

#![expect(non_snake_case, reason = "the header's names")]

use std::ffi::c_int;

use sup_abi::{SUPDRVSESSION, Status};

use crate::entry::c_functions;
use crate::pointer::Out;
use crate::process;

c_functions! {
    /// Opens the library, or counts one user more.
    status fn SUPR3Init(ppSession: *mut *mut SUPDRVSESSION) {
        // SAFETY: the caller has room for a session there, if it gives an address.
        let session = unsafe { Out::optional(ppSession) }?;
        let tell = |name| {
            if let Some(session) = &session {
                session.put(name);
            }
        };
        process::init(tell).map(|()| Status::VINF_SUCCESS)
    }

    /// Counts one user less, and closes the library with the last.
    status fn SUPR3Term(fForced: c_int) {
        // A bool in C++, which leaves the upper bytes to chance.
        process::term(fForced as u8 != 0).map(|()| Status::VINF_SUCCESS)
    }
}
