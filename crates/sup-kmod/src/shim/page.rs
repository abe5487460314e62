//! Protections and placements as the shim numbers them.

use sup_core::host::{KernelProtection, Placement, UserProtection};
use sup_ring0::elf::Protection;

/// `enum supdrv_placement`
pub(crate) fn placement(placement: Placement) -> u32 {
    match placement {
        Placement::Anywhere => 0,
        Placement::Below4GiB => 1,
        Placement::ContiguousBelow4GiB => 2,
    }
}

/// What may be done with pages in ring 0: `enum supdrv_protection`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum KernelAccess {
    Nothing = 0,
    Read = 1,
    ReadWrite = 2,
    ReadExecute = 3,
}

impl From<Protection> for KernelAccess {
    fn from(protection: Protection) -> Self {
        match protection {
            Protection::Read => Self::Read,
            Protection::ReadWrite => Self::ReadWrite,
            Protection::ReadExecute => Self::ReadExecute,
        }
    }
}

impl From<KernelProtection> for KernelAccess {
    fn from(protection: KernelProtection) -> Self {
        match protection {
            KernelProtection::Nothing => Self::Nothing,
            KernelProtection::Read => Self::Read,
            KernelProtection::ReadWrite => Self::ReadWrite,
            KernelProtection::ReadExecute => Self::ReadExecute,
        }
    }
}

/// What ring 3 may do with pages, and whether a child has them: `enum supdrv_access`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum UserAccess {
    Read = 0,
    ReadWrite = 1,
    /// Readable and writable, also for the children of a fork.
    Inherited = 2,
    Nothing = 3,
}

impl From<UserProtection> for UserAccess {
    fn from(protection: UserProtection) -> Self {
        match protection {
            UserProtection::Nothing => Self::Nothing,
            UserProtection::Read => Self::Read,
            UserProtection::ReadWrite => Self::ReadWrite,
        }
    }
}
