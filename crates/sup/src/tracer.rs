//! The tracer as its clients use it, and probes in modules of this process.
//!
//! A tracer is a ring-0 module; what its commands mean is between it and its clients. Probes are described
//! by a VTG object in the memory of the program or library that has them. The driver finds functions by
//! name: it gets the names of all of them in one table, and finds offsets into it where the module's records
//! have pointers, for as long as the request takes.
//!
//! Invariant: after a registration, whatever came of it, the module's records have the pointers that they had
//! before.

use std::collections::HashMap;
use std::ffi::CStr;
use std::mem::offset_of;
use std::ptr::NonNull;

use sup_abi::request::{
    Empty, TracerClose, TracerDeregisterUserModule, TracerDeregisterUserModuleIn, TracerFire,
    TracerIoCtl, TracerIoCtlIn, TracerOpen, TracerOpenIn, TracerRegisterUserModule,
    TracerRegisterUserModuleIn, padded,
};
use sup_abi::{
    R3Ptr, SUP_TRACER_UMOD_FLAGS_EXE, SUP_TRACER_UMOD_FLAGS_SHARED, SUPDRVTRACERUSRCTX, Status,
    VTGOBJHDR, VTGOBJHDR_MAGIC, VTGPROBELOC, VtgProbeLoc32,
};

use crate::Session;
use crate::error::{Error, Result};

const REGISTER: &str = "TracerRegisterModule";
const DEREGISTER: &str = "TracerDeregisterModule";

/// Location records of one module.
const LOCATIONS_MAX: usize = 128 << 10;
/// Bytes of the longest name of a function.
const FUNCTION_BYTES_MAX: usize = 1024;
/// Bytes of a module's name, with its terminator.
const NAME_BYTES: usize = 64;

/// What a tracer answered to a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TracerReply {
    /// Its status, or the driver's if the tracer was not asked.
    pub status: Status,
    /// Its number; 0 if it was not asked.
    pub value: i32,
}

/// What kind of module has probes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeModuleKind {
    /// The program. Corresponds to `SUP_TRACER_UMOD_FLAGS_EXE`.
    Program,
    /// A shared library. Corresponds to `SUP_TRACER_UMOD_FLAGS_SHARED`.
    Library,
}

impl ProbeModuleKind {
    fn flags(self) -> u32 {
        match self {
            Self::Program => SUP_TRACER_UMOD_FLAGS_EXE,
            Self::Library => SUP_TRACER_UMOD_FLAGS_SHARED,
        }
    }
}

impl Session {
    /// Opens the tracer for this session. What cookie and argument mean, the tracer says. Corresponds to
    /// `SUPR3TracerOpen`.
    ///
    /// # Errors
    /// `VERR_SUPDRV_TRACER_NOT_PRESENT`, `VERR_SUPDRV_TRACER_ALREADY_OPENED`,
    /// `VERR_SUPDRV_TRACER_UNLOADING`, `VERR_SUPDRV_TRACER_SESSION_BUSY` while another thread is inside;
    /// what the tracer says.
    pub fn tracer_open(&self, cookie: u32, argument: u64) -> Result<()> {
        let input = TracerOpenIn { cookie, reserved: 0, argument };
        self.connection().call::<TracerOpen>(&input).map(|_| ())
    }

    /// Closes the tracer for this session. Corresponds to `SUPR3TracerClose`.
    ///
    /// # Errors
    /// `VERR_SUPDRV_TRACER_NOT_OPENED`, `VERR_SUPDRV_TRACER_NOT_PRESENT` if it has gone meanwhile,
    /// `VERR_SUPDRV_TRACER_SESSION_BUSY`.
    pub fn tracer_close(&self) -> Result<()> {
        self.connection().call::<TracerClose>(&Empty {}).map(|_| ())
    }

    /// Has the tracer carry out a command. Corresponds to `SUPR3TracerIoCtl`.
    ///
    /// The reply's status is the tracer's, or `VERR_SUPDRV_TRACER_NOT_OPENED`,
    /// `VERR_SUPDRV_TRACER_NOT_PRESENT`, `VERR_SUPDRV_TRACER_UNLOADING` or
    /// `VERR_SUPDRV_TRACER_SESSION_BUSY` if it was not asked.
    ///
    /// # Errors
    /// The transport's.
    pub fn tracer_command(&self, command: u64, argument: u64) -> Result<TracerReply> {
        let input = TracerIoCtlIn { command, argument };
        let reply = self.connection().exchange::<TracerIoCtl>(&input)?;
        let value = reply.output.map_or(0, |output| output.value);
        Ok(TracerReply { status: reply.status, value })
    }

    /// Registers the probes of a module of this process. Corresponds to `SUPR3TracerRegisterModule`.
    ///
    /// A module without probes or places where they fire is none of the driver's business: success.
    /// `believed` is the address that the module's own pointers are relative to: the header's, if the
    /// module runs where it lies.
    ///
    /// # Errors
    /// `VERR_SUPDRV_VTG_MAGIC` if that is no object, `VERR_INVALID_PARAMETER` for a name with a path,
    /// `VERR_FILENAME_TOO_LONG` from 64 bytes on, `VERR_NO_MEMORY`, also for more than 131 072 locations
    /// and names of functions of more than 1024 bytes; what the driver finds wrong with the object:
    /// `VERR_SUPDRV_VTG_*` and `VERR_SUPDRV_TRACER_*`; `VERR_LOCK_FAILED`, `VERR_MAP_FAILED`; what the
    /// tracer says.
    ///
    /// # Safety
    /// The header is that of an object which a compiler of probes made, in memory that can be written, with
    /// its location records and the names of functions; nobody else changes it during the call, and it stays
    /// until the module is deregistered or the session ends.
    pub unsafe fn register_probes(
        &self,
        name: &str,
        kind: ProbeModuleKind,
        header: NonNull<VTGOBJHDR>,
        believed: u64,
    ) -> Result<()> {
        let place = header.as_ptr();
        // SAFETY: the caller's promise; any bytes are a header.
        let copy = unsafe { place.read_unaligned() };
        if copy.szMagic != VTGOBJHDR_MAGIC {
            let detail = "that is not the header of a VTG object";
            return Self::refuse(REGISTER, Status::VERR_SUPDRV_VTG_MAGIC, detail);
        }
        let name = module_name(name, kind)?;
        let copy = located(copy, believed)?;
        // SAFETY: the header can be written, by the caller's promise.
        unsafe { place.write_unaligned(copy) };
        if copy.cbProbeLocs == 0 || copy.Probes.cb == 0 {
            return Ok(());
        }
        let shift = (place.expose_provenance() as u64).wrapping_sub(believed);
        let mut locations = Locations::new(&copy, place, shift)?;
        // SAFETY: the records and the names are where the object says, by the caller's promise.
        let names = unsafe { locations.replace_names() }?;
        let input = TracerRegisterUserModuleIn {
            believed_header: believed,
            header: R3Ptr::new(place.expose_provenance() as u64),
            names: R3Ptr::new(names.as_ptr().expose_provenance() as u64),
            name_bytes: u32::try_from(names.len()).unwrap_or(u32::MAX),
            flags: kind.flags(),
            name,
        };
        let result = self.connection().call::<TracerRegisterUserModule>(&input);
        drop(locations);
        result.map(|_| ())
    }

    /// Takes the probes of a module back. Corresponds to `SUPR3TracerDeregisterModule`.
    ///
    /// # Errors
    /// `VERR_SUPDRV_VTG_MAGIC`, `VERR_NOT_FOUND` if it was not registered in this session,
    /// `VERR_INTERRUPTED` if a signal came while a probe was firing: it is still registered.
    ///
    /// # Safety
    /// The header is that of an object, as for [`Session::register_probes`].
    pub unsafe fn deregister_probes(&self, header: NonNull<VTGOBJHDR>) -> Result<()> {
        let place = header.as_ptr();
        // SAFETY: the caller's promise; any bytes are a header.
        let copy = unsafe { place.read_unaligned() };
        if copy.szMagic != VTGOBJHDR_MAGIC {
            let detail = "that is not the header of a VTG object";
            return Self::refuse(DEREGISTER, Status::VERR_SUPDRV_VTG_MAGIC, detail);
        }
        let has_places = match copy.offProbeLocs {
            0 => copy.uProbeLocs != copy.uProbeLocsEnd,
            _ => copy.cbProbeLocs != 0,
        };
        if !has_places || copy.Probes.cb == 0 {
            return Ok(());
        }
        let header = R3Ptr::new(place.expose_provenance() as u64);
        let input = TracerDeregisterUserModuleIn { header };
        self.connection().call::<TracerDeregisterUserModule>(&input).map(|_| ())
    }

    /// Tells the tracer that a probe of this process was hit. Whether anybody wanted to know is not told.
    pub fn fire_probe(&self, context: &SUPDRVTRACERUSRCTX) {
        // A probe has nobody to tell of a failure.
        let _ = self.connection().exchange::<TracerFire>(context);
    }
}

/// The name as the driver gets it: with `.so` behind that of a library that has no extension, if it fits.
fn module_name(name: &str, kind: ProbeModuleKind) -> Result<[u8; NAME_BYTES]> {
    let refuse = |status, detail: String| Err(Error::new(REGISTER, status, detail));
    if name.len() >= NAME_BYTES {
        let detail = format!("the name has {} bytes, 63 are the most", name.len());
        return refuse(Status::VERR_FILENAME_TOO_LONG, detail);
    }
    if name.contains('/') {
        let detail = format!("'{name}' has a path, and only its last part is the name");
        return refuse(Status::VERR_INVALID_PARAMETER, detail);
    }
    let extended = match kind {
        ProbeModuleKind::Library if !name.contains('.') => padded(&format!("{name}.so")),
        _ => None,
    };
    let bytes = extended.or_else(|| padded(name));
    bytes.ok_or_else(|| Error::new(REGISTER, Status::VERR_INVALID_PARAMETER, "the name has a NUL"))
}

/// The header with the place of its location records filled in.
fn located(header: VTGOBJHDR, believed: u64) -> Result<VTGOBJHDR> {
    if header.offProbeLocs != 0 {
        return Ok(header);
    }
    let bytes = header.uProbeLocsEnd.wrapping_sub(header.uProbeLocs);
    let offset = header.uProbeLocs.wrapping_sub(believed).cast_signed();
    let refuse = |status| Error::new(REGISTER, status, "the locations' pointers do not fit");
    let bytes = u32::try_from(bytes).ok().filter(|bytes| *bytes != u32::MAX);
    let cb = bytes.ok_or_else(|| refuse(Status::VERR_SUPDRV_VTG_BAD_HDR_TOO_MUCH))?;
    let off = i32::try_from(offset).map_err(|_| refuse(Status::VERR_SUPDRV_VTG_BAD_HDR_PTR))?;
    Ok(VTGOBJHDR { offProbeLocs: off, cbProbeLocs: cb, ..header })
}

/// A module's location records, whose pointers to names are put back when this is dropped.
struct Locations {
    first: *mut u8,
    record_bytes: usize,
    is_32_bits: bool,
    count: usize,
    /// From the module's addresses to where things are.
    shift: u64,
    /// The pointers of the first records, as many as were replaced.
    replaced: Vec<u64>,
}

impl Locations {
    fn new(header: &VTGOBJHDR, place: *mut VTGOBJHDR, shift: u64) -> Result<Self> {
        let is_32_bits = header.cBits == 32;
        let record_bytes =
            if is_32_bits { size_of::<VtgProbeLoc32>() } else { size_of::<VTGPROBELOC>() };
        let count = header.cbProbeLocs as usize / record_bytes;
        if count > LOCATIONS_MAX {
            let detail = format!("the module has {count} locations, {LOCATIONS_MAX} are the most");
            return Err(Error::new(REGISTER, Status::VERR_NO_MEMORY, detail));
        }
        let first = place.cast::<u8>().wrapping_offset(header.offProbeLocs as isize);
        Ok(Self { first, record_bytes, is_32_bits, count, shift, replaced: Vec::new() })
    }

    /// Where a record has its pointer.
    fn pointer_at(&self, index: usize) -> *mut u8 {
        let offset = index * self.record_bytes + offset_of!(VTGPROBELOC, pszFunction);
        self.first.wrapping_add(offset)
    }

    /// # Safety
    /// The record is there.
    unsafe fn pointer(&self, index: usize) -> u64 {
        let at = self.pointer_at(index);
        if self.is_32_bits {
            // SAFETY: by this function's contract the record, and its pointer of four bytes, are there.
            return unsafe { at.cast::<u32>().read_unaligned() }.into();
        }
        // SAFETY: the same, with eight bytes.
        unsafe { at.cast::<u64>().read_unaligned() }
    }

    /// # Safety
    /// The record is there, and can be written.
    unsafe fn set_pointer(&self, index: usize, value: u64) {
        let at = self.pointer_at(index);
        if self.is_32_bits {
            // SAFETY: by this function's contract the record, and its pointer of four bytes, are there.
            unsafe { at.cast::<u32>().write_unaligned(value as u32) };
            return;
        }
        // SAFETY: the same, with eight bytes.
        unsafe { at.cast::<u64>().write_unaligned(value) };
    }

    /// Collects the names of functions, each once, and puts offsets where the pointers to them are.
    ///
    /// # Errors
    /// `VERR_NO_MEMORY`, also for a name that is too long.
    ///
    /// # Safety
    /// The records are there and can be written, nobody else uses them, and each points to a terminated name.
    unsafe fn replace_names(&mut self) -> Result<Vec<u8>> {
        let no_memory = |detail| Error::new(REGISTER, Status::VERR_NO_MEMORY, detail);
        let mut table = Vec::new();
        let mut offsets: HashMap<u64, u64> = HashMap::new();
        let mut known: HashMap<Vec<u8>, u64> = HashMap::new();
        self.replaced.try_reserve_exact(self.count).map_err(|_| no_memory(""))?;
        for index in 0..self.count {
            // SAFETY: the index is one of the records, which are there by this function's contract.
            let pointer = unsafe { self.pointer(index) };
            let offset = match offsets.get(&pointer) {
                Some(offset) => *offset,
                None => {
                    let start = pointer.wrapping_add(self.shift) as usize;
                    let start = std::ptr::with_exposed_provenance(start);
                    // SAFETY: by this function's contract a terminated name is there.
                    let name = unsafe { CStr::from_ptr(start) }.to_bytes_with_nul();
                    if name.len() > FUNCTION_BYTES_MAX + 1 {
                        return Err(no_memory("a function's name has more than 1024 bytes"));
                    }
                    let next = table.len() as u64;
                    let offset = *known.entry(name.to_vec()).or_insert(next);
                    if offset == next {
                        table.extend_from_slice(name);
                    }
                    offsets.insert(pointer, offset);
                    offset
                }
            };
            self.replaced.push(pointer);
            // SAFETY: the index is one of the records, which can be written by this function's contract.
            unsafe { self.set_pointer(index, offset) };
        }
        Ok(table)
    }
}

impl Drop for Locations {
    fn drop(&mut self) {
        for (index, pointer) in self.replaced.iter().enumerate() {
            // SAFETY: `replace_names` has written this record a moment ago.
            unsafe { self.set_pointer(index, *pointer) };
        }
    }
}

mod hit;
mod registration;

pub use registration::RegisteredProvider;

#[cfg(test)]
mod tests;
