//! [`verify_self`]: whether the program of this process can be trusted, and was started as itself.
//!
//! Neighbours: `walk.rs` verifies its path. Invariant: the file that is verified is the one that runs.

#[cfg(test)]
mod tests;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use sup_abi::Status;

use crate::walk::Verified;
use crate::{Identity, Objects, Refusal, System, Violation, verify_plug_in};

/// No executable's path has more bytes: the original's longest path.
const EXECUTABLE_PATH_BYTES_MAX: usize = 4099;

/// What a program is.
#[derive(Debug, Clone, Copy)]
pub enum Audience<'a> {
    /// Anybody's.
    Any,
    /// One of ours, which only others of ours start: by its full path, from the folder of such programs.
    Internal {
        /// The first argument of `main`.
        argv0: &'a OsStr,
        /// Where such programs are; `None` if nobody knows.
        private_folder: Option<&'a Path>,
    },
}

/// Verifies the program of this process. Corresponds to `SUPR3HardenedVerifySelf`, in a hardened build.
///
/// # Errors
/// `VERR_INTERNAL_ERROR_2` if nobody knows the program's file, `VERR_SUPLIB_INVALID_ARGV0_INTERNAL` and
/// `VERR_SUPLIB_INVALID_INTERNAL_APP_DIR` for an internal one that was not started as such, those of
/// [`verify_plug_in`], and `VERR_SUPLIB_NOT_SAME_OBJECT` if another file runs than stands there.
pub fn verify_self(audience: Audience<'_>) -> Result<(), Refusal> {
    let path = std::env::current_exe().ok();
    let running = rustix::fs::stat(c"/proc/self/exe").ok();
    let running = running.map(|stat| Identity { device: stat.st_dev, inode: stat.st_ino });
    verify_process(&System, path.as_deref(), running, audience)
}

fn verify_process<O: Objects>(
    objects: &O,
    executable: Option<&Path>,
    running: Option<Identity>,
    audience: Audience<'_>,
) -> Result<(), Refusal> {
    let known = executable.filter(|path| path.as_os_str().len() <= EXECUTABLE_PATH_BYTES_MAX);
    let (Some(path), Some(running)) = (known, running) else {
        return Err(Refusal::new(
            Status::VERR_INTERNAL_ERROR_2,
            "the file of this program cannot be found; is /proc mounted?",
        ));
    };
    if let Audience::Internal { argv0, private_folder } = audience {
        check_internal(path, argv0, private_folder)?;
    }
    let verified = verify_plug_in(objects, path)?;
    check_running(&verified, running, path).map_err(Refusal::from)
}

fn check_internal(
    path: &Path,
    argv0: &OsStr,
    private_folder: Option<&Path>,
) -> Result<(), Refusal> {
    if argv0 != path.as_os_str() {
        return Err(Refusal::new(
            Status::VERR_SUPLIB_INVALID_ARGV0_INTERNAL,
            format!(
                "'{}' was started as '{}': start it by its full path",
                path.display(),
                argv0.display()
            ),
        ));
    }
    let Some(folder) = private_folder else {
        return Err(Refusal::new(
            Status::VERR_SUPLIB_INVALID_ARGV0_INTERNAL,
            "nobody knows the folder of internal programs",
        ));
    };
    // Byte by byte: another spelling of the folder is another folder.
    let below = path.as_os_str().as_bytes().strip_prefix(folder.as_os_str().as_bytes());
    match below {
        Some([b'/', ..]) => Ok(()),
        _ => Err(Refusal::new(
            Status::VERR_SUPLIB_INVALID_INTERNAL_APP_DIR,
            format!("'{}' is not below '{}'", path.display(), folder.display()),
        )),
    }
}

fn check_running<H>(
    verified: &Verified<H>,
    running: Identity,
    path: &Path,
) -> Result<(), Violation> {
    let facts = verified.facts();
    match facts.identity == running {
        true => Ok(()),
        false => Err(Violation::of_difference("ino/dev", path.as_os_str().as_bytes(), facts)),
    }
}
