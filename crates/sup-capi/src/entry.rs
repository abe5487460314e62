//! [`c_functions`]: how every function of the library is written, so that no panic leaves it.
//!
//! A panic is a defect of this library or below it. It is told on standard error by the standard
//! library, and the call answers [`FAILED`], or what else its function has for a failure.
//!
//! Invariant: unwinding into C would be undefined, so it ends here.

use std::panic::{AssertUnwindSafe, catch_unwind};

use sup_abi::Status;

/// The status of a call that panicked.
pub(crate) const FAILED: Status = Status::VERR_INTERNAL_ERROR;

/// Runs the body of a function that returns a status.
#[inline(always)]
pub(crate) fn status(body: impl FnOnce() -> Result<Status, Status>) -> Status {
    value(FAILED, || body().unwrap_or_else(|failure| failure))
}

/// Runs the body of a function that returns something else, of which `failure` says that it failed.
#[inline(always)]
pub(crate) fn value<T>(failure: T, body: impl FnOnce() -> T) -> T {
    // What a panic leaves half done is behind locks that are free again, or in memory of the caller's.
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(failure)
}

/// Functions of the header. `status fn` has a body of type `Result<Status, Status>`, and answers either
/// side; `value fn NAME(..) -> T, or FAILURE` has one of type `T`.
macro_rules! c_functions {
    () => {};
    ($(#[$about:meta])* status fn $name:ident($($argument:ident: $type:ty),* $(,)?) $body:block $($rest:tt)*) => {
        $(#[$about])*
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name($($argument: $type),*) -> ::sup_abi::Status {
            $crate::entry::status(|| $body)
        }
        $crate::entry::c_functions! { $($rest)* }
    };
    ($(#[$about:meta])* value fn $name:ident($($argument:ident: $type:ty),* $(,)?) -> $result:ty, or $failure:expr; $body:block $($rest:tt)*) => {
        $(#[$about])*
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name($($argument: $type),*) -> $result {
            $crate::entry::value($failure, || $body)
        }
        $crate::entry::c_functions! { $($rest)* }
    };
}
pub(crate) use c_functions;

#[cfg(test)]
mod tests {
    use super::*;

    c_functions! {
        status fn panics(number: u32) {
            assert_ne!(number, 7, "a test of what follows");
            Err(Status::VERR_TIMEOUT)
        }
        value fn panics_too(number: u32) -> u32, or 99; {
            assert_ne!(number, 7, "a test of what follows");
            number
        }
    }

    #[test]
    fn cannot_unwind_into_c() {
        // SAFETY: the function takes any number.
        let status = |number| unsafe { panics(number) };
        assert_eq!((status(1), status(7)), (Status::VERR_TIMEOUT, FAILED));
        // SAFETY: the function takes any number.
        let value = |number| unsafe { panics_too(number) };
        assert_eq!((value(1), value(7)), (1, 99));
    }
}
