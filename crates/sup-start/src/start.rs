//! The steps of a start, in their order: see the table at the top of the crate.
//!
//! Invariant: a step that fails ends the start; what it holds until then is verified or its own.

use std::ffi::{CString, OsString, c_int};
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::process::geteuid;
use sup_abi::{SUPINITOP, SUPSECMAIN_FLAGS_DONT_OPEN_DEV, Status};
use sup_hardened::{Entry, Handover, Installation, Place, ProgramName, Refusal, system_keys};

use crate::fatal::Failure;
use crate::identity::drop_privileges;
use crate::library::{Library, Main};
use crate::limits::Limits;
use crate::vectors::Vectors;
use crate::{capabilities, descriptors, device};

/// Where the system tells which program runs.
const SELF: &str = "/proc/self/exe";
/// A longer path is none.
const SELF_BYTES_MAX: usize = 4099;
/// Our library in the shared folder.
const RUNTIME: &str = "libsup.so.0";

/// A file of the installation that was verified, open.
type Opened = (&'static Entry, OwnedFd);

/// Starts the program, and answers what it answers.
pub(crate) fn run(name: &[u8], flags: u32, mut vectors: Vectors) -> Result<c_int, Failure> {
    descriptors::settle()?;
    let program = ProgramName::parse(name).ok_or_else(|| {
        Failure::plain("the name of the program is none; SUPR3HardenedMain was called with it")
    })?;
    if flags & !SUPSECMAIN_FLAGS_DONT_OPEN_DEV != 0 {
        return Err(Failure::plain(format!("flags without a meaning: {flags:#x}")));
    }
    let limits = Limits::raise();
    let running = running()?;
    let wanted = capabilities::wanted(&vectors);
    vectors.purge(&CString::new(name).unwrap_or_default());
    if !geteuid().is_root() {
        return Err(Failure::fatal(
            HERE,
            SUPINITOP::RootCheck,
            Status::VERR_PERMISSION_DENIED,
            format!("effective UID is not root (euid={})", geteuid().as_raw()),
        ));
    }
    let (installation, mut files) = verify(&program, &running).map_err(|refusal| {
        Failure::fatal(HERE, SUPINITOP::Integrity, refusal.status(), refusal.to_string())
    })?;
    let device = match flags & SUPSECMAIN_FLAGS_DONT_OPEN_DEV {
        0 => Some(device::open()?),
        _ => None,
    };
    drop_privileges(wanted)?;
    let runtime = take(&mut files, Place::SharedLib, RUNTIME);
    let found = Handover::new(&installation, &program, device.as_ref().map(AsRawFd::as_raw_fd));
    start_runtime(runtime, &found, flags)?;
    // The library has it now.
    let _ = device.map(IntoRawFd::into_raw_fd);
    let main = load_program(take(&mut files, Place::AppPrivArch, &program.library()), &program)?;
    let (count, arguments, environment) = vectors.into_main();
    limits.restore();
    // SAFETY: the function is the verified program's, and these are main's vectors as they were made.
    Ok(unsafe { main(count, arguments, environment) })
}

/// Where the header's documentation places what fails here.
const HERE: &std::ffi::CStr = c"SUPR3HardenedMain";

/// The program that runs: its path, and a handle of it.
fn running() -> Result<(PathBuf, OwnedFd), Failure> {
    let failed = |error| Failure::plain(format!("'{SELF}' cannot be read: {error}"));
    let path = rustix::fs::readlink(SELF, Vec::new()).map_err(failed)?.into_bytes();
    if path.len() > SELF_BYTES_MAX {
        return Err(Failure::plain("the path of this program is too long"));
    }
    let file = rustix::fs::openat(CWD, SELF, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
    Ok((OsString::from_vec(path).into(), file.map_err(failed)?))
}

/// Verifies the files of the installation, and that it is this program which runs.
fn verify(
    program: &ProgramName,
    (path, file): &(PathBuf, OwnedFd),
) -> Result<(Installation, Vec<Opened>), Refusal> {
    let installation = Installation::of_program(program, system_keys());
    let files = installation.open_all()?;
    installation.verify_running(program, &files, (path, file))?;
    Ok((installation, files))
}

/// A file of the installation.
fn take(files: &mut Vec<Opened>, place: Place, name: &str) -> Option<OwnedFd> {
    let found = files.iter().position(|(entry, _)| entry.place == place && entry.name == name)?;
    Some(files.swap_remove(found).1)
}

/// Loads `libsup.so` and gives it what the start found out.
fn start_runtime(file: Option<OwnedFd>, found: &Handover, flags: u32) -> Result<(), Failure> {
    let failed = |status, sentence: String| {
        Failure::fatal(c"supR3HardenedMainInitRuntime", SUPINITOP::Iprt, status, sentence)
    };
    let missing = || failed(Status::VERR_MODULE_NOT_FOUND, format!("there is no {RUNTIME}"));
    // SAFETY: the file was verified: it is ours, as it was packed.
    let library = unsafe { Library::load(file.ok_or_else(missing)?) };
    let library = library.map_err(|error| failed(Status::VERR_MODULE_NOT_FOUND, error))?;
    let Some(pre_init) = library.pre_init() else {
        let sentence = format!("{RUNTIME} has no supR3PreInit: it is of another version");
        return Err(failed(Status::VERR_SYMBOL_NOT_FOUND, sentence));
    };
    // SAFETY: the function is the verified library's, and the handover outlives the call.
    let status = unsafe { pre_init(found, flags) };
    match status.is_failure() {
        true => Err(failed(status, format!("{RUNTIME} does not take what was verified: {status}"))),
        false => Ok(()),
    }
}

/// Loads the program's library and finds its `TrustedMain`.
fn load_program(file: Option<OwnedFd>, program: &ProgramName) -> Result<Main, Failure> {
    let library = program.library();
    let missing = || Failure::plain(format!("there is no {library}"));
    // SAFETY: the file was verified: it is what the manifest lists as the program.
    let loaded = unsafe { Library::load(file.ok_or_else(missing)?) };
    let loaded =
        loaded.map_err(|error| Failure::plain(format!("cannot load {library}: {error}")))?;
    loaded.trusted_main().ok_or_else(|| Failure::plain(format!("{library} has no TrustedMain")))
}
