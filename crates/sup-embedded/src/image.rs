//! [`ImagePages`]: memory for module images, sealed with `mprotect`.

use std::ops::Range;

use rustix::mm::MprotectFlags;
use sup_abi::{R0Ptr, Status};
use sup_ring0::elf::Protection;
use sup_ring0::mapper::ImageMemory;

use crate::calls::ThreadCalls;
use crate::crash::{self, Listing};
use crate::mapping::Mapping;
use crate::signals;

/// Memory for one image.
#[derive(Debug)]
pub struct ImagePages {
    /// For debuggers and crash reports, which forget the image before it goes.
    listing: Option<Listing>,
    mapping: Mapping,
}

impl ImageMemory for ImagePages {
    type Calls = ThreadCalls;

    fn allocate(bytes: usize) -> Result<Self, Status> {
        let mapping = Mapping::anonymous(bytes).map_err(|_| Status::VERR_NO_EXEC_MEMORY)?;
        Ok(Self { listing: None, mapping })
    }

    fn base(&self) -> R0Ptr {
        R0Ptr::new(self.mapping.address())
    }

    fn writable(&mut self) -> &mut [u8] {
        // SAFETY: the mapping is zeroed, readable and writable until it is sealed, which the mapper
        // does last; `&mut self` makes this the only reference into it.
        unsafe {
            std::slice::from_raw_parts_mut(self.mapping.start().as_ptr(), self.mapping.bytes())
        }
    }

    fn seal(
        &mut self,
        segments: &mut dyn Iterator<Item = (Range<usize>, Protection)>,
    ) -> Result<(), Status> {
        let mut sealed = 0;
        for (pages, protection) in segments {
            let flags = match protection {
                Protection::Read => MprotectFlags::READ,
                Protection::ReadWrite => MprotectFlags::READ | MprotectFlags::WRITE,
                Protection::ReadExecute => MprotectFlags::READ | MprotectFlags::EXEC,
            };
            let end = pages.end;
            self.protect(sealed..pages.start, MprotectFlags::empty())?;
            self.protect(pages, flags)?;
            sealed = end;
        }
        self.protect(sealed..self.mapping.bytes(), MprotectFlags::empty())
    }
}

impl ImagePages {
    /// Shows the image of a module, which was made of `file`, to debuggers and in crash reports.
    ///
    /// # Errors
    /// `VERR_NO_MEMORY`.
    pub(crate) fn show(&mut self, name: &str, file: &[u8]) -> Result<(), Status> {
        let start = self.mapping.address();
        let addresses = start..start + self.mapping.bytes() as u64;
        self.listing = Some(crash::list(name, addresses, file)?);
        signals::install();
        Ok(())
    }

    fn protect(&self, range: Range<usize>, flags: MprotectFlags) -> Result<(), Status> {
        if range.is_empty() {
            return Ok(());
        }
        // SAFETY: no reference into the image is left, because `seal` has it exclusively; from here on
        // only the module's own code uses the memory, under the protections that it was linked for.
        let result = unsafe { self.mapping.protect(range, flags) };
        result.map_err(|error| {
            tracing::error!(target: "supdrv", %error, "cannot protect a module image");
            Status::VERR_NO_EXEC_MEMORY
        })
    }
}
