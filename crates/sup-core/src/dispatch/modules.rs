//! Requests on module images and calls into them.
//!
//! Neighbours: `dispatch.rs` checks the header and the sizes, `image/` keeps the images.

use sup_abi::request::{
    CallService, CallServiceOut, FreeModule, FreeModuleOut, GetSymbol, GetSymbolOut, ListModules,
    LoadModule, LoadModuleOut, MESSAGE_BYTES, ModulePolicy, ModuleUse, Request, Trust, terminated,
};
use sup_abi::{
    R0Ptr, SERVICE_PACKET_BYTES_LIMIT, SUPR0SERVICEREQHDR, SUPR0SERVICEREQHDR_MAGIC, Status,
};
use sup_alloc::Arc;
use zerocopy::{FromBytes, IntoBytes};

use super::{MALFORMED, Packet, PacketError, ensure};
use crate::host::{Host, ServiceCall};
use crate::{Driver, Session};

impl<H: Host> Driver<H> {
    #[inline(never)]
    pub(super) fn load(
        &self,
        session: &Arc<Session<H>>,
        packet: &mut Packet<'_>,
    ) -> Result<(), PacketError> {
        ensure(packet.bytes_out() == LoadModule::BYTES_OUT)?;
        let (input, file) = packet.input_and_tail::<LoadModule>()?;
        ensure(input.reserved == 0 && input.reserved2 == 0)?;
        ensure(input.image_bytes as usize == file.len())?;
        let name = terminated(&input.name).ok_or(MALFORMED)?;
        let handler = terminated(&input.handler).ok_or(MALFORMED)?;
        let result = self.load_module(session, name, handler, file);

        let mut output = LoadModuleOut {
            base: R0Ptr::NIL,
            image_bytes: 0,
            was_loaded: 0,
            message: [0; MESSAGE_BYTES],
            trust: Trust::Unsigned.into(),
            reserved: 0,
            signer: [0; 32],
        };
        let status = match result {
            Ok(loaded) => {
                output.base = loaded.base;
                output.image_bytes = u32::try_from(loaded.bytes).unwrap_or(u32::MAX);
                output.was_loaded = u32::from(loaded.was_loaded);
                output.trust = loaded.signer.trust().into();
                output.signer = loaded.signer.key_bytes();
                Status::VINF_SUCCESS
            }
            Err(error) => {
                write_message(&mut output.message, &error.message);
                error.status
            }
        };
        packet.clear();
        packet.answer_with::<LoadModule>(status, output);
        Ok(())
    }

    #[inline(never)]
    pub(super) fn module_policy(&self, packet: &mut Packet<'_>) -> Result<(), PacketError> {
        packet.input::<ModulePolicy>()?;
        let policy = self.host().module_policy();
        packet.answer::<ModulePolicy>(Ok(policy.describe()));
        Ok(())
    }

    #[inline(never)]
    pub(super) fn list_modules(
        &self,
        session: &Arc<Session<H>>,
        packet: &mut Packet<'_>,
    ) -> Result<(), PacketError> {
        const USE_BYTES: usize = size_of::<ModuleUse>();
        let input = packet.fixed_input::<ListModules>()?;
        let end = ListModules::BYTES_OUT
            .saturating_add(USE_BYTES.saturating_mul(input.use_room as usize));
        ensure(packet.bytes_in() == ListModules::BYTES_IN && input.reserved == 0)?;
        ensure(packet.bytes_out() == end)?;
        let after = terminated(&input.after).ok_or(MALFORMED)?;
        packet.clear();
        let mut places = packet.output_tail::<ListModules>().chunks_exact_mut(USE_BYTES);
        let result = self.module_after(session, after, &mut |module_use| {
            if let Some(place) = places.next() {
                place.copy_from_slice(module_use.as_bytes());
            }
        });
        packet.answer::<ListModules>(result);
        Ok(())
    }

    #[inline(never)]
    pub(super) fn free_image(
        &self,
        session: &Arc<Session<H>>,
        packet: &mut Packet<'_>,
    ) -> Result<(), PacketError> {
        let input = packet.input::<FreeModule>()?;
        let mut output = FreeModuleOut { message: [0; MESSAGE_BYTES] };
        let status = match self.free_module(session, input.base) {
            Ok(()) => Status::VINF_SUCCESS,
            Err(error) => {
                write_message(&mut output.message, &error.message);
                error.status
            }
        };
        packet.answer_with::<FreeModule>(status, output);
        Ok(())
    }

    #[inline(never)]
    pub(super) fn get_symbol(
        &self,
        session: &Arc<Session<H>>,
        packet: &mut Packet<'_>,
    ) -> Result<(), PacketError> {
        let input = packet.input::<GetSymbol>()?;
        let name = terminated(&input.name).ok_or(MALFORMED)?;
        let result = self.module_symbol(session, input.base, name);
        packet.answer::<GetSymbol>(result.map(|address| GetSymbolOut { address }));
        Ok(())
    }

    #[inline(never)]
    pub(super) fn call_service(
        &self,
        session: &Arc<Session<H>>,
        packet: &mut Packet<'_>,
    ) -> Result<(), PacketError> {
        let (bytes_in, bytes_out) = (packet.bytes_in(), packet.bytes_out());
        ensure(bytes_in == bytes_out && bytes_in < SERVICE_PACKET_BYTES_LIMIT as usize)?;
        let (input, request) = packet.input_and_tail::<CallService>()?;
        let request = if request.is_empty() {
            None
        } else {
            let (header, _) =
                SUPR0SERVICEREQHDR::read_from_prefix(request).map_err(|_| MALFORMED)?;
            ensure(header.u32Magic == SUPR0SERVICEREQHDR_MAGIC)?;
            ensure(header.cbReq as usize == request.len())?;
            Some(request)
        };
        let status = match self.begin_service_call(session, &input.name) {
            Some(call) => call.run(ServiceCall {
                session: session.handle(),
                operation: input.operation,
                argument: input.argument,
                packet: request,
            }),
            // That the name is one matters only now: what was found has it.
            None => match terminated(&input.name) {
                Some(_) => Status::VERR_SUPDRV_SERVICE_NOT_FOUND,
                None => return Err(MALFORMED),
            },
        };
        // The request goes back whatever the status, as the service left it.
        packet.answer_with::<CallService>(status, CallServiceOut { reserved: [0; 5] });
        Ok(())
    }
}

/// Writes a sentence into a field of zeros.
fn write_message(field: &mut [u8; MESSAGE_BYTES], sentence: &str) {
    for (place, byte) in field.iter_mut().zip(sentence.bytes()) {
        *place = byte;
    }
}
