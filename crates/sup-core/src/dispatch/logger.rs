//! The requests on loggers.
//!
//! Neighbours: `dispatch.rs` checks the header and the sizes, `logger/` does the work.

use sup_abi::request::{Empty, LoggerAction, LoggerKind, LoggerSettings, LoggerState, Request};

use super::{MALFORMED, Packet, PacketError, ensure};
use crate::Driver;
use crate::host::Host;
use crate::logger::LoggerTexts;

/// The text at an offset, without its NUL.
fn text(strings: &[u8], offset: u32) -> Result<&[u8], PacketError> {
    let rest = strings.get(offset as usize..).filter(|rest| !rest.is_empty()).ok_or(MALFORMED)?;
    let length = rest.iter().position(|byte| *byte == 0).ok_or(MALFORMED)?;
    rest.get(..length).ok_or(MALFORMED)
}

impl<H: Host> Driver<H> {
    #[inline(never)]
    pub(super) fn logger_settings(&self, packet: &mut Packet<'_>) -> Result<(), PacketError> {
        ensure(packet.bytes_out() == LoggerSettings::BYTES_OUT)?;
        let (input, strings) = packet.input_and_tail::<LoggerSettings>()?;
        ensure(strings.last() == Some(&0))?;
        let texts = LoggerTexts {
            groups: text(strings, input.groups_offset)?,
            flags: text(strings, input.flags_offset)?,
            destination: text(strings, input.destination_offset)?,
        };
        let kind = LoggerKind::try_from(input.which).map_err(|_| MALFORMED)?;
        let action = LoggerAction::try_from(input.what).map_err(|_| MALFORMED)?;
        let result = self.change_logger(kind, action, texts);
        packet.answer::<LoggerSettings>(result.map(|()| Empty {}));
        Ok(())
    }

    #[inline(never)]
    pub(super) fn tell_logger_state(&self, packet: &mut Packet<'_>) -> Result<(), PacketError> {
        let input = packet.input::<LoggerState>()?;
        let kind = LoggerKind::try_from(input.which).map_err(|_| MALFORMED)?;
        packet.answer::<LoggerState>(Ok(self.logger_state(kind)));
        Ok(())
    }
}
