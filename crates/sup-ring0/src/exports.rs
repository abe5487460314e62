//! The export table: what modules may import, by name.
//!
//! Each function is the header's, with its C prototype: it turns the C values into types, calls the
//! driver and turns the answer into a status. A session, an object or a handle is resolved by the
//! driver's tables and never followed as a pointer. Output pointers are checked to be plausible and
//! written only on success.
//!
//! The functions are generic over the host, so their addresses exist once for each backend; they carry
//! no symbol names, because a process may also hold ring 3's functions of the same names.

use core::ffi::{c_char, c_void};

use sup_abi::{PFNSUPDRVDESTRUCTOR, R0Ptr, SUPDRVOBJTYPE, SUPDRVSESSION, Status};
use sup_alloc::Arc;
use sup_core::host::Host;
use sup_core::{Blocking, Driver, ObjectHandle, Session, SessionHandle};

use crate::absolute::{Absolute, Segments};
use crate::components;
use crate::destructor::NativeDestructor;
use crate::{Native, Ring0, fire, gip, idc, memory, panic, printf, semaphores, tracer};

/// A name that modules may import.
#[derive(Debug, Clone, Copy)]
pub struct Export {
    /// The name in the header.
    pub name: &'static str,
    value: Value,
}

/// What a name stands for.
#[derive(Debug, Clone, Copy)]
enum Value {
    Function(*const ()),
    Absolute(Absolute),
    /// Where the data lies, which the running driver knows.
    Data(fn() -> u64),
}

// SAFETY: the address is that of a function, which is there for every thread and never changes.
unsafe impl Send for Export {}
// SAFETY: nothing can be done with a shared `Export` but to read its name and its value.
unsafe impl Sync for Export {}

impl Export {
    /// Where it is, or what its address is to be; 0 for data while no driver runs.
    pub fn address(&self, segments: Segments) -> u64 {
        match self.value {
            Value::Function(address) => address.addr() as u64,
            Value::Absolute(value) => value(segments).into(),
            Value::Data(place) => place(),
        }
    }
}

/// The address of an export.
pub fn find(exports: &[Export], segments: Segments, name: &str) -> Option<u64> {
    exports.iter().find(|export| export.name == name).map(|export| export.address(segments))
}

macro_rules! exports {
    (
        absolute { $($absolute:literal => $value:expr,)* }
        data { $($data:literal => $place:expr,)* }
        $($name:literal => $function:expr,)*
    ) => {
        &[
            $(Export { name: $absolute, value: Value::Absolute($value) },)*
            $(Export { name: $data, value: Value::Data($place) },)*
            $(Export { name: $name, value: Value::Function($function) },)*
        ]
    };
}

/// The table for the backend `R`.
pub fn exports<R: Native>() -> &'static [Export] {
    Table::<R>::ALL
}

/// Where the table of a backend is: one of the driver's constants, which takes no stack to make.
struct Table<R>(core::marker::PhantomData<R>);

impl<R: Native> Table<R> {
    const ALL: &'static [Export] = exports! {
        absolute {
            "SUPR0AbsIs64bit" => |_| 1,
            "SUPR0Abs64bitKernelCS" => |segments| segments.cs,
            "SUPR0Abs64bitKernelSS" => |segments| segments.ss,
            "SUPR0Abs64bitKernelDS" => |segments| segments.ds,
            "SUPR0AbsKernelCS" => |segments| segments.cs,
            "SUPR0AbsKernelSS" => |segments| segments.ss,
            "SUPR0AbsKernelDS" => |segments| segments.ds,
            "SUPR0AbsKernelES" => |segments| segments.es,
            "SUPR0AbsKernelFS" => |segments| segments.fs,
            "SUPR0AbsKernelGS" => |segments| segments.gs,
        }
        data {
            "g_SUPGlobalInfoPage" => gip::page_place::<R>,
            "g_pSUPGlobalInfoPage" => gip::pointer_place::<R>,
        }
        "SUPR0Printf" => printf::supr0_printf::<R> as *const (),
        "SUPR0ModulePanic" => panic::module_panic::<R> as *const (),
        "SUPR0ObjRegister" => obj_register::<R> as *const (),
        "SUPR0ObjAddRef" => obj_add_ref::<R> as *const (),
        "SUPR0ObjAddRefEx" => obj_add_ref_ex::<R> as *const (),
        "SUPR0ObjRelease" => obj_release::<R> as *const (),
        "SUPR0ObjVerifyAccess" => obj_verify_access::<R> as *const (),
        "SUPR0GetPagingMode" => get_paging_mode::<R> as *const (),
        "SUPR0EnableVTx" => enable_vtx as *const (),
        "SUPR0QueryVTCaps" => query_vt_caps::<R> as *const (),
        "SUPGetGIP" => gip::get_gip::<R> as *const (),
        "SUPR0GipMap" => gip::gip_map::<R> as *const (),
        "SUPR0GipUnmap" => gip::gip_unmap::<R> as *const (),
        "SUPR0LockMem" => memory::lock_mem::<R> as *const (),
        "SUPR0UnlockMem" => memory::unlock_mem::<R> as *const (),
        "SUPR0ContAlloc" => memory::cont_alloc::<R> as *const (),
        "SUPR0ContFree" => memory::cont_free::<R> as *const (),
        "SUPR0LowAlloc" => memory::low_alloc::<R> as *const (),
        "SUPR0LowFree" => memory::low_free::<R> as *const (),
        "SUPR0MemAlloc" => memory::mem_alloc::<R> as *const (),
        "SUPR0MemGetPhys" => memory::mem_get_phys::<R> as *const (),
        "SUPR0MemFree" => memory::mem_free::<R> as *const (),
        "SUPR0PageAllocEx" => memory::page_alloc_ex::<R> as *const (),
        "SUPR0PageMapKernel" => memory::page_map_kernel::<R> as *const (),
        "SUPR0PageProtect" => memory::page_protect::<R> as *const (),
        "SUPR0PageFree" => memory::page_free::<R> as *const (),
        "SUPSemEventCreate" => semaphores::event_create::<R> as *const (),
        "SUPSemEventClose" => semaphores::event_close::<R> as *const (),
        "SUPSemEventSignal" => semaphores::event_signal::<R> as *const (),
        "SUPSemEventWait" => semaphores::event_wait::<R> as *const (),
        "SUPSemEventWaitNoResume" => semaphores::event_wait_no_resume::<R> as *const (),
        "SUPSemEventWaitNsAbsIntr" => semaphores::event_wait_ns_abs::<R> as *const (),
        "SUPSemEventWaitNsRelIntr" => semaphores::event_wait_ns_rel::<R> as *const (),
        "SUPSemEventGetResolution" => semaphores::resolution::<R> as *const (),
        "SUPSemEventMultiCreate" => semaphores::multi_create::<R> as *const (),
        "SUPSemEventMultiClose" => semaphores::multi_close::<R> as *const (),
        "SUPSemEventMultiSignal" => semaphores::multi_signal::<R> as *const (),
        "SUPSemEventMultiReset" => semaphores::multi_reset::<R> as *const (),
        "SUPSemEventMultiWait" => semaphores::multi_wait::<R> as *const (),
        "SUPSemEventMultiWaitNoResume" => semaphores::multi_wait_no_resume::<R> as *const (),
        "SUPSemEventMultiWaitNsAbsIntr" => semaphores::multi_wait_ns_abs::<R> as *const (),
        "SUPSemEventMultiWaitNsRelIntr" => semaphores::multi_wait_ns_rel::<R> as *const (),
        "SUPSemEventMultiGetResolution" => semaphores::resolution::<R> as *const (),
        "SUPR0ComponentRegisterFactory" => components::register::<R> as *const (),
        "SUPR0ComponentDeregisterFactory" => components::deregister::<R> as *const (),
        "SUPR0ComponentQueryFactory" => components::query::<R> as *const (),
        "SUPR0IdcOpen" => idc::open::<R> as *const (),
        "SUPR0IdcCall" => idc::packets::call::<R> as *const (),
        "SUPR0IdcClose" => idc::close::<R> as *const (),
        "SUPR0IdcGetSession" => idc::get_session::<R> as *const (),
        "SUPR0IdcComponentRegisterFactory" => idc::component_register::<R> as *const (),
        "SUPR0IdcComponentDeregisterFactory" => idc::component_deregister::<R> as *const (),
        "SUPR0TracerRegisterImpl" => tracer::register_impl::<R> as *const (),
        "SUPR0TracerDeregisterImpl" => tracer::deregister_impl::<R> as *const (),
        "SUPR0TracerRegisterModule" => tracer::register_module::<R> as *const (),
        "SUPR0TracerRegisterDrv" => tracer::register_driver::<R> as *const (),
        "SUPR0TracerDeregisterDrv" => tracer::deregister_driver::<R> as *const (),
        "SUPR0TracerFireProbe" => fire::supr0_tracer_fire_probe as *const (),
        "SUPR0TracerUmodProbeFire" => tracer::fire_user::<R> as *const (),
        "memcpy" => memcpy as *const (),
        "memmove" => memmove as *const (),
        "memset" => memset as *const (),
        "memcmp" => memcmp as *const (),
        "strlen" => strlen as *const (),
    };
}

unsafe extern "C" {
    // Provided by the C library in a process and by the kernel in the kernel; compilers call them for
    // what the language does itself.
    fn memcpy(to: *mut c_void, from: *const c_void, bytes: usize) -> *mut c_void;
    fn memmove(to: *mut c_void, from: *const c_void, bytes: usize) -> *mut c_void;
    fn memset(to: *mut c_void, byte: i32, bytes: usize) -> *mut c_void;
    fn memcmp(left: *const c_void, right: *const c_void, bytes: usize) -> i32;
    fn strlen(text: *const c_char) -> usize;
}

/// A driver, and a session of it.
pub(crate) type Resolved<R> = (Arc<Driver<R>>, Arc<Session<R>>);

/// The driver and the session that a module names.
///
/// # Errors
/// `VERR_INVALID_PARAMETER`.
pub(crate) fn resolve<R: Ring0>(session: *mut SUPDRVSESSION) -> Result<Resolved<R>, Status> {
    let driver = R::driver().ok_or(Status::VERR_INVALID_PARAMETER)?;
    let session = driver.session(SessionHandle(R0Ptr::new(session.addr() as u64)))?;
    Ok((driver, session))
}

/// The C form of an answer that is only a status.
pub(crate) fn raw(result: Result<Status, Status>) -> i32 {
    result.unwrap_or_else(|status| status).raw()
}

/// True if `pointer` could be one in ring 0: not in the first or last page, and canonical.
pub(crate) fn is_plausible<R: Ring0, T>(pointer: *const T) -> bool {
    R0Ptr::new(pointer.addr() as u64).is_plausible(R::address_bits())
}

fn handle(object: *mut c_void) -> ObjectHandle {
    ObjectHandle(R0Ptr::new(object.addr() as u64))
}

/// Corresponds to `SUPR0ObjRegister`.
unsafe extern "C" fn obj_register<R: Ring0 + Host<Destructor = NativeDestructor>>(
    session: *mut SUPDRVSESSION,
    kind: u32,
    destructor: PFNSUPDRVDESTRUCTOR,
    user1: *mut c_void,
    user2: *mut c_void,
) -> *mut c_void {
    let register = || {
        let (driver, session) = resolve::<R>(session).ok()?;
        let kind = SUPDRVOBJTYPE::try_from(kind).ok()?;
        // SAFETY: the module promises it by registering: the header says when and where a destructor
        // is called, and the driver forgets it before it unmaps the image that holds it.
        let destructor = unsafe { NativeDestructor::new::<R::Calls>(destructor, user1, user2) }?;
        driver.object_register(&session, kind, destructor).ok()
    };
    match register() {
        Some(object) => object.0.get() as usize as *mut c_void,
        None => core::ptr::null_mut(),
    }
}

/// Corresponds to `SUPR0ObjAddRef`.
unsafe extern "C" fn obj_add_ref<R: Ring0>(
    object: *mut c_void,
    session: *mut SUPDRVSESSION,
) -> i32 {
    add_ref::<R>(object, session, Blocking::Allowed)
}

/// Corresponds to `SUPR0ObjAddRefEx`. A C `bool` is one byte; anything but zero counts as true.
unsafe extern "C" fn obj_add_ref_ex<R: Ring0>(
    object: *mut c_void,
    session: *mut SUPDRVSESSION,
    no_blocking: u8,
) -> i32 {
    let blocking = if no_blocking == 0 { Blocking::Allowed } else { Blocking::Never };
    add_ref::<R>(object, session, blocking)
}

fn add_ref<R: Ring0>(object: *mut c_void, session: *mut SUPDRVSESSION, blocking: Blocking) -> i32 {
    raw(resolve::<R>(session).and_then(|(driver, session)| {
        if !is_plausible::<R, _>(object) {
            return Err(Status::VERR_INVALID_POINTER);
        }
        driver.object_add_ref(&session, handle(object), blocking)?;
        Ok(Status::VINF_SUCCESS)
    }))
}

/// Corresponds to `SUPR0ObjRelease`.
unsafe extern "C" fn obj_release<R: Ring0>(
    object: *mut c_void,
    session: *mut SUPDRVSESSION,
) -> i32 {
    raw(resolve::<R>(session)
        .and_then(|(driver, session)| driver.object_release(&session, handle(object))))
}

/// Corresponds to `SUPR0ObjVerifyAccess`. The name is for a log that nobody asked for yet.
unsafe extern "C" fn obj_verify_access<R: Ring0>(
    object: *mut c_void,
    session: *mut SUPDRVSESSION,
    _name: *const c_char,
) -> i32 {
    raw(resolve::<R>(session).and_then(|(driver, session)| {
        driver.object_verify_access(&session, handle(object))?;
        Ok(Status::VINF_SUCCESS)
    }))
}

/// Corresponds to `SUPR0GetPagingMode`.
unsafe extern "C" fn get_paging_mode<R: Ring0>() -> u32 {
    let registers = R::driver().map(|driver| driver.host().control_registers());
    registers.map_or(sup_abi::SUPPAGINGMODE::Invalid, sup_core::platform::paging_mode).into()
}

/// Corresponds to `SUPR0EnableVTx`. On Linux virtualisation is KVM's to switch on and off, and not all
/// supported kernels have a way to borrow it, so this takes nothing and says so.
extern "C" fn enable_vtx(_enable: u8) -> i32 {
    Status::VERR_NOT_SUPPORTED.raw()
}

/// Corresponds to `SUPR0QueryVTCaps`.
unsafe extern "C" fn query_vt_caps<R: Ring0>(session: *mut SUPDRVSESSION, caps: *mut u32) -> i32 {
    raw(resolve::<R>(session).and_then(|(driver, _)| {
        if !is_plausible::<R, _>(caps) {
            return Err(Status::VERR_INVALID_POINTER);
        }
        let result = sup_core::platform::vt_caps(driver.host());
        // SAFETY: the module passed a plausible pointer to a `uint32_t` of its own, as the header
        // demands; it is zero on failure.
        unsafe { caps.write(result.unwrap_or(0)) };
        result.map(|_| Status::VINF_SUCCESS)
    }))
}
