//! The driver's loggers.

#![expect(non_snake_case, reason = "the header's names")]

use std::ffi::{CStr, c_char};

use sup::{LoggerKind, LoggerTexts};
use sup_abi::Status;

use crate::calls::Call;
use crate::entry::c_functions;
use crate::pointer::check;

/// `SUPLOGGER_DEBUG` and `SUPLOGGER_RELEASE`.
const DEBUG: u32 = 1;
const RELEASE: u32 = 2;

/// # Errors
/// `VERR_INVALID_PARAMETER`.
fn kind(which: u32) -> Result<LoggerKind, Status> {
    match which {
        DEBUG => Ok(LoggerKind::Debug),
        RELEASE => Ok(LoggerKind::Release),
        _ => Err(Status::VERR_INVALID_PARAMETER),
    }
}

/// A text of the caller's; NULL is an empty one.
///
/// # Errors
/// `VERR_INVALID_POINTER`, `VERR_INVALID_PARAMETER` if it is not UTF-8.
///
/// # Safety
/// A plausible pointer leads to a terminated text, which stays for the call.
unsafe fn text<'a>(pointer: *const c_char) -> Result<&'a str, Status> {
    if pointer.is_null() {
        return Ok("");
    }
    check(pointer)?;
    // SAFETY: by this function's contract.
    let text = unsafe { CStr::from_ptr(pointer) };
    text.to_str().map_err(|_| Status::VERR_INVALID_PARAMETER)
}

/// # Safety
/// As for [`text`], of each.
unsafe fn texts<'a>(
    flags: *const c_char,
    groups: *const c_char,
    destination: *const c_char,
) -> Result<LoggerTexts<'a>, Status> {
    // SAFETY: by this function's contract.
    let flags = unsafe { text(flags) }?;
    // SAFETY: by this function's contract.
    let groups = unsafe { text(groups) }?;
    // SAFETY: by this function's contract.
    let destination = unsafe { text(destination) }?;
    Ok(LoggerTexts { flags, groups, destination })
}

c_functions! {
    /// Changes the settings of a logger.
    status fn SUPR3LoggerSettings(enmWhich: u32, pszFlags: *const c_char, pszGroups: *const c_char, pszDest: *const c_char) {
        let kind = kind(enmWhich)?;
        // SAFETY: the caller's texts are terminated.
        let texts = unsafe { texts(pszFlags, pszGroups, pszDest) }?;
        Call::begin()?.session.logger_settings(kind, texts)?;
        Ok(Status::VINF_SUCCESS)
    }

    /// Creates a logger.
    status fn SUPR3LoggerCreate(enmWhich: u32, pszFlags: *const c_char, pszGroups: *const c_char, pszDest: *const c_char) {
        let kind = kind(enmWhich)?;
        // SAFETY: the caller's texts are terminated.
        let texts = unsafe { texts(pszFlags, pszGroups, pszDest) }?;
        Call::begin()?.session.logger_create(kind, texts)?;
        Ok(Status::VINF_SUCCESS)
    }

    /// Destroys the debug logger.
    status fn SUPR3LoggerDestroy(enmWhich: u32) {
        let kind = kind(enmWhich)?;
        Call::begin()?.session.logger_destroy(kind)?;
        Ok(Status::VINF_SUCCESS)
    }
}
