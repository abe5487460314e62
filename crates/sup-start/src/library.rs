//! [`Library`]: a shared library, loaded from the very file that was verified.
//!
//! The file is open, and the system's loader gets it by its descriptor's name below `/proc/self/fd`. That
//! stays open for as long as the process, so that the name never means another file. (`libsup.so` loads
//! libraries in the same way, under names that are never these.)
//!
//! Invariant: whatever is loaded was verified, and is never unloaded.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::os::fd::{IntoRawFd, OwnedFd};
use std::ptr::NonNull;

use sup_abi::{PFNSUPTRUSTEDERROR, PFNSUPTRUSTEDMAIN, SUPINITOP, Status};
use sup_hardened::Handover;

/// `TrustedMain`.
pub(crate) type Main = unsafe extern "C" fn(c_int, *mut *mut c_char, *mut *mut c_char) -> c_int;
/// `TrustedError`.
pub(crate) type Report =
    unsafe extern "C" fn(*const c_char, u32, Status, *const c_char, *mut c_void);
/// `supR3PreInit`.
pub(crate) type PreInit = unsafe extern "C" fn(*const Handover, u32) -> Status;

/// A loaded library.
#[derive(Debug)]
pub(crate) struct Library(NonNull<c_void>);

impl Library {
    /// Loads a file; all its symbols are bound, and later libraries find them.
    ///
    /// # Errors
    /// What the system's loader says.
    ///
    /// # Safety
    /// The file is one that may run in this process: its initialisers do.
    pub(crate) unsafe fn load(file: OwnedFd) -> Result<Self, String> {
        let name = format!("/proc/self/fd/{}", file.into_raw_fd());
        let name = CString::new(name).unwrap_or_default();
        // SAFETY: the name is terminated; the caller answers for the file.
        let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL) };
        NonNull::new(handle).map(Self).ok_or_else(last_error)
    }

    /// The address of a symbol.
    fn symbol(&self, name: &CStr) -> Option<NonNull<c_void>> {
        // SAFETY: the library is loaded and the name terminated.
        NonNull::new(unsafe { libc::dlsym(self.0.as_ptr(), name.as_ptr()) })
    }

    /// The program's `main`. Corresponds to `FNSUPTRUSTEDMAIN`.
    pub(crate) fn trusted_main(&self) -> Option<Main> {
        let address = self.symbol(c"TrustedMain")?;
        // SAFETY: who signed the manifest vouches for the library as a program, whose function of this name has this
        // type by the header; the pointer is not NULL.
        unsafe { std::mem::transmute::<NonNull<c_void>, PFNSUPTRUSTEDMAIN>(address) }
    }

    /// Where the program wants to be told of failures, if it does. Corresponds to `FNSUPTRUSTEDERROR`.
    pub(crate) fn trusted_error(&self) -> Option<Report> {
        let address = self.symbol(c"TrustedError")?;
        // SAFETY: who signed the manifest vouches for the library as a program, whose function of this name has this
        // type by the header; the pointer is not NULL.
        unsafe { std::mem::transmute::<NonNull<c_void>, PFNSUPTRUSTEDERROR>(address) }
    }

    /// Where `libsup.so` takes what the start found out.
    pub(crate) fn pre_init(&self) -> Option<PreInit> {
        let address = self.symbol(c"supR3PreInit")?;
        // SAFETY: the verified library is ours, and has this function with this type; the pointer is not NULL.
        unsafe { std::mem::transmute::<NonNull<c_void>, Option<PreInit>>(address) }
    }
}

/// What the loader said last.
fn last_error() -> String {
    // SAFETY: it takes nothing, and what it returns stays until the next call of the loader.
    let text = unsafe { libc::dlerror() };
    if text.is_null() {
        return "the system's loader does not say why".to_owned();
    }
    // SAFETY: not null, so a terminated text that stays while it is copied.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// The one argument of a format `%s`, as a `va_list` of the System V ABI for AMD64 has it.
#[repr(C)]
struct ArgumentList {
    /// No integer is in the registers' save area any more.
    gp_offset: u32,
    /// Nor a floating-point number.
    fp_offset: u32,
    overflow_arg_area: *const *const c_char,
    reg_save_area: *const c_void,
}

/// Calls a program's `TrustedError` with a sentence.
///
/// # Safety
/// `report` is such a function.
pub(crate) unsafe fn report(
    report: Report,
    place: &CStr,
    operation: SUPINITOP,
    status: Status,
    sentence: &CStr,
) {
    let stacked = [sentence.as_ptr()];
    let mut list = ArgumentList {
        gp_offset: 48,
        fp_offset: 176,
        overflow_arg_area: stacked.as_ptr(),
        reg_save_area: std::ptr::null(),
    };
    let list = (&raw mut list).cast::<c_void>();
    // SAFETY: the function has this type, by the caller; strings and list outlive the call, and the format
    // takes the one argument that is in the list.
    unsafe { report(place.as_ptr(), operation.into(), status, c"%s".as_ptr(), list) }
}
