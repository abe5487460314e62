//! `VMMR0.r0`: loading it, and calling its entries.
//!
//! The module is the driver's one hypervisor: whoever loaded it, every session calls it. The fast entry is
//! for what a virtual machine does all the time; it needs the session's VM to be set once, and is then
//! the shortest way into ring 0 that there is.

use std::path::Path;

use sup_abi::request::{CallVmm, CallVmmBig, CallVmmIn, HEADER_BYTES, Request, SetVm, SetVmIn};
use sup_abi::{
    R0Ptr, SUP_VMMR0_DO_NOP, SUPVMMR0REQHDR, SUPVMMR0REQHDR_MAGIC, Status, VMM_MODULE_NAME,
    VMMR0_REQUEST_BYTES_MAX, VMMR0_SMALL_PACKET_BYTES_LIMIT,
};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::error::{Error, Result};
use crate::{Module, Session};

const CALL: &str = "CallVmm";
const FAST: &str = "CallVmmFast";

/// Bytes before a request's packet.
const BODY: usize = HEADER_BYTES + size_of::<CallVmmIn>();

impl Session {
    /// Loads the hypervisor's module; to unload it is to free or drop the [`Module`]. Corresponds to
    /// `SUPR3LoadVMM` and `SUPR3UnloadVMM`.
    ///
    /// # Errors
    /// Those of [`Session::load_module`], and `VERR_SYMBOL_NOT_FOUND` if one of the three entries is
    /// missing.
    pub fn load_vmm(&self, file: impl AsRef<Path>) -> Result<Module> {
        self.load_module(file, VMM_MODULE_NAME)
    }

    /// Chooses the VM of this session's fast calls, or with `None` none. Corresponds to
    /// `SUPR3SetVMForFastIOCtl`.
    ///
    /// A VM is the handle or the first value of an object of type VM that the session references, or the
    /// ring-0 address of a memory block of its own. The driver keeps it, and the hypervisor's module,
    /// until another call takes it back: that call waits for fast calls that run.
    ///
    /// # Errors
    /// `VERR_WRONG_ORDER` while no hypervisor's module is loaded, `VERR_ALREADY_EXISTS` if the session
    /// has a VM, `VERR_INVALID_PARAMETER` for what lies in the first page or the last, `VERR_ACCESS_DENIED`
    /// for any other value.
    pub fn set_vm_for_fast_calls(&self, vm: Option<R0Ptr>) -> Result<()> {
        let vm = vm.unwrap_or(R0Ptr::NIL);
        self.connection().call::<SetVm>(&SetVmIn { vm }).map(|_| ())
    }

    /// Calls the hypervisor's fast entry with the session's VM. Corresponds to `SUPR3CallVMMR0Fast`.
    ///
    /// What came of it is in the VM; success says no more than that the entry was called.
    ///
    /// # Errors
    /// `VERR_INTERNAL_ERROR` if the session has no VM or the operation is none of `SUP_VMMR0_DO_*`.
    #[inline]
    pub fn call_vmm_fast(&self, operation: u32, cpu: u32) -> Result<()> {
        let status = if operation <= SUP_VMMR0_DO_NOP {
            self.connection().call_vmm_fast(operation, cpu)
        } else {
            Status::VERR_INTERNAL_ERROR
        };
        match status.ok() {
            Ok(_) => Ok(()),
            Err(status) => Err(fast_error(status)),
        }
    }

    /// Calls the hypervisor's module without a packet, and returns its status unchanged. Corresponds to
    /// `SUPR3CallVMMR0`.
    ///
    /// The driver interprets neither the VM nor what follows it.
    ///
    /// # Errors
    /// A negative status of the module; `VERR_WRONG_ORDER` while none is loaded, `VERR_INTERNAL_ERROR`
    /// for an operation of the fast entry.
    pub fn call_vmm(&self, vm: R0Ptr, cpu: u32, operation: u32, argument: u64) -> Result<Status> {
        refuse_fast(operation)?;
        self.exchange_with_vmm(&CallVmmIn { vm, cpu, operation, argument }, &mut [])
    }

    /// Calls the hypervisor's module with a request packet, which it may change, and returns its status
    /// unchanged. Corresponds to `SUPR3CallVMMR0Ex`.
    ///
    /// The packet starts with its [`SUPVMMR0REQHDR`], whose size is the packet's.
    ///
    /// # Errors
    /// Those of [`Session::call_vmm`], and the packet as the module left it; `VERR_OUT_OF_RANGE` if the
    /// packet has more than 512 KiB, `VERR_INVALID_MAGIC` or `VERR_INVALID_PARAMETER` if its header is
    /// not right, `VERR_NO_TMP_MEMORY`.
    pub fn call_vmm_with<T>(
        &self,
        vm: R0Ptr,
        cpu: u32,
        operation: u32,
        argument: u64,
        packet: &mut T,
    ) -> Result<Status>
    where
        T: FromBytes + IntoBytes + Immutable + KnownLayout + ?Sized,
    {
        let packet = packet.as_mut_bytes();
        if packet.len() > VMMR0_REQUEST_BYTES_MAX as usize {
            return Err(Error::new(
                CALL,
                Status::VERR_OUT_OF_RANGE,
                format!(
                    "the packet has {} bytes, {VMMR0_REQUEST_BYTES_MAX} are the most",
                    packet.len()
                ),
            ));
        }
        refuse_fast(operation)?;
        check_packet(packet)?;
        self.exchange_with_vmm(&CallVmmIn { vm, cpu, operation, argument }, packet)
    }

    fn exchange_with_vmm(&self, input: &CallVmmIn, packet: &mut [u8]) -> Result<Status> {
        let size = BODY + packet.len();
        let status = if size < VMMR0_SMALL_PACKET_BYTES_LIMIT as usize {
            self.send_to_vmm::<CallVmm>(input, packet, size)
        } else {
            self.send_to_vmm::<CallVmmBig>(input, packet, size)
        }?;
        if status.is_failure() {
            return Err(Error::new(CALL, status, ""));
        }
        Ok(status)
    }

    fn send_to_vmm<R: Request>(
        &self,
        input: &CallVmmIn,
        packet: &mut [u8],
        size: usize,
    ) -> Result<Status> {
        let words = size.div_ceil(size_of::<u64>());
        let mut buffer = Vec::new();
        buffer
            .try_reserve_exact(words)
            .map_err(|_| Error::new(CALL, Status::VERR_NO_TMP_MEMORY, ""))?;
        buffer.resize(words, 0_u64);
        let bytes = &mut buffer.as_mut_bytes()[..size];
        bytes[HEADER_BYTES..BODY].copy_from_slice(input.as_bytes());
        bytes[BODY..].copy_from_slice(packet);
        let (status, _) = self.connection().send::<R>(bytes, size, size)?;
        packet.copy_from_slice(&bytes[BODY..]);
        Ok(status)
    }
}

#[cold]
fn fast_error(status: Status) -> Error {
    let detail = match status {
        Status::VERR_INTERNAL_ERROR => "the session has no VM, or that is no fast operation",
        _ => "",
    };
    Error::new(FAST, status, detail)
}

fn refuse_fast(operation: u32) -> Result<()> {
    if operation <= SUP_VMMR0_DO_NOP {
        let detail = "the operation is one of the fast entry";
        return Session::refuse(CALL, Status::VERR_INTERNAL_ERROR, detail);
    }
    Ok(())
}

/// Checks the header of a request packet, as the driver will.
fn check_packet(packet: &[u8]) -> Result<()> {
    let Ok((header, _)) = SUPVMMR0REQHDR::read_from_prefix(packet) else {
        let detail = "the packet is too short for its header";
        return Session::refuse(CALL, Status::VERR_INVALID_PARAMETER, detail);
    };
    if header.u32Magic != SUPVMMR0REQHDR_MAGIC {
        let detail = "the packet's header has another magic";
        return Session::refuse(CALL, Status::VERR_INVALID_MAGIC, detail);
    }
    if header.cbReq as usize != packet.len() {
        let detail = "the size in the packet's header is not the packet's";
        return Session::refuse(CALL, Status::VERR_INVALID_PARAMETER, detail);
    }
    Ok(())
}
