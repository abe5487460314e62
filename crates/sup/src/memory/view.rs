//! [`SharedView`]: memory that another side may write at any time, as values.
//!
//! Every access is of whole aligned 64-bit words, and atomic: a plain read that races a write of the
//! other side would be undefined, and so would two accesses of different size that race each other. A
//! value that ends within a word is written by exchanging the word, so that its neighbours in the word
//! keep what the other side gives them meanwhile.
//!
//! Invariant: whatever the other side writes, an access stays within the block and gives a value.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use sup_abi::Status;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::error::{Error, Result};

const WORD: usize = size_of::<u64>();

/// Memory that ring 0 may write at any time. Values are read and written at byte offsets.
///
/// A value of up to eight bytes that does not cross a multiple of eight is read and written in one
/// piece; a longer one may be half old and half new if ring 0 writes it meanwhile. No access orders
/// another: where one side tells the other that something is ready, use an event, a request, or a word
/// of [`words`](Self::words) with `Release` and `Acquire`.
///
/// ```
/// let session = sup::Session::open()?;
/// let memory = session.low_memory(1)?;
/// let view = memory.view();
/// view.write(10, &0x1234_u16)?;
/// assert_eq!(view.read::<u16>(10)?, 0x1234);
/// assert_eq!(view.read::<[u8; 4]>(8)?, [0, 0, 0x34, 0x12]);
/// assert!(view.read::<u64>(sup::PAGE_SIZE - 7).is_err());
/// # Ok::<(), sup::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct SharedView<'a> {
    words: &'a [AtomicU64],
}

/// A word, which of its bytes are meant, and which bytes of the value those are.
type Piece<'a> = (&'a AtomicU64, Range<usize>, Range<usize>);

impl<'a> SharedView<'a> {
    pub(super) fn new(words: &'a [AtomicU64]) -> Self {
        Self { words }
    }

    /// Its length in bytes.
    pub fn len(&self) -> usize {
        self.words.len() * WORD
    }

    /// Whether it has no bytes at all.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// All of it as words, with every operation and order that atomics have.
    pub fn words(&self) -> &'a [AtomicU64] {
        self.words
    }

    /// Reads a value.
    ///
    /// # Errors
    /// `VERR_OUT_OF_RANGE` unless all of it is in the view.
    pub fn read<T: FromBytes + IntoBytes>(&self, offset: usize) -> Result<T> {
        let mut value = T::new_zeroed();
        self.read_into(offset, value.as_mut_bytes())?;
        Ok(value)
    }

    /// Writes a value.
    ///
    /// # Errors
    /// `VERR_OUT_OF_RANGE` unless it fits into the view; nothing is written.
    pub fn write<T: IntoBytes + Immutable + ?Sized>(&self, offset: usize, value: &T) -> Result<()> {
        let bytes = value.as_bytes();
        for (word, part, source) in self.pieces("SharedView::write", offset, bytes.len())? {
            let put = |old: u64| {
                let mut new = old.to_ne_bytes();
                new[part.clone()].copy_from_slice(&bytes[source.clone()]);
                u64::from_ne_bytes(new)
            };
            // Relaxed: no access of a view orders another.
            if part.len() == WORD {
                word.store(put(0), Ordering::Relaxed);
            } else {
                let old = word.load(Ordering::Relaxed);
                exchange(word, old, put);
            }
        }
        Ok(())
    }

    /// Reads as many bytes as `into` has.
    ///
    /// # Errors
    /// `VERR_OUT_OF_RANGE` unless all of them are in the view.
    pub fn read_into(&self, offset: usize, into: &mut [u8]) -> Result<()> {
        for (word, part, target) in self.pieces("SharedView::read", offset, into.len())? {
            // Relaxed: no access of a view orders another.
            let bytes = word.load(Ordering::Relaxed).to_ne_bytes();
            into[target].copy_from_slice(&bytes[part]);
        }
        Ok(())
    }

    /// The words that a value of `bytes` bytes at `offset` lies in.
    fn pieces(
        &self,
        call: &'static str,
        offset: usize,
        bytes: usize,
    ) -> Result<impl Iterator<Item = Piece<'a>>> {
        let end = offset.checked_add(bytes).filter(|end| *end <= self.len());
        let Some(end) = end else {
            let detail = format!("{bytes} bytes at {offset}, of {}", self.len());
            return Err(Error::new(call, Status::VERR_OUT_OF_RANGE, detail));
        };
        let first = offset / WORD;
        let words = &self.words[first..end.div_ceil(WORD).max(first)];
        Ok(words.iter().enumerate().map(move |(index, word)| {
            let start = (first + index) * WORD;
            let (from, to) = (offset.max(start), end.min(start + WORD));
            (word, from - start..to - start, from - offset..to - offset)
        }))
    }
}

/// Replaces a word by what `put` makes of it, with nothing of the other side's lost in between.
fn exchange(word: &AtomicU64, mut old: u64, put: impl Fn(u64) -> u64) {
    // Relaxed: no access of a view orders another.
    while let Err(now) =
        word.compare_exchange_weak(old, put(old), Ordering::Relaxed, Ordering::Relaxed)
    {
        old = now;
    }
}
