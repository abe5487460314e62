//! [`Tracer`]: a module that is told of providers and their hits.
//!
//! The kit keeps what the driver shows ([`Providers`]) and gives a client's memory back when the client goes
//! ([`Shelf`]), so that what a tracer does with both is safe Rust.
//!
//! Neighbours: `provider`, `shelf`, `nap`; `sup-ring0/src/tracer.rs` is the other side. Invariant: the driver
//! calls [`close`] for each session that has opened the tracer, before the session's memory goes.

use core::ptr;

use sup_abi::{
    SUPDRVSESSION, SUPDRVTRACERHLP, SUPDRVTRACERREG, SUPDRVTRACERREG_MAGIC,
    SUPDRVTRACERREG_VERSION, SUPDRVTRACERUSRCTX, SUPDRVVDTPROVIDERCORE, Status, TracerContext,
    VTGOBJHDR, VTGPROBELOC,
};

use crate::entry::Module;
use crate::nap::Nap;
use crate::object::check;
use crate::provider::Providers;
use crate::shelf::Shelf;
use crate::{Result, Session, raw};

/// Arguments that a hit is told with.
pub const HIT_ARGUMENTS: usize = 5;

/// A session that opens the tracer, or has it open.
#[derive(Debug)]
pub struct Client<'a>(Session<'a>);

impl<'a> Client<'a> {
    /// Its session.
    pub fn session(&self) -> Session<'a> {
        let Self(session) = self;
        *session
    }
}

/// The arguments of a hit in a process.
#[derive(Debug, Clone, Copy)]
pub enum UserArguments<'a> {
    /// 64-bit code: one word each.
    Wide(&'a [u64]),
    /// 32-bit code: an argument of more than 4 bytes takes two.
    Narrow(&'a [u32]),
}

/// A tracer. Its state is in `static`s, since hits come in any context.
pub trait Tracer: 'static {
    /// Where the kit keeps the providers.
    fn providers() -> &'static Providers;
    /// Where the memory of a client lies.
    fn shelf() -> &'static Shelf;
    /// How threads of the module wait.
    fn nap() -> &'static Nap;

    /// A location in ring 0 was hit.
    ///
    /// # Context
    /// Any, NMIs too: no lock, no sleep, no panic.
    fn fire_kernel(id: u32, arguments: [u64; HIT_ARGUMENTS]);

    /// A location of a process was hit.
    ///
    /// # Context
    /// The thread that was hit.
    fn fire_user(id: u32, arguments: UserArguments<'_>);

    /// A session wants to open the tracer.
    ///
    /// # Errors
    /// The status for the client.
    fn open(client: &Client<'_>, cookie: u32, argument: u64) -> Result<()>;

    /// A client wants something.
    ///
    /// # Errors
    /// The status for the client.
    fn command(client: &Client<'_>, command: u64, argument: u64) -> Result<i32>;

    /// A client goes; afterwards its memory does.
    fn close(client: &Client<'_>);

    /// A location has got its number: its provider comes. Under the lock of the providers.
    fn introduce(location: &crate::provider::Location<'_>);
}

/// Registers the module as the tracer. Corresponds to `SUPR0TracerRegisterImpl`.
///
/// # Errors
/// `VERR_WRONG_ORDER` outside of `ModuleInit`, `VERR_SUPDRV_TRACER_ALREADY_REGISTERED`, `VERR_NO_MEMORY`.
///
/// # Context
/// `ModuleInit`.
pub fn register<T: Tracer>(module: Module) -> Result<()> {
    let mut helpers: *const SUPDRVTRACERHLP = ptr::null();
    let registration: &'static SUPDRVTRACERREG = Entries::<T>::REGISTRATION;
    // SAFETY: the registration is a constant of the module, with functions that keep the header's promises; the place
    // is a local variable.
    check(unsafe {
        raw::SUPR0TracerRegisterImpl(
            module.as_raw(),
            ptr::null_mut(),
            registration,
            &raw mut helpers,
        )
    })
    .map(|_| ())
}

/// What the driver calls.
struct Entries<T>(core::marker::PhantomData<T>);

impl<T: Tracer> Entries<T> {
    const REGISTRATION: &'static SUPDRVTRACERREG = &SUPDRVTRACERREG {
        u32Magic: SUPDRVTRACERREG_MAGIC,
        u32Version: SUPDRVTRACERREG_VERSION,
        pfnProbeFireKernel: Some(fire_kernel::<T>),
        pfnProbeFireUser: Some(fire_user::<T>),
        pfnTracerOpen: Some(open::<T>),
        pfnTracerIoCtl: Some(command::<T>),
        pfnTracerClose: Some(close::<T>),
        pfnProviderRegister: Some(provider_register::<T>),
        pfnProviderDeregister: Some(provider_deregister::<T>),
        pfnProviderDeregisterZombie: Some(provider_deregister::<T>),
        uEndMagic: SUPDRVTRACERREG_MAGIC as usize,
    };
}

unsafe extern "C" fn fire_kernel<T: Tracer>(
    location: *mut VTGPROBELOC,
    argument0: usize,
    argument1: usize,
    argument2: usize,
    argument3: usize,
    argument4: usize,
) {
    // SAFETY: a probe fires with its own location record, which is there while its code runs.
    let location = unsafe { &*location };
    // Relaxed: the number was written before the location was switched on.
    let id = location.idProbe.load(core::sync::atomic::Ordering::Relaxed);
    let arguments = [argument0, argument1, argument2, argument3, argument4];
    T::fire_kernel(id, arguments.map(|argument| argument as u64));
}

unsafe extern "C" fn fire_user<T: Tracer>(
    _: *const SUPDRVTRACERREG,
    _: *mut SUPDRVSESSION,
    context: *const SUPDRVTRACERUSRCTX,
    _: *const VTGOBJHDR,
    _: *const VTGPROBELOC,
) {
    // SAFETY: the driver passes a context of its own, which is there for the call.
    let context = unsafe { &*context };
    match context.view() {
        Some(TracerContext::Amd64(registers)) => {
            T::fire_user(context.idProbe, UserArguments::Wide(&registers.aArgs));
        }
        Some(TracerContext::X86(registers)) => {
            T::fire_user(context.idProbe, UserArguments::Narrow(&registers.aArgs));
        }
        None => {}
    }
}

unsafe extern "C" fn open<T: Tracer>(
    _: *const SUPDRVTRACERREG,
    session: *mut SUPDRVSESSION,
    cookie: u32,
    argument: usize,
    word: *mut usize,
) -> Status {
    let client = Client(Session::new(session));
    match T::open(&client, cookie, argument as u64) {
        Ok(()) => {
            // SAFETY: the driver passes a variable of its own. The word stands for nothing, but must not be 0.
            unsafe { word.write(1) };
            Status::VINF_SUCCESS
        }
        Err(status) => status,
    }
}

unsafe extern "C" fn command<T: Tracer>(
    _: *const SUPDRVTRACERREG,
    session: *mut SUPDRVSESSION,
    _: usize,
    command: usize,
    argument: usize,
    value: *mut i32,
) -> Status {
    let client = Client(Session::new(session));
    match T::command(&client, command as u64, argument as u64) {
        Ok(answer) => {
            // SAFETY: the driver passes a variable of its own.
            unsafe { value.write(answer) };
            Status::VINF_SUCCESS
        }
        Err(status) => status,
    }
}

unsafe extern "C" fn close<T: Tracer>(
    _: *const SUPDRVTRACERREG,
    session: *mut SUPDRVSESSION,
    _: usize,
) {
    T::close(&Client(Session::new(session)));
    T::shelf().take(session, T::nap());
}

unsafe extern "C" fn provider_register<T: Tracer>(
    _: *const SUPDRVTRACERREG,
    core: *mut SUPDRVVDTPROVIDERCORE,
) -> Status {
    // SAFETY: the driver passes a provider with its object in place, until it deregisters it.
    let added = unsafe { T::providers().add(core, T::nap(), T::introduce) };
    added.map_or_else(|status| status, |()| Status::VINF_SUCCESS)
}

unsafe extern "C" fn provider_deregister<T: Tracer>(
    _: *const SUPDRVTRACERREG,
    core: *mut SUPDRVVDTPROVIDERCORE,
) -> Status {
    T::providers().remove(core, T::nap());
    Status::VINF_SUCCESS
}
