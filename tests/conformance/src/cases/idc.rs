//! `SUPR0IdcCall`: requests of kernel clients as packets.

use sup::Status;
use sup_abi::{IDC_HEADER_BYTES, IdcRequest, SUPDRV_IDC_VERSION};

use super::components::{BAD, CLOSE, IDC_REGISTER, NAME_PROBE, NOT_FOUND, UUID_0};
use crate::backend::Backend;
use crate::case::{Verdict, cases, check, same};
use crate::client::Client;
use crate::probe::{OWN, PROBE, PROBE_HANDLER, Probe, op};

cases! { Components {
    cannot_send_what_is_no_packet:
        "Handle, size, packet, session and code are checked in this order, and leave the packet's status \
         alone; a wrong size does not (spec 9.2).",
    cannot_connect_in_a_session:
        "Whoever has a session is connected (spec 9.2).",
    a_packet_disconnects:
        "The session ends with everything that it owns; the handle is closed (spec 9.2).",
    packets_register_and_take_back_factories:
        "The statuses are those of the functions, in the packet (spec 9.2).",
    symbols_of_the_driver_are_found_by_name:
        "NULL and SupDrv are the driver; a missing name is VERR_SYMBOL_NOT_FOUND (spec 9.2).",
    symbols_of_modules_keep_them_loaded:
        "A symbol of a module counts a reference until the client disconnects (spec 9.2).",
    a_module_that_finds_itself_can_still_go:
        "A session that ends with a module does not keep it loaded (spec 9.2).",
    cannot_find_symbols_with_bad_names:
        "Symbol before module; 511 and 63 characters at most (spec 9.2).",
}}

/// Functions of the probe's operation.
const CALL: u64 = 9;
const ADDRESS_OF_OBJ_REGISTER: u64 = 10;
/// Texts of the probe.
const NAME_MISSING: u64 = 2;
const TEXT_SUPDRV: u64 = 10;
const TEXT_OBJ_REGISTER: u64 = 11;
const TEXT_HANDLER: u64 = 12;
const TEXT_OTHER: u64 = 13;
const TEXT_63: u64 = 90;
const TEXT_64: u64 = 91;
const TEXT_511: u64 = 92;
const TEXT_512: u64 = 93;
const NONE: u64 = 98;
/// In the place of the code: the packet lies where no memory is.
const BAD_PACKET: u64 = 1 << 32;

/// What a call came to.
#[derive(Debug)]
struct Answer {
    status: Status,
    packet: Status,
    session: u64,
    body: [u64; 3],
}

impl Probe<'_> {
    /// Calls with a handle, a code, the sizes in the packet and of the call, and two words.
    #[track_caller]
    fn idc_call(
        &self,
        handle: u64,
        code: u64,
        [bytes, called_bytes]: [u32; 2],
        words: [u64; 2],
    ) -> Verdict<Answer> {
        let sizes = u64::from(called_bytes) << 32 | u64::from(bytes);
        let numbers = [OWN, CALL, handle, code, sizes, words[0], words[1]];
        let (status, [_, _, _, packet, session, body @ ..]) = self.ask(op::COMPONENT, &numbers)?;
        Ok(Answer { status, packet: Status::new(packet as u32 as i32), session, body })
    }

    /// Calls as one should; both statuses are the same then.
    #[track_caller]
    fn idc(&self, request: IdcRequest, words: [u64; 2]) -> Verdict<Answer> {
        let bytes = request.packet_bytes();
        let answer = self.idc_call(0, request as u64, [bytes, bytes], words)?;
        same!(answer.status, answer.packet);
        Ok(answer)
    }

    #[track_caller]
    fn idc_symbol(&self, module: u64, symbol: u64) -> Verdict<Result<u64, Status>> {
        let answer = self.idc(IdcRequest::GetSymbol, [module, symbol])?;
        let address = answer.body[0];
        check!(answer.status.is_failure() == (address == 0), "{answer:?}");
        Ok(answer.status.ok().map(|_| address))
    }
}

fn cannot_send_what_is_no_packet(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let probe = Probe::load(&client)?;
    let disconnect = IdcRequest::Disconnect as u64;
    let fits = [IDC_HEADER_BYTES; 2];
    let untouched = Status::VERR_WRONG_ORDER;
    for handle in [0, BAD] {
        let answer = probe.idc_call(handle, BAD_PACKET | disconnect, [0, 0], [0; 2])?;
        same!(answer.status, Status::VERR_INVALID_HANDLE);
        same!((answer.packet, answer.session), (untouched, 0));
    }
    let session = probe.open_idc(0)?;
    let wrong = Status::VERR_INVALID_PARAMETER;
    for (code, sizes, expected, packet) in [
        (BAD_PACKET | disconnect, [16, 15], wrong, untouched),
        (BAD_PACKET | disconnect, fits, Status::VERR_INVALID_POINTER, untouched),
        (disconnect, [17, 16], wrong, untouched),
        (0xc0ff_ee00, fits, Status::VERR_NOT_SUPPORTED, untouched),
        (0xc0ff_ee00, [40, 40], Status::VERR_NOT_SUPPORTED, untouched),
        (disconnect, [17, 17], wrong, wrong),
    ] {
        let answer = probe.idc_call(0, code, sizes, [0; 2])?;
        same!((answer.status, answer.packet), (expected, packet), "{code:#x} {sizes:?}");
    }
    for request in IdcRequest::ALL {
        for bytes in [request.packet_bytes() - 1, request.packet_bytes() + 1] {
            if !(IDC_HEADER_BYTES..=40).contains(&bytes) {
                continue;
            }
            let answer = probe.idc_call(0, request as u64, [bytes; 2], [NONE, NONE])?;
            same!((answer.status, answer.packet), (wrong, wrong), "{request:?} {bytes}");
            same!(answer.session, session, "the session is the handle's");
        }
    }
    same!(probe.idc_session(0)?, session, "none of them disconnected");
    Ok(())
}

fn cannot_connect_in_a_session(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let probe = Probe::load(&client)?;
    let session = probe.open_idc(0)?;
    let version = u64::from(SUPDRV_IDC_VERSION);
    let answer = probe.idc(IdcRequest::Connect, [version, version])?;
    same!((answer.status, answer.session), (Status::VERR_INVALID_PARAMETER, session));
    Ok(())
}

fn a_packet_disconnects(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let probe = Probe::load(&client)?;
    let sessions = client.totals()?[0];
    let session = probe.open_idc(0)?;
    same!(probe.component(&[OWN, IDC_REGISTER, 0, 0])?, Status::VINF_SUCCESS);
    let answer = probe.idc(IdcRequest::Disconnect, [0; 2])?;
    same!(answer.status, Status::VINF_SUCCESS);
    same!(client.totals()?[0], sessions);
    same!(probe.query(OWN, NAME_PROBE, UUID_0)?, NOT_FOUND);
    same!(probe.idc_session(0)?, 0);
    same!(probe.component(&[OWN, CLOSE, 0])?, Status::VERR_INVALID_HANDLE);
    let again = probe.idc_call(0, IdcRequest::Disconnect as u64, [16; 2], [0; 2])?;
    same!(again.status, Status::VERR_INVALID_HANDLE);
    same!(probe.status(op::REGISTER, &[session, 1, 7])?, Status::VERR_GENERAL_FAILURE);
    Ok(())
}

fn packets_register_and_take_back_factories(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let probe = Probe::load(&client)?;
    probe.open_idc(0)?;
    for (factory, expected) in [
        (BAD, Status::VERR_INVALID_POINTER),
        (4, Status::VERR_INVALID_POINTER),
        (3, Status::VERR_INVALID_PARAMETER),
        (0, Status::VINF_SUCCESS),
        (0, Status::VERR_ALREADY_EXISTS),
    ] {
        let answer = probe.idc(IdcRequest::RegisterFactory, [factory, 0])?;
        same!(answer.status, expected, "{factory}");
    }
    same!(probe.query(OWN, NAME_PROBE, UUID_0)?, Ok(0));
    for (factory, expected) in [
        (BAD, Status::VERR_INVALID_POINTER),
        (1, Status::VERR_NOT_FOUND),
        (0, Status::VINF_SUCCESS),
        (0, Status::VERR_NOT_FOUND),
    ] {
        let answer = probe.idc(IdcRequest::DeregisterFactory, [factory, 0])?;
        same!(answer.status, expected, "{factory}");
    }
    same!(probe.query(OWN, NAME_PROBE, UUID_0)?, NOT_FOUND);
    Ok(())
}

fn symbols_of_the_driver_are_found_by_name(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let probe = Probe::load(&client)?;
    probe.open_idc(0)?;
    let references = client.totals()?[5];
    let imported = probe.ask(op::COMPONENT, &[OWN, ADDRESS_OF_OBJ_REGISTER])?.1[7];
    for module in [NONE, TEXT_SUPDRV] {
        same!(probe.idc_symbol(module, TEXT_OBJ_REGISTER)?, Ok(imported));
        same!(probe.idc_symbol(module, NAME_MISSING)?, Err(Status::VERR_SYMBOL_NOT_FOUND));
    }
    same!(client.totals()?[5], references, "the driver is not counted");
    Ok(())
}

fn symbols_of_modules_keep_them_loaded(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let probe = Probe::load(&client)?;
    probe.open_idc(0)?;
    let missing = Err(Status::VERR_MODULE_NOT_FOUND);
    same!(probe.idc_symbol(TEXT_OTHER, TEXT_HANDLER)?, missing);
    let other = client.load(PROBE, "other", PROBE_HANDLER)?.base;
    let references = client.totals()?[5];
    let handler = client.symbol(other, PROBE_HANDLER)?.map(|address| address.get());
    same!(probe.idc_symbol(TEXT_OTHER, TEXT_HANDLER)?, handler);
    same!(client.totals()?[5], references + 1);
    let missing_symbol = Err(Status::VERR_SYMBOL_NOT_FOUND);
    same!(probe.idc_symbol(TEXT_OTHER, NAME_MISSING)?, missing_symbol);
    same!(client.totals()?[5], references + 1);
    // The session that loaded it gives it back, and the client still has it.
    same!(client.free_module(other)?, Status::VINF_SUCCESS);
    same!(probe.idc_symbol(TEXT_OTHER, TEXT_HANDLER)?, handler);
    same!(client.totals()?[5], references + 1);
    same!(probe.component(&[OWN, CLOSE, 0])?, Status::VINF_SUCCESS);
    same!(client.totals()?[5], references - 1);
    probe.open_idc(0)?;
    same!(probe.idc_symbol(TEXT_OTHER, TEXT_HANDLER)?, missing);
    Ok(())
}

fn a_module_that_finds_itself_can_still_go(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let probe = Probe::load(&client)?;
    let [sessions, .., references] = client.totals()?;
    probe.open_idc(0)?;
    let handler = client.symbol(probe.base, PROBE_HANDLER)?.map(|address| address.get());
    same!(probe.idc_symbol(NAME_PROBE, TEXT_HANDLER)?, handler);
    same!(client.totals()?[5], references);
    same!(probe.free()?, Status::VINF_SUCCESS);
    let [sessions_after, .., references_after] = client.totals()?;
    same!((sessions_after, references_after), (sessions, references - 1));
    Ok(())
}

fn cannot_find_symbols_with_bad_names(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let probe = Probe::load(&client)?;
    probe.open_idc(0)?;
    let (bad, long) = (Status::VERR_INVALID_POINTER, Status::VERR_INVALID_PARAMETER);
    for (module, symbol, expected) in [
        (BAD, BAD, bad),
        (BAD, NONE, bad),
        (BAD, TEXT_512, long),
        (BAD, TEXT_511, bad),
        (TEXT_64, TEXT_511, long),
        (TEXT_63, TEXT_511, Status::VERR_MODULE_NOT_FOUND),
        (NONE, TEXT_511, Status::VERR_SYMBOL_NOT_FOUND),
    ] {
        same!(probe.idc_symbol(module, symbol)?, Err(expected), "{module} {symbol}");
    }
    Ok(())
}
