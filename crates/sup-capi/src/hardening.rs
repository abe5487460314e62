//! Verification of files, folders and the own process, and libraries that are loaded only when verified.
//!
//! Neighbours: `sup-hardened` has the rules, [`libraries`](mod@crate::libraries) loads. None of these functions needs a
//! session. Strings are paths of any bytes. Invariant: a library is loaded from the handle that was verified.

#![expect(non_snake_case, reason = "the header's names")]

use std::ffi::{CStr, OsStr, c_char, c_void};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::OnceLock;

use sup_abi::{RTERRINFO, Status};
use sup_hardened::{
    Audience, Contents, Installation, System, system_keys, verify_folder, verify_plug_in,
    verify_self,
};

use crate::entry::c_functions;
use crate::error_info::ErrorInfo;
use crate::libraries::{Library, Visibility};
use crate::log;
use crate::pointer::{Out, check, text};

/// A name that long does not fit behind the private folder.
const PRIVATE_NAME_BYTES: usize = 3075;

/// Our own installation; with the program that the start with privileges runs, if it does.
static INSTALLATION: OnceLock<Installation> = OnceLock::new();

fn installation() -> &'static Installation {
    INSTALLATION.get_or_init(|| Installation::of_this_machine(system_keys()))
}

/// Keeps what the start with privileges has verified.
///
/// # Errors
/// `VERR_WRONG_ORDER` if somebody asked for a file before.
pub(crate) fn keep(installation: Installation) -> Result<(), Status> {
    INSTALLATION.set(installation).map_err(|_| Status::VERR_WRONG_ORDER)
}

/// The bytes of a string.
///
/// # Errors
/// `VERR_INVALID_POINTER`.
///
/// # Safety
/// If the pointer is plausible, a terminated string is there for `'a`.
unsafe fn path<'a>(pointer: *const c_char) -> Result<&'a Path, Status> {
    check(pointer)?;
    // SAFETY: the caller's promise.
    let bytes = unsafe { CStr::from_ptr(pointer) }.to_bytes();
    Ok(Path::new(OsStr::from_bytes(bytes)))
}

/// Whether a name leads through folders.
fn has_folder(name: &Path) -> bool {
    name.as_os_str().as_bytes().contains(&b'/')
}

/// The name of a library, with the platform's suffix if it has none.
fn with_suffix(name: &Path) -> PathBuf {
    let mut name = name.as_os_str().to_owned();
    if Path::new(&name).extension().is_none() {
        name.push(".so");
    }
    name.into()
}

/// Loads a verified file.
fn load(file: &OwnedFd, visibility: Visibility, info: &ErrorInfo) -> Result<Library, Status> {
    // SAFETY: root alone can have written the file, so its initialisers are as good as this program's own.
    let loaded = unsafe { Library::load(file.as_fd(), visibility) };
    loaded.map_err(|error| info.tell(error.status(), &error))
}

/// Loads a library of an installation.
fn load_installed(
    installation: &Installation,
    file: &Path,
    flags: u32,
    info: &ErrorInfo,
) -> Result<Library, Status> {
    if !has_folder(file) {
        return Err(Status::VERR_INVALID_PARAMETER);
    }
    let opened = installation.open_file(&with_suffix(file));
    let opened = opened.map_err(|refusal| info.tell(refusal.status(), &refusal))?;
    load(&opened, Visibility::try_from(flags)?, info)
}

/// Loads a library from the private folder of an installation.
fn load_private(
    installation: &Installation,
    name: &Path,
    flags: u32,
    info: &ErrorInfo,
) -> Result<Library, Status> {
    if has_folder(name) || name.as_os_str().len() >= PRIVATE_NAME_BYTES {
        return Err(Status::VERR_INVALID_PARAMETER);
    }
    let file = installation.private_folder().join(with_suffix(name));
    if !file.exists() {
        return Err(Status::VERR_FILE_NOT_FOUND);
    }
    load_installed(installation, &file, flags, info)
}

/// Loads any library that root alone can have written.
fn load_plug_in(file: &Path, info: &ErrorInfo) -> Result<Library, Status> {
    // The original's loader adds a suffix to a name without one after it has verified the name.
    if !file.is_absolute() || file.extension().is_none() {
        return Err(Status::VERR_INVALID_PARAMETER);
    }
    let opened = verify_plug_in(&System, file).and_then(|verified| verified.open(&System));
    let opened = opened.map_err(|violation| info.tell(violation.status(), &violation))?;
    load(&opened, Visibility::Local, info)
}

/// Where the handle of a library goes (`PRTLDRMOD`): it is what `dlopen` returns, and the caller's.
type LibraryOut = *mut *mut c_void;

c_functions! {
    /// Verifies a file of our own installation.
    status fn SUPR3HardenedVerifyFile(pszFilename: *const c_char, pszWhat: *const c_char, phFile: *mut *mut c_void) {
        if !phFile.is_null() {
            return Err(Status::VERR_NOT_IMPLEMENTED);
        }
        // SAFETY: the caller gives a string.
        let file = unsafe { path(pszFilename) }?;
        match installation().verify_file(file) {
            Ok(()) => Ok(Status::VINF_SUCCESS),
            Err(refusal) => {
                log::start();
                // SAFETY: the caller gives a string. One that is none only tells less.
                let what = unsafe { text(pszWhat) }.unwrap_or("a file");
                tracing::error!(target: "supdrv", "{what}: {}: {refusal}", file.display());
                Err(refusal.status())
            }
        }
    }

    /// Verifies the program of this process.
    status fn SUPR3HardenedVerifySelf(pszArgv0: *const c_char, fInternal: bool, pErrInfo: *mut RTERRINFO) {
        // SAFETY: the caller's structure, if it gives one.
        let info = unsafe { ErrorInfo::cleared(pErrInfo) };
        let audience = match fInternal {
            false => Audience::Any,
            true => Audience::Internal {
                // SAFETY: the caller gives a string.
                argv0: unsafe { path(pszArgv0) }?.as_os_str(),
                private_folder: Some(installation().private_folder()),
            },
        };
        verify_self(audience).map_err(|refusal| info.tell(refusal.status(), &refusal))?;
        Ok(Status::VINF_SUCCESS)
    }

    /// Verifies a folder.
    status fn SUPR3HardenedVerifyDir(pszDirPath: *const c_char, fRecursive: bool, fCheckFiles: bool, pErrInfo: *mut RTERRINFO) {
        // SAFETY: the caller's structure, if it gives one.
        let info = unsafe { ErrorInfo::cleared(pErrInfo) };
        // SAFETY: the caller gives a string.
        let folder = unsafe { path(pszDirPath) }?;
        let contents = match (fRecursive, fCheckFiles) {
            (true, _) => Contents::All,
            (false, true) => Contents::Entries,
            (false, false) => Contents::None,
        };
        let verified = verify_folder(&System, folder, contents);
        verified.map_err(|violation| info.tell(violation.status(), &violation))?;
        Ok(Status::VINF_SUCCESS)
    }

    /// Verifies a file of anybody's.
    status fn SUPR3HardenedVerifyPlugIn(pszFilename: *const c_char, pErrInfo: *mut RTERRINFO) {
        // SAFETY: the caller's structure, if it gives one.
        let info = unsafe { ErrorInfo::cleared(pErrInfo) };
        // SAFETY: the caller gives a string.
        let file = unsafe { path(pszFilename) }?;
        let verified = verify_plug_in(&System, file);
        verified.map_err(|violation| info.tell(violation.status(), &violation))?;
        Ok(Status::VINF_SUCCESS)
    }

    /// Loads a library of our own installation.
    status fn SUPR3HardenedLdrLoad(pszFilename: *const c_char, phLdrMod: LibraryOut, fFlags: u32, pErrInfo: *mut RTERRINFO) {
        // SAFETY: the caller's structure, if it gives one.
        let info = unsafe { ErrorInfo::cleared(pErrInfo) };
        // SAFETY: the caller gives a string.
        let file = unsafe { path(pszFilename) }?;
        // SAFETY: the caller has room for a handle there.
        let handle = unsafe { Out::required(phLdrMod) }?;
        handle.put(ptr::null_mut());
        handle.put(load_installed(installation(), file, fFlags, &info)?.into_raw());
        Ok(Status::VINF_SUCCESS)
    }

    /// Loads a library from the private folder of our own installation.
    status fn SUPR3HardenedLdrLoadAppPriv(pszFilename: *const c_char, phLdrMod: LibraryOut, fFlags: u32, pErrInfo: *mut RTERRINFO) {
        // This function has another status for a bad pointer.
        let bad = |_| Status::VERR_INVALID_PARAMETER;
        // SAFETY: the caller's structure, if it gives one.
        let info = unsafe { ErrorInfo::cleared(pErrInfo) };
        // SAFETY: the caller has room for a handle there.
        let handle = unsafe { Out::required(phLdrMod) }.map_err(bad)?;
        handle.put(ptr::null_mut());
        // SAFETY: the caller gives a string.
        let name = unsafe { path(pszFilename) }.map_err(bad)?;
        handle.put(load_private(installation(), name, fFlags, &info)?.into_raw());
        Ok(Status::VINF_SUCCESS)
    }

    /// Loads any library that root alone can have written.
    status fn SUPR3HardenedLdrLoadPlugIn(pszFilename: *const c_char, phLdrMod: LibraryOut, pErrInfo: *mut RTERRINFO) {
        let bad = |_| Status::VERR_INVALID_PARAMETER;
        // SAFETY: the caller's structure, if it gives one.
        let info = unsafe { ErrorInfo::cleared(pErrInfo) };
        // SAFETY: the caller has room for a handle there.
        let handle = unsafe { Out::required(phLdrMod) }.map_err(bad)?;
        handle.put(ptr::null_mut());
        // SAFETY: the caller gives a string.
        let file = unsafe { path(pszFilename) }.map_err(bad)?;
        handle.put(load_plug_in(file, &info)?.into_raw());
        Ok(Status::VINF_SUCCESS)
    }
}

#[cfg(test)]
mod tests;
