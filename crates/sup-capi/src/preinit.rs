//! `supR3PreInit`: takes what the start with privileges found out, before anything else is called.
//!
//! Neighbours: crate `sup-start` calls it; [`hardening`](crate::hardening) keeps what was verified, and `sup`
//! the device for the first session. Source: specification 2.4, without its defect: a session after the last
//! `SUPR3Term` is opened as in any process, and not on a descriptor that is closed.
//! Invariant: what was refused has left no trace, and the descriptor is still the caller's.

#![expect(non_snake_case, reason = "the function's name")]

use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use sup_abi::{SUPSECMAIN_FLAGS_DONT_OPEN_DEV, Status};
use sup_hardened::{HANDOVER_MAGIC, Handover, Installation, system_keys};

use crate::entry::c_functions;
use crate::pointer::check;
use crate::{hardening, process};

/// Whether something was taken.
static IS_TAKEN: AtomicBool = AtomicBool::new(false);

/// Looks at everything but who called before, in the order of the specification.
fn examine(found: &Handover, flags: u32) -> Result<Installation, Status> {
    if found.magic != HANDOVER_MAGIC || found.end_magic != HANDOVER_MAGIC {
        return Err(Status::VERR_INVALID_MAGIC);
    }
    match (found.device >= 0, flags & SUPSECMAIN_FLAGS_DONT_OPEN_DEV != 0) {
        (false, false) => return Err(Status::VERR_INVALID_HANDLE),
        (true, true) => return Err(Status::VERR_INVALID_PARAMETER),
        _ => {}
    }
    let installation = Installation::of_program(&found.program_name()?, system_keys());
    found.note_in(&installation)?;
    Ok(installation)
}

c_functions! {
    /// Takes the open device, which is the library's from then on, and the verdicts on files.
    status fn supR3PreInit(pData: *const Handover, fFlags: u32) {
        check(pData)?;
        // SAFETY: the caller has such a structure there, aligned or not.
        let found = unsafe { pData.read_unaligned() };
        if process::is_open() {
            return Err(Status::VERR_WRONG_ORDER);
        }
        // Relaxed: only that one succeeds matters. It is called while one thread runs.
        if IS_TAKEN.swap(true, Ordering::Relaxed) {
            return Err(Status::VERR_WRONG_ORDER);
        }
        let kept = examine(&found, fFlags).and_then(hardening::keep);
        if let Err(status) = kept {
            IS_TAKEN.store(false, Ordering::Relaxed);
            return Err(status);
        }
        if found.device >= 0 {
            // SAFETY: the caller opened it and gives it away with success.
            sup::backend::hand_over(unsafe { OwnedFd::from_raw_fd(found.device) });
        }
        Ok(Status::VINF_SUCCESS)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsRawFd;
    use std::ptr;

    use super::*;
    use sup_hardened::ProgramName;

    fn found(device: Option<i32>) -> Handover {
        let name = ProgramName::parse(b"vm").unwrap();
        Handover::new(&Installation::of_program(&name, Vec::new()), &name, device)
    }

    fn answer(found: &Handover, flags: u32) -> Status {
        // SAFETY: a structure is there; what it calls a device is one of the caller's or none.
        unsafe { supR3PreInit(found, flags) }
    }

    /// One test: what is taken once is taken for the process.
    #[test]
    fn each_refusal_has_its_status_and_the_first_good_one_is_taken() {
        // SAFETY: NULL is looked at before it is followed.
        assert_eq!(unsafe { supR3PreInit(ptr::null(), 0) }, Status::VERR_INVALID_POINTER);
        let good = found(None);
        let bad_magic = Handover { magic: 0, ..good };
        let bad_end = Handover { end_magic: 0, ..good };
        for bad in [bad_magic, bad_end] {
            assert_eq!(answer(&bad, 0), Status::VERR_INVALID_MAGIC);
        }
        let null = File::open("/dev/null").unwrap();
        assert_eq!(answer(&good, 0), Status::VERR_INVALID_HANDLE, "no device");
        let closed = SUPSECMAIN_FLAGS_DONT_OPEN_DEV;
        let with_device = found(Some(null.as_raw_fd()));
        assert_eq!(answer(&with_device, closed), Status::VERR_INVALID_PARAMETER);
        let other_table = Handover { table: [0; 32], ..good };
        let no_name = Handover { program: [0; 64], ..good };
        for bad in [other_table, no_name] {
            assert_eq!(answer(&bad, closed), Status::VERR_VERSION_MISMATCH);
        }
        assert_eq!(answer(&good, closed), Status::VINF_SUCCESS);
        assert_eq!(answer(&good, closed), Status::VERR_WRONG_ORDER);
    }
}
