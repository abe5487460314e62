//! [`ProcessView`]: what a session has mapped. Ring 3 and the driver are one process here, so the words
//! are where they are; the Global Information Page has a read-only mapping of its own.

use sup_abi::R3Ptr;
use sup_core::host::{View, WordPage};

use crate::mapping::Mapping;
use crate::words::Words;

/// A mapping of words or of the Global Information Page.
#[derive(Debug)]
pub enum ProcessView {
    /// A page of state words, kept for as long as the session.
    Words(Words),
    /// The Global Information Page.
    Gip(GipMapping),
}

/// A read-only mapping of the Global Information Page.
#[derive(Debug)]
pub struct GipMapping(pub(crate) Mapping);

impl View for ProcessView {
    fn address(&self) -> R3Ptr {
        R3Ptr::new(match self {
            Self::Words(words) => words.words().as_ptr().addr() as u64,
            Self::Gip(GipMapping(mapping)) => mapping.address(),
        })
    }
}
