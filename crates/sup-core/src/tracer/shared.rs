//! [`SharedObject`]: the driver's copy of a VTG object of a process' module.
//!
//! The tracer describes probes by this copy, never by the process' memory. Processes that run the same
//! module share one: the same build (UUID), of the same shape, with the same contents but for the places
//! where each process has it and for what changes while it runs.
//!
//! ```text
//! header, areas: as in the module | location records of 32 bytes | names of functions, a NUL
//! ```
//! Invariant: the copy was checked as a whole, with all its pointers inside itself; it holds nothing of
//! any one process.

use core::mem::offset_of;

use sup_abi::{R0Ptr, Status, VTGOBJHDR, VTGPROBELOC, VTGPROBELOC_ENABLED, VtgArea, VtgProbeLoc32};
use sup_alloc::{Arc, Vec};
use sup_signature::ContentHash;
use zerocopy::IntoBytes;

use super::kernel_objects::{bytes_of, zeroed_words};
use crate::vtg::{Kind, Object, check_header};

const RECORD_BYTES: usize = size_of::<VTGPROBELOC>();

/// What modules have to have in common to share a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    uuid: [u8; 16],
    object_bytes: u32,
    bits: u32,
    name_bytes: u32,
    flags: u32,
    areas: [VtgArea; 5],
    /// Where the location records are, and their size.
    locations: (i32, u32),
    content: ContentHash,
}

/// What a process says of its module, copied once. The object has its checked header.
pub(super) struct Draft {
    pub(super) object: Vec<u64>,
    pub(super) header: VTGOBJHDR,
    /// The location records as the process has them.
    pub(super) locations: Vec<u8>,
    /// The names of functions.
    pub(super) names: Vec<u8>,
    /// The address that the module believes its header to have.
    pub(super) believed: u64,
    pub(super) flags: u32,
}

/// A checked copy. Its memory does not move.
pub(super) struct SharedObject {
    words: Vec<u64>,
    locations_at: usize,
    locations: usize,
    identity: Identity,
}

/// One location record of a process, of either width, with its pointers as offsets.
struct Record {
    line: u32,
    id: u32,
    name: u64,
    probe: u64,
}

impl Draft {
    fn object_bytes(&self) -> &[u8] {
        bytes_of(&self.object, self.header.cbObj as usize)
    }

    fn record_bytes(&self) -> usize {
        if self.header.cBits == 32 { size_of::<VtgProbeLoc32>() } else { RECORD_BYTES }
    }

    /// The records; what the pointers to names were replaced by are offsets already.
    fn records(&self) -> impl Iterator<Item = Record> {
        let is_32 = self.header.cBits == 32;
        let believed = self.believed;
        self.locations.chunks_exact(self.record_bytes()).map(move |bytes| {
            let half = |at: usize| {
                let word = bytes.get(at..).and_then(<[u8]>::first_chunk).copied();
                u32::from_le_bytes(word.unwrap_or_default())
            };
            let whole =
                |at: usize| u64::from(half(at)) | u64::from(half(at.saturating_add(4))) << 32;
            let (name, probe) = if is_32 {
                (u64::from(half(8)), u64::from(half(12)))
            } else {
                (whole(8), whole(16))
            };
            Record { line: half(0), id: half(4), name, probe: probe.wrapping_sub(believed) }
        })
    }

    /// What the module is, whatever runs in it and wherever it lies.
    fn identity(&self) -> Result<Identity, Status> {
        let header = &self.header;
        let areas =
            [header.StrTab, header.ArgLists, header.Probes, header.Providers, header.ProbeEnabled];
        let mut plain = Vec::new();
        plain.try_reserve(self.object_bytes().len())?;
        // Behind the header, whose fields are compared each, and without the counts.
        let counts = header.ProbeEnabled.off as usize;
        let constant = self.object_bytes().get(size_of::<VTGOBJHDR>()..counts).unwrap_or_default();
        plain.try_extend_from_slice(constant)?;
        for record in self.records() {
            plain.try_extend_from_slice(&(record.line & !VTGPROBELOC_ENABLED).to_le_bytes())?;
            plain.try_extend_from_slice(&record.name.to_le_bytes())?;
            plain.try_extend_from_slice(&record.probe.to_le_bytes())?;
        }
        plain.try_extend_from_slice(&self.names)?;
        Ok(Identity {
            uuid: header.Uuid,
            object_bytes: header.cbObj,
            bits: header.cBits,
            name_bytes: u32::try_from(self.names.len()).unwrap_or(u32::MAX),
            flags: self.flags,
            areas,
            locations: (header.offProbeLocs, header.cbProbeLocs),
            content: ContentHash::of(&plain),
        })
    }

    /// The copy of such a module that is there, or else a new one, entered into the list.
    ///
    /// # Errors
    /// `VERR_NO_MEMORY`, `VERR_SUPDRV_TRACER_UMOD_STRTAB_OFF_BAD`, and what the object breaks.
    #[inline(never)]
    pub(super) fn share(
        &self,
        list: &mut Vec<Arc<SharedObject>>,
    ) -> Result<Arc<SharedObject>, Status> {
        let identity = self.identity()?;
        if let Some(found) = list.iter().find(|shared| shared.identity == identity) {
            return Ok(found.clone());
        }
        let shared = Arc::try_new(self.check(identity)?)?;
        list.try_push(shared.clone())?;
        Ok(shared)
    }

    /// Makes a copy and checks it.
    #[inline(never)]
    fn check(&self, identity: Identity) -> Result<SharedObject, Status> {
        let bad = Status::VERR_INTERNAL_ERROR;
        let object_bytes = self.header.cbObj as usize;
        let locations = self.locations.len().checked_div(self.record_bytes()).ok_or(bad)?;
        let locations_at = object_bytes.next_multiple_of(RECORD_BYTES);
        let names_at = locations_at.saturating_add(locations.saturating_mul(RECORD_BYTES));
        // With the terminator of a name that is the last one's end.
        let bytes = names_at.saturating_add(self.names.len()).saturating_add(1);
        let mut words = zeroed_words(bytes)?;
        let base = words.as_ptr().expose_provenance() as u64;
        let mut put = |at: usize, what: &[u8]| {
            let place = words.as_mut_bytes().get_mut(at..at.saturating_add(what.len()));
            place.and_then(|place| what.write_to(place).ok()).ok_or(bad)
        };
        put(0, self.object_bytes())?;
        put(names_at, &self.names)?;
        for (index, record) in self.records().enumerate() {
            if record.name > self.names.len() as u64 {
                return Err(Status::VERR_SUPDRV_TRACER_UMOD_STRTAB_OFF_BAD);
            }
            let at = locations_at.saturating_add(index.saturating_mul(RECORD_BYTES));
            let name = base.saturating_add(names_at as u64).saturating_add(record.name);
            put(at, &record.line.to_le_bytes())?;
            put(at.saturating_add(offset_of!(VTGPROBELOC, idProbe)), &record.id.to_le_bytes())?;
            put(at.saturating_add(offset_of!(VTGPROBELOC, pszFunction)), &name.to_le_bytes())?;
            let probe = base.wrapping_add(record.probe);
            put(at.saturating_add(offset_of!(VTGPROBELOC, pProbe)), &probe.to_le_bytes())?;
        }
        let mut header = self.header;
        header.cBits = 64;
        header.uProbeLocs = base.saturating_add(locations_at as u64);
        header.uProbeLocsEnd = base.saturating_add(names_at as u64);
        header.offProbeLocs = i32::try_from(locations_at).map_err(|_| bad)?;
        header.cbProbeLocs =
            u32::try_from(names_at.saturating_sub(locations_at)).map_err(|_| bad)?;
        let kind = Kind::Image { base: R0Ptr::new(base), bytes: bytes as u64 };
        check_header(&kind, &mut header, base)?;
        put(0, header.as_bytes())?;
        let shared = SharedObject { words, locations_at, locations, identity };
        shared.object_as(&kind)?;
        Ok(shared)
    }
}

impl SharedObject {
    /// The address of the copy.
    pub(super) fn header_at(&self) -> R0Ptr {
        R0Ptr::new(self.words.as_ptr().expose_provenance() as u64)
    }

    /// Where the location records begin.
    pub(super) fn locations_at(&self) -> R0Ptr {
        let base = self.header_at().get();
        R0Ptr::new(base.saturating_add(self.locations_at as u64))
    }

    /// The header, and the location record of an index.
    pub(super) fn location(&self, index: usize) -> (R0Ptr, R0Ptr) {
        let offset = index.saturating_mul(RECORD_BYTES) as u64;
        (self.header_at(), R0Ptr::new(self.locations_at().get().saturating_add(offset)))
    }

    /// Number of location records.
    pub(super) fn locations(&self) -> usize {
        self.locations
    }

    /// The object, checked once more: the copy does not change, so this succeeds.
    ///
    /// # Errors
    /// None, when it was checked before.
    pub(super) fn object(&self) -> Result<Object<'_>, Status> {
        let base = self.header_at();
        self.object_as(&Kind::Image { base, bytes: self.words.as_bytes().len() as u64 })
    }

    fn object_as(&self, kind: &Kind) -> Result<Object<'_>, Status> {
        let end = self.locations_at.saturating_add(self.locations.saturating_mul(RECORD_BYTES));
        let object = bytes_of(&self.words, self.identity.object_bytes as usize);
        let locations = self.words.as_bytes().get(self.locations_at..end).unwrap_or_default();
        Object::check(kind, self.header_at().get(), object, locations)
    }
}

/// Forgets the copies that nobody uses any more.
pub(super) fn forget_unused(list: &mut Vec<Arc<SharedObject>>) {
    while let Some(index) = list.iter_mut().position(|shared| Arc::get_mut(shared).is_some()) {
        list.swap_remove(index);
    }
}
