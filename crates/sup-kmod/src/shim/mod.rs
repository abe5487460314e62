//! The C shim: [`raw`] declares what `kmod/shim.h` does, the others are its safe wrappers by subject.

pub(crate) mod caller;
pub(crate) mod log;
pub(crate) mod page;
pub(crate) mod raw;
pub(crate) mod ring0;
pub(crate) mod task;
pub(crate) mod time;
pub(crate) mod user;

/// What a function of the shim failed with: a positive `errno` value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Errno(pub(crate) i32);

impl Errno {
    pub(crate) const ENOMEM: Self = Self(12);
    pub(crate) const EFAULT: Self = Self(14);
    pub(crate) const EINTR: Self = Self(4);
    pub(crate) const ETIME: Self = Self(62);

    /// What a function returned that answers 0 or a negative value.
    pub(crate) fn check(result: i32) -> Result<(), Self> {
        if result == 0 { Ok(()) } else { Err(Self(result.wrapping_neg())) }
    }
}
