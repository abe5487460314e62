//! What the processor can do: paging mode and virtualisation capabilities.

use sup::backend::Kind;
use sup::{
    SUPPAGINGMODE, SUPVTCAPS_AMD_V, SUPVTCAPS_NESTED_PAGING, SUPVTCAPS_VT_X, Session, Status,
};

use super::check::{Finding, Outcome, ns_per_round, require};

/// The driver knows the paging mode.
pub(super) fn paging_mode(session: &Session) -> Outcome {
    let mode = session.paging_mode()?;
    require(mode != SUPPAGINGMODE::Invalid, || "the driver does not know the mode".to_owned())?;
    let figure = ns_per_round(900, || Ok(session.paging_mode().map(drop)?))?;
    let source = match session.backend().kind() {
        Kind::Embedded => "the embedded backend stands in for the control registers",
        Kind::Kernel => "as the control registers have it",
    };
    Ok(Finding { figure, detail: format!("{mode:?}; {source}") })
}

/// There are capabilities, or there is a precise reason for none.
pub(super) fn vt_caps(session: &Session) -> Outcome {
    const CAPS: [(u32, &str); 3] = [
        (SUPVTCAPS_AMD_V, "AMD-V"),
        (SUPVTCAPS_VT_X, "VT-x"),
        (SUPVTCAPS_NESTED_PAGING, "nested paging"),
    ];
    match session.vt_caps() {
        Ok(caps) => {
            let names = CAPS.iter().filter(|(cap, _)| caps & cap != 0).map(|(_, name)| *name);
            let names: Vec<&str> = names.collect();
            require(!names.is_empty(), || "none, and no reason for it".to_owned())?;
            let detail = format!("{}; {}", names.join(", "), sup::virtualisation_owner());
            Ok(Finding { figure: names.len() as f64, detail })
        }
        Err(error) if is_reason_for_none(error.status()) => {
            let meaning = error.status().meaning().unwrap_or_default();
            let detail = format!("none, because {}: {meaning}", error.status());
            Ok(Finding { figure: 0.0, detail: detail.trim_end_matches('.').to_owned() })
        }
        Err(error) => Err(error.into()),
    }
}

fn is_reason_for_none(status: Status) -> bool {
    matches!(
        status,
        Status::VERR_VMX_NO_VMX
            | Status::VERR_VMX_MSR_LOCKED_OR_DISABLED
            | Status::VERR_VMX_MSR_ALL_VMX_DISABLED
            | Status::VERR_SVM_NO_SVM
            | Status::VERR_SVM_DISABLED
            | Status::VERR_UNSUPPORTED_CPU
    )
}
