//! Requests for memory.
//!
//! Neighbours: `dispatch.rs` checks the header and the sizes, `memory.rs` keeps the blocks.

use sup_abi::Pages;
use sup_abi::request::{
    AddressIn, ContAlloc, ContAllocOut, Empty, LockPages, LockPagesOut, LowAlloc, MemoryOut,
    PageAllocEx, PageMapKernel, PageMapKernelOut, PageProtect, Request,
};
use sup_alloc::Arc;
use zerocopy::IntoBytes;

use super::{MALFORMED, Packet, PacketError, ensure, source_flag};
use crate::host::{Host, Memory, Views};
use crate::memory::{Block, Range, Service};
use crate::{Driver, Session};

impl<H: Host> Driver<H> {
    pub(super) fn low_alloc(
        &self,
        session: &Arc<Session<H>>,
        packet: &mut Packet<'_>,
    ) -> Result<(), PacketError> {
        let input = packet.fixed_input::<LowAlloc>()?;
        ensure(packet.bytes_in() == LowAlloc::BYTES_IN && input.reserved == 0)?;
        let pages = Pages::new(input.pages);
        self.alloc::<LowAlloc>(session, packet, Service::Low, pages, Views::UserAndKernel)
    }

    pub(super) fn page_alloc(
        &self,
        session: &Arc<Session<H>>,
        packet: &mut Packet<'_>,
    ) -> Result<(), PacketError> {
        let input = packet.fixed_input::<PageAllocEx>()?;
        ensure(packet.bytes_in() == PageAllocEx::BYTES_IN && input.reserved == [0; 2])?;
        ensure(input.user_mapping == 1 && input.kernel_mapping <= 1)?;
        let views = if input.kernel_mapping == 1 { Views::UserAndKernel } else { Views::User };
        let pages = Pages::new(input.pages);
        self.alloc::<PageAllocEx>(session, packet, Service::Page, pages, views)
    }

    /// Allocates pages and answers with their addresses; the reply has room for exactly `pages`.
    #[inline(never)]
    fn alloc<R: Request<Out = MemoryOut>>(
        &self,
        session: &Arc<Session<H>>,
        packet: &mut Packet<'_>,
        service: Service,
        pages: Pages,
        views: Views,
    ) -> Result<(), PacketError> {
        ensure_room_for_pages::<R>(packet, pages)?;
        packet.clear();
        let block = match self.memory_allocate(session, service, pages, views) {
            Ok(block) => block,
            Err(status) => {
                packet.answer::<R>(Err(status));
                return Ok(());
            }
        };
        write_pages::<R, H>(packet, &block);
        let memory = block.memory();
        let output = MemoryOut {
            r3: memory.user_address(),
            r0: memory.kernel_address(),
            flags: source_flag(memory.address_source()),
            reserved: 0,
        };
        packet.answer::<R>(Ok(output));
        Ok(())
    }

    #[inline(never)]
    pub(super) fn lock_pages(
        &self,
        session: &Arc<Session<H>>,
        packet: &mut Packet<'_>,
    ) -> Result<(), PacketError> {
        let input = packet.fixed_input::<LockPages>()?;
        ensure(packet.bytes_in() == LockPages::BYTES_IN && input.reserved == 0)?;
        let pages = Pages::new(input.pages);
        ensure_room_for_pages::<LockPages>(packet, pages)?;
        packet.clear();
        let result = self.memory_lock(session, input.r3, pages).map(|block| {
            write_pages::<LockPages, H>(packet, &block);
            LockPagesOut { flags: source_flag(block.memory().address_source()), reserved: 0 }
        });
        packet.answer::<LockPages>(result);
        Ok(())
    }

    #[inline(never)]
    pub(super) fn page_map_kernel(
        &self,
        session: &Arc<Session<H>>,
        packet: &mut Packet<'_>,
    ) -> Result<(), PacketError> {
        let input = packet.input::<PageMapKernel>()?;
        ensure(input.flags == 0 && input.reserved == 0)?;
        let range = Range { offset: input.offset, bytes: input.bytes };
        let result = self.memory_map_kernel(session, input.r3, range);
        packet.answer::<PageMapKernel>(result.map(|r0| PageMapKernelOut { r0 }));
        Ok(())
    }

    #[inline(never)]
    pub(super) fn page_protect(
        &self,
        session: &Arc<Session<H>>,
        packet: &mut Packet<'_>,
    ) -> Result<(), PacketError> {
        let input = packet.input::<PageProtect>()?;
        ensure(input.reserved == 0)?;
        let range = Range { offset: input.offset, bytes: input.bytes };
        let result = self.memory_protect(session, input.r3, input.r0, range, input.protection);
        packet.answer::<PageProtect>(result.map(|()| Empty {}));
        Ok(())
    }

    #[inline(never)]
    pub(super) fn cont_alloc(
        &self,
        session: &Arc<Session<H>>,
        packet: &mut Packet<'_>,
    ) -> Result<(), PacketError> {
        let input = packet.input::<ContAlloc>()?;
        ensure(input.reserved == 0)?;
        let pages = Pages::new(input.pages);
        let block = self.memory_allocate(session, Service::Cont, pages, Views::UserAndKernel);
        packet.answer::<ContAlloc>(block.map(|block| {
            let memory = block.memory();
            ContAllocOut {
                r0: memory.kernel_address(),
                r3: memory.user_address(),
                phys: memory.physical_address(0),
                flags: source_flag(memory.address_source()),
                reserved: 0,
            }
        }));
        Ok(())
    }

    pub(super) fn free<R: Request<In = AddressIn, Out = Empty>>(
        &self,
        session: &Arc<Session<H>>,
        packet: &mut Packet<'_>,
        service: Service,
    ) -> Result<(), PacketError> {
        let input = packet.input::<R>()?;
        let result = self.memory_free(session, service, input.r3.get());
        packet.answer::<R>(result.map(|()| Empty {}));
        Ok(())
    }
}

/// The packet's answer has room for exactly the addresses of `pages`.
fn ensure_room_for_pages<R: Request>(packet: &Packet<'_>, pages: Pages) -> Result<(), PacketError> {
    let tail = (pages.get() as usize).checked_mul(size_of::<u64>()).ok_or(MALFORMED)?;
    ensure(packet.bytes_out() == R::BYTES_OUT.saturating_add(tail))
}

/// Writes the physical address of each page behind the answer of `R`.
fn write_pages<R: Request, H: Host>(packet: &mut Packet<'_>, block: &Block<H>) {
    let places = packet.output_tail::<R>().chunks_exact_mut(size_of::<u64>());
    for (page, place) in (0..block.memory().pages().get()).zip(places) {
        place.copy_from_slice(block.memory().physical_address(page).as_bytes());
    }
}
