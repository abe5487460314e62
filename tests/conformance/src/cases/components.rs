//! Component factories, and the sessions that modules open for themselves.

use sup::Status;
use sup_abi::SUPDRV_IDC_VERSION;

use crate::backend::Backend;
use crate::case::{Verdict, cases, check, same};
use crate::client::Client;
use crate::probe::{NO_SESSION, OWN, Probe, op};

cases! { Components {
    a_module_opens_and_closes_a_session:
        "SUPR0IdcOpen agrees on a version, SUPR0IdcGetSession names the session until SUPR0IdcClose \
         (spec 9.3).",
    cannot_open_with_versions_that_do_not_fit:
        "Other major numbers and a minimum above the request are invalid, a younger minimum is a \
         mismatch; the outputs are 0 (spec 9.3).",
    cannot_use_a_bad_or_closed_handle:
        "A closed handle is VERR_INVALID_HANDLE, a bad pointer VERR_INVALID_POINTER (spec 9.3).",
    factories_are_asked_in_order:
        "The first of the name that has the interface answers; names and interfaces that nobody has \
         are told apart (spec 9.1).",
    a_factory_may_query_others:
        "No lock is held while a factory runs (spec 9.1).",
    cannot_take_a_factory_back_from_inside:
        "A factory that would wait for its own end is VERR_WRONG_ORDER (spec 9.1).",
    cannot_register_without_a_kernel_session:
        "A process' session registers nothing, but queries (spec 9.1).",
    cannot_register_what_is_no_factory:
        "Bad pointers, names without an end and factories without a function are refused, in the \
         order of the checks (spec 9.1).",
    cannot_deregister_in_another_session:
        "A factory is taken back by the session that registered it (spec 9.1).",
    cannot_query_with_bad_texts:
        "Texts that are too long are invalid, longest ones are not (spec 9.1).",
    the_end_of_a_session_takes_its_factories:
        "Closing a session without deregistering is legal (spec 9.3).",
    the_end_of_a_module_takes_its_sessions:
        "A module that forgets to close its session leaves neither session nor factory (spec 9.1).",
}}

/// Functions of the probe's operation.
const OPEN: u64 = 0;
pub(super) const CLOSE: u64 = 1;
const GET_SESSION: u64 = 2;
pub(super) const IDC_REGISTER: u64 = 3;
const IDC_DEREGISTER: u64 = 4;
const REGISTER: u64 = 5;
const DEREGISTER: u64 = 6;
const QUERY: u64 = 7;
const OPEN_WITHOUT_OUTPUTS: u64 = 8;

/// Texts of the probe.
pub(super) const NAME_PROBE: u64 = 0;
const NAME_ASKS: u64 = 1;
const NAME_MISSING: u64 = 2;
const NAME_ENDS: u64 = 14;
pub(super) const UUID_0: u64 = 3;
const UUID_1: u64 = 4;
const UUID_9: u64 = 5;
const TEXT_36: u64 = 6;
const TEXT_37: u64 = 7;
const TEXT_55: u64 = 8;
const TEXT_56: u64 = 9;
/// A number behind every text, handle and factory: a bad pointer.
pub(super) const BAD: u64 = 99;

impl Probe<'_> {
    #[track_caller]
    pub(super) fn component(&self, numbers: &[u64]) -> Verdict<Status> {
        self.status(op::COMPONENT, numbers)
    }

    /// Opens a session in one of the module's two handles; its name.
    #[track_caller]
    pub(super) fn open_idc(&self, handle: u64) -> Verdict<u64> {
        same!(self.component(&[OWN, OPEN, handle, 0])?, Status::VINF_SUCCESS);
        let session = self.idc_session(handle)?;
        check!(session != 0, "an open handle has a session");
        Ok(session)
    }

    #[track_caller]
    pub(super) fn idc_session(&self, handle: u64) -> Verdict<u64> {
        Ok(self.ask(op::COMPONENT, &[OWN, GET_SESSION, handle])?.1[7])
    }

    /// Asks for an interface; the number of the factory that has it.
    #[track_caller]
    pub(super) fn query(&self, session: u64, name: u64, uuid: u64) -> Verdict<Result<u64, Status>> {
        let (status, values) = self.ask(op::COMPONENT, &[session, QUERY, name, uuid])?;
        if status.is_failure() && status != Status::VERR_INVALID_PARAMETER {
            let is_null = values[6] == 1;
            same!(is_null, status != Status::VERR_INVALID_POINTER, "{status}");
        }
        Ok(if status == Status::VINF_SUCCESS { Ok(values[7]) } else { Err(status) })
    }
}

pub(super) const NOT_FOUND: Result<u64, Status> = Err(Status::VERR_SUPDRV_COMPONENT_NOT_FOUND);
const NOT_SUPPORTED: Result<u64, Status> = Err(Status::VERR_SUPDRV_INTERFACE_NOT_SUPPORTED);

fn a_module_opens_and_closes_a_session(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let probe = Probe::load(&client)?;
    let version = u64::from(SUPDRV_IDC_VERSION);
    for versions in [0, version, version << 32 | version, version << 32 | (version + 7)] {
        let (status, values) = probe.ask(op::COMPONENT, &[OWN, OPEN, 0, versions])?;
        same!(status, Status::VINF_SUCCESS);
        same!(values[5..], [version, version, 0], "session, driver and revision");
        let session = probe.idc_session(0)?;
        check!(session != 0, "no session");
        // It is a session for every function of ring 0.
        let object = probe.ask(op::REGISTER, &[session, 1, 7])?;
        same!(object.0, Status::VINF_SUCCESS);
        same!(probe.component(&[OWN, CLOSE, 0])?, Status::VINF_SUCCESS);
        same!(probe.idc_session(0)?, 0);
        same!(probe.status(op::REGISTER, &[session, 1, 7])?, Status::VERR_GENERAL_FAILURE);
    }
    same!(probe.component(&[OWN, OPEN_WITHOUT_OUTPUTS, 1])?, Status::VINF_SUCCESS);
    let other = probe.open_idc(0)?;
    check!(other != probe.idc_session(1)?, "two handles are two sessions");
    for handle in [0, 1] {
        same!(probe.component(&[OWN, CLOSE, handle])?, Status::VINF_SUCCESS);
    }
    Ok(())
}

fn cannot_open_with_versions_that_do_not_fit(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let probe = Probe::load(&client)?;
    for (requested, minimum, expected) in [
        (0x2_0000, 0, Status::VERR_INVALID_PARAMETER),
        (0, 0x2_0000, Status::VERR_INVALID_PARAMETER),
        (0xffff, 0, Status::VERR_INVALID_PARAMETER),
        (0x1_0000, 0x1_0001, Status::VERR_INVALID_PARAMETER),
        (0x1_0001, 0x1_0001, Status::VERR_VERSION_MISMATCH),
    ] {
        let versions = minimum << 32 | requested;
        let (status, values) = probe.ask(op::COMPONENT, &[OWN, OPEN, 0, versions])?;
        same!(status, expected, "{requested:#x} {minimum:#x}");
        same!(values[5..], [0, 0, 0], "outputs");
        same!(probe.idc_session(0)?, 0);
    }
    Ok(())
}

fn cannot_use_a_bad_or_closed_handle(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let probe = Probe::load(&client)?;
    same!(probe.component(&[OWN, OPEN, BAD, 0])?, Status::VERR_INVALID_POINTER);
    same!(probe.component(&[OWN, OPEN, 0, 0, 1])?, Status::VERR_INVALID_POINTER, "output");
    same!(probe.component(&[OWN, CLOSE, BAD])?, Status::VERR_INVALID_POINTER);
    same!(probe.component(&[OWN, CLOSE, 0])?, Status::VERR_INVALID_HANDLE);
    same!(probe.idc_session(BAD)?, 0);
    for handle in [0, BAD] {
        for function in [IDC_REGISTER, IDC_DEREGISTER] {
            same!(probe.component(&[OWN, function, handle, 0])?, Status::VERR_INVALID_HANDLE);
        }
    }
    Ok(())
}

fn factories_are_asked_in_order(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let probe = Probe::load(&client)?;
    let session = probe.open_idc(0)?;
    same!(probe.query(OWN, NAME_PROBE, UUID_0)?, NOT_FOUND);
    for factory in [0, 1] {
        same!(probe.component(&[OWN, IDC_REGISTER, 0, factory])?, Status::VINF_SUCCESS);
    }
    for asking in [OWN, session] {
        same!(probe.query(asking, NAME_PROBE, UUID_0)?, Ok(0));
        same!(probe.query(asking, NAME_PROBE, UUID_1)?, Ok(1), "the second of the name");
        same!(probe.query(asking, NAME_PROBE, UUID_9)?, NOT_SUPPORTED);
        same!(probe.query(asking, NAME_MISSING, UUID_0)?, NOT_FOUND);
    }
    same!(probe.component(&[OWN, IDC_DEREGISTER, 0, 0])?, Status::VINF_SUCCESS);
    same!(probe.component(&[OWN, IDC_DEREGISTER, 0, 0])?, Status::VERR_NOT_FOUND);
    same!(probe.query(OWN, NAME_PROBE, UUID_0)?, NOT_SUPPORTED);
    same!(probe.query(OWN, NAME_PROBE, UUID_1)?, Ok(1));
    Ok(())
}

fn a_factory_may_query_others(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let probe = Probe::load(&client)?;
    let session = probe.open_idc(0)?;
    for factory in [2, 1] {
        same!(probe.component(&[session, REGISTER, 0, factory])?, Status::VINF_SUCCESS);
    }
    same!(probe.query(OWN, NAME_ASKS, UUID_1)?, Ok(1));
    same!(probe.query(OWN, NAME_ASKS, UUID_9)?, NOT_SUPPORTED);
    Ok(())
}

fn cannot_take_a_factory_back_from_inside(backend: &dyn Backend) -> Verdict {
    /// The probe's factory that tries.
    const ENDS: u64 = 5;
    let client = Client::connect(backend)?;
    let probe = Probe::load(&client)?;
    let session = probe.open_idc(0)?;
    same!(probe.component(&[session, REGISTER, 0, ENDS])?, Status::VINF_SUCCESS);
    same!(probe.query(OWN, NAME_ENDS, UUID_0)?, Ok(ENDS));
    same!(probe.idc_session(0)?, session, "the session is open");
    same!(probe.component(&[session, DEREGISTER, 0, ENDS])?, Status::VINF_SUCCESS);
    same!(probe.query(OWN, NAME_ENDS, UUID_0)?, NOT_FOUND);
    Ok(())
}

fn cannot_register_without_a_kernel_session(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let probe = Probe::load(&client)?;
    for function in [REGISTER, DEREGISTER] {
        // The pointer is looked at later.
        for factory in [0, BAD] {
            let status = probe.component(&[OWN, function, 0, factory])?;
            same!(status, Status::VERR_ACCESS_DENIED);
            let status = probe.component(&[NO_SESSION, function, 0, factory])?;
            same!(status, Status::VERR_INVALID_PARAMETER);
        }
    }
    same!(probe.query(NO_SESSION, NAME_PROBE, UUID_0)?, Err(Status::VERR_INVALID_PARAMETER));
    Ok(())
}

fn cannot_register_what_is_no_factory(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let probe = Probe::load(&client)?;
    let session = probe.open_idc(0)?;
    for (factory, expected) in [
        (BAD, Status::VERR_INVALID_POINTER),
        (4, Status::VERR_INVALID_POINTER),
        (3, Status::VERR_INVALID_PARAMETER),
        (0, Status::VINF_SUCCESS),
        (0, Status::VERR_ALREADY_EXISTS),
    ] {
        same!(probe.component(&[session, REGISTER, 0, factory])?, expected, "{factory}");
    }
    same!(probe.component(&[session, DEREGISTER, 0, BAD])?, Status::VERR_INVALID_POINTER);
    same!(probe.component(&[session, DEREGISTER, 0, 1])?, Status::VERR_NOT_FOUND);
    Ok(())
}

fn cannot_deregister_in_another_session(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let probe = Probe::load(&client)?;
    let [first, second] = [probe.open_idc(0)?, probe.open_idc(1)?];
    same!(probe.component(&[first, REGISTER, 0, 0])?, Status::VINF_SUCCESS);
    same!(probe.component(&[second, REGISTER, 0, 0])?, Status::VERR_ALREADY_EXISTS);
    same!(probe.component(&[second, DEREGISTER, 0, 0])?, Status::VERR_NOT_FOUND);
    same!(probe.query(OWN, NAME_PROBE, UUID_0)?, Ok(0));
    same!(probe.component(&[first, DEREGISTER, 0, 0])?, Status::VINF_SUCCESS);
    same!(probe.query(OWN, NAME_PROBE, UUID_0)?, NOT_FOUND);
    Ok(())
}

fn cannot_query_with_bad_texts(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let probe = Probe::load(&client)?;
    let (bad, long) = (Status::VERR_INVALID_POINTER, Status::VERR_INVALID_PARAMETER);
    for (name, uuid, output, expected) in [
        (BAD, BAD, 1, bad),
        (TEXT_56, BAD, 1, long),
        (NAME_PROBE, BAD, 1, bad),
        (NAME_PROBE, TEXT_37, 1, long),
        (NAME_PROBE, UUID_0, 1, bad),
        (TEXT_55, TEXT_36, 0, Status::VERR_SUPDRV_COMPONENT_NOT_FOUND),
    ] {
        let status = probe.component(&[OWN, QUERY, name, uuid, output])?;
        same!(status, expected, "{name} {uuid} {output}");
    }
    Ok(())
}

fn the_end_of_a_session_takes_its_factories(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let probe = Probe::load(&client)?;
    let session = probe.open_idc(0)?;
    same!(probe.component(&[session, REGISTER, 0, 0])?, Status::VINF_SUCCESS);
    same!(probe.component(&[OWN, CLOSE, 0])?, Status::VINF_SUCCESS);
    same!(probe.query(OWN, NAME_PROBE, UUID_0)?, NOT_FOUND);
    let again = probe.open_idc(0)?;
    same!(probe.component(&[again, REGISTER, 0, 0])?, Status::VINF_SUCCESS);
    Ok(())
}

fn the_end_of_a_module_takes_its_sessions(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let sessions = client.totals()?[0];
    for _ in 0..2 {
        let probe = Probe::load(&client)?;
        let session = probe.open_idc(0)?;
        same!(probe.component(&[session, REGISTER, 0, 0])?, Status::VINF_SUCCESS);
        same!(client.totals()?[0], sessions + 1);
        same!(probe.free()?, Status::VINF_SUCCESS);
        same!(client.totals()?[0], sessions);
        let probe = Probe::load(&client)?;
        same!(probe.query(OWN, NAME_PROBE, UUID_0)?, NOT_FOUND);
        same!(probe.free()?, Status::VINF_SUCCESS);
    }
    Ok(())
}
