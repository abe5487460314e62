//! [`Memory`]: memory of a session that both rings see.
//!
//! The process of the session may write it at any time, so that it is only seen as atomic words.
//!
//! Neighbours: `session` makes it; `sup-ring0/src/memory.rs` is the other side. Invariant: a block that was
//! made here is freed when it is dropped, unless it was given away; ring 3 has no request that frees it.

use core::mem::ManuallyDrop;
use core::ptr::NonNull;
use core::sync::atomic::AtomicU64;

use sup_abi::{R3Ptr, Status};

use crate::object::check;
use crate::{Result, Session, raw};

/// Zeroed memory, mapped in ring 0 and in the session's process. Dropping it frees it.
#[derive(Debug)]
pub struct Memory<'a> {
    session: Session<'a>,
    words: NonNull<AtomicU64>,
    count: usize,
    r3: R3Ptr,
}

impl<'a> Session<'a> {
    /// Makes memory of so many words of 8 bytes; whole pages are taken. Corresponds to `SUPR0MemAlloc`.
    ///
    /// # Errors
    /// `VERR_INVALID_PARAMETER` for none, for more than the driver gives, or outside of a call;
    /// `VERR_NO_MEMORY`, `VERR_MAP_FAILED`.
    ///
    /// # Context
    /// May sleep.
    pub fn memory(self, words: u32) -> Result<Memory<'a>> {
        let bytes = words.checked_mul(8).ok_or(Status::VERR_INVALID_PARAMETER)?;
        let (mut r0, mut r3) = (core::ptr::null_mut(), R3Ptr::NIL);
        // SAFETY: both places are local variables; the driver looks the session up in its table.
        let status =
            unsafe { raw::SUPR0MemAlloc(self.as_raw(), bytes, &raw mut r0, (&raw mut r3).cast()) };
        check(status).map(|_| ())?;
        let words_at = NonNull::new(r0.cast()).ok_or(Status::VERR_INTERNAL_ERROR)?;
        Ok(Memory { session: self, words: words_at, count: words as usize, r3 })
    }
}

impl Memory<'_> {
    /// The words. Ring 3 may change them at any time.
    pub fn words(&self) -> &[AtomicU64] {
        // SAFETY: the driver mapped so many words there for ring 0, page aligned, until the block is freed
        // or the session ends: the first is this value's drop, the second comes after the call that
        // `Session` is for. Everybody accesses them by atomic operations.
        unsafe { core::slice::from_raw_parts(self.words.as_ptr(), self.count) }
    }

    /// Where the session's process sees it.
    pub fn r3_address(&self) -> R3Ptr {
        self.r3
    }

    /// Gives the memory away: its address in ring 3. It is the session's until that ends.
    pub fn into_r3_address(self) -> R3Ptr {
        ManuallyDrop::new(self).r3
    }
}

impl Drop for Memory<'_> {
    fn drop(&mut self) {
        let address = self.words.as_ptr().addr();
        // SAFETY: the driver looks both values up in its tables. No reference to the words is left, since
        // each borrows this value.
        let _ = unsafe { raw::SUPR0MemFree(self.session.as_raw(), address) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cannot_have_memory_without_a_driver() {
        let session = Session::new(core::ptr::null_mut());
        for words in [1, u32::MAX] {
            assert_eq!(session.memory(words).err(), Some(Status::VERR_INVALID_PARAMETER));
        }
    }
}
