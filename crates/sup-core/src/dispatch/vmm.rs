//! Requests that call VMMR0.r0.
//!
//! Neighbours: `dispatch.rs` checks the header and the sizes, `image/vmm.rs` finds the module, `vm.rs`
//! keeps a session's VM.

use sup_abi::request::{
    CallVmm, CallVmmBig, CallVmmFast, CallVmmOut, Empty, HEADER_BYTES, Request, SetVm,
};
use sup_abi::{
    SUPVMMR0REQHDR, SUPVMMR0REQHDR_MAGIC, VMMR0_REQUEST_BYTES_MAX, VMMR0_SMALL_PACKET_BYTES_LIMIT,
};
use sup_alloc::Arc;
use zerocopy::FromBytes;

use super::{MALFORMED, Packet, PacketError, ensure};
use crate::host::{Host, VmmCall};
use crate::{Driver, Session};

impl<H: Host> Driver<H> {
    pub(super) fn set_vm_request(
        &self,
        session: &Arc<Session<H>>,
        packet: &mut Packet<'_>,
    ) -> Result<(), PacketError> {
        let input = packet.input::<SetVm>()?;
        // Wherever the host has its addresses: nothing of ring 0 lies in the first page or the last.
        ensure(input.vm.is_nil() || input.vm.is_plausible(u64::BITS))?;
        let result = self.set_vm(session, input.vm);
        packet.answer::<SetVm>(result.map(|()| Empty {}));
        Ok(())
    }

    pub(super) fn call_vmm_fast(
        &self,
        session: &Arc<Session<H>>,
        packet: &mut Packet<'_>,
    ) -> Result<(), PacketError> {
        let input = packet.input::<CallVmmFast>()?;
        let status = session.call_vmm_fast(input.operation, input.cpu);
        packet.answer::<CallVmmFast>(status.ok().map(|_| Empty {}));
        Ok(())
    }

    #[inline(never)]
    pub(super) fn call_vmm(
        &self,
        session: &Arc<Session<H>>,
        packet: &mut Packet<'_>,
    ) -> Result<(), PacketError> {
        let bytes = packet.bytes_in();
        ensure(bytes < VMMR0_SMALL_PACKET_BYTES_LIMIT as usize)?;
        self.call_vmm_with(session, packet, bytes == CallVmm::BYTES_IN)
    }

    #[inline(never)]
    pub(super) fn call_vmm_big(
        &self,
        session: &Arc<Session<H>>,
        packet: &mut Packet<'_>,
    ) -> Result<(), PacketError> {
        let most = CallVmmBig::BYTES_IN.saturating_add(VMMR0_REQUEST_BYTES_MAX as usize);
        ensure(packet.bytes_in() <= most)?;
        self.call_vmm_with(session, packet, false)
    }

    /// Both requests have the same packet.
    fn call_vmm_with(
        &self,
        session: &Arc<Session<H>>,
        packet: &mut Packet<'_>,
        is_bare: bool,
    ) -> Result<(), PacketError> {
        const { assert!(CallVmm::BYTES_IN == CallVmm::BYTES_OUT) };
        ensure(packet.bytes_in() == packet.bytes_out())?;
        let (input, request) = packet.input_and_tail::<CallVmm>()?;
        if !is_bare {
            let (header, _) = SUPVMMR0REQHDR::read_from_prefix(request).map_err(|_| MALFORMED)?;
            ensure(header.u32Magic == SUPVMMR0REQHDR_MAGIC)?;
            ensure(header.cbReq as usize == request.len())?;
        }
        let status = match self.begin_vmm_call() {
            Ok(call) => call.run_vmm(VmmCall {
                session: session.handle(),
                vm: input.vm,
                cpu: input.cpu,
                operation: input.operation,
                argument: input.argument,
                packet: (!is_bare).then_some(request),
            }),
            Err(status) => status,
        };
        // The request goes back whatever the status, as VMMR0 left it.
        packet.answer_with::<CallVmm>(status, CallVmmOut { reserved: [0; 3] });
        Ok(())
    }
}

const _: () = assert!(CallVmm::BYTES_IN == HEADER_BYTES + 24);
