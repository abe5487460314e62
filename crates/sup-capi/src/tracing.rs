//! The tracer's clients, probes of this process, and the function that a probe calls.

#![expect(non_snake_case, reason = "the header's names")]

use std::ffi::{CStr, c_char};
use std::ptr::NonNull;

use sup::ProbeModuleKind;
use sup_abi::{
    SUP_TRACER_UMOD_FLAGS_EXE, SUP_TRACER_UMOD_FLAGS_SHARED, SUPDRVTRACERUSRCTX, Status, VTGOBJHDR,
    VTGOBJHDR_MAGIC,
};

use crate::calls::Call;
use crate::entry::{self, c_functions};
use crate::pointer::{Out, check, is_plausible};

/// A header that C names.
///
/// # Errors
/// `VERR_INVALID_POINTER`, `VERR_SUPDRV_VTG_MAGIC`.
///
/// # Safety
/// If the pointer is plausible, as many bytes as a magic has are there.
unsafe fn header(pointer: *mut VTGOBJHDR) -> Result<NonNull<VTGOBJHDR>, Status> {
    check(pointer)?;
    // SAFETY: the magic is the first member, and by this function's contract there.
    let magic = unsafe { pointer.cast::<[u8; VTGOBJHDR_MAGIC.len()]>().read() };
    if magic != VTGOBJHDR_MAGIC {
        return Err(Status::VERR_SUPDRV_VTG_MAGIC);
    }
    NonNull::new(pointer).ok_or(Status::VERR_INVALID_POINTER)
}

/// Begins a call about a module; `None` without a session, if the module has nothing to tell of: that is a
/// success, and takes no driver.
///
/// # Errors
/// `VERR_INVALID_HANDLE`.
///
/// # Safety
/// A header is there.
unsafe fn begin(header: NonNull<VTGOBJHDR>) -> Result<Option<Call>, Status> {
    Call::begin().map(Some).or_else(|status| {
        // SAFETY: by this function's contract; any bytes are a header.
        let header = unsafe { header.as_ptr().read_unaligned() };
        let has_places = match header.offProbeLocs {
            0 => header.uProbeLocs != header.uProbeLocsEnd,
            _ => header.cbProbeLocs != 0,
        };
        if has_places && header.Probes.cb != 0 { Err(status) } else { Ok(None) }
    })
}

c_functions! {
    /// Opens the tracer for the process' session.
    status fn SUPR3TracerOpen(uCookie: u32, uArg: usize) {
        Call::begin()?.session.tracer_open(uCookie, uArg as u64)?;
        Ok(Status::VINF_SUCCESS)
    }

    /// Closes the tracer.
    status fn SUPR3TracerClose() {
        Call::begin()?.session.tracer_close()?;
        Ok(Status::VINF_SUCCESS)
    }

    /// Has the tracer carry out a command.
    status fn SUPR3TracerIoCtl(uCmd: usize, uArg: usize, piRetVal: *mut i32) {
        // SAFETY: the caller has room for a number there.
        let value = unsafe { Out::required(piRetVal) }?;
        let reply = Call::begin()?.session.tracer_command(uCmd as u64, uArg as u64)?;
        value.put(reply.value);
        Ok(reply.status)
    }

    /// Registers the probes of a module of the process.
    status fn SUPR3TracerRegisterModule(_hModNative: usize, pszModule: *const c_char, pVtgHdr: *mut VTGOBJHDR, uVtgHdrAddr: usize, fFlags: u32) {
        // SAFETY: the caller's header, if it can be one.
        let header = unsafe { header(pVtgHdr) }?;
        if !is_plausible(pszModule) {
            return Err(Status::VERR_INVALID_POINTER);
        }
        // SAFETY: the caller's name is terminated.
        let name = unsafe { CStr::from_ptr(pszModule) };
        let name = name.to_str().map_err(|_| Status::VERR_INVALID_PARAMETER)?;
        if name.len() >= 64 {
            return Err(Status::VERR_FILENAME_TOO_LONG);
        }
        if name.contains('/') {
            return Err(Status::VERR_INVALID_PARAMETER);
        }
        let kind = match fFlags {
            SUP_TRACER_UMOD_FLAGS_EXE => ProbeModuleKind::Program,
            SUP_TRACER_UMOD_FLAGS_SHARED => ProbeModuleKind::Library,
            _ => return Err(Status::VERR_INVALID_PARAMETER),
        };
        // SAFETY: the caller's header.
        let Some(call) = unsafe { begin(header) }? else { return Ok(Status::VINF_SUCCESS) };
        // SAFETY: the caller's module is one that a compiler of probes made, as the header demands.
        unsafe { call.session.register_probes(name, kind, header, uVtgHdrAddr as u64) }?;
        Ok(Status::VINF_SUCCESS)
    }

    /// Takes the probes of a module back.
    status fn SUPR3TracerDeregisterModule(pVtgHdr: *mut VTGOBJHDR) {
        // SAFETY: the caller's header, if it can be one.
        let header = unsafe { header(pVtgHdr) }?;
        // SAFETY: the caller's header.
        let Some(call) = unsafe { begin(header) }? else { return Ok(Status::VINF_SUCCESS) };
        // SAFETY: the caller's module is one that a compiler of probes made, as the header demands.
        unsafe { call.session.deregister_probes(header) }?;
        Ok(Status::VINF_SUCCESS)
    }
}

/// A probe was hit: tells the driver, with the registers as the probe left them. To its caller an ordinary
/// function.
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn SUPTracerFireProbe() {
    sup::tell_of_hit!(fire)
}

/// Tells the driver of a hit; called by [`SUPTracerFireProbe`] only.
///
/// # Safety
/// The context is there, and nobody else uses it.
unsafe extern "C" fn fire(context: *const SUPDRVTRACERUSRCTX) {
    // SAFETY: by this function's contract.
    let context = unsafe { &*context };
    #[cfg(test)]
    tests::SEEN.set(Some(*context));
    entry::value((), || {
        // Without a session nobody is to be told.
        if let Ok(call) = Call::begin() {
            call.session.fire_probe(context);
        }
    });
}

#[cfg(test)]
mod tests;
