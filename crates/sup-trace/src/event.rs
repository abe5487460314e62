//! [`Event`]: one hit of a probe, and its 64 bytes.
//!
//! Neighbours: `ringtrace` makes the same 64 bytes in ring 0. Invariant: every 64 bytes are an event, and
//! events keep each of their bytes on the way through a file.

/// The bytes of an event in a file.
pub const EVENT_BYTES: usize = 64;
/// The most arguments that an event keeps.
pub const ARGS_MAX: usize = 5;

/// A hit of a probe.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Event {
    /// The time stamp counter.
    pub time_tsc: u64,
    /// The probe's number in the file's table.
    pub id: u32,
    /// The processor.
    pub cpu: u16,
    /// 0: in the kernel; 1: in a process. Others are kept as they are.
    pub kind: u8,
    /// How many of the arguments mean something; at most [`ARGS_MAX`] are kept.
    pub arg_count: u8,
    /// The process's number times 2^32, and the thread's; 0 if nobody knows.
    pub who: u64,
    /// The arguments.
    pub args: [u64; ARGS_MAX],
}

impl Event {
    /// The event as it is in a file: little-endian, in the order of the fields.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; EVENT_BYTES] {
        let mut bytes = [0; EVENT_BYTES];
        let words = [self.time_tsc, self.packed(), self.who].into_iter().chain(self.args);
        for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// The event that these bytes are.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; EVENT_BYTES]) -> Self {
        let mut words = [0; 8];
        for (word, place) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *word = u64::from_le_bytes(*place);
        }
        let [time_tsc, packed, who, args @ ..] = words;
        Self {
            time_tsc,
            id: packed as u32,
            cpu: (packed >> 32) as u16,
            kind: (packed >> 48) as u8,
            arg_count: (packed >> 56) as u8,
            who,
            args,
        }
    }

    fn packed(&self) -> u64 {
        u64::from(self.id)
            | u64::from(self.cpu) << 32
            | u64::from(self.kind) << 48
            | u64::from(self.arg_count) << 56
    }

    /// The arguments that mean something.
    #[must_use]
    pub fn arguments(&self) -> &[u64] {
        self.args.get(..usize::from(self.arg_count)).unwrap_or(&self.args)
    }

    /// The number of the process; 0 if nobody knows.
    #[must_use]
    pub fn process(&self) -> u32 {
        (self.who >> 32) as u32
    }

    /// The number of the thread; 0 if nobody knows.
    #[must_use]
    pub fn thread(&self) -> u32 {
        self.who as u32
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
        let bytes = event.to_bytes();
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
            prop_assert_eq!(Event::from_bytes(&whole).to_bytes(), whole);
        }
    }
}
