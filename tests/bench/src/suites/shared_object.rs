//! [`SharedObject`]: the system's own loader, to compare ours with.

use std::ffi::{CStr, CString, c_void};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::NonNull;

use anyhow::{Context, Result, bail, ensure};

/// A shared object in a file. Its constructors and destructors are harmless to run: the compiler's
/// own and no others.
#[derive(Debug)]
pub(in crate::suites) struct ObjectFile {
    path: CString,
}

/// A loaded shared object. Dropping it unloads it.
#[derive(Debug)]
pub(in crate::suites) struct SharedObject {
    handle: NonNull<c_void>,
}

impl ObjectFile {
    /// Names the file that holds the hello module as a plain shared object.
    ///
    /// # Errors
    /// The path has a NUL in it.
    pub(in crate::suites) fn new(path: &Path) -> Result<Self> {
        Ok(Self { path: CString::new(path.as_os_str().as_bytes())? })
    }

    /// Loads it, with all symbols bound, as a module is.
    ///
    /// # Errors
    /// The sentence of the system's loader.
    pub(in crate::suites) fn open(&self) -> Result<SharedObject> {
        let flags = libc::RTLD_NOW | libc::RTLD_LOCAL;
        // SAFETY: the path is a terminated string that outlives the call. Loading runs constructors:
        // `ObjectFile` says that they are harmless.
        let handle = unsafe { libc::dlopen(self.path.as_ptr(), flags) };
        match NonNull::new(handle) {
            Some(handle) => Ok(SharedObject { handle }),
            None => bail!("dlopen: {}", last_error()),
        }
    }

    /// Makes sure that a close unloads: an object that stays would make every further open cheap.
    ///
    /// # Errors
    /// It stays, or cannot be loaded at all.
    pub(in crate::suites) fn check_unloads(&self) -> Result<()> {
        let object = self.open()?;
        ensure!(self.is_mapped()?, "{:?} is not mapped where it was loaded", self.path);
        drop(object);
        ensure!(!self.is_mapped()?, "{:?} stays loaded when it is closed", self.path);
        Ok(())
    }

    fn is_mapped(&self) -> Result<bool> {
        let maps = fs::read("/proc/self/maps").context("cannot read /proc/self/maps")?;
        Ok(maps.split(|byte| *byte == b'\n').any(|line| line.ends_with(self.path.as_bytes())))
    }
}

impl SharedObject {
    /// The address of a symbol, as a number: what is there may go at any time.
    pub(in crate::suites) fn symbol(&self, name: &CStr) -> Option<usize> {
        // SAFETY: the handle is open as long as `self`, and the name is a terminated string.
        let address = unsafe { libc::dlsym(self.handle.as_ptr(), name.as_ptr()) };
        Some(address.addr()).filter(|address| *address != 0)
    }
}

impl Drop for SharedObject {
    fn drop(&mut self) {
        // SAFETY: the handle came from `dlopen` and is closed here once; of its symbols nobody has more
        // than the number of an address, so nothing refers into it.
        let result = unsafe { libc::dlclose(self.handle.as_ptr()) };
        debug_assert_eq!(result, 0, "dlclose of a handle from dlopen");
    }
}

fn last_error() -> String {
    // SAFETY: no argument; the result is null or a terminated string.
    let message = unsafe { libc::dlerror() };
    if message.is_null() {
        return "no reason given".into();
    }
    // SAFETY: it is not null, and stays as it is until the next call of the loader by this thread,
    // which comes after the copy.
    unsafe { CStr::from_ptr(message) }.to_string_lossy().into_owned()
}
