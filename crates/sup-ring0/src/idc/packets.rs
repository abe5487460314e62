//! Requests of kernel clients as packets: what `SUPDrvLinuxIDC` and `SUPR0IdcCall` carry out.
//!
//! An answer has two statuses. The transport's says whether the packet was one: while it fails, the packet's
//! own is not written, unless the packet's size is wrong or a client that connects breaks the rules, which
//! both say. From there on the transport succeeds, and the packet says what came of it.
//!
//! Neighbours: `sup_abi::idc` has the packets, `idc` the same requests as functions. Invariant: a packet is
//! read and written within the size of its request, and its session is resolved, never followed.

use core::ffi::{c_char, c_void};

use sup_abi::{
    IDC_CONNECT_MAGIC, IDC_HEADER_BYTES, IdcConnectIn, IdcConnectOut, IdcFactoryIn, IdcGetSymbolIn,
    IdcGetSymbolOut, IdcHeader, IdcRequest, R0Ptr, SUPDRV_IDC_VERSION, SUPDRVIDCHANDLE, Status,
};
use sup_alloc::Arc;
use sup_core::accept_idc;

use super::session_in;
use crate::components::{deregister, register};
use crate::exports::{Resolved, exports, find, is_plausible, raw, resolve};
use crate::mapper::session_pointer;
use crate::{Native, Ring0};

/// Characters of a symbol's name, and of a module's.
const SYMBOL_CHARS_MAX: usize = 511;
const MODULE_CHARS_MAX: usize = 63;
/// The name that a client may give to the driver instead of none.
const DRIVER_NAME: &str = "SupDrv";

/// A status of the transport and one for the packet.
struct Refused {
    transport: Status,
    packet: Option<Status>,
}

impl Refused {
    /// What both of them say.
    const MALFORMED: Self = Self {
        transport: Status::VERR_INVALID_PARAMETER,
        packet: Some(Status::VERR_INVALID_PARAMETER),
    };
}

impl From<Status> for Refused {
    /// The packet is left as it is.
    fn from(transport: Status) -> Self {
        Self { transport, packet: None }
    }
}

/// A packet whose header is plausible.
#[derive(Clone, Copy)]
struct Packet(*mut IdcHeader);

impl Packet {
    /// What the client says behind the header.
    ///
    /// # Safety
    /// `T` is the input of the packet's request, and the packet has that request's size.
    unsafe fn input<T>(self) -> T {
        // SAFETY: by this function's contract the packet is large enough, which `sup_abi` asserts of the
        // input of each request.
        unsafe { self.0.wrapping_add(1).cast::<T>().read_unaligned() }
    }

    /// Answers behind the header, where the input was.
    ///
    /// # Safety
    /// That of [`input`](Self::input), for the output.
    unsafe fn answer<T>(self, output: T) {
        // SAFETY: by this function's contract the packet is large enough, and its memory is the client's to
        // have written.
        unsafe { self.0.wrapping_add(1).cast::<T>().write_unaligned(output) };
    }
}

/// Carries out a request of a kernel client; the status is the transport's.
///
/// # Errors
/// `VERR_INVALID_POINTER` for the packet; `VERR_INVALID_PARAMETER` for a session that is none, not a kernel
/// client's, or missing where the request is not to connect, and for a size that is not the request's;
/// `VERR_NOT_SUPPORTED` for an unknown code; `VERR_INVALID_HANDLE` if there is no driver.
///
/// # Context
/// May sleep. To disconnect has the context of `Driver::close_kernel_session`.
///
/// # Safety
/// A plausible pointer leads to a header, and to as many bytes as the header says; they are the client's,
/// which leaves them alone meanwhile. Pointers in the packet are what the request says.
pub unsafe fn request<R: Native>(code: u32, packet: *mut IdcHeader) -> Status {
    if !is_plausible::<R, _>(packet) {
        return Status::VERR_INVALID_POINTER;
    }
    // SAFETY: by this function's contract the pointer leads to a header.
    let header = unsafe { packet.read() };
    // SAFETY: by this function's contract the packet is as long as its header says.
    let (transport, status) = match unsafe { carry_out::<R>(code, Packet(packet), header) } {
        Ok(status) => (Status::VINF_SUCCESS, Some(status)),
        Err(refused) => (refused.transport, refused.packet),
    };
    if let Some(status) = status {
        // SAFETY: the header that was read above.
        unsafe { (*packet).status = status };
    }
    transport
}

/// The status for the packet, or why it is none.
///
/// # Safety
/// The packet is as long as its header says, and what it points to is what the request says.
unsafe fn carry_out<R: Native>(
    code: u32,
    packet: Packet,
    header: IdcHeader,
) -> Result<Status, Refused> {
    let request = IdcRequest::of_code(code);
    let resolved = if header.session.is_null() {
        if request != Some(IdcRequest::Connect) {
            return Err(Status::VERR_INVALID_PARAMETER.into());
        }
        None
    } else {
        let (driver, session) = resolve::<R>(header.session)?;
        session.require_kernel().map_err(|_| Status::VERR_INVALID_PARAMETER)?;
        Some((driver, session))
    };
    let request = request.ok_or(Status::VERR_NOT_SUPPORTED)?;
    if header.bytes != request.packet_bytes() {
        return Err(Refused::MALFORMED);
    }
    let Some(resolved) = resolved else {
        // SAFETY: the request is to connect, and the packet has its size.
        return unsafe { connect::<R>(packet) };
    };
    match request {
        // Whoever has a session is connected.
        IdcRequest::Connect => Err(Refused::MALFORMED),
        IdcRequest::Disconnect => {
            let (driver, session) = resolved;
            Ok(driver.close_kernel_session(session).err().unwrap_or(Status::VINF_SUCCESS))
        }
        IdcRequest::GetSymbol => {
            // SAFETY: the packet is one of this request, and has its size.
            Ok(unsafe { get_symbol::<R>(&resolved, packet) })
        }
        IdcRequest::RegisterFactory => {
            // SAFETY: the packet is one of this request, and has its size.
            let IdcFactoryIn { factory } = unsafe { packet.input() };
            // SAFETY: the client passes a factory that stays until it is deregistered.
            Ok(Status::new(unsafe { register::<R>(header.session, factory) }))
        }
        IdcRequest::DeregisterFactory => {
            // SAFETY: the packet is one of this request, and has its size.
            let IdcFactoryIn { factory } = unsafe { packet.input() };
            // SAFETY: nothing is read of a factory that is not registered.
            Ok(Status::new(unsafe { deregister::<R>(header.session, factory) }))
        }
    }
}

/// Opens a session. The client is a kernel module of its own, so nobody knows where it keeps its handle.
///
/// # Safety
/// The packet is to connect, and has that size.
unsafe fn connect<R: Ring0>(packet: Packet) -> Result<Status, Refused> {
    // SAFETY: by this function's contract.
    let IdcConnectIn { magic, requested, minimum } = unsafe { packet.input() };
    let accepted = accept_idc(requested, minimum);
    if magic != IDC_CONNECT_MAGIC || accepted == Err(Status::VERR_INVALID_PARAMETER) {
        return Err(Refused::MALFORMED);
    }
    let driver = R::driver().ok_or(Status::VERR_INVALID_HANDLE)?;
    let opened = accepted.and_then(|()| driver.open_kernel_session(R::kernel_client(), R0Ptr::NIL));
    let pointer =
        opened.as_ref().map_or(core::ptr::null_mut(), |session| session_pointer(session.handle()));
    let answer = IdcConnectOut {
        session: pointer,
        session_version: if accepted.is_ok() { SUPDRV_IDC_VERSION } else { u32::MAX },
        driver_version: SUPDRV_IDC_VERSION,
        driver_revision: 0,
        reserved: 0,
    };
    // SAFETY: by this function's contract.
    unsafe { packet.answer(answer) };
    // SAFETY: the header, whose session was NULL.
    unsafe { (*packet.0).session = pointer };
    Ok(opened.err().unwrap_or(Status::VINF_SUCCESS))
}

/// Answers the address of a symbol, NULL if there is none.
///
/// # Safety
/// The packet is for a symbol, and has that size; its texts are terminated.
unsafe fn get_symbol<R: Native>(resolved: &Resolved<R>, packet: Packet) -> Status {
    // SAFETY: by this function's contract.
    let names = unsafe { packet.input() };
    // SAFETY: by this function's contract the texts are terminated.
    let found = unsafe { symbol::<R>(resolved, names) };
    let address = found.unwrap_or(R0Ptr::NIL).get() as usize as *mut c_void;
    // SAFETY: by this function's contract.
    unsafe { packet.answer(IdcGetSymbolOut { address }) };
    found.err().unwrap_or(Status::VINF_SUCCESS)
}

/// # Safety
/// The texts are terminated.
#[inline(never)]
unsafe fn symbol<R: Native>(
    (driver, session): &Resolved<R>,
    names: IdcGetSymbolIn,
) -> Result<R0Ptr, Status> {
    // SAFETY: by this function's contract, and for no longer than it runs.
    let symbol = unsafe { text::<R>(names.symbol, SYMBOL_CHARS_MAX) }?;
    let module = if names.module.is_null() {
        DRIVER_NAME.as_bytes()
    } else {
        // SAFETY: as long as the first one.
        unsafe { text::<R>(names.module, MODULE_CHARS_MAX) }?
    };
    let symbol = str::from_utf8(symbol).map_err(|_| Status::VERR_SYMBOL_NOT_FOUND)?;
    if module == DRIVER_NAME.as_bytes() {
        return find_own::<R>(driver, symbol);
    }
    let module = str::from_utf8(module).map_err(|_| Status::VERR_MODULE_NOT_FOUND)?;
    driver.link_symbol(session, module, symbol)
}

/// The characters of a terminated text, where they are: a copy would be half of what ring 0 has for a frame.
///
/// # Errors
/// `VERR_INVALID_POINTER` if the pointer is not plausible, `VERR_INVALID_PARAMETER` if the text is longer.
///
/// # Safety
/// A plausible pointer leads to a terminated text, or to more than `chars_max` readable bytes, which nobody
/// changes for `'a`.
unsafe fn text<'a, R: Ring0>(start: *const c_char, chars_max: usize) -> Result<&'a [u8], Status> {
    if !is_plausible::<R, _>(start) {
        return Err(Status::VERR_INVALID_POINTER);
    }
    let mut chars = 0_usize;
    // SAFETY: no terminator came before, so by this function's contract the byte is readable.
    while unsafe { start.wrapping_add(chars).read() } != 0 {
        if chars == chars_max {
            return Err(Status::VERR_INVALID_PARAMETER);
        }
        chars = chars.saturating_add(1);
    }
    // SAFETY: so many bytes were just read, and by this function's contract they stay as they are.
    Ok(unsafe { core::slice::from_raw_parts(start.cast(), chars) })
}

/// The address of an export of the driver.
fn find_own<R: Native>(driver: &Arc<sup_core::Driver<R>>, symbol: &str) -> Result<R0Ptr, Status> {
    let address = find(exports::<R>(), driver.host().segments(), symbol);
    address.map(R0Ptr::new).ok_or(Status::VERR_SYMBOL_NOT_FOUND)
}

/// Corresponds to `SUPR0IdcCall`, which the original declares and has nowhere: a request as a packet, in the
/// session of a handle.
pub(crate) unsafe extern "C" fn call<R: Native>(
    handle: *mut SUPDRVIDCHANDLE,
    code: u32,
    packet: *mut c_void,
    bytes: u32,
) -> i32 {
    let call = || {
        // SAFETY: the module passes a handle of its own, as the header demands.
        let (_, session) = unsafe { session_in::<R>(handle) }?;
        if bytes < IDC_HEADER_BYTES {
            return Err(Status::VERR_INVALID_PARAMETER);
        }
        let packet: *mut IdcHeader = packet.cast();
        if !is_plausible::<R, _>(packet) {
            return Err(Status::VERR_INVALID_POINTER);
        }
        // SAFETY: the module passed a plausible pointer to a packet of its own, with a header.
        let header = unsafe { &mut *packet };
        header.session = session_pointer(session.handle());
        if header.bytes != bytes {
            return Err(Status::VERR_INVALID_PARAMETER);
        }
        drop(session);
        // SAFETY: the packet has as many bytes as its header says, since the module says the same number;
        // what it points to is the module's to answer for, as the header demands.
        let transport = unsafe { request::<R>(code, packet) };
        // SAFETY: the header, which was read above.
        transport.ok().map(|_| unsafe { (*packet).status })
    };
    raw(call())
}
