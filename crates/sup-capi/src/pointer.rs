//! Pointers of C: whether one can be valid, and reading and writing through it.
//!
//! The specification's test: a pointer is not in the first or last page of the address space and not
//! beyond the half of it that processes have. It proves nothing about what is mapped.
//!
//! Invariant: nothing here makes a reference to the caller's memory but to strings and packets, for the
//! length of a call; results are written whole, at any alignment.

use std::ffi::{CStr, c_char};

use sup_abi::{PAGE_SIZE, Status};

/// Bits of an address that are zero in a process.
const BEYOND: usize = !0 << 47;

/// Whether that can be an address of this process.
#[inline]
pub(crate) fn is_plausible<T: ?Sized>(pointer: *const T) -> bool {
    let address = pointer.cast::<u8>().addr();
    address >= PAGE_SIZE && address & BEYOND == 0
}

/// # Errors
/// `VERR_INVALID_POINTER`.
#[inline]
pub(crate) fn check<T>(pointer: *const T) -> Result<(), Status> {
    if is_plausible(pointer) { Ok(()) } else { Err(Status::VERR_INVALID_POINTER) }
}

/// Where a result goes.
pub(crate) struct Out<T>(*mut T);

impl<T: Copy> Out<T> {
    /// # Errors
    /// `VERR_INVALID_POINTER`.
    ///
    /// # Safety
    /// If the pointer is plausible, the caller has room for as many values there as will be put.
    pub(crate) unsafe fn required(pointer: *mut T) -> Result<Self, Status> {
        check(pointer).map(|()| Self(pointer))
    }

    /// The same for a result that nobody need want.
    ///
    /// # Errors
    /// `VERR_INVALID_POINTER`.
    ///
    /// # Safety
    /// If the pointer is plausible, the caller has room for as many values there as will be put.
    pub(crate) unsafe fn optional(pointer: *mut T) -> Result<Option<Self>, Status> {
        if pointer.is_null() {
            return Ok(None);
        }
        // SAFETY: the caller's promise.
        unsafe { Self::required(pointer) }.map(Some)
    }

    /// Writes the result.
    pub(crate) fn put(&self, value: T) {
        // SAFETY: whoever made this promised room for it.
        unsafe { self.0.write_unaligned(value) };
    }

    /// Writes one result behind the other.
    pub(crate) fn put_all(&self, values: impl Iterator<Item = T>) {
        for (index, value) in values.enumerate() {
            // SAFETY: whoever made this promised room for all of them.
            unsafe { self.0.wrapping_add(index).write_unaligned(value) };
        }
    }
}

/// A string.
///
/// # Errors
/// `VERR_INVALID_POINTER` if the pointer cannot be one, `VERR_INVALID_PARAMETER` if that is not UTF-8.
///
/// # Safety
/// If the pointer is plausible, a terminated string is there for `'a`.
pub(crate) unsafe fn text<'a>(pointer: *const c_char) -> Result<&'a str, Status> {
    check(pointer)?;
    // SAFETY: the caller's promise.
    let text = unsafe { CStr::from_ptr(pointer) };
    text.to_str().map_err(|_| Status::VERR_INVALID_PARAMETER)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ptr;

    #[test]
    fn cannot_take_what_no_process_has() {
        let at = |address: usize| check(ptr::without_provenance::<u8>(address));
        for bad in [0, 1, 4095, 1 << 47, usize::MAX - 4095, usize::MAX, 0xffff_8000_0000_0000] {
            assert_eq!(at(bad), Err(Status::VERR_INVALID_POINTER), "{bad:#x}");
        }
        for good in [4096, 4097, (1 << 47) - 1] {
            assert_eq!(at(good), Ok(()), "{good:#x}");
        }
    }

    #[test]
    fn results_need_no_alignment() {
        let mut room = [0_u8; 20];
        // SAFETY: there is room for two numbers.
        let out =
            unsafe { Out::required(room.as_mut_ptr().wrapping_add(1).cast::<u64>()) }.unwrap();
        out.put_all([u64::MAX, 1].into_iter());
        assert_eq!(room[..10], [0, 255, 255, 255, 255, 255, 255, 255, 255, 1]);
    }
}
