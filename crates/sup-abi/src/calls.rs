//! Packets and constants of the calls into ring-0 modules: VMMR0, services and the loggers.
//!
//! A caller puts [`SUPVMMR0REQHDR`] or [`SUPR0SERVICEREQHDR`] in front of its own data; the driver
//! checks that header and passes the rest on unread. The limits on the sizes are in `limits`.
//!
//! Invariant: `cbReq` counts the whole packet, its own eight bytes included.

#![expect(non_snake_case, reason = "members keep the names they have in sup.h")]

use num_enum::{IntoPrimitive, TryFromPrimitive};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{SUPDRVSESSION, Status};

/// What [`SUPVMMR0REQHDR::u32Magic`] must hold. Corresponds to `SUPVMMR0REQHDR_MAGIC`.
pub const SUPVMMR0REQHDR_MAGIC: u32 = 0x1973_0211;

/// What [`SUPR0SERVICEREQHDR::u32Magic`] must hold. Corresponds to `SUPR0SERVICEREQHDR_MAGIC`.
pub const SUPR0SERVICEREQHDR_MAGIC: u32 = 0x1964_0416;

/// The head of a packet for VMMR0. Corresponds to `SUPVMMR0REQHDR`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SUPVMMR0REQHDR {
    /// [`SUPVMMR0REQHDR_MAGIC`].
    pub u32Magic: u32,
    /// Bytes in the packet, this header included.
    pub cbReq: u32,
}

/// The head of a packet for a service module. Corresponds to `SUPR0SERVICEREQHDR`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SUPR0SERVICEREQHDR {
    /// [`SUPR0SERVICEREQHDR_MAGIC`].
    pub u32Magic: u32,
    /// Bytes in the packet, this header included.
    pub cbReq: u32,
}

/// The function of a service module that takes the calls: session, operation, 64-bit argument and
/// the packet, which may be NULL. Corresponds to `PFNSUPR0SERVICEREQHANDLER`.
pub type PFNSUPR0SERVICEREQHANDLER =
    Option<unsafe extern "C" fn(*mut SUPDRVSESSION, u32, u64, *mut SUPR0SERVICEREQHDR) -> Status>;

/// Fast call: run guest code in raw mode. Corresponds to `SUP_VMMR0_DO_RAW_RUN`.
pub const SUP_VMMR0_DO_RAW_RUN: u32 = 0;

/// Fast call: run guest code with hardware virtualisation. Corresponds to `SUP_VMMR0_DO_HWACC_RUN`.
pub const SUP_VMMR0_DO_HWACC_RUN: u32 = 1;

/// Fast call: go there and back, for measuring. Corresponds to `SUP_VMMR0_DO_NOP`.
pub const SUP_VMMR0_DO_NOP: u32 = 2;

/// One of the two loggers of ring 0. Corresponds to `SUPLOGGER`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, TryFromPrimitive, IntoPrimitive)]
#[repr(u32)]
pub enum SUPLOGGER {
    /// The log of debug builds. Corresponds to `SUPLOGGER_DEBUG`.
    Debug = 1,
    /// The log that every build writes. Corresponds to `SUPLOGGER_RELEASE`.
    Release = 2,
}
