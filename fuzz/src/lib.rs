//! [`Shot`]: what precedes a packet in an input of the target `requests`; and where objects of the target
//! `vtg` lie. The seeds have the same form.
//!
//! Invariant: any bytes are a shot.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A packet to be sent; so many bytes behind its header follow.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, packed)]
pub struct Shot {
    /// The number of the request.
    pub function: u8,
    /// Which word of the header is spoiled; none if there is no such word.
    pub spoiled_word: u8,
    /// Bytes behind the header.
    pub bytes: u16,
    /// Bytes of output behind the header.
    pub bytes_out: u16,
    /// What the word is XORed with.
    pub spoil: u32,
}

/// Address of the header of every VTG object, in an image that reaches [`VTG_IMAGE_REACH`] to both sides.
pub const VTG_ADDRESS: u64 = 0x1234_5000;

/// Bytes of an image in front of the header, and behind it.
pub const VTG_IMAGE_REACH: u64 = 1 << 21;
