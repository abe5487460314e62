//! The memory of the Global Information Page: one memfd, writable for the driver, read-only for
//! everybody else.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{self, MemfdFlags};
use sup_abi::{OFFSET_OF_CPUS, PAGE_SIZE, PhysAddr, SUPGIPCPU, SUPGLOBALINFOPAGE, Status};
use sup_core::gip::pages_for;
use sup_core::host::{AddressSource, GipMemory};

use crate::mapping::{Access, Mapping};
use crate::pagemap::Pagemap;

/// Where the page pretends to be when the machine does not say: above every other synthetic address.
const SYNTHETIC_ADDRESS: u64 = 1 << 40;

/// The page, as the driver has it.
#[derive(Debug)]
pub struct GipPages {
    file: OwnedFd,
    writable: Mapping,
    cpus: usize,
    machine: Option<PhysAddr>,
}

impl GipPages {
    /// Memory for `cpus` processors, zeroed.
    ///
    /// # Errors
    /// `VERR_NO_MEMORY`.
    pub(crate) fn new(cpus: u16) -> Result<Self, Status> {
        let bytes = usize::from(pages_for(cpus)) * PAGE_SIZE;
        let make = || {
            let file = fs::memfd_create("supdrv-gip", MemfdFlags::CLOEXEC)?;
            fs::ftruncate(&file, bytes as u64)?;
            let writable = Mapping::shared(file.as_fd(), 0, bytes, Access::ReadWrite)?;
            Ok((file, writable))
        };
        let (file, writable) = make().map_err(|error: rustix::io::Errno| {
            tracing::error!(target: "supdrv", %error, "cannot make the Global Information Page");
            Status::VERR_NO_MEMORY
        })?;
        // Without the right to lock memory the page is as good, but has no address of the machine's.
        let machine = writable.lock().ok().and_then(|()| {
            let addresses = Pagemap::open().addresses(writable.address(), bytes / PAGE_SIZE)?;
            addresses.first().copied()
        });
        Ok(Self { file, writable, cpus: usize::from(cpus), machine })
    }

    /// Maps it read-only.
    ///
    /// # Errors
    /// `VERR_MAP_FAILED`.
    pub(crate) fn map(&self) -> Result<Mapping, Status> {
        let bytes = self.writable.bytes();
        Mapping::shared(self.file.as_fd(), 0, bytes, Access::Read)
            .map_err(|_| Status::VERR_MAP_FAILED)
    }
}

impl GipMemory for GipPages {
    fn page(&self) -> &SUPGLOBALINFOPAGE {
        let page = self.writable.start().cast::<SUPGLOBALINFOPAGE>();
        // SAFETY: the mapping is at least a page long and page-aligned, lives as long as `self`, and
        // was zeroed, which every field allows. All fields that ever change are atomic, and the others
        // nobody writes.
        unsafe { page.as_ref() }
    }

    fn cpus(&self) -> &[SUPGIPCPU] {
        // SAFETY: `new` made the mapping large enough for the head and the entries behind it.
        let first = unsafe { self.writable.start().add(OFFSET_OF_CPUS) }.cast::<SUPGIPCPU>();
        // SAFETY: `new` made the mapping large enough for `cpus` entries at this offset, which is a
        // multiple of their alignment; all fields that ever change are atomic.
        unsafe { std::slice::from_raw_parts(first.as_ptr(), self.cpus) }
    }

    fn physical_address(&self) -> PhysAddr {
        self.machine.unwrap_or(PhysAddr::new(SYNTHETIC_ADDRESS))
    }

    fn address_source(&self) -> AddressSource {
        match self.machine {
            Some(_) => AddressSource::Machine,
            None => AddressSource::Synthetic,
        }
    }
}
