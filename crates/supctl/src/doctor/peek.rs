//! Reads ring 0's side of memory where that is this very process.

use std::fs::File;
use std::os::unix::fs::FileExt;

use sup::backend::Kind;
use sup::{R0Ptr, Session};

/// What ring 0 sees at an address. `None` if this program cannot look there.
pub(super) fn ring0<const BYTES: usize>(session: &Session, address: R0Ptr) -> Option<[u8; BYTES]> {
    match session.backend().kind() {
        Kind::Embedded => {
            let mut bytes = [0; BYTES];
            let memory = File::open("/proc/self/mem").ok()?;
            memory.read_exact_at(&mut bytes, address.get()).ok()?;
            Some(bytes)
        }
        // Ring 0 shows its memory to nobody.
        Kind::Kernel => None,
    }
}
