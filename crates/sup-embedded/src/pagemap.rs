//! [`Pagemap`]: the machine's physical addresses of a process' pages, where the kernel shows them.
//!
//! `/proc/self/pagemap` has eight bytes for each page; bits 0 to 54 are the page frame number, and zero
//! for a process without `CAP_SYS_ADMIN`. See the kernel's documentation of pagemap.

use std::fs::File;
use std::os::unix::fs::FileExt;

use sup_abi::{PAGE_SIZE, PhysAddr};

const PRESENT: u64 = 1 << 63;
const FRAME: u64 = (1 << 55) - 1;

/// The process' page map.
#[derive(Debug)]
pub(crate) struct Pagemap(Option<File>);

impl Pagemap {
    pub(crate) fn open() -> Self {
        Self(File::open("/proc/self/pagemap").ok())
    }

    /// The physical addresses of `pages` pages from `address` on; `None` if the kernel does not show
    /// all of them.
    pub(crate) fn addresses(&self, address: u64, pages: usize) -> Option<Vec<PhysAddr>> {
        let file = self.0.as_ref()?;
        let mut entries = vec![0; pages * size_of::<u64>()];
        let page_size = PAGE_SIZE as u64;
        file.read_exact_at(&mut entries, address / page_size * size_of::<u64>() as u64).ok()?;
        let (entries, _) = entries.as_chunks::<8>();
        entries
            .iter()
            .map(|entry| {
                let entry = u64::from_ne_bytes(*entry);
                let frame = entry & FRAME;
                (entry & PRESENT != 0 && frame != 0).then(|| PhysAddr::new(frame * page_size))
            })
            .collect()
    }
}
