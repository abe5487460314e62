//! The driver's loggers.

#![expect(non_snake_case, reason = "the header's names")]

use std::borrow::Cow;
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

/// A text of the caller's; NULL is an empty one. No name has a byte that is not ASCII, and no text is an
/// error, so where a text is not UTF-8 a character without a meaning stands for each such byte.
///
/// # Errors
/// `VERR_INVALID_POINTER`.
///
/// # Safety
/// A plausible pointer leads to a terminated text, which stays for the call.
unsafe fn text<'a>(pointer: *const c_char) -> Result<Cow<'a, str>, Status> {
    if pointer.is_null() {
        return Ok("".into());
    }
    check(pointer)?;
    // SAFETY: by this function's contract.
    let text = unsafe { CStr::from_ptr(pointer) };
    let plain = |byte: &u8| if byte.is_ascii() { char::from(*byte) } else { '?' };
    Ok(match text.to_str() {
        Ok(text) => text.into(),
        Err(_) => text.to_bytes().iter().map(plain).collect::<String>().into(),
    })
}

/// The three texts of the header's functions.
///
/// # Errors
/// Those of [`text`].
///
/// # Safety
/// As for [`text`], of each.
unsafe fn texts<'a>(
    flags: *const c_char,
    groups: *const c_char,
    destination: *const c_char,
) -> Result<[Cow<'a, str>; 3], Status> {
    // SAFETY: by this function's contract.
    let flags = unsafe { text(flags) }?;
    // SAFETY: by this function's contract.
    let groups = unsafe { text(groups) }?;
    // SAFETY: by this function's contract.
    let destination = unsafe { text(destination) }?;
    Ok([flags, groups, destination])
}

c_functions! {
    /// Changes the settings of a logger.
    status fn SUPR3LoggerSettings(enmWhich: u32, pszFlags: *const c_char, pszGroups: *const c_char, pszDest: *const c_char) {
        let kind = kind(enmWhich)?;
        // SAFETY: the caller's texts are terminated.
        let [flags, groups, destination] = &unsafe { texts(pszFlags, pszGroups, pszDest) }?;
        let texts = LoggerTexts { flags, groups, destination };
        Call::begin()?.session.logger_settings(kind, texts)?;
        Ok(Status::VINF_SUCCESS)
    }

    /// Creates a logger.
    status fn SUPR3LoggerCreate(enmWhich: u32, pszFlags: *const c_char, pszGroups: *const c_char, pszDest: *const c_char) {
        let kind = kind(enmWhich)?;
        // SAFETY: the caller's texts are terminated.
        let [flags, groups, destination] = &unsafe { texts(pszFlags, pszGroups, pszDest) }?;
        let texts = LoggerTexts { flags, groups, destination };
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
