//! [`SUPDRVIDCHANDLE`]: another kernel driver's connection to this one, and the packets that go over it.
//!
//! The handle is the client's memory; the driver keeps its session there. A packet is an [`IdcHeader`] and,
//! behind it, first what the client says and then, in the same place, what the driver answers: an input and
//! an output of each [`IdcRequest`] that has them.
//!
//! Neighbours: `kmod/client/supdrv_idc.h` says the same to C. Invariant: a handle of zeros is closed; a
//! packet has exactly its request's size.

#![expect(non_snake_case, reason = "members keep the names they have in sup.h")]

use core::ffi::{c_char, c_void};
use core::ptr;

use crate::{SUPDRVFACTORY, SUPDRVSESSION, Status};

/// The version of the interface between kernel drivers. The upper half is the major number: a
/// change of it is incompatible. Corresponds to `SUPDRV_IDC_VERSION`.
pub const SUPDRV_IDC_VERSION: u32 = 0x0001_0000;

/// A connection between kernel drivers. Corresponds to `SUPDRVIDCHANDLE`.
///
/// A union in the header, whose other member is private to the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct SUPDRVIDCHANDLE {
    /// The session in the first word, NULLs in the others.
    pub apvPadding: [*mut c_void; 4],
}

impl SUPDRVIDCHANDLE {
    /// A handle that is not connected.
    pub const CLOSED: Self = Self { apvPadding: [ptr::null_mut(); 4] };
}

/// What a client may ask for: the request code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum IdcRequest {
    /// Opens a session.
    Connect = 0xc0ff_ee01,
    /// Closes it. A header only.
    Disconnect = 0xc0ff_ee02,
    /// Looks a symbol of the driver or of a module up.
    GetSymbol = 0xc0ff_ee03,
    /// Registers a factory.
    RegisterFactory = 0xc0ff_ee0a,
    /// Takes a factory back.
    DeregisterFactory = 0xc0ff_ee0b,
}

impl IdcRequest {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Connect,
        Self::Disconnect,
        Self::GetSymbol,
        Self::RegisterFactory,
        Self::DeregisterFactory,
    ];

    /// The request with that code.
    #[must_use]
    pub fn of_code(code: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|request| *request as u32 == code)
    }

    /// Bytes of its packet, the header included.
    #[must_use]
    pub const fn packet_bytes(self) -> u32 {
        match self {
            Self::Connect => 40,
            Self::Disconnect => IDC_HEADER_BYTES,
            Self::GetSymbol => 32,
            Self::RegisterFactory | Self::DeregisterFactory => 24,
        }
    }
}

/// Bytes of [`IdcHeader`].
pub const IDC_HEADER_BYTES: u32 = 16;

/// What every packet begins with.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct IdcHeader {
    /// Bytes of the whole packet.
    pub bytes: u32,
    /// The result. The client presets `VERR_WRONG_ORDER`, so that it can tell a packet that was not
    /// looked at.
    pub status: Status,
    /// The session; NULL to connect, which writes the new one here.
    pub session: *mut SUPDRVSESSION,
}

/// What [`IdcConnectIn::magic`] is.
pub const IDC_CONNECT_MAGIC: u32 = 0x6972_6f74;

/// Behind the header of [`IdcRequest::Connect`].
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct IdcConnectIn {
    /// [`IDC_CONNECT_MAGIC`].
    pub magic: u32,
    /// The version that the client was made for.
    pub requested: u32,
    /// The oldest version that it works with.
    pub minimum: u32,
}

/// The answer to [`IdcRequest::Connect`].
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct IdcConnectOut {
    /// The new session, or NULL.
    pub session: *mut SUPDRVSESSION,
    /// The version that the session speaks; all ones if there is none that both can.
    pub session_version: u32,
    /// The driver's own version.
    pub driver_version: u32,
    /// The driver's revision; 0 as none is known.
    pub driver_revision: u32,
    /// 0.
    pub reserved: u32,
}

/// Behind the header of [`IdcRequest::GetSymbol`].
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct IdcGetSymbolIn {
    /// Name of the module, or NULL for the driver.
    pub module: *const c_char,
    /// Name of the symbol.
    pub symbol: *const c_char,
}

/// The answer to [`IdcRequest::GetSymbol`].
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct IdcGetSymbolOut {
    /// Where the symbol is; NULL if there is no such symbol.
    pub address: *mut c_void,
}

/// Behind the header of [`IdcRequest::RegisterFactory`] and [`IdcRequest::DeregisterFactory`].
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct IdcFactoryIn {
    /// The factory.
    pub factory: *const SUPDRVFACTORY,
}

const _: () = {
    const fn fits<T>(request: IdcRequest) -> bool {
        size_of::<IdcHeader>() + size_of::<T>() <= request.packet_bytes() as usize
    }
    assert!(size_of::<IdcHeader>() == IDC_HEADER_BYTES as usize);
    assert!(core::mem::offset_of!(IdcHeader, session) == 8);
    assert!(fits::<IdcConnectIn>(IdcRequest::Connect));
    assert!(fits::<IdcConnectOut>(IdcRequest::Connect));
    assert!(fits::<IdcGetSymbolIn>(IdcRequest::GetSymbol));
    assert!(fits::<IdcGetSymbolOut>(IdcRequest::GetSymbol));
    assert!(fits::<IdcFactoryIn>(IdcRequest::RegisterFactory));
    assert!(size_of::<IdcConnectOut>() == 24 && size_of::<IdcConnectIn>() == 12);
};
