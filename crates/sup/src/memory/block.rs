//! [`Memory`]: a block of pages that the driver allocated.
//!
//! [`LowMemory`], [`ContiguousMemory`] and [`SharedPages`] are its kinds, each with the request that
//! gives it back. Neighbours: `view.rs` is how ring 3 sees a block; the driver's half is
//! `sup-core/src/memory.rs`.
//!
//! Invariant: what an owner needs is allocated before the driver is asked, so that nothing fails
//! between the driver's answer and the owner; an owner's block is mapped as long as the owner lives.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr::NonNull;

use sup_abi::request::{
    AddressIn, ContAlloc, ContFree, Empty, HEADER_BYTES, LowAlloc, LowFree, PageAllocEx,
    PageAllocExIn, PageCountIn, PageFree, Request,
};
use sup_abi::{LOW_CONT_ALLOC_MAX, PAGE_ALLOC_MAX, PAGE_SIZE, PhysAddr, R0Ptr, R3Ptr, Status};
use zerocopy::{FromBytes, IntoBytes};

use super::region::SharedRegion;
use crate::Session;
use crate::connection::name;
use crate::error::{Error, Result};

/// A block of pages that the driver allocated and that goes back with the request `F` when it is
/// dropped.
pub struct Memory<F: Request<In = AddressIn, Out = Empty>> {
    session: Session,
    region: SharedRegion,
    r0: R0Ptr,
    free: PhantomData<fn(F)>,
}

/// Pages below 4 GiB. Corresponds to `SUPR3LowAlloc`.
pub type LowMemory = Memory<LowFree>;
/// One physically contiguous run of pages below 4 GiB. Corresponds to `SUPR3ContAlloc`.
pub type ContiguousMemory = Memory<ContFree>;
/// Pages anywhere. Corresponds to `SUPR3PageAllocEx`.
pub type SharedPages = Memory<PageFree>;

/// A block as the driver gave it: nobody frees it but who asks the driver to, or the end of its session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Where it is in this process.
    pub r3: R3Ptr,
    /// Where it is in ring 0; NIL if ring 0 has no mapping of it.
    pub r0: R0Ptr,
    /// The physical address of each page, first to last.
    pub pages: Vec<PhysAddr>,
    /// Of the driver's answer.
    pub(super) flags: u32,
}

/// Whether ring 0 gets a mapping of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RingZeroView {
    /// It does.
    Mapped,
    /// It does not.
    None,
}

impl<F: Request<In = AddressIn, Out = Empty>> Memory<F> {
    fn adopt(session: &Session, block: Block) -> Result<Self> {
        let Block { r3, r0, pages, flags } = block;
        let Some(start) = NonNull::new(r3.get() as usize as *mut u8) else {
            return Session::refuse(
                name::<F>(),
                Status::VERR_INTERNAL_ERROR,
                "the driver gave memory without an address",
            );
        };
        // SAFETY: the driver mapped so many pages there for this process, readable and writable, zeroed;
        // they stay mapped until the block goes back, which is when this owner is dropped.
        let region = unsafe { SharedRegion::new(start, pages, flags) };
        Ok(Self { session: session.clone(), region, r0, free: PhantomData })
    }

    pub(super) fn session(&self) -> &Session {
        &self.session
    }

    /// Where it starts in ring 0; NIL if ring 0 has no mapping of it.
    pub fn r0_address(&self) -> R0Ptr {
        self.r0
    }
}

/// What it has in common with all memory that ring 0 may write.
impl<F: Request<In = AddressIn, Out = Empty>> Deref for Memory<F> {
    type Target = SharedRegion;

    fn deref(&self) -> &SharedRegion {
        &self.region
    }
}

impl<F: Request<In = AddressIn, Out = Empty>> Drop for Memory<F> {
    fn drop(&mut self) {
        let input = AddressIn { r3: self.region.r3() };
        if let Err(error) = self.session.connection().call::<F>(&input) {
            tracing::error!(target: "supdrv", %error, "cannot free memory");
        }
    }
}

impl<F: Request<In = AddressIn, Out = Empty>> fmt::Debug for Memory<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(name::<F>())
            .field("region", &self.region)
            .field("r0", &self.r0)
            .finish_non_exhaustive()
    }
}

impl Session {
    /// Allocates pages below 4 GiB, mapped in both rings. Corresponds to `SUPR3LowAlloc`.
    ///
    /// # Errors
    /// `VERR_PAGE_COUNT_OUT_OF_RANGE` unless there are 1 to 255 pages, `VERR_NO_LOW_MEMORY`,
    /// `VERR_NO_MEMORY`, `VERR_NO_TMP_MEMORY`.
    pub fn low_memory(&self, pages: u32) -> Result<LowMemory> {
        Memory::adopt(self, self.low_block(pages)?)
    }

    /// Allocates one physically contiguous run of pages below 4 GiB, mapped in both rings. Corresponds
    /// to `SUPR3ContAlloc`.
    ///
    /// # Errors
    /// `VERR_PAGE_COUNT_OUT_OF_RANGE` unless there are 1 to 255 pages, `VERR_NO_CONT_MEMORY`,
    /// `VERR_NO_MEMORY`, `VERR_NO_TMP_MEMORY`.
    pub fn contiguous_memory(&self, pages: u32) -> Result<ContiguousMemory> {
        Memory::adopt(self, self.contiguous_block(pages)?)
    }

    /// Allocates pages, mapped in ring 3 and if asked for in ring 0. Corresponds to
    /// `SUPR3PageAllocEx`.
    ///
    /// # Errors
    /// `VERR_PAGE_COUNT_OUT_OF_RANGE` unless there are 1 to 65536 pages, `VERR_NO_MEMORY`,
    /// `VERR_NO_PHYS_MEMORY`, `VERR_NO_TMP_MEMORY`.
    pub fn shared_pages(&self, pages: u32, view: RingZeroView) -> Result<SharedPages> {
        Memory::adopt(self, self.shared_block(pages, view)?)
    }

    /// The block of [`Session::low_memory`], with no owner.
    pub(crate) fn low_block(&self, pages: u32) -> Result<Block> {
        check_count::<LowAlloc>(pages, LOW_CONT_ALLOC_MAX.get())?;
        let input = PageCountIn { pages, reserved: 0 };
        let (output, pages) = self.allocate::<LowAlloc>(&input, pages)?;
        Ok(Block { r3: output.r3, r0: output.r0, pages, flags: output.flags })
    }

    /// The block of [`Session::contiguous_memory`], with no owner.
    pub(crate) fn contiguous_block(&self, pages: u32) -> Result<Block> {
        let mut addresses = room::<ContAlloc, _>(pages.min(LOW_CONT_ALLOC_MAX.get()) as usize)?;
        let input = PageCountIn { pages, reserved: 0 };
        let output = self.connection().call::<ContAlloc>(&input).map_err(|error| {
            count_error::<ContAlloc>(pages, LOW_CONT_ALLOC_MAX.get())
                .unwrap_or_else(|| refused::<ContAlloc>(pages, error.status()))
        })?;
        let first = output.phys.get();
        let run = (0..u64::from(pages)).map(|page| PhysAddr::new(first + page * PAGE_SIZE as u64));
        addresses.extend(run);
        Ok(Block { r3: output.r3, r0: output.r0, pages: addresses, flags: output.flags })
    }

    /// The block of [`Session::shared_pages`], with no owner.
    pub(crate) fn shared_block(&self, pages: u32, view: RingZeroView) -> Result<Block> {
        check_count::<PageAllocEx>(pages, PAGE_ALLOC_MAX.get())?;
        let input = PageAllocExIn {
            pages,
            kernel_mapping: u8::from(view == RingZeroView::Mapped),
            user_mapping: 1,
            reserved: [0; 2],
        };
        let (output, pages) = self.allocate::<PageAllocEx>(&input, pages)?;
        Ok(Block { r3: output.r3, r0: output.r0, pages, flags: output.flags })
    }

    /// Sends a request that answers with a physical address for each page.
    pub(crate) fn allocate<R: Request>(
        &self,
        input: &R::In,
        pages: u32,
    ) -> Result<(R::Out, Vec<PhysAddr>)> {
        let bytes_out = R::BYTES_OUT + pages as usize * size_of::<PhysAddr>();
        let words = bytes_out.max(R::BYTES_IN).div_ceil(size_of::<u64>());
        let mut buffer = room::<R, u64>(words)?;
        buffer.resize(words, 0);
        let mut pages_out = room::<R, PhysAddr>(pages as usize)?;
        let packet = buffer.as_mut_bytes();
        packet[HEADER_BYTES..R::BYTES_IN].copy_from_slice(input.as_bytes());
        let (status, answered) = self.connection().send::<R>(packet, R::BYTES_IN, bytes_out)?;
        if status.is_failure() || answered != bytes_out {
            return Err(refused::<R>(pages, status));
        }
        let output = R::Out::read_from_bytes(&packet[HEADER_BYTES..R::BYTES_OUT]);
        let addresses = <[PhysAddr]>::ref_from_bytes(&packet[R::BYTES_OUT..bytes_out]);
        match (output, addresses) {
            (Ok(output), Ok(addresses)) => {
                pages_out.extend_from_slice(addresses);
                Ok((output, pages_out))
            }
            _ => Session::refuse(name::<R>(), Status::VERR_INTERNAL_ERROR, ""),
        }
    }
}

/// A vector with room for `count` items.
fn room<R: Request, T>(count: usize) -> Result<Vec<T>> {
    let mut room = Vec::new();
    room.try_reserve_exact(count)
        .map_err(|_| Error::new(name::<R>(), Status::VERR_NO_TMP_MEMORY, ""))?;
    Ok(room)
}

/// The error for pages that the driver does not give, with what usually helps.
fn refused<R: Request>(pages: u32, status: Status) -> Error {
    let detail = match status {
        Status::VERR_NO_MEMORY
        | Status::VERR_NO_PHYS_MEMORY
        | Status::VERR_NO_LOW_MEMORY
        | Status::VERR_NO_CONT_MEMORY => format!(
            "the driver cannot give {pages} locked pages; is the limit on locked memory \
             (ulimit -l) large enough? its log has the cause"
        ),
        _ => String::new(),
    };
    Error::new(name::<R>(), status, detail)
}

/// The error for a number of pages that the service does not have.
fn count_error<R: Request>(pages: u32, limit: u32) -> Option<Error> {
    (pages == 0 || pages > limit).then(|| {
        Error::new(
            name::<R>(),
            Status::VERR_PAGE_COUNT_OUT_OF_RANGE,
            format!("{pages} pages asked for, the service has 1 to {limit}"),
        )
    })
}

fn check_count<R: Request>(pages: u32, limit: u32) -> Result<()> {
    count_error::<R>(pages, limit).map_or(Ok(()), Err)
}
