//! VTG objects in ring 0: of modules and of other kernel drivers.
//!
//! Corresponds to `SUPR0TracerRegisterModule`, `SUPR0TracerRegisterDrv` and `SUPR0TracerDeregisterDrv`.
//! The object stays where it is, and the tracer works on it there; what is checked is a copy, so that the
//! checks and what they decide agree.

use sup_abi::{R0Ptr, Status, VTGOBJHDR, VTGPROBELOC};
use sup_alloc::Vec;
use zerocopy::{FromZeros, IntoBytes};

use super::providers::{Owner, Place, Zombies};
use crate::host::Host;
use crate::vtg::{Kind, Object, check_header};
use crate::{Driver, Session};

/// Words with room for so many bytes, zeroed: aligned for every record.
pub(super) fn zeroed_words(bytes: usize) -> Result<Vec<u64>, Status> {
    let mut words = Vec::new();
    words.try_resize(bytes.div_ceil(size_of::<u64>()), 0)?;
    Ok(words)
}

/// The first bytes of some words.
pub(super) fn bytes_of(words: &[u64], bytes: usize) -> &[u8] {
    words.as_bytes().get(..bytes).unwrap_or_default()
}

impl<H: Host> Driver<H> {
    /// Registers the providers of a module whose `ModuleInit` runs; they go with the module. Corresponds to
    /// `SUPR0TracerRegisterModule`.
    ///
    /// # Errors
    /// `VERR_INVALID_HANDLE` if there is no such module, `VERR_WRONG_ORDER` if its `ModuleInit` does not
    /// run in this thread, `VERR_INVALID_PARAMETER` if the header is not in the image; what the object
    /// breaks; `VERR_SUPDRV_VTG_ALREADY_REGISTERED`, `VERR_SUPDRV_VTG_ONLY_ONCE_PER_SESSION`;
    /// `VERR_NO_MEMORY`; what the tracer says.
    ///
    /// # Context
    /// May sleep; calls the tracer.
    pub fn tracer_register_module(&self, module: R0Ptr, header: R0Ptr) -> Result<(), Status> {
        let image = self.initialising_here(module)?;
        let offset = header.get().checked_sub(image.base.get());
        if offset.is_none_or(|offset| offset >= image.bytes) {
            return Err(Status::VERR_INVALID_PARAMETER);
        }
        let kind = Kind::Image { base: image.base, bytes: image.bytes };
        let result = self.register_in_ring0(Owner::Module(module), &kind, header, &image.name);
        self.tracing().registry.lock().retry_zombies();
        result
    }

    /// Registers the providers of another kernel driver. Corresponds to `SUPR0TracerRegisterDrv`.
    ///
    /// `address_bits` is the width of addresses in ring 0: all that is known of where the object may lie.
    ///
    /// # Errors
    /// `VERR_INVALID_PARAMETER` if it is no kernel session; what the object breaks;
    /// `VERR_SUPDRV_VTG_ALREADY_REGISTERED`, `VERR_SUPDRV_VTG_ONLY_ONCE_PER_SESSION`; `VERR_NO_MEMORY`;
    /// what the tracer says.
    ///
    /// # Context
    /// May sleep; calls the tracer.
    pub fn tracer_register_driver(
        &self,
        session: &Session<H>,
        header: R0Ptr,
        name: &str,
        address_bits: u32,
    ) -> Result<(), Status> {
        session.require_kernel().map_err(|_| Status::VERR_INVALID_PARAMETER)?;
        let owner = Owner::Driver(session.handle());
        let result = self.register_in_ring0(owner, &Kind::Driver { address_bits }, header, name);
        self.tracing().registry.lock().retry_zombies();
        result
    }

    /// Takes all providers of a kernel session back. Corresponds to `SUPR0TracerDeregisterDrv`.
    ///
    /// # Context
    /// May sleep; calls the tracer.
    pub fn tracer_deregister_driver(&self, session: &Session<H>) {
        if session.require_kernel().is_ok() {
            let owner = Owner::Driver(session.handle());
            self.remove_providers(|other| other == owner, Zombies::Retry);
        }
    }

    #[inline(never)]
    pub(super) fn register_in_ring0(
        &self,
        owner: Owner,
        kind: &Kind,
        header: R0Ptr,
        name: &str,
    ) -> Result<(), Status> {
        let (words, locations) = self.copy_from_ring0(kind, header)?;
        let object_bytes = object_bytes(&words);
        let object = bytes_of(&words, object_bytes);
        let object = Object::check(kind, header.get(), object, locations.as_bytes())?;
        let counts = u64::from(object.header().ProbeEnabled.off);
        let records = R0Ptr::new(object.header().uProbeLocs);
        let place = Place {
            module: name,
            header,
            process: None,
            locations: records,
            enabled_locations: records,
            bytes_per_location: size_of::<VTGPROBELOC>() as u8,
            bits: 64,
            enabled_counts: header.checked_add(counts).ok_or(Status::VERR_INTERNAL_ERROR)?,
            own_locations: R0Ptr::NIL,
            own_counts: R0Ptr::NIL,
        };
        let mut registry = self.tracing().registry.lock();
        // With the lock that the insertion needs: nobody comes between.
        if registry.providers.iter().any(|entry| entry.header == header) {
            return Err(Status::VERR_SUPDRV_VTG_ALREADY_REGISTERED);
        }
        if registry.providers.iter().any(|entry| entry.owner == owner) {
            return Err(Status::VERR_SUPDRV_VTG_ONLY_ONCE_PER_SESSION);
        }
        registry.add(owner, &object, &place)
    }

    /// Copies an object and its location records, with a checked header. The place of the records is
    /// written into the object's own header, if it says nothing yet.
    #[inline(never)]
    fn copy_from_ring0(&self, kind: &Kind, address: R0Ptr) -> Result<(Vec<u64>, Vec<u64>), Status> {
        let unreadable = |_| Status::VERR_SUPDRV_VTG_BAD_HDR_PTR;
        let mut header = VTGOBJHDR::new_zeroed();
        self.host().read_ring0(address, header.as_mut_bytes()).map_err(unreadable)?;
        let had_place = header.offProbeLocs != 0;
        check_header(kind, &mut header, address.get())?;
        let object_bytes = header.cbObj as usize;
        let mut words = zeroed_words(object_bytes)?;
        let place = words.as_mut_bytes().get_mut(..object_bytes);
        let place = place.ok_or(Status::VERR_INTERNAL_ERROR)?;
        self.host().read_ring0(address, place).map_err(unreadable)?;
        // The checked header, whatever is there by now.
        header.write_to_prefix(place).map_err(|_| Status::VERR_INTERNAL_ERROR)?;
        // Records are whole words, so this is exactly as long.
        let mut locations = zeroed_words(header.cbProbeLocs as usize)?;
        let records = R0Ptr::new(header.uProbeLocs);
        self.host().read_ring0(records, locations.as_mut_bytes()).map_err(unreadable)?;
        if !had_place {
            const OFFSET: u64 = core::mem::offset_of!(VTGOBJHDR, offProbeLocs) as u64;
            let words = [header.offProbeLocs.cast_unsigned(), header.cbProbeLocs];
            let at = address.checked_add(OFFSET).ok_or(Status::VERR_INTERNAL_ERROR)?;
            self.host().write_ring0(at, words.as_bytes()).map_err(unreadable)?;
        }
        Ok((words, locations))
    }
}

/// The size that the checked header of a copied object says.
pub(super) fn object_bytes(words: &[u64]) -> usize {
    let header = <VTGOBJHDR as zerocopy::FromBytes>::ref_from_prefix(words.as_bytes());
    header.map_or(0, |(header, _)| header.cbObj as usize)
}
