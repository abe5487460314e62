//! [`Library`]: a shared library, loaded from the very file that was verified.
//!
//! What was verified is open, and the system's loader gets its descriptor by a name below `/proc/self/fd`. So
//! nobody can exchange the file between the two, and no suffix is added by the loader's own rules.
//!
//! The loader believes that what has the name of a loaded library is that library, and numbers of descriptors
//! come again. So no name is used twice: each is spelled in a way of its own ([`spelling`]).
//!
//! Invariant: a library that is loaded is the file that was verified, or one that was loaded from it before.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::fmt;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use sup_abi::Status;

/// Who finds a library's symbols. Corresponds to `RTLDRLOAD_FLAGS_LOCAL` and `RTLDRLOAD_FLAGS_GLOBAL`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Visibility {
    /// Who has its handle.
    Local,
    /// Also libraries that are loaded later.
    Global,
}

impl TryFrom<u32> for Visibility {
    type Error = Status;

    /// # Errors
    /// `VERR_INVALID_PARAMETER` for flags without a meaning.
    fn try_from(flags: u32) -> Result<Self, Status> {
        match flags {
            0 => Ok(Self::Local),
            1 => Ok(Self::Global),
            _ => Err(Status::VERR_INVALID_PARAMETER),
        }
    }
}

/// A reference to a loaded library, which is what `dlopen` returns: it is given back with `dlclose`, and
/// `dlsym` finds its symbols. It is the caller's, so dropping this gives nothing back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Library(NonNull<c_void>);

/// Why a library was not loaded, as the system's loader says.
#[derive(Debug)]
pub(crate) struct LoaderError(String);

impl LoaderError {
    /// There is one for all.
    pub(crate) fn status(&self) -> Status {
        Status::VERR_FILE_NOT_FOUND
    }
}

impl fmt::Display for LoaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Library {
    /// Loads a library from a file that is open to read; all its symbols are bound.
    ///
    /// # Errors
    /// What the system's loader says.
    ///
    /// # Safety
    /// The library's initialisers run, so they have to keep Rust's rules.
    pub(crate) unsafe fn load(
        file: BorrowedFd<'_>,
        visibility: Visibility,
    ) -> Result<Self, LoaderError> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        // Relaxed: only that no two are the same matters.
        let name = spelling(file.as_raw_fd(), NEXT.fetch_add(1, Ordering::Relaxed));
        let binding = match visibility {
            Visibility::Local => libc::RTLD_NOW | libc::RTLD_LOCAL,
            Visibility::Global => libc::RTLD_NOW | libc::RTLD_GLOBAL,
        };
        let Some(open) = loader() else {
            let sentence = "this program is linked statically, so it has no loader of libraries";
            return Err(LoaderError(sentence.to_owned()));
        };
        // SAFETY: the name is terminated; the caller answers for the initialisers.
        let handle = unsafe { open(name.as_ptr(), binding) };
        NonNull::new(handle).map(Self).ok_or_else(|| LoaderError(last_error()))
    }

    /// What the caller gets.
    pub(crate) fn into_raw(self) -> *mut c_void {
        self.0.as_ptr()
    }
}

/// `dlopen`, in a program that has it. Naming it would have every program that is linked with `libsup.a`
/// contain a second loader, which works with the C library of the build machine only.
fn loader() -> Option<unsafe extern "C" fn(*const c_char, c_int) -> *mut c_void> {
    // SAFETY: the name is terminated.
    let function = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"dlopen".as_ptr()) };
    // SAFETY: it is the C library's function, which has this type, or NULL, which is `None`.
    unsafe { std::mem::transmute(function) }
}

/// A name of a descriptor, which is another one for each number: a slash that means nothing for a bit that
/// is 0, and a dot that means nothing for one that is 1.
fn spelling(descriptor: c_int, number: u32) -> CString {
    let mut name = b"/proc/self/fd".to_vec();
    for bit in 0..u32::BITS {
        name.extend_from_slice(if number >> bit & 1 == 0 { b"//" } else { b"/." });
    }
    name.extend_from_slice(format!("/{descriptor}").as_bytes());
    CString::new(name).unwrap_or_default()
}

/// What the loader said last in this thread.
fn last_error() -> String {
    // SAFETY: it takes nothing, and what it returns stays until this thread's next call of the loader.
    let text = unsafe { libc::dlerror() };
    if text.is_null() {
        return "the system's loader does not say why".to_owned();
    }
    // SAFETY: not null, so a terminated text that stays while it is copied.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::fs::File;
    use std::os::fd::AsFd;
    use std::path::Path;
    use std::process::Command;

    /// Makes a library whose function answers a number.
    pub(crate) fn compile(path: &Path, answer: i32) {
        let source = path.with_extension("c");
        std::fs::write(&source, format!("int answer(void) {{ return {answer}; }}")).unwrap();
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-o"]).arg(path).arg(&source);
        assert!(compiler.status().unwrap().success());
    }

    fn library(folder: &Path, answer: i32) -> File {
        let path = folder.join(format!("{answer}.so"));
        compile(&path, answer);
        File::open(path).unwrap()
    }

    fn ask(library: Library) -> i32 {
        // SAFETY: the library has that function.
        let function = unsafe { libc::dlsym(library.into_raw(), c"answer".as_ptr()) };
        assert!(!function.is_null());
        // SAFETY: the library's source has it with that type.
        let function =
            unsafe { std::mem::transmute::<*mut c_void, extern "C" fn() -> i32>(function) };
        function()
    }

    fn load(file: &File) -> Result<Library, LoaderError> {
        // SAFETY: the library has no initialisers.
        unsafe { Library::load(file.as_fd(), Visibility::Local) }
    }

    #[test]
    fn cannot_get_the_library_that_had_the_descriptor_before() {
        let folder = tempfile::tempdir().unwrap();
        let first = library(folder.path(), 1);
        let number = first.as_raw_fd();
        let one = load(&first).unwrap();
        let second = library(folder.path(), 2);
        // SAFETY: both are open, and what the number means is this test's business.
        assert_eq!(unsafe { libc::dup2(second.as_raw_fd(), number) }, number);
        let two = load(&first).unwrap();
        assert_eq!((ask(one), ask(two)), (1, 2));
        assert_eq!(load(&second).unwrap(), two, "one file is one library");
    }

    #[test]
    fn names_are_never_the_same_and_lead_to_one_file() {
        let file = tempfile::tempfile().unwrap();
        let names: Vec<_> =
            [0, 1, 2, 3, u32::MAX].map(|number| spelling(file.as_raw_fd(), number)).into();
        for (index, name) in names.iter().enumerate() {
            assert!(!names[..index].contains(name), "{name:?}");
            assert!(Path::new(name.to_str().unwrap()).exists(), "{name:?}");
        }
    }

    #[test]
    fn cannot_load_what_is_no_library() {
        let file = tempfile::tempfile().unwrap();
        let error = load(&file).unwrap_err();
        assert_eq!(error.status(), Status::VERR_FILE_NOT_FOUND);
        assert!(!error.to_string().is_empty());
        assert_eq!(Visibility::try_from(2), Err(Status::VERR_INVALID_PARAMETER));
    }
}
