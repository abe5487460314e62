//! The operations and request packets of the test VMMR0, mirroring `modules/vmmr0/vmmr0.h`.

use core::mem::size_of;

use sup_abi::{SUPVMMR0REQHDR, SUPVMMR0REQHDR_MAGIC};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Does nothing. Corresponds to `VMMR0_OP_NOP`.
pub const OP_NOP: u32 = 3;
/// Returns the low half of the argument as the status. Corresponds to `VMMR0_OP_STATUS`.
pub const OP_STATUS: u32 = 4;
/// Sleeps for as many nanoseconds as the argument says. Corresponds to `VMMR0_OP_SLEEP`.
pub const OP_SLEEP: u32 = 5;
/// Makes a VM, with a [`Vm`] packet. Corresponds to `VMMR0_OP_CREATE_VM`.
pub const OP_CREATE_VM: u32 = 6;
/// Gives the reference to a VM back, with a [`Vm`] packet. Corresponds to `VMMR0_OP_DESTROY_VM`.
pub const OP_DESTROY_VM: u32 = 7;
/// Tells what the fast entry saw, with a [`Seen`] packet. Corresponds to `VMMR0_OP_COUNTS`.
pub const OP_COUNTS: u32 = 8;
/// Inverts the bytes behind a packet's header. Corresponds to `VMMR0_OP_INVERT`.
pub const OP_INVERT: u32 = 9;

/// The packet of [`OP_CREATE_VM`] and [`OP_DESTROY_VM`]. Corresponds to `VMMR0VMREQ`.
#[derive(Clone, Copy, Debug, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct Vm {
    /// The size is exactly that of this structure.
    pub header: SUPVMMR0REQHDR,
    /// The VM, as the fast entry gets it.
    pub vm: u64,
    /// The object that it is registered as.
    pub object: u64,
}

const _: () = assert!(size_of::<Vm>() == 24);

impl Vm {
    /// A request for a VM.
    pub const fn new() -> Self {
        Self { header: header(size_of::<Self>()), vm: 0, object: 0 }
    }
}

impl Default for Vm {
    fn default() -> Self {
        Self::new()
    }
}

/// The packet of [`OP_COUNTS`]. Corresponds to `VMMR0COUNTSREQ`.
#[derive(Clone, Copy, Debug, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct Seen {
    /// The size is exactly that of this structure.
    pub header: SUPVMMR0REQHDR,
    /// Out: fast calls so far, by operation.
    pub calls: [u64; 3],
    /// Out: the VM of the last one.
    pub last_vm: u64,
    /// Out: the virtual processor of the last one.
    pub last_cpu: u32,
    /// Explicit padding, zero.
    pub padding: u32,
    /// Out: VMs that exist.
    pub vms: u64,
}

const _: () = assert!(size_of::<Seen>() == 56);

impl Seen {
    /// A request for the counts.
    pub const fn new() -> Self {
        let header = header(size_of::<Self>());
        Self { header, calls: [0; 3], last_vm: 0, last_cpu: 0, padding: 0, vms: 0 }
    }
}

impl Default for Seen {
    fn default() -> Self {
        Self::new()
    }
}

/// The header of a packet of `size` bytes.
const fn header(size: usize) -> SUPVMMR0REQHDR {
    SUPVMMR0REQHDR { u32Magic: SUPVMMR0REQHDR_MAGIC, cbReq: size as u32 }
}
