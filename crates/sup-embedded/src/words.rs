//! [`Words`]: a page of state words that ring 3 and the driver share.
//!
//! In a process both are the same memory; a clone is the same page. Ring 3 keeps a clone for as long
//! as it uses a word.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use sup_core::host::{WORDS_PER_PAGE, WordPage};

/// A page of words.
#[derive(Debug, Clone)]
pub struct Words(Arc<Page>);

/// In an allocation of its own: beside the counts of an `Arc`, its alignment would double the memory.
#[derive(Debug)]
struct Page(Box<Aligned>);

/// Aligned like a page, as the kernel backend's are.
#[derive(Debug)]
#[repr(align(4096))]
struct Aligned([AtomicU64; WORDS_PER_PAGE]);

impl Words {
    pub(crate) fn zeroed() -> Self {
        let words = [const { AtomicU64::new(0) }; WORDS_PER_PAGE];
        Self(Arc::new(Page(Box::new(Aligned(words)))))
    }
}

impl WordPage for Words {
    fn words(&self) -> &[AtomicU64; WORDS_PER_PAGE] {
        &self.0.0.0
    }
}
