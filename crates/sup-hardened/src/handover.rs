//! [`Handover`]: what the start with privileges gives to the library, once: the device, and what was verified.
//!
//! The start program and `libsup.so` are linked apart and may come from different builds, so this is plain
//! data between two magics, and the tables that both have are compared by a digest. Source: specification 2.4.
//!
//! Neighbours: crate `sup-start` fills it, `supR3PreInit` in `sup-capi` takes it. Invariant: what was verified
//! is believed only of the same table.

use std::os::fd::RawFd;

use sup_abi::Status;
use sup_signature::ContentHash;

use crate::installation::Installation;
use crate::program::ProgramName;

/// First and last word of a [`Handover`].
pub const HANDOVER_MAGIC: u32 = 0xbeef_0001;

/// What the start gives to the library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Handover {
    /// [`HANDOVER_MAGIC`].
    pub magic: u32,
    /// The open device, or [`Handover::NO_DEVICE`].
    pub device: RawFd,
    /// The digest of the table of the installation with the program.
    pub table: [u8; 32],
    /// Which of its entries were verified: a bit for each.
    pub verified: u64,
    /// The program's name, padded with zeros.
    pub program: [u8; ProgramName::BYTES_MAX + 1],
    /// Zero.
    pub reserved: u32,
    /// [`HANDOVER_MAGIC`].
    pub end_magic: u32,
}

impl Handover {
    /// No device was to be opened.
    pub const NO_DEVICE: RawFd = -1;

    /// What `installation` has verified, for `program`.
    pub fn new(installation: &Installation, program: &ProgramName, device: Option<RawFd>) -> Self {
        let mut name = [0; ProgramName::BYTES_MAX + 1];
        for (byte, from) in name.iter_mut().zip(program.as_str().bytes()) {
            *byte = from;
        }
        Self {
            magic: HANDOVER_MAGIC,
            device: device.unwrap_or(Self::NO_DEVICE),
            table: installation.table_digest().0,
            verified: installation.verified(),
            program: name,
            reserved: 0,
            end_magic: HANDOVER_MAGIC,
        }
    }

    /// The program's name.
    ///
    /// # Errors
    /// `VERR_VERSION_MISMATCH` if this is none.
    pub fn program_name(&self) -> Result<ProgramName, Status> {
        let length = self.program.iter().position(|byte| *byte == 0);
        let name = length.and_then(|length| self.program.get(..length));
        name.and_then(ProgramName::parse).ok_or(Status::VERR_VERSION_MISMATCH)
    }

    /// Notes in `installation`, which verified nothing so far, what the start has verified.
    ///
    /// # Errors
    /// `VERR_VERSION_MISMATCH` if the start had another table, `VERR_WRONG_ORDER` if something was verified
    /// here already.
    pub fn note_in(&self, installation: &Installation) -> Result<(), Status> {
        if installation.table_digest() != ContentHash(self.table) {
            return Err(Status::VERR_VERSION_MISMATCH);
        }
        if installation.verified() != 0 {
            return Err(Status::VERR_WRONG_ORDER);
        }
        installation.note_verified(self.verified);
        Ok(())
    }
}

const _: () = {
    assert!(size_of::<Handover>() == 120);
    assert!(std::mem::offset_of!(Handover, verified) == 40);
};

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::installation::{ENTRIES, places_below};

    fn name(text: &str) -> ProgramName {
        ProgramName::parse(text.as_bytes()).unwrap()
    }

    fn installation(program: &str) -> Installation {
        Installation::new(places_below(Path::new("/usr")), name(program).entries(), Vec::new())
    }

    #[test]
    fn what_was_verified_is_known_on_the_other_side() {
        let here = installation("vm");
        here.note_verified(0b1_0101);
        let handover = Handover::new(&here, &name("vm"), Some(7));
        assert_eq!((handover.device, handover.program_name()), (7, Ok(name("vm"))));
        let there = installation("vm");
        assert_eq!(handover.note_in(&there), Ok(()));
        assert_eq!(there.verified(), 0b1_0101);
        assert_eq!(handover.note_in(&there), Err(Status::VERR_WRONG_ORDER));
    }

    #[test]
    fn cannot_be_believed_of_another_table() {
        let handover = Handover::new(&installation("vm"), &name("vm"), None);
        assert_eq!(handover.device, Handover::NO_DEVICE);
        let elsewhere =
            Installation::new(places_below(Path::new("/")), name("vm").entries(), vec![]);
        let without = Installation::new(places_below(Path::new("/usr")), ENTRIES, vec![]);
        for other in [installation("vm2"), elsewhere, without] {
            assert_eq!(handover.note_in(&other), Err(Status::VERR_VERSION_MISMATCH));
        }
    }

    #[test]
    fn a_name_without_an_end_is_none() {
        let mut handover = Handover::new(&installation("vm"), &name("vm"), None);
        handover.program = [b'a'; 64];
        assert_eq!(handover.program_name(), Err(Status::VERR_VERSION_MISMATCH));
        handover.program = [0; 64];
        assert_eq!(handover.program_name(), Err(Status::VERR_VERSION_MISMATCH));
    }
}
