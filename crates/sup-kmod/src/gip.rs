//! [`GipPages`]: the memory of the Global Information Page, writable in ring 0 alone.

use sup_abi::{OFFSET_OF_CPUS, PhysAddr, SUPGIPCPU, SUPGLOBALINFOPAGE, Status};
use sup_alloc::Arc;
use sup_core::gip::pages_for;
use sup_core::host::{AddressSource, GipMemory, Placement};

use crate::pages::{KernelMapping, Pages};
use crate::process::{Client, UserMapping};
use crate::shim::page::{KernelAccess, UserAccess};

/// The page, as the driver has it.
pub(crate) struct GipPages {
    writable: KernelMapping,
    cpus: usize,
}

impl GipPages {
    /// Memory for `cpus` processors, zeroed.
    ///
    /// # Errors
    /// `VERR_NO_MEMORY`.
    pub(crate) fn new(cpus: u16) -> Result<Self, Status> {
        let pages = Pages::allocate(u32::from(pages_for(cpus)), Placement::Anywhere)?;
        let writable = KernelMapping::new(&Arc::try_new(pages)?, KernelAccess::ReadWrite)?;
        Ok(Self { writable, cpus: usize::from(cpus) })
    }

    /// Maps it read-only into the current process.
    ///
    /// # Errors
    /// `VERR_NO_MEMORY`, `VERR_MAP_FAILED`.
    pub(crate) fn map(&self, client: &Client) -> Result<UserMapping, Status> {
        UserMapping::new(client, self.writable.pages(), UserAccess::Read)
    }
}

impl GipMemory for GipPages {
    fn page(&self) -> &SUPGLOBALINFOPAGE {
        let page = self.writable.start().cast::<SUPGLOBALINFOPAGE>();
        // SAFETY: the mapping starts at a page boundary, is longer than the structure, lives as long as
        // `self` and was zeroed, which every field allows. All fields that ever change are atomic.
        unsafe { page.as_ref() }
    }

    fn cpus(&self) -> &[SUPGIPCPU] {
        let start = self.writable.start().as_ptr().wrapping_byte_add(OFFSET_OF_CPUS);
        // SAFETY: `new` made the mapping large enough for `cpus` entries at this offset, which is a
        // multiple of their alignment; all fields that ever change are atomic.
        unsafe { core::slice::from_raw_parts(start.cast::<SUPGIPCPU>(), self.cpus) }
    }

    fn physical_address(&self) -> PhysAddr {
        self.writable.pages().physical_address(0)
    }

    fn address_source(&self) -> AddressSource {
        AddressSource::Machine
    }
}
