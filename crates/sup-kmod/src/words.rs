//! [`Words`]: a page of state words that ring 3 and the driver share.

use core::ptr::NonNull;

use core::sync::atomic::AtomicU64;

use sup_abi::Status;
use sup_alloc::Arc;
use sup_core::host::{Placement, WORDS_PER_PAGE, WordPage};

use crate::pages::Pages;

struct Page {
    pages: Pages,
    words: NonNull<[AtomicU64; WORDS_PER_PAGE]>,
}

// SAFETY: the words are atomic, in memory that every processor sees.
unsafe impl Send for Page {}
// SAFETY: the words are atomic, in memory that every processor sees.
unsafe impl Sync for Page {}

/// A page of words. Clones are the same page.
#[derive(Clone)]
pub(crate) struct Words(Arc<Page>);

impl Words {
    /// # Errors
    /// `VERR_NO_MEMORY`.
    pub(crate) fn zeroed() -> Result<Self, Status> {
        let pages = Pages::allocate(1, Placement::Anywhere)?;
        let words = pages.linear_address().ok_or(Status::VERR_INTERNAL_ERROR)?.cast();
        Ok(Self(Arc::try_new(Page { pages, words })?))
    }

    pub(crate) fn pages(&self) -> &Pages {
        &self.0.pages
    }
}

impl WordPage for Words {
    fn words(&self) -> &[AtomicU64; WORDS_PER_PAGE] {
        // SAFETY: the address is that of a whole page, zeroed when it was allocated and alive as long as
        // `self.0.pages`; whoever else sees it, ring 3 too, changes memory and not its validity, and
        // atomics take any bits.
        unsafe { self.0.words.as_ref() }
    }
}
