//! [`Failure`]: how a start ends that does not come to its program.
//!
//! Plainly: a line on standard error, and status 1. Fatally: what failed, where, with which status and what
//! helps; then the privileges go, and a child loads the program's library, if that is verified, and calls its
//! `TrustedError`, which may show a window. Source: specification 7.9, at its end.
//!
//! Invariant: `TrustedError` runs with the user's rights and without the device.

use std::ffi::{CStr, CString, c_int};
use std::io::Write;
use std::os::fd::OwnedFd;

use rustix::thread::CapabilitySet;
use sup_abi::{SUPINITOP, Status};
use sup_hardened::{Installation, ProgramName, system_keys};

use crate::identity::drop_privileges;
use crate::library::{self, Library};

/// Why a program does not start.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Nothing can be asked of the program's library.
    Plain(String),
    /// The program's library is told.
    Fatal {
        /// The function that failed, as the header's documentation names it.
        place: &'static CStr,
        operation: SUPINITOP,
        status: Status,
        sentence: String,
    },
}

impl Failure {
    pub(crate) fn plain(sentence: impl Into<String>) -> Self {
        Self::Plain(sentence.into())
    }

    pub(crate) fn fatal(
        place: &'static CStr,
        operation: SUPINITOP,
        status: Status,
        sentence: impl Into<String>,
    ) -> Self {
        Self::Fatal { place, operation, status, sentence: sentence.into() }
    }

    /// The lines for standard error, each of which begins with the program's name.
    fn text(&self, program: &str) -> String {
        let lines = match self {
            Self::Plain(sentence) => vec![sentence.clone()],
            Self::Fatal { place, operation, status, sentence } => {
                let place = place.to_string_lossy();
                let mut lines = vec![format!("Error {} in {place}!", status.raw())];
                lines.extend(sentence.lines().map(str::to_owned));
                lines.extend(tip(*operation).map(str::to_owned));
                lines
            }
        };
        lines.iter().map(|line| format!("{program}: {line}\n")).collect()
    }
}

/// What helps.
fn tip(operation: SUPINITOP) -> Option<&'static str> {
    match operation {
        SUPINITOP::Driver => Some(
            "Tip: load the kernel module (`modprobe supdrv`), or install it for this kernel \
             (`supctl install`).",
        ),
        SUPINITOP::Integrity => Some(
            "Tip: reinstall the program; `supctl installation verify` tells which files are not as \
             they were packed.",
        ),
        SUPINITOP::RootCheck => Some(
            "Tip: reinstall the program; its start program belongs to root and is set-user-id \
             (`chmod 4755`), on a file system that allows that.",
        ),
        SUPINITOP::Iprt => Some("Tip: reinstall the program."),
        SUPINITOP::Invalid => None,
    }
}

/// Ends the process with status 1, after the failure was told.
pub(crate) fn end(name: &CStr, failure: Failure) -> ! {
    let program = match name.to_bytes() {
        [] => "(no name)".to_owned(),
        bytes => bytes.escape_ascii().to_string(),
    };
    tell(&program, &failure);
    if let Failure::Fatal { place, operation, status, sentence } = failure {
        match drop_privileges(CapabilitySet::empty()) {
            Err(left) => tell(&program, &left),
            Ok(()) => tell_program(name, place, operation, status, sentence),
        }
    }
    exit()
}

/// Writes to standard error; if that cannot be written, nobody is there to read.
fn tell(program: &str, failure: &Failure) {
    let _ = std::io::stderr().write_all(failure.text(program).as_bytes());
}

/// Has a child tell the program's own function. The child ends here too.
fn tell_program(name: &CStr, place: &CStr, operation: SUPINITOP, status: Status, sentence: String) {
    let Some(file) = verified_library(name) else { return };
    // SAFETY: one thread runs, so the child is a whole process.
    let child = unsafe { libc::fork() };
    if child > 0 {
        return;
    }
    // The child; or the process itself, where the user may have no more processes.
    // SAFETY: the library was verified and is the program's; privileges and device are gone.
    let Ok(library) = (unsafe { Library::load(file) }) else { return };
    let Some(function) = library.trusted_error() else { return };
    let sentence = CString::new(sentence.replace('\0', " ")).unwrap_or_default();
    // SAFETY: the function is what the program's library exports as `TrustedError`.
    unsafe { library::report(function, place, operation, status, &sentence) };
}

/// The program's library, if it is as it was packed, whatever else is not.
fn verified_library(name: &CStr) -> Option<OwnedFd> {
    let program = ProgramName::parse(name.to_bytes())?;
    let installation = Installation::of_program(&program, system_keys());
    let path = installation.private_folder().join(program.library());
    installation.open_file(&path).ok()
}

/// Ends this process now: no handler of anybody's runs.
fn exit() -> ! {
    const FAILED: c_int = 1;
    // SAFETY: it takes a number and does not return.
    unsafe { libc::_exit(FAILED) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_begins_with_the_name() {
        let plain = Failure::plain("no such thing");
        assert_eq!(plain.text("vm"), "vm: no such thing\n");
        let fatal = Failure::fatal(
            c"suplibOsInit",
            SUPINITOP::Driver,
            Status::VERR_VM_DRIVER_NOT_INSTALLED,
            "first\nsecond",
        );
        let text = fatal.text("vm");
        assert!(
            text.starts_with("vm: Error -1908 in suplibOsInit!\nvm: first\nvm: second\nvm: Tip: ")
        );
        assert!(text.lines().all(|line| line.starts_with("vm: ")), "{text}");
    }

    #[test]
    fn what_can_fail_has_a_tip() {
        for operation in
            [SUPINITOP::Integrity, SUPINITOP::RootCheck, SUPINITOP::Driver, SUPINITOP::Iprt]
        {
            assert!(tip(operation).is_some_and(|tip| tip.starts_with("Tip: ")), "{operation:?}");
        }
        assert_eq!(tip(SUPINITOP::Invalid), None);
    }
}
