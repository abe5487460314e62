//! The packets of the calls into VMMR0.r0.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::R0Ptr;

packets! {
    /// Input of [`SetVm`](crate::request::SetVm).
    SetVmIn (8) {
        /// The VM of fast calls: an object or a memory block of the session, see
        /// [`SetVm`](crate::request::SetVm); 0 for none.
        vm: R0Ptr,
    }

    /// Input of [`CallVmm`](crate::request::CallVmm) and [`CallVmmBig`](crate::request::CallVmmBig); the request packet, if
    /// any, follows.
    CallVmmIn (24) {
        /// The VM, for VMMR0 to interpret, and to check.
        vm: R0Ptr,
        /// The virtual processor, for VMMR0 to interpret.
        cpu: u32,
        /// The operation, for VMMR0 to interpret.
        operation: u32,
        /// The argument, for VMMR0 to interpret.
        argument: u64,
    }

    /// Output of [`CallVmm`](crate::request::CallVmm) and [`CallVmmBig`](crate::request::CallVmmBig); the request packet as
    /// VMMR0 left it follows.
    CallVmmOut (24) {
        /// Zero.
        reserved: [u64; 3],
    }

    /// Input of [`CallVmmFast`](crate::request::CallVmmFast).
    CallVmmFastIn (8) {
        /// `SUP_VMMR0_DO_*`.
        operation: u32,
        /// The virtual processor, for VMMR0 to interpret.
        cpu: u32,
    }
}
