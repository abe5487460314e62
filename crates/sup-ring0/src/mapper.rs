//! The mapper: a checked image in executable memory, and the calls into it.
//!
//! Memory comes from the backend ([`ImageMemory`]): writable while the image is copied and relocated,
//! then sealed segment by segment, so that no page is ever writable and executable. What lies between
//! segments stays inaccessible.
//!
//! [`MappedImage`] keeps its own table of the exported names, because the file is gone after
//! loading and the module could change its own tables. An [`EntryPoint`] is made only of an exported
//! symbol in executable memory of the same image; the calls check that once more.

use core::ffi::c_void;
use core::iter::once;
use core::ops::Range;

use sup_abi::{R0Ptr, SUPDRVSESSION, SUPR0SERVICEREQHDR, SUPVMMR0REQHDR, Status};
use sup_alloc::Vec;
use sup_core::host::{EntryPoint, Image, ServiceCall, VmmCall};
use sup_core::{LoadError, SessionHandle};

use crate::absolute::Segments;
use crate::calls::{self, Calls};
use crate::elf::{Elf, ElfError, Protection};
use crate::exports::{Export, find};
use crate::names::Names;

/// Memory for one image. Dropping it unmaps.
pub trait ImageMemory: Sized + Send + Sync + 'static {
    /// Where the calls into images are noted.
    type Calls: Calls;

    /// Zeroed memory of `bytes` bytes, whole pages, readable and writable.
    ///
    /// # Errors
    /// `VERR_NO_EXEC_MEMORY`.
    fn allocate(bytes: usize) -> Result<Self, Status>;

    /// Where it starts; a page boundary.
    fn base(&self) -> R0Ptr;

    /// All of it. Only before it is sealed.
    fn writable(&mut self) -> &mut [u8];

    /// Whether a thread died in a call into the image. It stays so.
    fn is_lost(&self) -> bool {
        false
    }

    /// Gives every segment its protection, and everything else none. Whole pages, in ascending order,
    /// without overlap; nothing is both writable and executable afterwards.
    ///
    /// # Errors
    /// What the memory manager said; the memory is then good for nothing but to be dropped.
    fn seal(
        &mut self,
        segments: &mut dyn Iterator<Item = (Range<usize>, Protection)>,
    ) -> Result<(), Status>;
}

/// What the names of the driver's functions may start with.
const DRIVER_PREFIX: &str = "SUPR0$";

/// A module image, ready to be called.
pub struct MappedImage<M> {
    memory: M,
    bytes: usize,
    exports: Names,
    code: Vec<Range<u64>>,
}

impl<M: ImageMemory> MappedImage<M> {
    /// Checks `file`, maps it, binds its imports and seals it. Nothing of it runs.
    ///
    /// An import is what `provide` finds, and else what `exports` has, absolute ones of `segments`. Older sources write `SUPR0$` before
    /// the names of the driver's functions; it is dropped. That a file of this format cannot say which
    /// module an import shall come from is the specification's case of an empty module name.
    ///
    /// # Errors
    /// `VERR_BAD_EXE_FORMAT` with the rule that the file breaks, `VERR_SYMBOL_NOT_FOUND` with the
    /// import that the driver does not have, `VERR_NO_EXEC_MEMORY`, `VERR_NO_MEMORY`.
    #[inline(never)]
    pub fn load(
        file: &[u8],
        exports: &[Export],
        segments: Segments,
        provide: &mut dyn FnMut(&str) -> Option<R0Ptr>,
    ) -> Result<Self, LoadError> {
        let elf = Elf::parse(file).map_err(|error| sentence(&error))?;
        let bytes = elf.image_size();
        let mut memory = M::allocate(bytes)?;
        let base = memory.base().get();
        let mut resolve = |name: &str| {
            let name = name.strip_prefix(DRIVER_PREFIX).unwrap_or(name);
            provide(name).map(R0Ptr::get).or_else(|| find(exports, segments, name))
        };
        elf.load(memory.writable(), base, &mut resolve).map_err(|error| sentence(&error))?;

        let exports =
            Names::of(|| elf.symbols().map(|symbol| (symbol.name, symbol.offset as u64)))?;
        let mut image = Self { memory, bytes, exports, code: Vec::new() };
        for segment in elf.segments().filter(|s| s.protection == Protection::ReadExecute) {
            image.code.try_push(segment.pages.start as u64..segment.pages.end as u64)?;
        }
        let relro = elf.relro().unwrap_or(0..0);
        image.memory.seal(&mut elf.segments().flat_map(|segment| {
            split(segment.pages, &relro)
                .map(move |(pages, is_relro)| match (segment.protection, is_relro) {
                    (Protection::ReadWrite, true) => (pages, Protection::Read),
                    (protection, _) => (pages, protection),
                })
                .filter(|(pages, _)| !pages.is_empty())
        }))?;
        Ok(image)
    }

    /// The memory that it lives in, for what a backend keeps with it.
    pub fn memory_mut(&mut self) -> &mut M {
        &mut self.memory
    }

    /// The address of an entry point as a pointer, if it is one of this image.
    fn callable(&self, EntryPoint(address): EntryPoint) -> Option<*const ()> {
        let offset = address.get().checked_sub(self.memory.base().get())?;
        let is_code = self.code.iter().any(|code| code.contains(&offset));
        is_code.then_some(address.get() as usize as *const ())
    }
}

/// A segment's pages before, in and after `relro`. (Not an array, whose iterator can panic in the eyes
/// of the compiler.)
fn split(pages: Range<usize>, relro: &Range<usize>) -> impl Iterator<Item = (Range<usize>, bool)> {
    let start = relro.start.max(pages.start).min(pages.end);
    let end = relro.end.max(start).min(pages.end);
    once((pages.start..start, false))
        .chain(once((start..end, true)))
        .chain(once((end..pages.end, false)))
}

#[inline(never)]
fn sentence(error: &ElfError) -> LoadError {
    LoadError::new(error.status(), format_args!("{error}"))
}

/// What a call answers that its module abandoned.
const ABANDONED: Status = Status::VERR_INTERNAL_ERROR;

/// A session as ring-0 code names it.
pub(crate) fn session_pointer(SessionHandle(handle): SessionHandle) -> *mut SUPDRVSESSION {
    handle.get() as usize as *mut SUPDRVSESSION
}

impl<M: ImageMemory> Image for MappedImage<M> {
    fn base(&self) -> R0Ptr {
        self.memory.base()
    }

    fn bytes(&self) -> usize {
        self.bytes
    }

    fn symbol(&self, name: &str) -> Option<R0Ptr> {
        self.base().checked_add(self.exports.find(name)?)
    }

    fn entry_point(&self, name: &str) -> Option<EntryPoint> {
        let entry = EntryPoint(self.symbol(name)?);
        self.callable(entry).map(|_| entry)
    }

    fn is_lost(&self) -> bool {
        self.memory.is_lost()
    }

    fn call_init(&self, entry: EntryPoint, module: R0Ptr) -> Status {
        let Some(function) = self.callable(entry) else { return Status::VERR_INVALID_POINTER };
        type Init = unsafe extern "C" fn(*mut c_void) -> i32;
        // SAFETY: `callable` found the address in mapped code of this image, which lives as long as
        // `self`; that the exported `ModuleInit` has the header's prototype is the module's promise,
        // which whoever loads ring-0 code vouches for.
        let init = unsafe { core::mem::transmute::<*const (), Init>(function) };
        let status = calls::call::<M::Calls, _>(function, || {
            // SAFETY: the prototype is the header's; the argument is an opaque value that the module
            // only hands back.
            unsafe { init(module.get() as usize as *mut c_void) }
        });
        status.map_or(ABANDONED, Status::new)
    }

    fn call_term(&self, entry: EntryPoint, module: R0Ptr) {
        let Some(function) = self.callable(entry) else { return };
        type Term = unsafe extern "C" fn(*mut c_void);
        // SAFETY: `callable` found the address in mapped code of this image; that the exported
        // `ModuleTerm` has the header's prototype is the module's promise.
        let term = unsafe { core::mem::transmute::<*const (), Term>(function) };
        // A module that panics here has told so, and there is nobody to answer to.
        let _ = calls::call::<M::Calls, _>(function, || {
            // SAFETY: the prototype is the header's; the driver calls it once, after the last other
            // call.
            unsafe { term(module.get() as usize as *mut c_void) };
        });
    }

    fn call_service(&self, entry: EntryPoint, call: ServiceCall<'_>) -> Status {
        let Some(function) = self.callable(entry) else { return Status::VERR_INVALID_POINTER };
        type Handler =
            unsafe extern "C" fn(*mut SUPDRVSESSION, u32, u64, *mut SUPR0SERVICEREQHDR) -> i32;
        // SAFETY: `callable` found the address in mapped code of this image; that the function which
        // the loader was told to be the request handler has the header's prototype is the word of
        // whoever loaded the module.
        let handler = unsafe { core::mem::transmute::<*const (), Handler>(function) };
        let packet = match call.packet {
            Some(packet) => packet.as_mut_ptr().cast::<SUPR0SERVICEREQHDR>(),
            None => core::ptr::null_mut(),
        };
        let (session, operation, argument) = (call.session, call.operation, call.argument);
        let status = calls::call::<M::Calls, _>(function, || {
            // SAFETY: the prototype is the header's; the packet is null or `cbReq` bytes, as its header
            // says, aligned to 8, exclusively borrowed for the time of the call, so the handler may
            // change it.
            unsafe { handler(session_pointer(session), operation, argument, packet) }
        });
        status.map_or(ABANDONED, Status::new)
    }

    fn call_vmm(&self, entry: EntryPoint, call: VmmCall<'_>) -> Status {
        let Some(function) = self.callable(entry) else { return Status::VERR_INVALID_POINTER };
        type Entry = unsafe extern "C" fn(
            *mut c_void,
            u32,
            u32,
            *mut SUPVMMR0REQHDR,
            u64,
            *mut SUPDRVSESSION,
        ) -> i32;
        // SAFETY: `callable` found the address in mapped code of this image; that the exported
        // `VMMR0EntryEx` has the prototype that the header's users know is the module's promise.
        let entry = unsafe { core::mem::transmute::<*const (), Entry>(function) };
        let packet = match call.packet {
            Some(packet) => packet.as_mut_ptr().cast::<SUPVMMR0REQHDR>(),
            None => core::ptr::null_mut(),
        };
        let vm = call.vm.get() as usize as *mut c_void;
        let VmmCall { cpu, operation, argument, session, .. } = call;
        let status = calls::call::<M::Calls, _>(function, || {
            // SAFETY: the prototype is that of the entry; the packet is null or `cbReq` bytes, as its
            // header says, aligned to 8, exclusively borrowed for the time of the call; the VM is whatever
            // ring 3 said, which the entry knows and checks.
            unsafe { entry(vm, cpu, operation, packet, argument, session_pointer(session)) }
        });
        status.map_or(ABANDONED, Status::new)
    }

    fn call_fast(EntryPoint(entry): EntryPoint, vm: R0Ptr, cpu: u32, operation: u32) {
        type Entry = unsafe extern "C" fn(*mut c_void, u32, u32);
        let function = entry.get() as usize as *const ();
        // SAFETY: `entry_point` of an image made the address, out of its mapped code, and the driver calls
        // this only while it keeps that image (the argument at the top of `vm.rs`); that the exported
        // `VMMR0EntryFast` has this prototype is the module's promise.
        let entry = unsafe { core::mem::transmute::<*const (), Entry>(function) };
        // A module that panics here has told so; what came of the call is in the VM, if anywhere.
        let _ = calls::call::<M::Calls, _>(function, move || {
            // SAFETY: the prototype is that of the entry; the VM is an object or a block of the session,
            // which the driver keeps for the time of the call.
            unsafe { entry(vm.get() as usize as *mut c_void, cpu, operation) };
        });
    }
}

impl<M: ImageMemory> core::fmt::Debug for MappedImage<M> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("MappedImage")
            .field("base", &self.memory.base())
            .field("bytes", &self.bytes)
            .field("exports", &self.exports.len())
            .finish_non_exhaustive()
    }
}
