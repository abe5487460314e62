//! [`ImagePages`]: memory for module images.
//!
//! An image is made through one mapping, writable and not executable, while the one that it will run in
//! is only readable. Sealing gives the second its protections, segment by segment, and removes the
//! first. So no page is writable and executable through any mapping, at any time.
//!
//! (The kernel's linear mapping of the pages stays writable and not executable: nothing that is exported
//! to modules changes it.)

use core::ops::Range;

use sup_abi::{PAGE_SIZE, R0Ptr, Status};
use sup_alloc::Arc;
use sup_core::host::Placement;
use sup_ring0::elf::Protection;
use sup_ring0::mapper::ImageMemory;

use crate::calls::TaskCalls;
use crate::crash::{self, Listing};
use crate::pages::{KernelMapping, Pages, flush};
use crate::shim::page::KernelAccess;

/// Memory for one image.
pub(crate) struct ImagePages {
    /// For reports of faults, which forget the image before it goes.
    listing: Option<Listing>,
    running: KernelMapping,
    /// `None` once the image is sealed.
    writable: Option<KernelMapping>,
}

impl ImageMemory for ImagePages {
    type Calls = TaskCalls;

    fn allocate(bytes: usize) -> Result<Self, Status> {
        let count = u32::try_from(bytes.div_ceil(PAGE_SIZE));
        let count = count.map_err(|_| Status::VERR_NO_EXEC_MEMORY)?;
        let make = || {
            let pages = Arc::try_new(Pages::allocate(count, Placement::Anywhere)?)?;
            let running = KernelMapping::new(&pages, KernelAccess::Read)?;
            let writable = Some(KernelMapping::new(&pages, KernelAccess::ReadWrite)?);
            Ok(Self { listing: None, running, writable })
        };
        make().map_err(|_: Status| Status::VERR_NO_EXEC_MEMORY)
    }

    fn base(&self) -> R0Ptr {
        R0Ptr::new(self.running.address())
    }

    fn is_lost(&self) -> bool {
        self.listing.as_ref().is_some_and(Listing::is_lost)
    }

    fn writable(&mut self) -> &mut [u8] {
        let Some(mapping) = &self.writable else { return &mut [] };
        let bytes = (mapping.pages().count() as usize).saturating_mul(PAGE_SIZE);
        // SAFETY: the mapping is zeroed, readable and writable, as long as `self` and that many bytes;
        // nothing refers to it but what `&mut self` excludes, and the other mapping of these pages is
        // used only once this one is gone.
        unsafe { core::slice::from_raw_parts_mut(mapping.start().as_ptr(), bytes) }
    }

    fn seal(
        &mut self,
        segments: &mut dyn Iterator<Item = (Range<usize>, Protection)>,
    ) -> Result<(), Status> {
        // No page is writable any more when one becomes executable.
        self.writable = None;
        let mut sealed = 0;
        for (bytes, protection) in segments {
            let range = pages_of(&bytes)?;
            self.protect(sealed..range.start, KernelAccess::Nothing)?;
            sealed = range.end;
            self.protect(range, protection.into())?;
        }
        let end = self.running.pages().count();
        self.protect(sealed..end, KernelAccess::Nothing)?;
        flush();
        Ok(())
    }
}

impl ImagePages {
    /// Lets reports of faults name the image of a module, which was made of `file`.
    ///
    /// # Errors
    /// `VERR_NO_MEMORY`.
    pub(crate) fn show(&mut self, name: &str, file: &[u8]) -> Result<(), Status> {
        let bytes = (self.running.pages().count() as usize).saturating_mul(PAGE_SIZE);
        self.listing = Some(crash::list(name, self.base(), bytes, file)?);
        Ok(())
    }

    fn protect(&mut self, range: Range<u32>, access: KernelAccess) -> Result<(), Status> {
        // SAFETY: `seal` has the image exclusively, and no reference into this mapping was ever made.
        unsafe { self.running.protect(range, access) }.map_err(|_| Status::VERR_NO_EXEC_MEMORY)
    }
}

fn pages_of(bytes: &Range<usize>) -> Result<Range<u32>, Status> {
    let number = |offset: usize| u32::try_from(offset.div_ceil(PAGE_SIZE));
    match (number(bytes.start), number(bytes.end)) {
        (Ok(start), Ok(end)) => Ok(start..end),
        _ => Err(Status::VERR_NO_EXEC_MEMORY),
    }
}
