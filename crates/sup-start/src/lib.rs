//! The start with privileges: `SUPR3HardenedMain`, for programs that are installed set-user-id root.
//!
//! Such a program is two files: a start program, which has these privileges and is nothing but a call of
//! [`SUPR3HardenedMain`], and a library with the program itself, which gets an open device and the rights
//! of its user. Source: specification 7.9.
//!
//! | step | file | fails as |
//! |---|---|---|
//! | descriptors 0 to 2 are open, the others are for this process alone | `descriptors` | plain |
//! | limits that are too small to start are raised | `limits` | never |
//! | which capabilities shall be kept is read from the environment | `capabilities` | never |
//! | variables and arguments that have libraries load code are taken away | `vectors`, `purge` | never |
//! | the program is found, the effective user is root | `start` | plain, `RootCheck` |
//! | every file of the installation is verified, and that it is this program which runs | `start` | `Integrity` |
//! | the device is opened | `device` | `Driver` |
//! | groups, capabilities and ids are given up, for good | `identity` | plain |
//! | `libsup.so` is loaded from the verified handle, and gets device and verdicts | `start` | `IPRT` |
//! | the program's library is loaded from its verified handle, and `TrustedMain` called | `start` | plain |
//!
//! Nothing is loaded before the privileges are gone; what runs until then is this crate, `sup-hardened` and
//! the C library. How a failure is told is in `fatal`.
//!
//! There is one thread, and nothing is freed: the process ends, or becomes the program.
//!
//! This is one of the crates that contain `unsafe`: it follows C's vectors, loads libraries and calls them.
//! Invariant: code of a library that was not verified never runs with more rights than the user's, and never
//! with the device.

#![expect(non_snake_case, reason = "the header's names")]

mod capabilities;
mod descriptors;
mod device;
mod fatal;
mod identity;
mod library;
mod limits;
mod purge;
mod start;
mod vectors;

use std::ffi::{CStr, c_char, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::fatal::Failure;
use crate::vectors::Vectors;

/// Verifies the installation, opens the device, gives up all privileges and runs the program `pszProgName`:
/// the function `TrustedMain` of the library with that name. Corresponds to `SUPR3HardenedMain`.
///
/// `fFlags` is 0 or `SUPSECMAIN_FLAGS_DONT_OPEN_DEV`; the rest are `main`'s arguments. What the program answers
/// is what `main` shall return. A failure ends the process with status 1, after it has told on standard error
/// what failed, and the program's `TrustedError`, if it has one.
///
/// # Context
/// The only thing that `main` does, in a process with one thread.
///
/// # Safety
/// `pszProgName` is a terminated string; `argv` and `envp` are those of `main`, terminated by NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn SUPR3HardenedMain(
    pszProgName: *const c_char,
    fFlags: u32,
    argc: c_int,
    argv: *mut *mut c_char,
    envp: *mut *mut c_char,
) -> c_int {
    let name = match pszProgName.is_null() {
        true => c"",
        // SAFETY: not NULL, so the caller's terminated string.
        false => unsafe { CStr::from_ptr(pszProgName) },
    };
    // SAFETY: the caller gives main's own vectors, and nobody else uses them meanwhile.
    let vectors = unsafe { Vectors::of_main(argc, argv, envp) };
    // Unwinding into C would be undefined. The panic's message is on standard error already.
    let result = catch_unwind(AssertUnwindSafe(|| start::run(name.to_bytes(), fFlags, vectors)));
    match result {
        Ok(Ok(answer)) => answer,
        Ok(Err(failure)) => fatal::end(name, failure),
        Err(_) => fatal::end(name, Failure::plain("a defect of the start program")),
    }
}
