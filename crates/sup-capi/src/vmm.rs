//! The calls of `VMMR0.r0`.

#![expect(non_snake_case, reason = "the header's names")]

use std::ffi::c_void;

use sup_abi::{
    R0Ptr, SUP_VMMR0_DO_NOP, SUPVMMR0REQHDR, SUPVMMR0REQHDR_MAGIC, Status, VMMR0_REQUEST_BYTES_MAX,
};

use crate::calls::Call;
use crate::entry::c_functions;
use crate::pointer::check;

/// What a fast call answers without a session: the error of a closed device, `EBADF`.
const NO_DEVICE: Status = Status::new(-9);

fn vm(pointer: *mut c_void) -> R0Ptr {
    R0Ptr::new(pointer.addr() as u64)
}

/// # Safety
/// If the pointer to the packet is plausible, a packet as long as its header says is there.
unsafe fn call_vmm(
    vm: R0Ptr,
    cpu: u32,
    operation: u32,
    argument: u64,
    packet: *mut SUPVMMR0REQHDR,
) -> Result<Status, Status> {
    if operation <= SUP_VMMR0_DO_NOP {
        return Err(Status::VERR_INTERNAL_ERROR);
    }
    if packet.is_null() {
        return Ok(Call::begin()?.session.call_vmm(vm, cpu, operation, argument)?);
    }
    check(packet)?;
    // SAFETY: the caller's promise.
    let header = unsafe { packet.read_unaligned() };
    if header.cbReq > VMMR0_REQUEST_BYTES_MAX {
        return Err(Status::VERR_OUT_OF_RANGE);
    }
    if header.u32Magic != SUPVMMR0REQHDR_MAGIC {
        return Err(Status::VERR_INVALID_MAGIC);
    }
    // What is left to find is the driver's.
    let call = Call::begin()?;
    if (header.cbReq as usize) < size_of_val(&header) {
        return Err(Status::VERR_INVALID_PARAMETER);
    }
    // SAFETY: the header says how long the packet is, and the call has it for itself.
    let packet =
        unsafe { std::slice::from_raw_parts_mut(packet.cast::<u8>(), header.cbReq as usize) };
    Ok(call.session.call_vmm_with(vm, cpu, operation, argument, packet)?)
}

c_functions! {
    /// Chooses the VM of fast calls; NIL for none.
    status fn SUPR3SetVMForFastIOCtl(pVMR0: *mut c_void) {
        let vm = vm(pVMR0);
        Call::begin()?.session.set_vm_for_fast_calls((!vm.is_nil()).then_some(vm))?;
        Ok(Status::VINF_SUCCESS)
    }

    /// Calls the hypervisor's module.
    status fn SUPR3CallVMMR0(pVMR0: *mut c_void, idCpu: u32, uOperation: u32, pvArg: *mut c_void) {
        // SAFETY: no packet.
        unsafe { call_vmm(vm(pVMR0), idCpu, uOperation, pvArg.addr() as u64, std::ptr::null_mut()) }
    }

    /// Calls the hypervisor's fast entry with the session's VM.
    status fn SUPR3CallVMMR0Fast(_pVMR0: *mut c_void, uOperation: u32, idCpu: u32) {
        if uOperation > SUP_VMMR0_DO_NOP {
            return Err(Status::VERR_INTERNAL_ERROR);
        }
        let call = Call::begin().map_err(|_| NO_DEVICE)?;
        call.session.call_vmm_fast(uOperation, idCpu)?;
        Ok(Status::VINF_SUCCESS)
    }

    /// Calls the hypervisor's module with a request packet, or none.
    status fn SUPR3CallVMMR0Ex(pVMR0: *mut c_void, idCpu: u32, uOperation: u32, u64Arg: u64, pReqHdr: *mut SUPVMMR0REQHDR) {
        // SAFETY: the caller's packet, as long as its header says.
        unsafe { call_vmm(vm(pVMR0), idCpu, uOperation, u64Arg, pReqHdr) }
    }
}
