//! What the host's processors can do: the paging mode and the virtualisation extensions.
//!
//! Both are answers to a query; the code that reads the control registers is in the driver.
//!
//! Invariant: users compare paging modes by order, so the variants stay in the header's order.

use num_enum::{IntoPrimitive, TryFromPrimitive};

/// How the host kernel translates addresses. Corresponds to `SUPPAGINGMODE`.
///
/// "Global" stands for global pages, "Nx" for the no-execute bit.
///
/// ```
/// use sup_abi::SUPPAGINGMODE;
///
/// assert_eq!(SUPPAGINGMODE::try_from(10).ok(), Some(SUPPAGINGMODE::Amd64GlobalNx));
/// assert!(SUPPAGINGMODE::try_from(11).is_err());
/// assert!(SUPPAGINGMODE::Amd64 > SUPPAGINGMODE::PaeGlobalNx);
/// ```
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, TryFromPrimitive, IntoPrimitive,
)]
#[repr(u32)]
pub enum SUPPAGINGMODE {
    /// Corresponds to `SUPPAGINGMODE_INVALID`: unknown, also the answer when the query failed.
    Invalid = 0,
    /// Corresponds to `SUPPAGINGMODE_32_BIT`.
    Bits32 = 1,
    /// Corresponds to `SUPPAGINGMODE_32_BIT_GLOBAL`.
    Bits32Global = 2,
    /// Corresponds to `SUPPAGINGMODE_PAE`.
    Pae = 3,
    /// Corresponds to `SUPPAGINGMODE_PAE_GLOBAL`.
    PaeGlobal = 4,
    /// Corresponds to `SUPPAGINGMODE_PAE_NX`.
    PaeNx = 5,
    /// Corresponds to `SUPPAGINGMODE_PAE_GLOBAL_NX`.
    PaeGlobalNx = 6,
    /// Corresponds to `SUPPAGINGMODE_AMD64`.
    Amd64 = 7,
    /// Corresponds to `SUPPAGINGMODE_AMD64_GLOBAL`.
    Amd64Global = 8,
    /// Corresponds to `SUPPAGINGMODE_AMD64_NX`.
    Amd64Nx = 9,
    /// Corresponds to `SUPPAGINGMODE_AMD64_GLOBAL_NX`.
    Amd64GlobalNx = 10,
}

/// The processor has AMD-V and may use it. Corresponds to `SUPVTCAPS_AMD_V`.
pub const SUPVTCAPS_AMD_V: u32 = 1 << 0;

/// The processor has VT-x and may use it. Corresponds to `SUPVTCAPS_VT_X`.
pub const SUPVTCAPS_VT_X: u32 = 1 << 1;

/// The processor can nest page tables. Corresponds to `SUPVTCAPS_NESTED_PAGING`.
pub const SUPVTCAPS_NESTED_PAGING: u32 = 1 << 2;
