//! `SUPR0ModulePanic`, an export of our own: a module says why it cannot go on, and its call ends.
//!
//! ```c
//! void SUPR0ModulePanic(const char *pchText, size_t cchText, const void *pvModule); // does not return
//! ```
//! The text is logged with the name of the module in which `pvModule` lies, and the innermost call into a
//! module on this thread answers `VERR_INTERNAL_ERROR`. The machine goes on, and so does the thread.
//!
//! Neighbours: `calls` does the abandoning; the kit's panic handler (`sup-module`) is the usual caller.
//! Invariant: nothing that has to be dropped lives here when the call is abandoned.

use core::fmt;

use sup_abi::R0Ptr;
use sup_core::host::LogLevel;

use crate::exports::is_plausible;
use crate::printf::{Lossy, MAX_TEXT};
use crate::{Ring0, calls};

/// Corresponds to nothing in the header.
pub(crate) unsafe extern "C" fn module_panic<R: Ring0>(
    text: *const u8,
    length: usize,
    module: *const u8,
) -> ! {
    tell::<R>(text, length, module);
    // SAFETY: between the call and here is code of the module, which said by calling that it does not
    // want its frames any more; this function has nothing to drop.
    unsafe { calls::abandon::<R::Calls>() };
    // SAFETY: no call is there to go back to, so that module code runs where the driver never called it.
    // An invalid opcode ends the process; in the kernel it is an oops, as for any such bug.
    unsafe { core::arch::asm!("ud2", options(noreturn, nomem, nostack)) }
}

/// Logs a module's last words. Everything that it holds is given back when it returns.
#[inline(never)]
fn tell<R: Ring0>(text: *const u8, length: usize, module: *const u8) {
    let Some(driver) = R::driver() else { return };
    let text: &[u8] = if is_plausible::<R, _>(text) {
        // SAFETY: by the contract of the export the text is there; what is longer than a line is cut.
        unsafe { core::slice::from_raw_parts(text, length.min(MAX_TEXT)) }
    } else {
        &[]
    };
    let place = driver.module_at(R0Ptr::new(module.addr() as u64));
    let name = Name(place.as_ref().map(|place| place.name.as_str()));
    driver.host().log(
        LogLevel::Error,
        format_args!("{name} panicked, its call is abandoned: {}", Lossy(text.utf8_chunks())),
    );
}

/// Which module, if it is known: one that is just being loaded has no name yet.
struct Name<'a>(Option<&'a str>);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(name) => write!(f, "module '{name}'"),
            None => f.write_str("a module"),
        }
    }
}
