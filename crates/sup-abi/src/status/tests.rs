//! Tests of the status table and of the text it produces.

extern crate std;

use std::collections::{BTreeMap, BTreeSet};
use std::string::ToString;

use super::Status;

/// Values that carry two names on purpose: the reported one and its alias.
const ALIASES: &[(i32, &str, &str)] =
    &[(-4013, "VERR_VMX_MSR_LOCKED_OR_DISABLED", "VERR_VMX_MSR_LOCKING_FAILED")];

#[test]
fn names_are_unique() {
    let mut seen = BTreeSet::new();
    for &(_, name, _) in Status::ALL {
        assert!(seen.insert(name), "{name} is listed twice");
    }
}

#[test]
fn values_are_unique_except_for_aliases() {
    let mut seen = BTreeMap::new();
    for &(status, name, _) in Status::ALL {
        if let Some(first) = seen.insert(status.raw(), name) {
            assert!(
                ALIASES.contains(&(status.raw(), first, name)),
                "{first} and {name} are both {}: declare an alias or correct the table",
                status.raw()
            );
        }
    }
}

#[test]
fn aliases_report_the_first_name() {
    for &(value, name, alias) in ALIASES {
        assert_eq!(Status::new(value).name(), Some(name));
        assert_eq!(Status::from_name(alias), Some(Status::new(value)));
    }
}

#[test]
fn prefix_tells_the_sign() {
    for &(status, name, _) in Status::ALL {
        assert_eq!(name.starts_with("VERR_"), status.is_failure(), "{name}");
        assert_eq!(name.starts_with("VINF_"), status.is_success(), "{name}");
    }
}

#[test]
fn meanings_are_sentences() {
    for &(_, name, meaning) in Status::ALL {
        assert!(meaning.ends_with('.') && meaning.len() > 10, "{name}: {meaning:?}");
    }
}

#[test]
fn names_lead_back_to_their_status() {
    for &(status, name, _) in Status::ALL {
        assert_eq!(Status::from_name(name), Some(status));
    }
    assert_eq!(Status::from_name("VERR_NO_SUCH_NAME"), None);
    assert_eq!(Status::from_name(""), None);
}

#[test]
fn display_and_debug_name_the_status() {
    assert_eq!(Status::VERR_INVALID_PARAMETER.to_string(), "VERR_INVALID_PARAMETER (-2)");
    assert_eq!(Status::VINF_OBJECT_DESTROYED.to_string(), "VINF_OBJECT_DESTROYED (85)");
    assert_eq!(std::format!("{:?}", Status::VERR_TIMEOUT), "VERR_TIMEOUT (-40)");
}

#[test]
fn unknown_values_survive() {
    let status = Status::new(-12345);
    assert_eq!(status.to_string(), "unknown status (-12345)");
    assert_eq!((status.name(), status.meaning()), (None, None));
    assert_eq!(status.ok(), Err(status));
    assert_eq!(Status::new(i32::MIN).to_string(), "unknown status (-2147483648)");
}

#[test]
fn sign_decides_between_success_and_failure() {
    assert_eq!(Status::VINF_SUCCESS.ok(), Ok(Status::VINF_SUCCESS));
    assert_eq!(Status::new(1).ok(), Ok(Status::new(1)));
    assert_eq!(Status::new(-1).ok(), Err(Status::VERR_GENERAL_FAILURE));
}
