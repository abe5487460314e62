//! The functions of static tracing that modules and other kernel drivers import; [`NativeTracer`], a
//! tracer among them; and [`NativeProvider`], the block by which it knows a provider.
//!
//! Source: specification 8.3, 8.4 and 8.6. `fire` has the way of hits in ring 0. Invariant: a tracer's
//! functions are called only between its registration and the end that the driver gives it.

use core::cell::UnsafeCell;
use core::ffi::{CStr, c_char, c_void};
use core::fmt::Write;
use core::marker::PhantomData;

use sup_abi::{
    R0Ptr, SUPDRVSESSION, SUPDRVTRACERDATA, SUPDRVTRACERHLP, SUPDRVTRACERHLP_VERSION,
    SUPDRVTRACERREG, SUPDRVTRACERREG_MAGIC, SUPDRVTRACERREG_VERSION, SUPDRVTRACERUSRCTX,
    SUPDRVVDTPROVIDERCORE, Status, VTGOBJHDR,
};
use sup_alloc::{Arc, Vec};
use sup_core::host::{Provider, ProviderDescription, Tracer};
use sup_core::{SessionHandle, TracerOwner};

use crate::calls::{self, Calls};
use crate::exports::{is_plausible, raw, resolve};
use crate::fire::Entry;
use crate::mapper::session_pointer;
use crate::{Native, Ring0};

/// Characters of another kernel driver's name, at most.
const NAME_BYTES: usize = 64;

/// What a call answers that its tracer abandoned.
const ABANDONED: Status = Status::VERR_INTERNAL_ERROR;

/// A tracer as a module registered it.
#[derive(Debug)]
pub struct NativeTracer<C> {
    registration: *const SUPDRVTRACERREG,
    /// Its functions, all of which are there.
    functions: SUPDRVTRACERREG,
    calls: PhantomData<fn() -> C>,
}

// SAFETY: the pointer is never followed here, only handed back to the tracer that registered it, which the
// header tells that its functions are called from any thread.
unsafe impl<C> Send for NativeTracer<C> {}
// SAFETY: nothing here changes; the header tells a tracer that its functions may be called from several
// threads at once, but for those of providers, which the driver calls under a lock.
unsafe impl<C> Sync for NativeTracer<C> {}

impl<C: Calls> NativeTracer<C> {
    /// The function that takes hits in ring 0.
    pub fn entry(&self) -> Entry {
        let function = self.functions.pfnProbeFireKernel;
        Entry(function.map_or(core::ptr::null(), |function| function as *const ()))
    }

    fn provider(&self, function: sup_abi::PFNTRACERPROVIDER, provider: &NativeProvider) -> Status {
        let Some(function) = function else { return Status::VERR_INVALID_POINTER };
        let (registration, core) = (self.registration, provider.core());
        let status = calls::call::<C, _>(function as *const (), || {
            // SAFETY: the tracer promised the prototype by registering; the core stays where it is until
            // the driver drops the provider, and the driver calls this under its lock.
            unsafe { function(registration, core) }
        });
        status.unwrap_or(ABANDONED)
    }
}

impl<C: Calls + 'static> Tracer for NativeTracer<C> {
    type Provider = NativeProvider;

    fn open(&self, session: SessionHandle, cookie: u32, argument: u64) -> Result<u64, Status> {
        let function = self.functions.pfnTracerOpen.ok_or(Status::VERR_INVALID_POINTER)?;
        let mut word = usize::MAX;
        let (registration, session, word_at) =
            (self.registration, session_pointer(session), &raw mut word);
        let status = calls::call::<C, _>(function as *const (), || {
            // SAFETY: the tracer promised the prototype by registering; the word is this function's own,
            // and nobody else uses it during the call.
            unsafe { function(registration, session, cookie, argument as usize, word_at) }
        });
        let status = status.unwrap_or(ABANDONED);
        if status.is_failure() { Err(status) } else { Ok(word as u64) }
    }

    fn io_ctl(
        &self,
        session: SessionHandle,
        word: u64,
        command: u64,
        argument: u64,
    ) -> (Status, i32) {
        let Some(function) = self.functions.pfnTracerIoCtl else {
            return (Status::VERR_INVALID_POINTER, 0);
        };
        let mut value = 0;
        let (registration, session, value_at) =
            (self.registration, session_pointer(session), &raw mut value);
        let [word, command, argument] = [word, command, argument].map(|word| word as usize);
        let status = calls::call::<C, _>(function as *const (), || {
            // SAFETY: the tracer promised the prototype by registering; the number is this function's own,
            // and nobody else uses it during the call.
            unsafe { function(registration, session, word, command, argument, value_at) }
        });
        (status.unwrap_or(ABANDONED), value)
    }

    fn close(&self, session: SessionHandle, word: u64) {
        let Some(function) = self.functions.pfnTracerClose else { return };
        let (registration, session) = (self.registration, session_pointer(session));
        // A tracer that panics has told so, and there is nobody to answer to.
        let _ = calls::call::<C, _>(function as *const (), || {
            // SAFETY: the tracer promised the prototype by registering.
            unsafe { function(registration, session, word as usize) };
        });
    }

    fn provider_register(&self, provider: &NativeProvider) -> Status {
        self.provider(self.functions.pfnProviderRegister, provider)
    }

    fn provider_deregister(&self, provider: &NativeProvider) -> Status {
        self.provider(self.functions.pfnProviderDeregister, provider)
    }

    fn provider_deregister_zombie(&self, provider: &NativeProvider) -> Status {
        self.provider(self.functions.pfnProviderDeregisterZombie, provider)
    }

    fn fire_user(
        &self,
        session: SessionHandle,
        context: &SUPDRVTRACERUSRCTX,
        header: R0Ptr,
        location: R0Ptr,
    ) {
        let Some(function) = self.functions.pfnProbeFireUser else { return };
        let (registration, session) = (self.registration, session_pointer(session));
        let (header, location) = (header.get() as usize, location.get() as usize);
        let context = &raw const *context;
        // A tracer that panics has told so, and there is nobody to answer to.
        let _ = calls::call::<C, _>(function as *const (), || {
            // SAFETY: the tracer promised the prototype by registering; the context is there for the call,
            // and so are the driver's copies of header and location, which the module that was hit keeps.
            unsafe {
                function(
                    registration,
                    session,
                    context,
                    core::ptr::with_exposed_provenance(header),
                    core::ptr::with_exposed_provenance(location),
                );
            };
        });
    }
}

/// A provider as tracers know it: its core, and the names that it points at.
#[derive(Debug)]
pub struct NativeProvider(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    core: UnsafeCell<SUPDRVVDTPROVIDERCORE>,
    /// Both names, each terminated.
    _names: Vec<u8>,
}

// SAFETY: the core's pointers are followed by tracers only, which the header tells from when to when.
unsafe impl Send for Parts {}
// SAFETY: the driver changes the core under its lock, when the tracer has been told that the provider goes;
// what a tracer changes there is its own words.
unsafe impl Sync for Parts {}

impl NativeProvider {
    fn core(&self) -> *mut SUPDRVVDTPROVIDERCORE {
        let Self(parts) = self;
        parts.core.get()
    }
}

/// Appends text to a vector of bytes.
struct Text<'a>(&'a mut Vec<u8>);

impl Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let Self(bytes) = self;
        bytes.try_extend_from_slice(text.as_bytes()).map_err(|_| core::fmt::Error)
    }
}

fn pointer<T>(address: R0Ptr) -> *mut T {
    core::ptr::with_exposed_provenance_mut(address.get() as usize)
}

impl Provider for NativeProvider {
    fn try_new(description: &ProviderDescription<'_>) -> Result<Self, Status> {
        let mut names = Vec::new();
        let mut write = |text: core::fmt::Arguments<'_>| {
            Text(&mut names).write_fmt(text).map_err(|_| Status::VERR_NO_MEMORY)
        };
        match description.process {
            Some(process) => write(format_args!("{}{}\0", description.name, process.get()))?,
            None => write(format_args!("{}\0", description.name))?,
        }
        write(format_args!("{}\0", description.module))?;
        let name = names.as_ptr().cast::<c_char>();
        let module_at = names.len().saturating_sub(description.module.len()).saturating_sub(1);
        let core = SUPDRVVDTPROVIDERCORE {
            TracerData: SUPDRVTRACERDATA::default(),
            pszName: name,
            pszModName: name.wrapping_add(module_at),
            pDesc: pointer(description.record),
            pHdr: pointer(description.header),
            cbProbeLocsEn: description.bytes_per_location,
            cBits: description.bits,
            fUmod: u8::from(description.process.is_some()),
            abAlignment: [0; 5],
            paProbeLocsRO: pointer(description.locations),
            pvProbeLocsEn: pointer::<c_void>(description.enabled_locations),
            pacProbeEnabled: pointer(description.enabled_counts),
            paR0ProbeLocs: pointer(description.own_locations),
            paR0Probes: pointer(description.own_counts),
        };
        Ok(Self(Arc::try_new(Parts { core: UnsafeCell::new(core), _names: names })?))
    }

    fn forget_object(&self) {
        let core = self.core();
        // SAFETY: the block is this provider's; the driver calls this under its lock, after the tracer was
        // told that the object goes, from when on it may use nothing but the names.
        let core = unsafe { &mut *core };
        core.pDesc = core::ptr::null_mut();
        core.pHdr = core::ptr::null_mut();
        core.paProbeLocsRO = core::ptr::null();
        core.pvProbeLocsEn = core::ptr::null_mut();
        core.pacProbeEnabled = core::ptr::null_mut();
        core.paR0ProbeLocs = core::ptr::null_mut();
        core.paR0Probes = core::ptr::null_mut();
    }
}

static HELPERS: SUPDRVTRACERHLP = SUPDRVTRACERHLP {
    uVersion: SUPDRVTRACERHLP_VERSION as usize,
    uEndVersion: SUPDRVTRACERHLP_VERSION as usize,
};

/// Who registers a tracer, by the two arguments of the header's functions.
///
/// # Errors
/// `VERR_INVALID_POINTER` for a module that cannot be one, `VERR_INVALID_PARAMETER`.
fn owner<R: Ring0>(
    module: *mut c_void,
    session: *mut SUPDRVSESSION,
) -> Result<TracerOwner, Status> {
    if module.is_null() {
        let (_, session) = resolve::<R>(session)?;
        session.require_kernel().map_err(|_| Status::VERR_INVALID_PARAMETER)?;
        return Ok(TracerOwner::Session(session.handle()));
    }
    if !is_plausible::<R, _>(module) {
        return Err(Status::VERR_INVALID_POINTER);
    }
    if !session.is_null() {
        return Err(Status::VERR_INVALID_PARAMETER);
    }
    Ok(TracerOwner::Module(R0Ptr::new(module.addr() as u64)))
}

/// A registration, taken over and checked.
///
/// # Errors
/// `VERR_INVALID_MAGIC`, `VERR_VERSION_MISMATCH`, `VERR_INVALID_POINTER` if a function is missing.
///
/// # Safety
/// The pointer leads to a registration, which stays until the tracer is deregistered.
unsafe fn tracer<R: Ring0>(
    registration: *const SUPDRVTRACERREG,
) -> Result<NativeTracer<R::Calls>, Status> {
    // SAFETY: by this function's contract.
    let functions = unsafe { registration.read() };
    if functions.u32Magic != SUPDRVTRACERREG_MAGIC {
        return Err(Status::VERR_INVALID_MAGIC);
    }
    if functions.u32Version != SUPDRVTRACERREG_VERSION
        || functions.uEndMagic != SUPDRVTRACERREG_MAGIC as usize
    {
        return Err(Status::VERR_VERSION_MISMATCH);
    }
    let all = [
        functions.pfnProbeFireKernel.map(|function| function as *const ()),
        functions.pfnProbeFireUser.map(|function| function as *const ()),
        functions.pfnTracerOpen.map(|function| function as *const ()),
        functions.pfnTracerIoCtl.map(|function| function as *const ()),
        functions.pfnTracerClose.map(|function| function as *const ()),
        functions.pfnProviderRegister.map(|function| function as *const ()),
        functions.pfnProviderDeregister.map(|function| function as *const ()),
        functions.pfnProviderDeregisterZombie.map(|function| function as *const ()),
    ];
    if !all.iter().all(|function| function.is_some_and(|function| is_plausible::<R, _>(function))) {
        return Err(Status::VERR_INVALID_POINTER);
    }
    Ok(NativeTracer { registration, functions, calls: PhantomData })
}

/// Corresponds to `SUPR0TracerRegisterImpl`.
pub(crate) unsafe extern "C" fn register_impl<R: Native>(
    module: *mut c_void,
    session: *mut SUPDRVSESSION,
    registration: *const SUPDRVTRACERREG,
    helpers: *mut *const SUPDRVTRACERHLP,
) -> i32 {
    raw((|| {
        if !is_plausible::<R, _>(helpers) {
            return Err(Status::VERR_INVALID_POINTER);
        }
        // SAFETY: the module passed a plausible pointer to a variable of its own, as the header demands.
        unsafe { helpers.write(core::ptr::null()) };
        if !is_plausible::<R, _>(registration) {
            return Err(Status::VERR_INVALID_HANDLE);
        }
        let owner = owner::<R>(module, session)?;
        let driver = R::driver().ok_or(Status::VERR_INVALID_PARAMETER)?;
        driver.check_tracer_owner(owner).map_err(module_status)?;
        // SAFETY: the caller passes a registration that stays until it is deregistered, as the header
        // demands.
        let tracer = unsafe { tracer::<R>(registration) }?;
        // Before: the tracer is told of the providers that there are in the course of this.
        // SAFETY: the same variable, which the module keeps for the call.
        unsafe { helpers.write(&raw const HELPERS) };
        driver.tracer_register(owner, tracer).inspect_err(|_| {
            // SAFETY: the same variable.
            unsafe { helpers.write(core::ptr::null()) };
        })?;
        Ok(Status::VINF_SUCCESS)
    })())
}

/// The header has no status of its own for a module that is none.
fn module_status(status: Status) -> Status {
    if status == Status::VERR_INVALID_HANDLE { Status::VERR_INVALID_POINTER } else { status }
}

/// Corresponds to `SUPR0TracerDeregisterImpl`.
pub(crate) unsafe extern "C" fn deregister_impl<R: Ring0>(
    module: *mut c_void,
    session: *mut SUPDRVSESSION,
) -> i32 {
    raw(owner::<R>(module, session).and_then(|owner| {
        let driver = R::driver().ok_or(Status::VERR_INVALID_PARAMETER)?;
        driver.tracer_deregister(owner).map_err(module_status)?;
        Ok(Status::VINF_SUCCESS)
    }))
}

/// Corresponds to `SUPR0TracerRegisterModule`.
pub(crate) unsafe extern "C" fn register_module<R: Ring0>(
    module: *mut c_void,
    header: *mut VTGOBJHDR,
) -> i32 {
    raw((|| {
        if !is_plausible::<R, _>(module) {
            return Err(Status::VERR_INVALID_HANDLE);
        }
        if !is_plausible::<R, _>(header) {
            return Err(Status::VERR_INVALID_POINTER);
        }
        let driver = R::driver().ok_or(Status::VERR_INVALID_HANDLE)?;
        let [module, header] = [module.addr(), header.addr()].map(|value| R0Ptr::new(value as u64));
        driver.tracer_register_module(module, header)?;
        Ok(Status::VINF_SUCCESS)
    })())
}

/// Corresponds to `SUPR0TracerRegisterDrv`.
pub(crate) unsafe extern "C" fn register_driver<R: Ring0>(
    session: *mut SUPDRVSESSION,
    header: *mut VTGOBJHDR,
    name: *const c_char,
) -> i32 {
    raw(resolve::<R>(session).and_then(|(driver, session)| {
        if !is_plausible::<R, _>(name) || !is_plausible::<R, _>(header) {
            return Err(Status::VERR_INVALID_POINTER);
        }
        // SAFETY: the caller passes a terminated text, as the header demands.
        let name = unsafe { crate::components::text::<R, NAME_BYTES>(name) }?;
        let name = CStr::from_bytes_until_nul(&name).map_err(|_| Status::VERR_INVALID_PARAMETER)?;
        let name = name.to_str().map_err(|_| Status::VERR_INVALID_PARAMETER)?;
        let header = R0Ptr::new(header.addr() as u64);
        driver.tracer_register_driver(&session, header, name, R::address_bits())?;
        Ok(Status::VINF_SUCCESS)
    }))
}

/// Corresponds to `SUPR0TracerDeregisterDrv`.
pub(crate) unsafe extern "C" fn deregister_driver<R: Ring0>(session: *mut SUPDRVSESSION) {
    if let Ok((driver, session)) = resolve::<R>(session) {
        driver.tracer_deregister_driver(&session);
    }
}

/// Corresponds to `SUPR0TracerUmodProbeFire`.
pub(crate) unsafe extern "C" fn fire_user<R: Ring0>(
    session: *mut SUPDRVSESSION,
    context: *mut SUPDRVTRACERUSRCTX,
) {
    let Ok((driver, session)) = resolve::<R>(session) else { return };
    if is_plausible::<R, _>(context) {
        // SAFETY: the caller passes a context of its own, which nobody else uses during the call, as the
        // header demands.
        let context = unsafe { &mut *context };
        driver.tracer_fire_user(&session, context);
    }
}
