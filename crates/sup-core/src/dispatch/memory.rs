//! Requests for memory.
//!
//! Neighbours: `dispatch.rs` checks the header and the sizes, `memory.rs` keeps the blocks.

use sup_abi::Pages;
use sup_abi::request::{
    AddressIn, ContAlloc, ContAllocOut, Empty, LowAlloc, MemoryOut, PageAllocEx, Request,
};
use sup_alloc::Arc;
use zerocopy::IntoBytes;

use super::{MALFORMED, Packet, PacketError, ensure, source_flag};
use crate::host::{Host, Memory, Views};
use crate::memory::{Service, allocate};
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
        let tail = (pages.get() as usize).checked_mul(size_of::<u64>()).ok_or(MALFORMED)?;
        ensure(packet.bytes_out() == R::BYTES_OUT.saturating_add(tail))?;
        packet.clear();
        let block = match allocate(self.host(), session, service, pages, views) {
            Ok(block) => block,
            Err(status) => {
                packet.answer::<R>(Err(status));
                return Ok(());
            }
        };
        let places = packet.bytes.get_mut(R::BYTES_OUT..).unwrap_or_default();
        for (page, place) in (0..pages.get()).zip(places.chunks_exact_mut(size_of::<u64>())) {
            place.copy_from_slice(block.memory.physical_address(page).as_bytes());
        }
        let output = MemoryOut {
            r3: block.memory.user_address(),
            r0: block.memory.kernel_address(),
            flags: source_flag(block.memory.address_source()),
            reserved: 0,
        };
        packet.answer::<R>(Ok(output));
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
        let block = allocate(self.host(), session, Service::Cont, pages, Views::UserAndKernel);
        packet.answer::<ContAlloc>(block.map(|block| ContAllocOut {
            r0: block.memory.kernel_address(),
            r3: block.memory.user_address(),
            phys: block.memory.physical_address(0),
            flags: source_flag(block.memory.address_source()),
            reserved: 0,
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
        // The block goes after the lock.
        let removed = session.memory().lock().remove(service, input.r3.get());
        packet.answer::<R>(removed.map(|_| Empty {}));
        Ok(())
    }
}
