//! [`ErrorInfo`]: the text of an error, in the caller's buffer (`PRTERRINFO`).
//!
//! Invariant: a structure without the magic is left as it is; the text is always terminated.

use std::fmt::{self, Write};

use sup::Error;
use sup_abi::{RTERRINFO, RTERRINFO_FLAGS_SET, Status};

use crate::pointer::is_plausible;

/// A caller's structure, or none.
pub(crate) struct ErrorInfo(*mut RTERRINFO);

impl ErrorInfo {
    /// Takes the caller's structure if it is prepared, and clears it.
    ///
    /// # Safety
    /// If the pointer is plausible, a structure is there, and as much room behind `pszMsg` as it says, until
    /// this is dropped.
    pub(crate) unsafe fn cleared(pointer: *mut RTERRINFO) -> Self {
        let this = Self(pointer);
        this.change(|info| {
            info.rc = Status::VINF_SUCCESS;
            info.apvReserved = [std::ptr::null_mut(); 2];
            info.fFlags &= !RTERRINFO_FLAGS_SET;
            Text::of(info);
        });
        this
    }

    /// Fills in what went wrong, and returns its status.
    pub(crate) fn fill(&self, error: &Error) -> Status {
        self.tell(error.status(), error)
    }

    /// The same for what has its status and its text apart.
    pub(crate) fn tell(&self, status: Status, text: &dyn fmt::Display) -> Status {
        self.change(|info| {
            info.rc = status;
            info.fFlags |= RTERRINFO_FLAGS_SET;
            // A text that does not fit is cut.
            let _ = write!(Text::of(info), "{text}");
        });
        status
    }

    fn change(&self, change: impl FnOnce(&mut RTERRINFO)) {
        if !is_plausible(self.0) {
            return;
        }
        // SAFETY: `cleared` was promised a structure.
        let mut info = unsafe { self.0.read_unaligned() };
        if info.is_prepared() {
            change(&mut info);
            // SAFETY: as above.
            unsafe { self.0.write_unaligned(info) };
        }
    }
}

/// The rest of a buffer. It has room for a terminator, or none at all.
struct Text {
    next: *mut u8,
    room: usize,
}

impl Text {
    /// The whole buffer, emptied.
    fn of(info: &RTERRINFO) -> Self {
        let usable = is_plausible(info.pszMsg) && info.cbMsg > 0;
        let this = Self { next: info.pszMsg.cast(), room: if usable { info.cbMsg - 1 } else { 0 } };
        if usable {
            this.terminate();
        }
        this
    }

    fn terminate(&self) {
        // SAFETY: one byte is always left in a buffer that has any.
        unsafe { self.next.write(0) };
    }
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let count = text.floor_char_boundary(self.room.min(text.len()));
        if count == 0 {
            return if text.is_empty() { Ok(()) } else { Err(fmt::Error) };
        }
        // SAFETY: the buffer has room for so many bytes and the terminator, and is not this text's.
        unsafe { self.next.copy_from_nonoverlapping(text.as_ptr(), count) };
        self.next = self.next.wrapping_add(count);
        self.room -= count;
        self.terminate();
        if count < text.len() { Err(fmt::Error) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CStr;
    use std::ptr;
    use sup_abi::RTERRINFO_FLAGS_MAGIC;

    fn info(text: &mut [u8], flags: u32) -> RTERRINFO {
        RTERRINFO {
            fFlags: flags,
            rc: Status::VERR_TIMEOUT,
            cbMsg: text.len(),
            pszMsg: text.as_mut_ptr().cast(),
            apvReserved: [ptr::dangling_mut(); 2],
        }
    }

    fn error() -> Error {
        let Err(error) = sup::raw::read_module("/no/such/file".as_ref()) else { panic!() };
        error
    }

    #[test]
    fn text_and_status_come_together_and_are_cut_to_the_room() {
        for room in [1, 2, 20, 500] {
            let mut text = vec![7; room];
            let mut info = info(&mut text, RTERRINFO_FLAGS_MAGIC);
            // SAFETY: the structure and its buffer are there.
            let ours = unsafe { ErrorInfo::cleared(&mut info) };
            assert!(!info.is_set() && info.apvReserved == [ptr::null_mut(); 2]);
            assert_eq!(ours.fill(&error()), Status::VERR_FILE_NOT_FOUND);
            assert!(info.is_set() && info.rc == Status::VERR_FILE_NOT_FOUND);
            let text = CStr::from_bytes_until_nul(&text).unwrap().to_str().unwrap();
            assert!(error().to_string().starts_with(text), "{text}");
            assert_eq!(text.len(), error().to_string().len().min(room - 1));
        }
    }

    #[test]
    fn cannot_touch_what_is_not_prepared() {
        let mut text = [7; 20];
        let mut info = info(&mut text, 0);
        // SAFETY: the structure and its buffer are there.
        let ours = unsafe { ErrorInfo::cleared(&mut info) };
        let _ = ours.fill(&error());
        assert_eq!((info.fFlags, info.rc), (0, Status::VERR_TIMEOUT));
        assert_eq!(text, [7; 20]);
        // SAFETY: nothing can be there.
        let none = unsafe { ErrorInfo::cleared(ptr::null_mut()) };
        let _ = none.fill(&error());
    }
}
