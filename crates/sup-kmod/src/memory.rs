//! [`Block`]: pages with their mappings, as the memory services give them out.
//!
//! Pages are locked by nature: the kernel never moves or swaps them. They count against the caller's
//! limit on locked memory (`RLIMIT_MEMLOCK`), and against its control group.

use core::fmt::Write;
use core::ptr::NonNull;

use sup_abi::{Pages as PageCount, PhysAddr, R0Ptr, R3Ptr, Status};
use sup_alloc::Arc;
use sup_core::host::{AddressSource, Allocation, LogLevel, Memory, View, Views};

use crate::pages::{KernelMapping, Pages};
use crate::process::{Client, UserMapping};
use crate::shim::caller::caller;
use crate::shim::page::{KernelAccess, UserAccess};
use crate::shim::{Errno, log, raw};

/// Pages that count against the limit on locked memory of an address space.
struct Charge {
    pages: u32,
    space: NonNull<raw::Mm>,
}

// SAFETY: the reference is the kernel's and may be given up from any task.
unsafe impl Send for Charge {}
// SAFETY: nothing can be done through a shared `Charge`.
unsafe impl Sync for Charge {}

impl Charge {
    /// # Errors
    /// `VERR_NO_MEMORY`, with the reason in the log.
    fn take(pages: u32) -> Result<Self, Status> {
        let mut space = core::ptr::null_mut();
        // SAFETY: the place is writable, and the caller may sleep.
        let result = Errno::check(unsafe { raw::supdrv_charge(pages, &raw mut space) });
        match (result, NonNull::new(space)) {
            (Ok(()), Some(space)) => Ok(Self { pages, space }),
            _ => {
                let process = caller().process.get();
                let mut line = log::Line::new();
                // A line that is full is cut.
                let _ = write!(
                    line,
                    "process {process} has no room for {pages} pages under its limit on locked memory; \
                     raise it with `ulimit -l` or LimitMEMLOCK=",
                );
                log::log(LogLevel::Warning, line.as_str());
                Err(Status::VERR_NO_MEMORY)
            }
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        // SAFETY: the pages were charged to this address space, and the reference is this owner's.
        unsafe { raw::supdrv_uncharge(self.pages, self.space.as_ptr()) };
    }
}

/// A block of pages. The fields are dropped in their order: ring 3, ring 0, pages, charge.
pub(crate) struct Block {
    user: UserMapping,
    kernel: Option<KernelMapping>,
    pages: Arc<Pages>,
    _charge: Charge,
}

impl Block {
    /// # Errors
    /// `VERR_NO_MEMORY`, `VERR_MAP_FAILED`, `VERR_INTERRUPTED`; nothing is left.
    ///
    /// # Context
    /// May sleep.
    pub(crate) fn allocate(client: &Client, request: Allocation) -> Result<Self, Status> {
        let charge = Charge::take(request.pages.get())?;
        let pages = Pages::allocate(request.pages.get(), request.placement)?;
        let pages = Arc::try_new(pages)?;
        let kernel = match request.views {
            Views::User => None,
            Views::UserAndKernel => Some(KernelMapping::new(&pages, KernelAccess::ReadWrite)?),
        };
        let user = UserMapping::new(client, &pages, UserAccess::ReadWrite)?;
        Ok(Self { user, kernel, pages, _charge: charge })
    }
}

impl Memory for Block {
    fn pages(&self) -> PageCount {
        PageCount::new(self.pages.count())
    }

    fn user_address(&self) -> R3Ptr {
        self.user.address()
    }

    fn kernel_address(&self) -> R0Ptr {
        self.kernel.as_ref().map_or(R0Ptr::NIL, |mapping| R0Ptr::new(mapping.address()))
    }

    fn physical_address(&self, page: u32) -> PhysAddr {
        self.pages.physical_address(page)
    }

    fn address_source(&self) -> AddressSource {
        AddressSource::Machine
    }
}
