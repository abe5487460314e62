//! [`ring0_module!`](crate::ring0_module): the functions that the driver calls, and the safe ones behind them.
//!
//! Neighbours: `request` has what a service is given. Invariant: each entry makes typed values of what
//! the driver passes, calls the module's function, and makes its status of the result.

use core::ffi::c_void;
use core::fmt;

use sup_abi::{SUPDRVSESSION, SUPR0SERVICEREQHDR, Status};

use crate::object::check;
use crate::request::{Call, Packet};
use crate::{Provider, Result, Session, raw};

/// The module as the driver knows it: an opaque value, for messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Module(usize);

impl Module {
    /// As the driver names it.
    pub(crate) fn as_raw(self) -> *mut c_void {
        let Self(number) = self;
        core::ptr::without_provenance_mut(number)
    }

    /// Registers the module's probes, those of a [`provider!`](crate::provider!); they go with the module. A
    /// module has one provider. Corresponds to `SUPR0TracerRegisterModule`.
    ///
    /// # Errors
    /// `VERR_WRONG_ORDER` outside of `init`; `VERR_SUPDRV_VTG_BAD_HDR_TOO_FEW` if none of its probes is in the
    /// code, `VERR_SUPDRV_VTG_ONLY_ONCE_PER_SESSION` if the module has registered another; what the tracer
    /// says.
    ///
    /// # Context
    /// In `init`, on its thread. May sleep.
    pub fn register_provider(self, provider: Provider) -> Result<()> {
        let header = provider.header().as_ptr();
        // SAFETY: the driver looks the handle up, and checks the object, which is one of this image.
        check(unsafe { raw::SUPR0TracerRegisterModule(self.as_raw(), header) }).map(|_| ())
    }
}

impl fmt::Display for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "module {:#x}", self.0)
    }
}

/// Says which functions are the module's entries. Each line is optional, in this order:
///
/// * `init: F`, with `fn F(Module) -> Result<()>`, runs once when the image has been loaded; its error
///   undoes the load. Corresponds to `ModuleInit`.
/// * `term: F`, with `fn F(Module)`, runs once when the last user has let go. Corresponds to
///   `ModuleTerm`.
/// * `service: NAME => F`, with `fn F(Call<'_>) -> Result<Status>`, serves requests; `NAME` is the symbol
///   that `SUPR3LoadServiceModule` is told, as in `echoServiceReqHandler`.
#[macro_export]
macro_rules! ring0_module {
    ($(init: $init:path,)? $(term: $term:path,)? $(service: $symbol:ident => $service:path $(,)?)?) => {
        $(
            #[unsafe(no_mangle)]
            extern "C" fn ModuleInit(module: *mut ::core::ffi::c_void) -> i32 {
                $crate::entry::init(module, $init)
            }
        )?
        $(
            #[unsafe(no_mangle)]
            extern "C" fn ModuleTerm(module: *mut ::core::ffi::c_void) {
                $crate::entry::term(module, $term)
            }
        )?
        $(
            #[unsafe(no_mangle)]
            unsafe extern "C" fn $symbol(
                session: *mut $crate::SUPDRVSESSION,
                operation: u32,
                argument: u64,
                packet: *mut $crate::SUPR0SERVICEREQHDR,
            ) -> i32 {
                // SAFETY: the driver calls a request handler with a packet that is null or whole, and
                // the caller's alone; who calls it otherwise breaks the contract of the header.
                unsafe { $crate::entry::service(session, operation, argument, packet, $service) }
            }
        )?
    };
}

/// The body of `ModuleInit`.
pub fn init(module: *mut c_void, init: fn(Module) -> Result<()>) -> i32 {
    init(Module(module.addr())).map_or_else(Status::raw, |()| Status::VINF_SUCCESS.raw())
}

/// The body of `ModuleTerm`.
pub fn term(module: *mut c_void, term: fn(Module)) {
    term(Module(module.addr()));
}

/// The body of a request handler.
///
/// # Safety
/// `packet` is null, or `cbReq` bytes aligned to 8 that nobody else uses before this returns.
pub unsafe fn service(
    session: *mut SUPDRVSESSION,
    operation: u32,
    argument: u64,
    packet: *mut SUPR0SERVICEREQHDR,
    serve: fn(Call<'_>) -> Result<Status>,
) -> i32 {
    // SAFETY: this function's contract is that of `from_raw`.
    let packet = unsafe { Packet::from_raw(packet) };
    let call = Call { session: Session::new(session), operation, argument, packet };
    serve(call).unwrap_or_else(|status| status).raw()
}

#[cfg(test)]
mod tests {
    use super::*;

    ring0_module! {
        init: start,
        term: end,
        service: testServiceReqHandler => serve,
    }

    fn start(_: Module) -> Result<()> {
        Err(Status::VERR_NOT_SUPPORTED)
    }

    fn end(_: Module) {}

    fn serve(call: Call<'_>) -> Result<Status> {
        if call.operation == 1 {
            return Err(Status::VERR_TIMEOUT);
        }
        Ok(Status::new(i32::try_from(call.argument).unwrap_or(i32::MAX)))
    }

    #[test]
    fn a_status_passes_unchanged_whatever_it_is() {
        let call = |operation, argument| {
            let (session, packet) = (core::ptr::null_mut(), core::ptr::null_mut());
            // SAFETY: a null packet is none.
            unsafe { testServiceReqHandler(session, operation, argument, packet) }
        };
        assert_eq!(call(0, 85), 85);
        assert_eq!(call(1, 85), Status::VERR_TIMEOUT.raw());
        assert_eq!(ModuleInit(core::ptr::null_mut()), Status::VERR_NOT_SUPPORTED.raw());
        ModuleTerm(core::ptr::null_mut());
    }
}
