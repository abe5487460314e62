//! The start program: a copy of this, set-user-id root, is what users start.
//!
//! Its file name is the program's: `/usr/bin/vm` runs the library `vm.so` of the private folder. A link that
//! a user makes has another place than the installation's, and is refused. All else is `sup-start`'s.
//!
//! This is one of the crates that contain `unsafe`: it defines `main` as C does. Invariant: nothing runs before
//! [`SUPR3HardenedMain`], not even Rust's own start.

#![no_main]

use std::ffi::{CString, c_char, c_int};
use std::os::unix::ffi::OsStrExt;

use sup_start::SUPR3HardenedMain;

/// The program's entry.
///
/// # Safety
/// The C library's start calls it with the vectors that the kernel made.
#[unsafe(no_mangle)]
unsafe extern "C" fn main(argc: c_int, argv: *mut *mut c_char, envp: *mut *mut c_char) -> c_int {
    // Not the first argument: whoever starts a program chooses that.
    let path = std::fs::read_link("/proc/self/exe").unwrap_or_default();
    let name = path.file_name().unwrap_or_default().as_bytes();
    let name = CString::new(name).unwrap_or_default();
    // SAFETY: the name is terminated and outlives the call, and the vectors are main's.
    unsafe { SUPR3HardenedMain(name.as_ptr(), 0, argc, argv, envp) }
}
