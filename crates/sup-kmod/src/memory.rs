//! [`Block`]: pages with their mappings, as the memory services give them out.
//!
//! Pages are locked by nature: the kernel never moves or swaps them. They count against the caller's
//! limit on locked memory (`RLIMIT_MEMLOCK`), and against its control group.
//!
//! A process can lock memory of its own too. The pages are pinned: they stay the process' at a fork (the
//! child gets copies), and stay alive when the process unmaps them.
//!
//! Ring 3 may do with its mapping what `PageProtect` said last, or less, by `mprotect`; execution is
//! excluded for ever when the mapping is made.
//!
//! Ring 0 sees a contiguous block in the kernel's linear mapping, which is there anyway and never
//! executable, and any other block in a mapping of its own.

use core::fmt::Write;
use core::ops::Range;
use core::ptr::NonNull;

use sup_abi::{Pages as PageCount, PhysAddr, R0Ptr, R3Ptr, Status};
use sup_alloc::Arc;
use sup_core::host::{
    AddressSource, Allocation, KernelProtection, LogLevel, Memory, Placement, UserProtection, View,
    Views,
};

use crate::Lock;
use crate::lock::Mutex;
use crate::pages::{KernelMapping, Pages, flush};
use crate::process::{Client, UserMapping};
use crate::shim::caller::{caller, may_load_code};
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
    user: User,
    kernel: Kernel,
    pages: Arc<Pages>,
    _charge: Charge,
}

/// Where ring 3 sees a block.
enum User {
    Nowhere,
    /// A mapping of the driver's.
    Mapped(UserMapping),
    /// The process' own memory, pinned.
    Pinned(R3Ptr),
}

/// Where ring 0 sees a block.
enum Kernel {
    Nowhere,
    /// The kernel's linear mapping, whose protection is not ours to change.
    Linear(R0Ptr),
    Mapped {
        address: R0Ptr,
        mapping: Lock<Mutex, KernelMapping>,
    },
}

impl Kernel {
    /// # Errors
    /// `VERR_NO_MEMORY`.
    fn of(pages: &Arc<Pages>, placement: Placement) -> Result<Self, Status> {
        if placement == Placement::ContiguousBelow4GiB {
            let start = pages.linear_address().ok_or(Status::VERR_INTERNAL_ERROR)?;
            return Ok(Self::Linear(R0Ptr::new(start.addr().get() as u64)));
        }
        let mapping = KernelMapping::new(pages, KernelAccess::ReadWrite)?;
        let address = R0Ptr::new(mapping.address());
        Ok(Self::Mapped { address, mapping: Lock::new(mapping) })
    }
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
            Views::User => Kernel::Nowhere,
            Views::UserAndKernel | Views::Kernel => Kernel::of(&pages, request.placement)?,
        };
        let user = match request.views {
            Views::Kernel => User::Nowhere,
            Views::User | Views::UserAndKernel => {
                User::Mapped(UserMapping::new(client, &pages, UserAccess::ReadWrite)?)
            }
        };
        Ok(Self { user, kernel, pages, _charge: charge })
    }

    /// Pins memory of the current process.
    ///
    /// # Errors
    /// `VERR_LOCK_FAILED`, `VERR_NO_MEMORY`; nothing is left.
    ///
    /// # Context
    /// May sleep.
    pub(crate) fn lock(start: R3Ptr, pages: PageCount) -> Result<Self, Status> {
        let charge = Charge::take(pages.get())?;
        let pages = Arc::try_new(Pages::pin(start, pages.get())?)?;
        Ok(Self { user: User::Pinned(start), kernel: Kernel::Nowhere, pages, _charge: charge })
    }
}

impl Memory for Block {
    type KernelView = KernelMapping;

    fn pages(&self) -> PageCount {
        PageCount::new(self.pages.count())
    }

    fn user_address(&self) -> R3Ptr {
        match &self.user {
            User::Nowhere => R3Ptr::NIL,
            User::Mapped(mapping) => mapping.address(),
            User::Pinned(start) => *start,
        }
    }

    fn kernel_address(&self) -> R0Ptr {
        match &self.kernel {
            Kernel::Nowhere => R0Ptr::NIL,
            Kernel::Linear(address) | Kernel::Mapped { address, .. } => *address,
        }
    }

    fn physical_address(&self, page: u32) -> PhysAddr {
        self.pages.physical_address(page)
    }

    fn address_source(&self) -> AddressSource {
        AddressSource::Machine
    }

    fn map_kernel(&self, pages: Range<u32>) -> Result<(R0Ptr, KernelMapping), Status> {
        let mapping = KernelMapping::of_part(&self.pages, pages, KernelAccess::ReadWrite)
            .map_err(|_| Status::VERR_MAP_FAILED)?;
        Ok((R0Ptr::new(mapping.address()), mapping))
    }

    fn protect_user(&self, pages: Range<u32>, protection: UserProtection) -> Result<(), Status> {
        match &self.user {
            User::Mapped(mapping) => mapping.protect(&self.pages, pages, protection.into()),
            User::Nowhere | User::Pinned(_) => Err(Status::VERR_INVALID_PARAMETER),
        }
    }

    fn protect_kernel(
        &self,
        pages: Range<u32>,
        protection: KernelProtection,
    ) -> Result<(), Status> {
        let Kernel::Mapped { mapping, .. } = &self.kernel else {
            return Err(Status::VERR_INVALID_PARAMETER);
        };
        if protection == KernelProtection::ReadExecute {
            may_load_code().map_err(|_| Status::VERR_PERMISSION_DENIED)?;
        }
        // SAFETY: the driver has no reference into a block. Whoever asked for this has to answer for what
        // modules do with the pages, and a forbidden access faults.
        let result = unsafe { mapping.lock().protect(pages, protection.into()) };
        flush();
        result
    }
}
