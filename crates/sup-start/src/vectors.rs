//! [`Vectors`]: `main`'s arguments and environment, without what [`purge`](crate::purge) names.
//!
//! The environment is changed where it lies, because the C library looks there; the arguments are copied.
//! Invariant: both end with NULL, and every other element is a string of the kernel's.

use std::ffi::{CStr, c_char, c_int};
use std::ptr;

use crate::purge::{dangerous_arguments, is_dangerous_variable};

unsafe extern "C" {
    /// The environment as the C library knows it.
    static mut environ: *mut *mut c_char;
}

/// What `main` was given.
#[derive(Debug)]
pub(crate) struct Vectors {
    arguments: Vec<*mut c_char>,
    environment: *mut *mut c_char,
}

impl Vectors {
    /// Takes main's.
    ///
    /// # Safety
    /// Each is NULL or a vector of strings that NULL terminates, which stay for as long as the process and
    /// which nobody else uses.
    pub(crate) unsafe fn of_main(
        argc: c_int,
        argv: *mut *mut c_char,
        envp: *mut *mut c_char,
    ) -> Self {
        let mut arguments = Vec::new();
        for index in 0..usize::try_from(argc).unwrap_or(0) {
            if argv.is_null() {
                break;
            }
            let place = argv.wrapping_add(index);
            // SAFETY: the vector has argc elements, by the caller; or it ended before, and was left.
            let argument = unsafe { *place };
            if argument.is_null() {
                break;
            }
            arguments.push(argument);
        }
        Self { arguments, environment: envp }
    }

    /// The value of a variable, the first of that name.
    pub(crate) fn variable(&self, name: &[u8]) -> Option<&[u8]> {
        let mut entries = (0..).map_while(|index| string(self.environment, index));
        entries.find_map(|(_, entry)| entry.strip_prefix(name)?.strip_prefix(b"="))
    }

    /// Takes away what is dangerous, also from the environment that the C library knows, if that is another.
    /// `program` becomes the first argument if there is none.
    ///
    /// # Context
    /// One thread runs.
    pub(crate) fn purge(&mut self, program: &CStr) {
        self.purge_own(program);
        // SAFETY: one thread runs, so nobody changes the variable.
        let known = unsafe { environ };
        if known != self.environment {
            purge_environment(known);
        }
    }

    fn purge_own(&mut self, program: &CStr) {
        purge_environment(self.environment);
        let mut skipped = 0;
        self.arguments.retain(|argument| {
            if skipped > 0 {
                skipped -= 1;
                return false;
            }
            // SAFETY: an element of main's vector is a terminated string, by `of_main`.
            let text = unsafe { CStr::from_ptr(*argument) };
            let gone = dangerous_arguments(text.to_bytes());
            skipped = gone.saturating_sub(1);
            gone == 0
        });
        if self.arguments.is_empty() {
            self.arguments.push(program.to_owned().into_raw());
        }
    }

    /// As `main` takes them: how many arguments, the arguments and the environment.
    pub(crate) fn into_main(mut self) -> (c_int, *mut *mut c_char, *mut *mut c_char) {
        let count = c_int::try_from(self.arguments.len()).unwrap_or(c_int::MAX);
        self.arguments.push(ptr::null_mut());
        let environment = match self.environment.is_null() {
            true => vec![ptr::null_mut()].leak().as_mut_ptr(),
            false => self.environment,
        };
        (count, self.arguments.leak().as_mut_ptr(), environment)
    }
}

/// An element of an environment and its text; `None` behind the last one.
fn string(vector: *mut *mut c_char, index: usize) -> Option<(*mut c_char, &'static [u8])> {
    if vector.is_null() {
        return None;
    }
    let place = vector.wrapping_add(index);
    // SAFETY: whoever asks has found all elements before this one, so it is in the vector, or its end; main's
    // vectors stay for as long as the process.
    let element = unsafe { *place };
    if element.is_null() {
        return None;
    }
    // SAFETY: an element of main's vector is a terminated string that stays.
    Some((element, unsafe { CStr::from_ptr(element) }.to_bytes()))
}

/// Moves what stays to the front, and ends the vector there.
fn purge_environment(vector: *mut *mut c_char) {
    let (mut read, mut kept) = (0, 0);
    while let Some((element, text)) = string(vector, read) {
        read += 1;
        if !is_dangerous_variable(text) {
            let place = vector.wrapping_add(kept);
            // SAFETY: this element was read before, and nobody else uses the vector.
            unsafe { *place = element };
            kept += 1;
        }
    }
    if kept < read {
        let place = vector.wrapping_add(kept);
        // SAFETY: fewer elements stay than were read, so this one was read before; nobody else uses the vector.
        unsafe { *place = ptr::null_mut() };
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// What main's vectors are, which stay: where leaks are looked for.
    fn kept(vector: *mut *mut c_char) -> *mut *mut c_char {
        static KEPT: Mutex<Vec<usize>> = Mutex::new(Vec::new());
        KEPT.lock().unwrap().push(vector.expose_provenance());
        vector
    }

    /// A vector of C's, which is left behind as main's are.
    fn vector(texts: &[&'static CStr]) -> *mut *mut c_char {
        let elements = texts.iter().map(|text| text.as_ptr().cast_mut());
        let elements: Vec<_> = elements.chain([ptr::null_mut()]).collect();
        kept(elements.leak().as_mut_ptr())
    }

    /// What main gets in the end.
    fn of_main(vectors: Vectors) -> (c_int, *mut *mut c_char, *mut *mut c_char) {
        let (argc, argv, envp) = vectors.into_main();
        (argc, kept(argv), kept(envp))
    }

    fn texts(vector: *mut *mut c_char) -> Vec<String> {
        let texts = (0..).map_while(|index| string(vector, index));
        texts.map(|(_, text)| String::from_utf8_lossy(text).into_owned()).collect()
    }

    #[test]
    fn what_is_dangerous_goes_and_the_rest_stays_in_its_order() {
        let argv =
            vector(&[c"vm", c"-a", c"-platformpluginpath", c"/tmp", c"b", c"-platformpluginpath"]);
        let envp = vector(&[
            c"LD_PRELOAD=x",
            c"A=1",
            c"LD_PRELOAD=y",
            c"junk",
            c"B=2",
            c"QT_PLUGIN_PATH=z",
        ]);
        // SAFETY: both were made above as main's are.
        let mut vectors = unsafe { Vectors::of_main(6, argv, envp) };
        assert_eq!(vectors.variable(b"LD_PRELOAD"), Some(b"x".as_slice()));
        assert_eq!(vectors.variable(b"LD_"), None);
        vectors.purge_own(c"vm");
        let (argc, argv, envp) = of_main(vectors);
        assert_eq!(texts(argv), ["vm", "-a", "b"]);
        assert_eq!(argc, 3);
        assert_eq!(texts(envp), ["A=1", "B=2"]);
    }

    #[test]
    fn nothing_at_all_is_a_program_without_arguments() {
        // SAFETY: NULL is allowed.
        let mut vectors = unsafe { Vectors::of_main(0, ptr::null_mut(), ptr::null_mut()) };
        assert_eq!(vectors.variable(b"A"), None);
        vectors.purge_own(c"vm");
        let (argc, argv, envp) = of_main(vectors);
        assert_eq!((argc, texts(argv), texts(envp)), (1, vec!["vm".to_owned()], vec![]));
    }

    #[test]
    fn cannot_read_beyond_the_end_that_main_tells() {
        let argv = vector(&[c"vm", c"a"]);
        // SAFETY: the vector was made above as main's are; the count is larger than it, and it ends with NULL.
        let vectors = unsafe { Vectors::of_main(9, argv, ptr::null_mut()) };
        assert_eq!(of_main(vectors).0, 2);
    }
}
