//! Which capabilities the program keeps: none, unless its user's environment leaves or asks for one.
//!
//! | variable | the capability is kept |
//! |---|---|
//! | `VBOX_HARD_CAP_NET_RAW` | unless the value is `0` |
//! | `VBOX_HARD_CAP_NET_BIND_SERVICE` | if it is set, and not to `0` |
//!
//! The names are the original's, so that users keep their settings; nothing else can be kept. Source:
//! specification 7.9, step 3. Invariant: root's own start keeps and loses nothing here.

use rustix::process::{Uid, getuid};
use rustix::thread::CapabilitySet;

use crate::vectors::Vectors;

const NET_RAW: &[u8] = b"VBOX_HARD_CAP_NET_RAW";
const NET_BIND_SERVICE: &[u8] = b"VBOX_HARD_CAP_NET_BIND_SERVICE";

/// What this process shall keep.
pub(crate) fn wanted(vectors: &Vectors) -> CapabilitySet {
    chosen(getuid(), vectors.variable(NET_RAW), vectors.variable(NET_BIND_SERVICE))
}

fn chosen(user: Uid, net_raw: Option<&[u8]>, net_bind: Option<&[u8]>) -> CapabilitySet {
    let mut wanted = CapabilitySet::empty();
    if !user.is_root() {
        wanted.set(CapabilitySet::NET_RAW, net_raw != Some(b"0"));
        wanted.set(CapabilitySet::NET_BIND_SERVICE, net_bind.is_some_and(|value| value != b"0"));
    }
    wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_decides_as_the_original_has_it() {
        let (raw, bind) = (CapabilitySet::NET_RAW, CapabilitySet::NET_BIND_SERVICE);
        let none = CapabilitySet::empty();
        let user = Uid::from_raw(1000);
        for (net_raw, net_bind, wanted) in [
            (None, None, raw),
            (Some("0"), None, none),
            (Some(""), Some(""), raw | bind),
            (Some("00"), Some("0"), raw),
            (Some("0"), Some("1"), bind),
        ] {
            let bytes = |value: Option<&'static str>| value.map(str::as_bytes);
            assert_eq!(chosen(user, bytes(net_raw), bytes(net_bind)), wanted);
            assert_eq!(chosen(Uid::ROOT, bytes(net_raw), bytes(net_bind)), none);
        }
    }
}
