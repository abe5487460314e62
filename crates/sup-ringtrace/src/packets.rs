//! What a client asks of the module: operations of its service, commands of its tracer, and their packets.
//!
//! ```text
//! load the service module ── OP_ADMIT ── tracer open (COOKIE) ── command COMMAND_BUFFERS ── OP_BUFFERS
//!     ── OP_SWITCH … ── read the rings ── tracer close: all switched off, the memory goes
//! ```
//! Who may load a module may trace: the service can be called by nobody else, and opening the tracer needs
//! the admission by it.
//!
//! Neighbours: `modules/ringtrace` answers, `sup::trace` asks. Invariant: a packet is of plain numbers and
//! bytes, without padding.

use sup_abi::{SUPR0SERVICEREQHDR, VtgAttributes};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::Policy;

/// The module's name.
pub const MODULE: &str = "ringtrace";
/// The symbol of its service.
pub const HANDLER: &str = "ringtraceServiceReqHandler";
/// What a client opens the tracer with.
pub const COOKIE: u32 = 0x474e_4952;

/// Lets the session open the tracer. No packet.
pub const OP_ADMIT: u32 = 0;
/// Answers the first location whose number is the argument or more, with a [`Location`] packet;
/// `VERR_NOT_FOUND` if there is none.
pub const OP_LOCATION: u32 = 1;
/// Switches a location on or off, with a [`Switch`] packet. For the session that has the tracer open.
pub const OP_SWITCH: u32 = 2;
/// Answers where the ring of the processor that the argument says is, with a [`Buffers`] packet. For the session that has the tracer open.
pub const OP_BUFFERS: u32 = 3;
/// Answers the counts of the processor that the argument says, with a [`Counters`] packet.
pub const OP_COUNTERS: u32 = 4;

/// Makes the rings, once for each open. The argument is [`buffers_argument`].
pub const COMMAND_BUFFERS: u64 = 1;

/// Slots that a ring can have: it is one block of memory, of which ring 0 gets up to 4 MiB.
pub const SLOTS_MAX: u32 = 32_768;
/// Processors that can have a ring.
pub const RINGS_MAX: u32 = 256;
/// Locations that the module can have at a time.
pub const LOCATIONS_MAX: u32 = 4096;
/// Arguments of a probe that a [`Location`] describes: all that there can be.
pub const ARGUMENTS_MAX: usize = 16;
/// Bytes of a type's text, with its terminator.
pub const TYPE_BYTES: usize = 32;
/// Bytes of a name, with its terminator.
pub const NAME_BYTES: usize = 64;

/// The argument of [`COMMAND_BUFFERS`]: rings, slots of each, and what happens when one is full.
#[must_use]
pub const fn buffers_argument(rings: u16, slots: u32, policy: Policy) -> u64 {
    let policy = match policy {
        Policy::Drop => 0,
        Policy::Overwrite => 1,
    };
    policy << 48 | (rings as u64) << 32 | slots as u64
}

/// What [`buffers_argument`] was made of; `None` if it was not.
#[must_use]
pub const fn buffers_of(argument: u64) -> Option<(u16, u32, Policy)> {
    let policy = match argument >> 48 {
        0 => Policy::Drop,
        1 => Policy::Overwrite,
        _ => return None,
    };
    Some(((argument >> 32) as u16, argument as u32, policy))
}

/// A place where a probe fires. Texts that are too long are cut.
#[derive(Debug, Clone, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Location {
    /// The size is exactly that of this structure.
    pub header: SUPR0SERVICEREQHDR,
    /// Its number: that of its records.
    pub id: u32,
    /// The line in its source.
    pub line: u32,
    /// The process that it is in; 0 in ring 0.
    pub process: u32,
    /// Arguments of its probe.
    pub arg_count: u8,
    /// 1 if it is switched on.
    pub is_enabled: u8,
    /// Word width of its module, 32 or 64.
    pub bits: u8,
    /// Zero.
    pub reserved: u8,
    /// Stability of the provider itself, its modules, functions, names and arguments.
    pub attributes: [VtgAttributes; 5],
    /// Zero.
    pub reserved2: u8,
    /// The provider's name; a process' number is behind it.
    pub provider: [u8; NAME_BYTES],
    /// The module's name.
    pub module: [u8; NAME_BYTES],
    /// The probe's name.
    pub probe: [u8; NAME_BYTES],
    /// The function's name.
    pub function: [u8; NAME_BYTES],
    /// `VTG_TYPE_` bits of the arguments.
    pub flags: [u32; ARGUMENTS_MAX],
    /// Texts of the arguments' types.
    pub types: [[u8; TYPE_BYTES]; ARGUMENTS_MAX],
}

/// How the condition of a [`Switch`] compares the argument with the value, as unsigned numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Comparison {
    /// No condition.
    Always = 0,
    /// Equal.
    Equal = 1,
    /// Not equal.
    NotEqual = 2,
    /// Less than.
    Less = 3,
    /// Greater than.
    Greater = 4,
}

impl Comparison {
    /// The comparison with this number.
    #[must_use]
    pub const fn from_number(number: u32) -> Option<Self> {
        Some(match number {
            0 => Self::Always,
            1 => Self::Equal,
            2 => Self::NotEqual,
            3 => Self::Less,
            4 => Self::Greater,
            _ => return None,
        })
    }

    /// Whether the condition holds.
    #[must_use]
    pub const fn holds(self, argument: u64, value: u64) -> bool {
        match self {
            Self::Always => true,
            Self::Equal => argument == value,
            Self::NotEqual => argument != value,
            Self::Less => argument < value,
            Self::Greater => argument > value,
        }
    }
}

/// Switches a location.
#[derive(Debug, Clone, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Switch {
    /// The size is exactly that of this structure.
    pub header: SUPR0SERVICEREQHDR,
    /// In: the location.
    pub id: u32,
    /// In: 1 for on, 0 for off.
    pub is_on: u32,
    /// In: which argument the condition is about, 0 to 4.
    pub argument: u32,
    /// In: a [`Comparison`].
    pub comparison: u32,
    /// In: what the argument is compared with.
    pub value: u64,
}

/// Where a ring is.
#[derive(Debug, Clone, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Buffers {
    /// The size is exactly that of this structure.
    pub header: SUPR0SERVICEREQHDR,
    /// Out: the address in the session's process; 0 if there is no such ring.
    pub address: u64,
    /// Out: slots of each ring.
    pub slots: u32,
    /// Out: how many rings there are.
    pub rings: u32,
}

/// What a ring's writers counted. Exact when no probe is on.
#[derive(Debug, Clone, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Counters {
    /// The size is exactly that of this structure.
    pub header: SUPR0SERVICEREQHDR,
    /// Out: records that were written.
    pub written: u64,
    /// Out: records that found no room.
    pub lost: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_is_what_it_was_made_of() {
        for policy in [Policy::Drop, Policy::Overwrite] {
            for (rings, slots) in [(0, 0), (1, 2), (256, 1 << 20), (u16::MAX, u32::MAX)] {
                let argument = buffers_argument(rings, slots, policy);
                assert_eq!(buffers_of(argument), Some((rings, slots, policy)));
            }
        }
        assert_eq!(buffers_of(2 << 48), None);
    }

    #[test]
    fn a_comparison_is_what_its_number_says() {
        for number in 0..5 {
            assert_eq!(Comparison::from_number(number).map(|found| found as u32), Some(number));
        }
        assert_eq!(Comparison::from_number(5), None);
        let holding = |argument| {
            let all = (0..5).filter_map(Comparison::from_number);
            all.filter(|comparison| comparison.holds(argument, 5)).map(|c| c as u32).collect()
        };
        let of: [Vec<u32>; 3] = [4, 5, 6].map(holding);
        assert_eq!(of, [vec![0, 2, 3], vec![0, 1], vec![0, 2, 4]]);
    }
}
