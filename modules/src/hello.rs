//! The operations and request packets of the hello module, mirroring `modules/hello/hello.h`.

use core::mem::size_of;

use sup_abi::{SUPR0SERVICEREQHDR, SUPR0SERVICEREQHDR_MAGIC};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The name of the service's entry, for `SUPR3LoadServiceModule`.
pub const SERVICE_HANDLER: &str = "helloServiceReqHandler";

/// The module's version string, a data symbol.
pub const VERSION_SYMBOL: &str = "g_szHelloVersion";

/// Does nothing. Corresponds to `HELLO_OP_NOP`.
pub const OP_NOP: u32 = 0;
/// Greets somebody by name, with a [`Greet`] packet. Corresponds to `HELLO_OP_GREET`.
pub const OP_GREET: u32 = 1;
/// Adds numbers up, with a [`Sum`] packet. Corresponds to `HELLO_OP_SUM`.
pub const OP_SUM: u32 = 2;
/// Returns the low half of the argument as the status. Corresponds to `HELLO_OP_ECHO_ARG`.
pub const OP_ECHO_ARG: u32 = 3;
/// Takes a reference-counted object through its life. Corresponds to `HELLO_OP_OBJECT`.
pub const OP_OBJECT: u32 = 4;
/// Takes an event semaphore through its life. Corresponds to `HELLO_OP_SEMAPHORE`.
pub const OP_SEMAPHORE: u32 = 5;

/// The packet of [`OP_GREET`]. Corresponds to `HELLOGREETREQ`.
#[derive(Clone, Copy, Debug, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct Greet {
    /// The size is exactly that of this structure.
    pub header: SUPR0SERVICEREQHDR,
    /// In: whom to greet, with a terminating NUL.
    pub name: [u8; 64],
    /// Out: the greeting, with a terminating NUL.
    pub greeting: [u8; 128],
}

const _: () = assert!(size_of::<Greet>() == 200);

impl Greet {
    /// A request to greet `name`, or `None` when the packet has no room for it.
    pub fn new(name: &str) -> Option<Self> {
        let mut packet =
            Self { header: header(size_of::<Self>() as u32), name: [0; 64], greeting: [0; 128] };
        let (_nul, room) = packet.name.split_last_mut()?;
        room.get_mut(..name.len())?.copy_from_slice(name.as_bytes());
        Some(packet)
    }

    /// The greeting: empty before the request was carried out, or when it is not text.
    pub fn greeting(&self) -> &str {
        let text = self.greeting.split(|&byte| byte == 0).next().unwrap_or_default();
        str::from_utf8(text).unwrap_or_default()
    }
}

/// The packet of [`OP_SUM`], followed by its values (`u64`). Corresponds to `HELLOSUMREQ`.
#[derive(Clone, Copy, Debug, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct Sum {
    /// The size covers the values as well.
    pub header: SUPR0SERVICEREQHDR,
    /// In: how many values follow.
    pub value_count: u32,
    /// Explicit padding, ignored.
    pub padding: u32,
    /// Out: the sum, modulo 2^64.
    pub sum: u64,
}

const _: () = assert!(size_of::<Sum>() == 24);

impl Sum {
    /// A request for the sum of `value_count` values, or `None` when no packet is large enough.
    pub fn new(value_count: u32) -> Option<Self> {
        let size = value_count.checked_mul(8)?.checked_add(size_of::<Self>() as u32)?;
        Some(Self { header: header(size), value_count, padding: 0, sum: 0 })
    }
}

/// The header of a packet of `size` bytes.
const fn header(size: u32) -> SUPR0SERVICEREQHDR {
    SUPR0SERVICEREQHDR { u32Magic: SUPR0SERVICEREQHDR_MAGIC, cbReq: size }
}
