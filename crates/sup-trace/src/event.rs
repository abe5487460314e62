//! [`Event`]: one hit of a probe, as the tracer records it, and its 64 bytes in a file.
//!
//! Neighbours: `ringtrace` makes the record in ring 0. Invariant: every 64 bytes are an event, and events keep each
//! of their bytes on the way through a file.

pub use sup_ringtrace::Record as Event;

/// The bytes of an event in a file.
pub const EVENT_BYTES: usize = size_of::<Event>();
/// The most arguments that an event keeps.
pub const ARGS_MAX: usize = 5;

/// The event as it is in a file: little-endian, in the order of the fields.
pub(crate) fn to_bytes(event: &Event) -> [u8; EVENT_BYTES] {
    let packed = u64::from(event.id)
        | u64::from(event.cpu) << 32
        | u64::from(event.kind) << 48
        | u64::from(event.arg_count) << 56;
    let mut bytes = [0; EVENT_BYTES];
    let words = [event.time_tsc, packed, event.who].into_iter().chain(event.args);
    for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

/// The event that these bytes are.
pub(crate) fn from_bytes(bytes: &[u8; EVENT_BYTES]) -> Event {
    let mut words = [0; 8];
    for (word, place) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
        *word = u64::from_le_bytes(*place);
    }
    let [time_tsc, packed, who, args @ ..] = words;
    Event {
        time_tsc,
        id: packed as u32,
        cpu: (packed >> 32) as u16,
        kind: (packed >> 48) as u8,
        arg_count: (packed >> 56) as u8,
        who,
        args,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fields_are_where_the_ring_has_them() {
        let event = Event {
            time_tsc: 1,
            id: 0x0302_0100,
            cpu: 0x0504,
            kind: 6,
            arg_count: 7,
            who: 2,
            args: [3, 4, 5, 6, 7],
        };
        let bytes = to_bytes(&event);
        assert_eq!(bytes[8..16], [0, 1, 2, 3, 4, 5, 6, 7]);
        let starts: Vec<u8> = bytes.iter().copied().step_by(8).collect();
        assert_eq!(starts, [1, 0, 2, 3, 4, 5, 6, 7]);
        assert_eq!(event.arguments(), [3, 4, 5, 6, 7], "seven do not fit");
    }

    proptest! {
        #[test]
        fn all_64_bytes_are_kept(bytes in any::<[u8; 32]>(), more in any::<[u8; 32]>()) {
            let mut whole = [0; EVENT_BYTES];
            whole[..32].copy_from_slice(&bytes);
            whole[32..].copy_from_slice(&more);
            prop_assert_eq!(to_bytes(&from_bytes(&whole)), whole);
        }
    }
}
