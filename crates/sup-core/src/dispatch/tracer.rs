//! Requests on the tracer, on modules of processes with probes, and hits of those.
//!
//! A command that the tracer was asked to carry out answers with its number whatever its status is.
//!
//! Neighbours: `dispatch.rs` checks the header and the sizes, `tracer/` does the work.

use sup_abi::Status;
use sup_abi::request::{
    Empty, TracerClose, TracerDeregisterUserModule, TracerFire, TracerIoCtl, TracerIoCtlOut,
    TracerOpen, TracerRegisterUserModule, terminated,
};
use sup_alloc::Arc;

use super::{MALFORMED, Packet, PacketError, ensure};
use crate::host::Host;
use crate::{Driver, Session, UserModuleRequest};

impl<H: Host> Driver<H> {
    #[inline(never)]
    pub(super) fn open_tracer(
        &self,
        session: &Arc<Session<H>>,
        packet: &mut Packet<'_>,
    ) -> Result<(), PacketError> {
        let input = packet.input::<TracerOpen>()?;
        ensure(input.reserved == 0)?;
        let result = self.tracer_open(session, input.cookie, input.argument);
        packet.answer::<TracerOpen>(result.map(|()| Empty {}));
        Ok(())
    }

    #[inline(never)]
    pub(super) fn close_tracer(
        &self,
        session: &Arc<Session<H>>,
        packet: &mut Packet<'_>,
    ) -> Result<(), PacketError> {
        packet.input::<TracerClose>()?;
        let result = self.tracer_close(session);
        packet.answer::<TracerClose>(result.map(|()| Empty {}));
        Ok(())
    }

    #[inline(never)]
    pub(super) fn command_tracer(
        &self,
        session: &Arc<Session<H>>,
        packet: &mut Packet<'_>,
    ) -> Result<(), PacketError> {
        let input = packet.input::<TracerIoCtl>()?;
        match self.tracer_io_ctl(session, input.command, input.argument) {
            Ok((status, value)) => {
                packet.clear();
                packet.answer_with::<TracerIoCtl>(status, TracerIoCtlOut { value });
            }
            Err(status) => packet.answer::<TracerIoCtl>(Err(status)),
        }
        Ok(())
    }

    #[inline(never)]
    pub(super) fn register_user_module(
        &self,
        session: &Arc<Session<H>>,
        packet: &mut Packet<'_>,
    ) -> Result<(), PacketError> {
        let input = packet.input::<TracerRegisterUserModule>()?;
        let name = terminated(&input.name).ok_or(MALFORMED)?;
        let request = UserModuleRequest {
            name,
            flags: input.flags,
            header: input.header,
            believed: input.believed_header,
            names: input.names,
            name_bytes: input.name_bytes,
        };
        let result = self.tracer_register_user_module(session, &request);
        packet.answer::<TracerRegisterUserModule>(result.map(|()| Empty {}));
        Ok(())
    }

    #[inline(never)]
    pub(super) fn deregister_user_module(
        &self,
        session: &Arc<Session<H>>,
        packet: &mut Packet<'_>,
    ) -> Result<(), PacketError> {
        let input = packet.input::<TracerDeregisterUserModule>()?;
        let result = self.tracer_deregister_user_module(session, input.header);
        packet.answer::<TracerDeregisterUserModule>(result.map(|()| Empty {}));
        Ok(())
    }

    #[inline(never)]
    pub(super) fn fire(
        &self,
        session: &Arc<Session<H>>,
        packet: &mut Packet<'_>,
    ) -> Result<(), PacketError> {
        let mut context = packet.input::<TracerFire>()?;
        self.tracer_fire_user(session, &mut context);
        packet.header.rc = Status::VINF_SUCCESS.raw();
        Ok(())
    }
}
