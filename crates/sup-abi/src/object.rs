//! Kinds of reference-counted objects, and the function that ends one.
//!
//! The record behind an object is the driver's own; callers see only its address.
//!
//! Invariant: [`SUPDRVOBJTYPE`] has no variant for [`SUPDRVOBJTYPE_END`], so a converted value is
//! either `Invalid` or a type that may be registered.

use core::ffi::c_void;

use num_enum::{IntoPrimitive, TryFromPrimitive};

/// What an object stands for. Corresponds to `SUPDRVOBJTYPE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, TryFromPrimitive, IntoPrimitive)]
#[repr(u32)]
pub enum SUPDRVOBJTYPE {
    /// Nothing; never registered. Corresponds to `SUPDRVOBJTYPE_INVALID`.
    Invalid = 0,
    /// A virtual machine. Corresponds to `SUPDRVOBJTYPE_VM`.
    Vm = 1,
    /// A network between virtual machines. Corresponds to `SUPDRVOBJTYPE_INTERNAL_NETWORK`.
    InternalNetwork = 2,
    /// A connection to such a network. Corresponds to `SUPDRVOBJTYPE_INTERNAL_NETWORK_INTERFACE`.
    InternalNetworkInterface = 3,
    /// A semaphore whose signal releases one waiter. Corresponds to `SUPDRVOBJTYPE_SEM_EVENT`.
    SemEvent = 4,
    /// A semaphore whose signal releases all waiters. Corresponds to
    /// `SUPDRVOBJTYPE_SEM_EVENT_MULTI`.
    SemEventMulti = 5,
    /// A PCI device of the host given to a guest. Corresponds to `SUPDRVOBJTYPE_RAW_PCI_DEVICE`.
    RawPciDevice = 6,
}

/// The first number after the types. Corresponds to `SUPDRVOBJTYPE_END`.
pub const SUPDRVOBJTYPE_END: u32 = 7;

/// Never used; makes a C compiler choose 32 bits, and has one digit less than its siblings.
/// Corresponds to `SUPDRVOBJTYPE_32_BIT_HACK`.
pub const SUPDRVOBJTYPE_32_BIT_HACK: u32 = 0x07ff_ffff;

/// Called when the last reference is gone, with the object and the two values of its registration.
/// Corresponds to `PFNSUPDRVDESTRUCTOR`.
pub type PFNSUPDRVDESTRUCTOR = Option<unsafe extern "C" fn(*mut c_void, *mut c_void, *mut c_void)>;
