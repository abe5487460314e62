//! What the set-uid stub, the library and the real program agree on.
//!
//! The stub verifies the installation, opens the device and then runs the program's entry point; if
//! it fails, it reports which step went wrong.
//!
//! Invariant: [`SUPINITOP`] has no variant for [`SUPINITOP_END`], so a converted value always
//! names a step or is `Invalid`.

use core::ffi::{c_char, c_int, c_void};

use num_enum::{IntoPrimitive, TryFromPrimitive};

use crate::Status;

/// The step of the start at which something failed. Corresponds to `SUPINITOP`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, TryFromPrimitive, IntoPrimitive)]
#[repr(u32)]
pub enum SUPINITOP {
    /// None. Corresponds to `kSupInitOp_Invalid`.
    Invalid = 0,
    /// The installed files are not as they should be. Corresponds to `kSupInitOp_Integrity`.
    Integrity = 1,
    /// The stub does not run as root. Corresponds to `kSupInitOp_RootCheck`.
    RootCheck = 2,
    /// The driver could not be opened. Corresponds to `kSupInitOp_Driver`.
    Driver = 3,
    /// The runtime library could not be started. Corresponds to `kSupInitOp_IPRT`.
    Iprt = 4,
}

/// The first number after the steps. Corresponds to `kSupInitOp_End`.
pub const SUPINITOP_END: u32 = 5;

/// Tells the stub to leave the device closed. Corresponds to `SUPSECMAIN_FLAGS_DONT_OPEN_DEV`.
pub const SUPSECMAIN_FLAGS_DONT_OPEN_DEV: u32 = 1 << 0;

/// The program's `TrustedMain`: argument count, arguments, environment. Corresponds to
/// `PFNSUPTRUSTEDMAIN`.
pub type PFNSUPTRUSTEDMAIN =
    Option<unsafe extern "C" fn(c_int, *mut *mut c_char, *mut *mut c_char) -> c_int>;

/// The program's `TrustedError`: where, the [`SUPINITOP`] as a number, the status, a format and its
/// `va_list`. Corresponds to `PFNSUPTRUSTEDERROR`.
///
/// The number comes from C, which does not promise that it is one of the enumeration's.
pub type PFNSUPTRUSTEDERROR =
    Option<unsafe extern "C" fn(*const c_char, u32, Status, *const c_char, *mut c_void)>;
