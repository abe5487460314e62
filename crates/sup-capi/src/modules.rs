//! Ring-0 modules, and the calls of their services. A module is known by its base in ring 0.
//!
//! `VMMR0.r0` is one of them: its base is kept so that `SUPR3UnloadVMM`, which gets none, can free it.

#![expect(non_snake_case, reason = "the header's names")]

use std::ffi::{c_char, c_void};
use std::path::Path;
use std::ptr;

use sup::raw::{self, ServiceName};
use sup_abi::{
    IMAGE_NAME_CHARS_MAX, R0Ptr, RTERRINFO, SERVICE_NAME_CHARS_MAX, SUPR0SERVICEREQHDR,
    SUPR0SERVICEREQHDR_MAGIC, SYMBOL_NAME_CHARS_MAX, Status, VMM_MODULE_NAME,
};

use crate::calls::Call;
use crate::entry::c_functions;
use crate::error_info::ErrorInfo;
use crate::pointer::{Out, check, is_plausible, text};

/// The longest path of a file that the system opens, with its terminator.
const PATH_BYTES_MAX: usize = 4096;
/// Below this, a symbol's name is an ordinal, and no module has those.
const ORDINALS: usize = 0x1_0000;
/// Bytes in a whole service request of more than which there is none.
const SERVICE_PACKET_BYTES_MAX: u32 = 4031;

/// # Safety
/// The strings are terminated where a pointer is plausible, and there is room for an address.
unsafe fn load(
    file: *const c_char,
    name: *const c_char,
    handler: Option<&str>,
    base: *mut *mut c_void,
    info: &ErrorInfo,
) -> Result<Status, Status> {
    // The loader has another status for a bad pointer than everybody else.
    let bad = |_| Status::VERR_INVALID_PARAMETER;
    // SAFETY: the caller's promise.
    let file = unsafe { text(file) }.map_err(bad)?;
    // SAFETY: the caller's promise.
    let name = unsafe { text(name) }.map_err(bad)?;
    // SAFETY: the caller's promise.
    let base = unsafe { Out::required(base) }.map_err(bad)?;
    if name.len() > IMAGE_NAME_CHARS_MAX || file.len() >= PATH_BYTES_MAX {
        return Err(Status::VERR_FILENAME_TOO_LONG);
    }
    if file.is_empty() {
        return Err(Status::VERR_INVALID_PARAMETER);
    }
    if handler.is_some() && name == VMM_MODULE_NAME {
        return Err(Status::VERR_INTERNAL_ERROR);
    }
    base.put(ptr::null_mut());
    let image = raw::read_module(Path::new(file)).map_err(|error| info.fill(&error))?;
    let call = Call::begin()?;
    if handler == Some("") {
        return Err(Status::VERR_SYMBOL_NOT_FOUND);
    }
    let loaded = raw::load_module(&call.session, &image, name, handler.unwrap_or_default());
    let loaded = loaded.map_err(|error| info.fill(&error))?;
    if name == VMM_MODULE_NAME {
        let mut vmm = call.vmm.lock();
        *vmm = (loaded, if vmm.0 == loaded { vmm.1 + 1 } else { 1 });
    }
    base.put(loaded.get() as usize as *mut c_void);
    Ok(Status::VINF_SUCCESS)
}

fn free(call: &Call, base: R0Ptr) -> Result<Status, Status> {
    raw::free_module(&call.session, base)?;
    let mut vmm = call.vmm.lock();
    if vmm.0 == base {
        *vmm = if vmm.1 > 1 { (base, vmm.1 - 1) } else { (R0Ptr::NIL, 0) };
    }
    Ok(Status::VINF_SUCCESS)
}

/// A service's name of so many bytes.
///
/// # Safety
/// If the pointer is plausible, so many bytes are there.
#[inline(always)]
unsafe fn service_name(name: *const c_char, bytes: usize) -> Result<ServiceName, Status> {
    if bytes > SERVICE_NAME_CHARS_MAX {
        return Err(Status::VERR_INVALID_PARAMETER);
    }
    check(name)?;
    // SAFETY: the caller's promise.
    let name = unsafe { std::slice::from_raw_parts(name.cast::<u8>(), bytes) };
    ServiceName::new(name).ok_or(Status::VERR_INVALID_PARAMETER)
}

/// The packet of a service call, empty if there is none.
///
/// # Safety
/// If the pointer is plausible, a header is there, and as many bytes as it says; nobody else uses them.
#[inline(always)]
unsafe fn service_packet<'a>(packet: *mut SUPR0SERVICEREQHDR) -> Result<&'a mut [u8], Status> {
    if packet.is_null() {
        return Ok(&mut []);
    }
    if !is_plausible(packet) {
        return Err(Status::VERR_INVALID_POINTER);
    }
    // SAFETY: the caller's promise.
    let header = unsafe { packet.read_unaligned() };
    if header.cbReq > SERVICE_PACKET_BYTES_MAX {
        return Err(Status::VERR_INTERNAL_ERROR);
    }
    if header.u32Magic != SUPR0SERVICEREQHDR_MAGIC {
        return Err(Status::VERR_INVALID_MAGIC);
    }
    // SAFETY: the caller's promise.
    Ok(unsafe { std::slice::from_raw_parts_mut(packet.cast::<u8>(), header.cbReq as usize) })
}

c_functions! {
    /// Loads a module.
    status fn SUPR3LoadModule(pszFilename: *const c_char, pszModule: *const c_char, ppvImageBase: *mut *mut c_void, pErrInfo: *mut RTERRINFO) {
        // SAFETY: the caller's structure, if it gives one.
        let info = unsafe { ErrorInfo::cleared(pErrInfo) };
        // SAFETY: the caller gives strings, and has room for an address.
        unsafe { load(pszFilename, pszModule, None, ppvImageBase, &info) }
    }

    /// Loads a module whose function `pszSrvReqHandler` serves requests.
    status fn SUPR3LoadServiceModule(pszFilename: *const c_char, pszModule: *const c_char, pszSrvReqHandler: *const c_char, ppvImageBase: *mut *mut c_void) {
        // SAFETY: the caller gives a string.
        let handler = unsafe { text(pszSrvReqHandler) }.map_err(|_| Status::VERR_INVALID_PARAMETER)?;
        // SAFETY: no structure.
        let info = unsafe { ErrorInfo::cleared(ptr::null_mut()) };
        // SAFETY: the caller gives strings, and has room for an address.
        unsafe { load(pszFilename, pszModule, Some(handler), ppvImageBase, &info) }
    }

    /// Gives a reference to a module back.
    status fn SUPR3FreeModule(pvImageBase: *mut c_void) {
        free(&Call::begin()?, R0Ptr::new(pvImageBase.addr() as u64))
    }

    /// The address of a symbol in a module.
    status fn SUPR3GetSymbolR0(pvImageBase: *mut c_void, pszSymbol: *const c_char, ppvValue: *mut *mut c_void) {
        // SAFETY: the caller has room for an address there.
        let value = unsafe { Out::required(ppvValue) }?;
        value.put(ptr::null_mut());
        if pszSymbol.addr() < ORDINALS {
            return Err(Status::VERR_SYMBOL_NOT_FOUND);
        }
        check(pszSymbol)?;
        // SAFETY: the caller gives a string.
        let name = unsafe { text(pszSymbol) }.map_err(|_| Status::VERR_SYMBOL_NOT_FOUND)?;
        if name.len() > SYMBOL_NAME_CHARS_MAX {
            return Err(Status::VERR_SYMBOL_NOT_FOUND);
        }
        let base = R0Ptr::new(pvImageBase.addr() as u64);
        let address = raw::symbol(&Call::begin()?.session, base, name)?;
        value.put(address.get() as usize as *mut c_void);
        Ok(Status::VINF_SUCCESS)
    }

    /// Loads the hypervisor's module.
    status fn SUPR3LoadVMM(pszFilename: *const c_char) {
        let mut base = ptr::null_mut();
        // SAFETY: no structure.
        let info = unsafe { ErrorInfo::cleared(ptr::null_mut()) };
        // SAFETY: the caller gives a string; the name is terminated.
        unsafe { load(pszFilename, c"VMMR0.r0".as_ptr(), None, &raw mut base, &info) }
    }

    /// Gives a reference to the hypervisor's module back.
    status fn SUPR3UnloadVMM() {
        let call = Call::begin()?;
        let base = call.vmm.lock().0;
        if base.is_nil() {
            return Err(Status::VERR_INVALID_HANDLE);
        }
        free(&call, base)
    }

    /// Calls a service by the name of its module.
    status fn SUPR3CallR0Service(pszService: *const c_char, cchService: usize, uOperation: u32, u64Arg: u64, pReqHdr: *mut SUPR0SERVICEREQHDR) {
        // SAFETY: the caller gives a name of so many bytes.
        let name = unsafe { service_name(pszService, cchService) }?;
        // SAFETY: the caller's packet is as long as its header says, and the call has it for itself.
        let packet = unsafe { service_packet(pReqHdr) }?;
        let call = Call::begin()?;
        // What is left to find is the driver's, and an empty packet would be none there.
        if !pReqHdr.is_null() && packet.len() < size_of::<SUPR0SERVICEREQHDR>() {
            return Err(Status::VERR_INVALID_PARAMETER);
        }
        Ok(raw::call_service(&call.session, name, uOperation, u64Arg, packet)?)
    }
}
