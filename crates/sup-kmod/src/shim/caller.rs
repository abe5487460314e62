//! Who calls, and what it may do.

use sup_abi::{GroupId, ProcessId, UserId};
use sup_core::host::{AddressSpace, Caller};
use sup_signature::PublicKey;

use super::{Errno, raw};

/// The current task's real user and group, and its process.
pub(crate) fn caller() -> Caller {
    let mut caller = raw::Caller::default();
    // SAFETY: the structure is this function's own, and the shim fills all of it.
    unsafe { raw::supdrv_caller(&raw mut caller) };
    Caller {
        user: UserId::new(caller.user),
        group: GroupId::new(caller.group),
        process: ProcessId::new(caller.process),
    }
}

/// Whether the current task may bring code into ring 0.
///
/// # Errors
/// `EPERM` without `CAP_SYS_MODULE`, or when the kernel is locked down.
pub(crate) fn may_load_code() -> Result<(), Errno> {
    // SAFETY: the function has no precondition.
    Errno::check(unsafe { raw::supdrv_may_load_code() })
}

/// The address space of the current task.
pub(crate) fn address_space() -> AddressSpace {
    // SAFETY: the function has no precondition; the pointer is used as a name only.
    AddressSpace(unsafe { raw::supdrv_space() }.addr() as u64)
}

/// A random number that nobody can foresee.
pub(crate) fn random() -> u64 {
    // SAFETY: the function has no precondition.
    unsafe { raw::supdrv_random() }
}

/// The module's parameter `gip_mode`.
pub(crate) fn gip_mode() -> u32 {
    // SAFETY: the function has no precondition.
    unsafe { raw::supdrv_gip_mode() }
}

/// The module's parameter `print_limit`.
pub(crate) fn print_limit() -> u32 {
    // SAFETY: the function has no precondition.
    unsafe { raw::supdrv_print_limit() }
}

/// Key number `index` of the module's parameter `keys`; `None` if there are no more.
///
/// # Errors
/// `EINVAL` if it is no key. The shim has logged it.
pub(crate) fn trusted_key(index: u32) -> Result<Option<PublicKey>, Errno> {
    let mut key = [0; 32];
    // SAFETY: the array is this function's own, and as long as the shim writes.
    match unsafe { raw::supdrv_trusted_key(index, key.as_mut_ptr()) } {
        0 => Ok(None),
        1 => Ok(Some(PublicKey(key))),
        error => Err(Errno(error.wrapping_neg())),
    }
}
