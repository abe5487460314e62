//! What the processor says of itself.

use sup::backend::Kind;
use sup::{SUPPAGINGMODE, SUPVTCAPS_AMD_V, SUPVTCAPS_NESTED_PAGING, SUPVTCAPS_VT_X, Status};
use sup_abi::request::{Empty, GetPagingMode, VtCaps};

use crate::backend::Backend;
use crate::case::{Stop, Verdict, cases, check, same};
use crate::client::Client;
use crate::probe::{OWN, Probe, op};

cases! { Platform {
    paging_mode_is_that_of_64_bit:
        "A 64-bit host runs with one of the AMD64 paging modes (spec 6.6).",
    both_rings_see_one_paging_mode:
        "The request, the library and ring 0 answer the same mode (spec 6.6).",
    vt_caps_are_known_or_refused_with_reason:
        "The capabilities are known bits, or a documented status says why there are none (spec \
         6.7).",
    both_rings_see_one_vt_caps:
        "The request, the library and ring 0 answer the same capabilities (spec 6.7).",
    absolute_symbols_are_the_selectors_of_ring_0:
        "A module links to all ten; in the kernel they are what it runs with, in a process fixed \
         (spec 9.5).",
    cannot_switch_virtualisation:
        "SUPR0EnableVTx is not supported, whatever is asked: KVM's hardware is left alone (spec 6.7).",
}}

fn paging_mode_is_that_of_64_bit(backend: &dyn Backend) -> Verdict {
    use SUPPAGINGMODE::{Amd64, Amd64Global, Amd64GlobalNx, Amd64Nx};
    let mode = backend.open()?.paging_mode()?;
    check!([Amd64, Amd64Global, Amd64Nx, Amd64GlobalNx].contains(&mode), "{mode:?}");
    Ok(())
}

fn both_rings_see_one_paging_mode(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let mode = client.get::<GetPagingMode>(&Empty {})?.mode;
    same!(u32::from(backend.open()?.paging_mode()?), mode);
    same!(Probe::load(&client)?.ask(op::FACTS, &[])?.1[4], mode.into());
    Ok(())
}

/// The capabilities, or why there are none.
fn vt_caps(client: &Client) -> Verdict<Result<u32, Status>> {
    match client.call::<VtCaps>(&Empty {})? {
        (Status::VINF_SUCCESS, Some(output)) => Ok(Ok(output.caps)),
        (status, None) if status.is_failure() => Ok(Err(status)),
        (status, _) => Err(Stop::failed(format_args!("{status} and an output"))),
    }
}

fn vt_caps_are_known_or_refused_with_reason(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    match vt_caps(&client)? {
        Ok(caps) => {
            let known = SUPVTCAPS_AMD_V | SUPVTCAPS_VT_X | SUPVTCAPS_NESTED_PAGING;
            same!(caps & !known, 0, "unknown bits");
            let vendors = caps & (SUPVTCAPS_AMD_V | SUPVTCAPS_VT_X);
            same!(vendors.count_ones(), 1, "vendors");
        }
        Err(status) => check!(
            [
                Status::VERR_VMX_NO_VMX,
                Status::VERR_VMX_MSR_LOCKED_OR_DISABLED,
                Status::VERR_SVM_NO_SVM,
                Status::VERR_SVM_DISABLED,
                Status::VERR_UNSUPPORTED_CPU,
            ]
            .contains(&status),
            "{status}"
        ),
    }
    Ok(())
}

fn both_rings_see_one_vt_caps(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let caps = vt_caps(&client)?;
    same!(backend.open()?.vt_caps().map_err(|error| error.status()), caps);
    let (_, facts) = Probe::load(&client)?.ask(op::FACTS, &[])?;
    let status = caps.map_or_else(|status| status, |_| Status::VINF_SUCCESS);
    same!(facts[5], u64::from(status.raw().cast_unsigned()));
    same!(facts[6], u64::from(caps.unwrap_or(0)), "capabilities, zero on failure");
    Ok(())
}

/// The two halves that `SUPR0Abs64bit*` and `SUPR0Abs*` of one selector are answered in.
fn halves(word: u64) -> [u64; 2] {
    [word >> 32, word & 0xffff_ffff]
}

fn absolute_symbols_are_the_selectors_of_ring_0(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let (status, values) = Probe::load(&client)?.ask(op::ABSOLUTES, &[])?;
    same!(status, Status::VINF_SUCCESS);
    let [is_64_bit, cs, ss, ds, es, fs, gs, own] = values;
    same!(is_64_bit, 1);
    let [own_ss, own_cs] = halves(own);
    let [expected_cs, expected_ss] = match backend.kind() {
        Kind::Embedded => {
            same!([ds, es, fs, gs], [0; 4]);
            [0x10, 0x18]
        }
        // The stack's selector is null in a task that came in by an interrupt, the driver's start and
        // this one alike.
        Kind::Kernel => [own_cs, if own_ss == 0 { halves(ss)[0] } else { own_ss }],
    };
    same!(halves(cs), [expected_cs; 2]);
    check!(halves(ss) == [expected_ss; 2] || halves(ss) == [0; 2], "stack: {ss:#x}");
    same!(halves(ds)[0], halves(ds)[1]);
    for selector in [halves(ss)[0], halves(ds)[0], es, fs, gs] {
        check!(selector <= u16::MAX.into(), "a selector has 16 bits, this is {selector:#x}");
    }
    Ok(())
}

fn cannot_switch_virtualisation(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let probe = Probe::load(&client)?;
    for enable in [0, 1] {
        same!(probe.status(op::ENABLE_VTX, &[OWN, enable])?, Status::VERR_NOT_SUPPORTED);
    }
    Ok(())
}
