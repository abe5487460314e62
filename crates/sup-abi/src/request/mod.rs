//! The request protocol: what ring 3 sends to the driver and what comes back.
//!
//! A request is one packet: a [`Header`], a fixed part, and for some requests a variable tail. Input
//! and output share the bytes behind the header, and are different types. [`TABLE`] lists every
//! request; it is generated, like the [`Request`] implementations, from the one table in
//! `table.rs`. The driver's dispatcher, the library's wrappers and the documentation follow it.
//!
//! The protocol is our own and versioned ([`PROTOCOL_VERSION`]). It keeps the shape and the numbers
//! that the header's users know, and gives out neither addresses of the driver's own data nor
//! constant secrets: the session is named by a random [`SessionId`], and the cookies are random.
//!
//! Two results come back, see [`Header::rc`]: the transport's (the packet itself was wrong, nothing
//! was done and nothing is written) and the request's.
//!
//! Invariant: every type here is plain data without padding, so that no byte of it is ever
//! uninitialised, and every one reads any bit pattern.

pub mod ioctl;
mod packets;
mod semaphore;
mod table;

pub use packets::*;
pub use semaphore::*;
pub use table::*;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The version of this protocol. The upper half is the major number: a change of it is incompatible.
pub const PROTOCOL_VERSION: u32 = 0x0001_0000;

/// True if a driver that speaks `driver` can serve a library that needs at least `minimum`.
///
/// ```
/// use sup_abi::request::is_compatible;
/// assert!(is_compatible(0x0001_0000, 0x0001_0002));
/// assert!(!is_compatible(0x0001_0003, 0x0001_0002), "the driver is older than the library needs");
/// assert!(!is_compatible(0x0001_0000, 0x0002_0000), "another major number");
/// ```
pub const fn is_compatible(minimum: u32, driver: u32) -> bool {
    minimum >> 16 == driver >> 16 && minimum <= driver
}

/// The cookie of a request that has no session yet: [`Connect`].
pub const INITIAL_COOKIE: u32 = 0x6972_6f74;
/// What [`ConnectIn::magic`] must hold.
pub const CONNECT_MAGIC: [u8; 16] = *b"The Magic Word!\0";

/// The flags that every header carries, under [`HEADER_FLAGS_MASK`].
pub const HEADER_FLAGS: u32 = 0x4200_0042;
/// The part of [`Header::flags`] that is fixed.
pub const HEADER_FLAGS_MASK: u32 = 0xff00_00ff;

/// No packet is larger: the largest module image and what goes before it.
pub const MAX_PACKET_BYTES: usize = 16 << 20;

/// The first bytes of every packet. Both sides fill it, and the driver checks all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Header {
    /// The driver's cookie, from [`ConnectOut::cookie`]; [`INITIAL_COOKIE`] for [`Connect`].
    pub cookie: u32,
    /// The session's cookie, from [`ConnectOut::session_cookie`]; anything for [`Connect`].
    pub session_cookie: u32,
    /// Bytes of input, this header included.
    pub bytes_in: u32,
    /// Bytes of output, this header included.
    pub bytes_out: u32,
    /// [`HEADER_FLAGS`] under [`HEADER_FLAGS_MASK`]; the other bits are ignored.
    pub flags: u32,
    /// The request's status, written by the driver when the transport succeeded.
    pub rc: i32,
}

/// Size of [`Header`].
pub const HEADER_BYTES: usize = size_of::<Header>();
const _: () = assert!(HEADER_BYTES == 24);

/// One request: its number and its two packets. Implemented only by the table's entries.
pub trait Request {
    /// The number in the request table.
    const FUNCTION: Function;
    /// What the driver reads, behind the header.
    type In: FromBytes + IntoBytes + Immutable + KnownLayout + Copy;
    /// What the driver writes, behind the header.
    type Out: FromBytes + IntoBytes + Immutable + KnownLayout + Copy;
    /// Size of the header and the fixed input.
    const BYTES_IN: usize = HEADER_BYTES + size_of::<Self::In>();
    /// Size of the header and the fixed output.
    const BYTES_OUT: usize = HEADER_BYTES + size_of::<Self::Out>();
}

/// What may follow the fixed part of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tail {
    /// Nothing: the packet has exactly one size.
    None,
    /// Bytes, as many as the packet has.
    Bytes,
    /// One 8-byte physical address a page.
    PhysicalAddresses,
    /// A [`ModuleUse`] a session, as many as the input says.
    ModuleUses,
}

/// A row of [`TABLE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestInfo {
    /// The number.
    pub function: Function,
    /// The name in [`Function`].
    pub name: &'static str,
    /// Size of the header and the fixed input.
    pub bytes_in: usize,
    /// What may follow the input.
    pub tail_in: Tail,
    /// Size of the header and the fixed output.
    pub bytes_out: usize,
    /// What may follow the output.
    pub tail_out: Tail,
    /// One sentence.
    pub about: &'static str,
}

/// A fixed string field: the text up to the first NUL, or `None` if no NUL ends it or it is not UTF-8.
///
/// ```
/// use sup_abi::request::terminated;
/// assert_eq!(terminated(b"hello\0\0\0"), Some("hello"));
/// assert_eq!(terminated(b"hello"), None);
/// ```
pub fn terminated(field: &[u8]) -> Option<&str> {
    core::ffi::CStr::from_bytes_until_nul(field).ok()?.to_str().ok()
}

/// A string as a fixed field, padded with NUL; `None` if it does not fit with its terminator or
/// contains a NUL itself.
///
/// ```
/// use sup_abi::request::padded;
/// assert_eq!(padded::<8>("hello"), Some(*b"hello\0\0\0"));
/// assert_eq!(padded::<5>("hello"), None);
/// ```
pub fn padded<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut field = [0; N];
    if text.len() >= N || text.bytes().any(|byte| byte == 0) {
        return None;
    }
    field.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
    Some(field)
}
