//! [`Record`]: a hit of a probe.
//!
//! Neighbours: `ring` moves records as words, `sup-trace` keeps them in files. Invariant: a record is 64 bytes, one line of the processor's
//! cache, and every bit pattern is one.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, transmute};

/// Words of 8 bytes in a record.
pub const RECORD_WORDS: usize = 8;

/// Which ring a probe was hit in, as [`Record::kind`] has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Ring 0.
    Kernel = 0,
    /// A process.
    User = 1,
}

/// A hit of a probe.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C, align(8))]
pub struct Record {
    /// The processor's time-stamp counter.
    pub time_tsc: u64,
    /// The number that the tracer gave to the location.
    pub id: u32,
    /// The processor.
    pub cpu: u16,
    /// A [`Kind`].
    pub kind: u8,
    /// How many arguments the probe has; at most five are kept.
    pub arg_count: u8,
    /// Process and thread, `pid << 32 | tid`; 0 if nobody knows.
    pub who: u64,
    /// The probe's first arguments.
    pub args: [u64; 5],
}

const _: () = assert!(size_of::<Record>() == 8 * RECORD_WORDS);

impl Record {
    /// The arguments that mean something: at most as many as are kept.
    #[must_use]
    pub fn arguments(&self) -> &[u64] {
        self.args.get(..usize::from(self.arg_count)).unwrap_or(&self.args)
    }

    /// The number of the process; 0 if nobody knows.
    #[must_use]
    pub const fn process(&self) -> u32 {
        (self.who >> 32) as u32
    }

    /// The number of the thread; 0 if nobody knows.
    #[must_use]
    pub const fn thread(&self) -> u32 {
        self.who as u32
    }

    /// The record as words.
    pub(crate) fn to_words(self) -> [u64; RECORD_WORDS] {
        transmute!(self)
    }

    /// The record that these words are.
    pub(crate) fn from_words(words: [u64; RECORD_WORDS]) -> Self {
        transmute!(words)
    }
}
