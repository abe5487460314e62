//! The operations and request packets of the hello module, mirroring `modules/hello/hello.h`.

use core::mem::size_of;

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

/// The beginning of every packet. Corresponds to `SUPR0SERVICEREQHDR`.
#[derive(Clone, Copy, Debug, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct Header {
    /// [`Header::MAGIC`].
    pub magic: u32,
    /// The size of the whole packet in bytes, this header included.
    pub size: u32,
}

impl Header {
    /// Corresponds to `SUPR0SERVICEREQHDR_MAGIC`.
    pub const MAGIC: u32 = 0x1964_0416;

    /// The header of a packet of `size` bytes.
    pub const fn new(size: u32) -> Self {
        Self { magic: Self::MAGIC, size }
    }
}

/// The packet of [`OP_GREET`]. Corresponds to `HELLOGREETREQ`.
#[derive(Clone, Copy, Debug, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct Greet {
    /// The size is exactly that of this structure.
    pub header: Header,
    /// In: whom to greet, with a terminating NUL.
    pub name: [u8; 64],
    /// Out: the greeting, with a terminating NUL.
    pub greeting: [u8; 128],
}

const _: () = assert!(size_of::<Greet>() == 200);

impl Greet {
    /// A request to greet `name`, or `None` when the packet has no room for it.
    pub fn new(name: &str) -> Option<Self> {
        let mut packet = Self {
            header: Header::new(size_of::<Self>() as u32),
            name: [0; 64],
            greeting: [0; 128],
        };
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
    pub header: Header,
    /// In: how many values follow.
    pub value_count: u32,
    /// Explicit padding, ignored.
    pub padding: u32,
    /// Out: the sum, modulo 2^64.
    pub sum: u64,
}

const _: () = assert!(size_of::<Sum>() == 24);
