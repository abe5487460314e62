//! [`Object`]: a VTG object that passed every step, and the steps that look at its records, 10 to 13.
//!
//! Neighbours: `header.rs` has the steps before, `strings.rs` and `locations.rs` read names and
//! locations.
//!
//! Invariant: an `Object` is valid, so what reads it answers without a status. Its answers to what is not
//! of this object (another one's probe, an offset that no record holds) are empty.

use sup_abi::{
    Status, VTG_TYPE_FIXED_SIZED, VTG_TYPE_SIZE_MASK, VTG_TYPE_VALID_MASK, VTGDESCPROVIDER,
    VTGOBJHDR, VtgArea, VtgArg, VtgArgList, VtgAttributes, VtgProbe,
};
use zerocopy::{FromBytes, Immutable};

use super::header::location_bytes;
use super::locations::Record;
use super::strings::Names;
use super::{Kind, Location, check_header, strings};

/// A probe has at most so many arguments.
const ARGS_MAX: u8 = 16;
/// The highest code of a stability, standard.
const STABILITY_MAX: u8 = 8;
/// The highest class of what something depends on, common.
const CLASS_MAX: u8 = 6;
/// An argument of fixed size with more bytes takes two slots of 32-bit code.
const SLOT_BYTES: u32 = 4;

/// A valid VTG object, read in the driver's copy.
#[derive(Debug, Clone, Copy)]
pub struct Object<'a> {
    header: VTGOBJHDR,
    /// Where the original lies.
    address: u64,
    strings: &'a [u8],
    arg_lists: &'a [u8],
    probes: &'a [VtgProbe],
    providers: &'a [VTGDESCPROVIDER],
    enabled: &'a [u32],
    locations: &'a [u8],
}

impl<'a> Object<'a> {
    /// Checks private copies of an object of `cbObj` bytes, which lies at `address`, and of its
    /// `cbProbeLocs` bytes of location records: all steps.
    ///
    /// The header is judged again as it is in the copy, so it does not matter which bytes told how much
    /// to copy.
    ///
    /// # Errors
    /// Those of [`check_header`], then in the order of the steps `VERR_SUPDRV_VTG_BAD_PROVIDER`,
    /// `VERR_SUPDRV_VTG_BAD_ATTR`, `VERR_SUPDRV_VTG_BAD_PROBE`, `VERR_SUPDRV_VTG_BAD_ARGLIST`,
    /// `VERR_SUPDRV_TRACER_BAD_ARG_FLAGS`, `VERR_SUPDRV_VTG_BAD_PROBE_ENABLED`,
    /// `VERR_SUPDRV_VTG_BAD_PROBE_LOC`; for names `VERR_SUPDRV_VTG_STRTAB_OFF`,
    /// `VERR_SUPDRV_VTG_BAD_STRING`, `VERR_SUPDRV_VTG_STRING_TOO_LONG`, and `VERR_SUPDRV_TRACER_TOO_LARGE` if
    /// the table has bad names and the records mention good ones with over 16 million characters.
    /// `VERR_SUPDRV_VTG_BAD_HDR_MISC` if a copy has another size than the header says, `VERR_INTERNAL_ERROR`
    /// if `object` does not begin at a multiple of 4 bytes.
    ///
    /// # Context
    /// Any. Takes milliseconds for the largest objects.
    #[inline(never)]
    pub fn check(
        kind: &Kind,
        address: u64,
        object: &'a [u8],
        locations: &'a [u8],
    ) -> Result<Self, Status> {
        let (mut header, _) = VTGOBJHDR::read_from_prefix(object)
            .map_err(|_| Status::VERR_SUPDRV_VTG_BAD_HDR_MISC)?;
        check_header(kind, &mut header, address)?;
        if [object.len(), locations.len()] != [header.cbObj, header.cbProbeLocs].map(|n| n as usize)
        {
            return Err(Status::VERR_SUPDRV_VTG_BAD_HDR_MISC);
        }
        let object = Self {
            strings: bytes(object, header.StrTab)?,
            arg_lists: bytes(object, header.ArgLists)?,
            probes: records(object, header.Probes)?,
            providers: records(object, header.Providers)?,
            enabled: records(object, header.ProbeEnabled)?,
            header,
            address,
            locations,
        };
        let names = &mut Names::new(object.strings);
        for provider in object.providers.iter().rev() {
            object.check_provider(provider, names)?;
        }
        (0..object.probe_count()).rev().try_for_each(|index| object.check_probe(index, names))?;
        // The original looks at the first of them each time.
        if object.enabled.iter().any(|count| *count != 0) {
            return Err(Status::VERR_SUPDRV_VTG_BAD_PROBE_ENABLED);
        }
        (0..object.location_count())
            .rev()
            .try_for_each(|index| object.check_location(kind, index))?;
        Ok(object)
    }

    /// The header, with the place and size of the locations filled in.
    pub const fn header(&self) -> &VTGOBJHDR {
        &self.header
    }

    /// Where the original of the object lies.
    pub const fn address(&self) -> u64 {
        self.address
    }

    /// The providers: 1 to 15.
    pub const fn providers(&self) -> &'a [VTGDESCPROVIDER] {
        self.providers
    }

    /// All probes.
    pub const fn probes(&self) -> &'a [VtgProbe] {
        self.probes
    }

    /// The probes of one provider, which may be none.
    pub fn probes_of(&self, provider: &VTGDESCPROVIDER) -> &'a [VtgProbe] {
        let tail = self.probes.get(provider.iFirstProbe.into()..).unwrap_or_default();
        tail.get(..provider.cProbes.into()).unwrap_or_default()
    }

    /// The argument list of a probe: at most 16 arguments.
    pub fn args(&self, probe: &VtgProbe) -> (&'a VtgArgList, &'a [VtgArg]) {
        const EMPTY: &VtgArgList = &VtgArgList { cArgs: 0, fHaveLargeArgs: 0, abReserved: [0; 2] };
        self.arg_list(probe.offArgList).unwrap_or((EMPTY, &[]))
    }

    /// The name, of a provider, probe or type, at this place of the string table.
    pub fn name(&self, offset: u32) -> &'a str {
        strings::name(self.strings, offset).unwrap_or_default()
    }

    /// Number of probes.
    pub const fn probe_count(&self) -> u32 {
        // At most 32767.
        self.probes.len() as u32
    }

    /// Number of locations.
    pub const fn location_count(&self) -> u32 {
        match self.header.cbProbeLocs.checked_div(location_bytes(&self.header)) {
            Some(count) => count,
            None => 0,
        }
    }

    /// The location with this index; `None` behind the last.
    pub fn location(&self, index: u32) -> Option<Location> {
        let record = self.record(index)?;
        let probe = self.probe_at(record.probe)?;
        Some(Location { line: record.line(), function: record.function, probe })
    }

    /// All locations.
    pub fn locations(&self) -> impl DoubleEndedIterator<Item = Location> + use<'a> {
        let object = *self;
        (0..self.location_count()).filter_map(move |index| object.location(index))
    }

    fn record(&self, index: u32) -> Option<Record> {
        let bytes = location_bytes(&self.header) as usize;
        let start = bytes.checked_mul(index as usize)?;
        Record::read(self.locations.get(start..)?.get(..bytes)?)
    }

    /// Index of the probe whose record lies at an address.
    fn probe_at(&self, address: u64) -> Option<u32> {
        const UNIT: u64 = size_of::<VtgProbe>() as u64;
        let offset =
            address.checked_sub(self.address)?.checked_sub(self.header.Probes.off.into())?;
        let index = u32::try_from(offset.checked_div(UNIT)?).ok()?;
        (offset.is_multiple_of(UNIT) && index < self.probe_count()).then_some(index)
    }

    fn arg_list(&self, offset: u32) -> Option<(&'a VtgArgList, &'a [VtgArg])> {
        let tail = self.arg_lists.get(offset as usize..)?;
        let (list, tail) = VtgArgList::ref_from_prefix(tail).ok()?;
        let (args, _) = <[VtgArg]>::ref_from_prefix_with_elems(tail, list.cArgs.into()).ok()?;
        Some((list, args))
    }

    /// Step 10.
    fn check_provider(
        &self,
        provider: &VTGDESCPROVIDER,
        names: &mut Names<'_>,
    ) -> Result<(), Status> {
        names.check(provider.offName)?;
        let first = u32::from(provider.iFirstProbe);
        let end = first.saturating_add(provider.cProbes.into());
        if first >= self.probe_count() || end > self.probe_count() {
            return Err(Status::VERR_SUPDRV_VTG_BAD_PROVIDER);
        }
        let attributes = [
            provider.AttrSelf,
            provider.AttrModules,
            provider.AttrFunctions,
            provider.AttrNames,
            provider.AttrArguments,
        ];
        if !attributes.iter().all(are_known) {
            return Err(Status::VERR_SUPDRV_VTG_BAD_ATTR);
        }
        if provider.bReserved != 0 {
            return Err(Status::VERR_SUPDRV_VTG_BAD_PROVIDER);
        }
        Ok(())
    }

    /// Step 11.
    fn check_probe(&self, index: u32, names: &mut Names<'_>) -> Result<(), Status> {
        const BAD: Status = Status::VERR_SUPDRV_VTG_BAD_PROBE;
        let probe = self.probes.get(index as usize).ok_or(BAD)?;
        names.check(probe.offName)?;
        let provider = self.providers.get(usize::from(probe.idxProvider)).ok_or(BAD)?;
        let of_provider = index.checked_sub(provider.iFirstProbe.into());
        let offset = index
            .saturating_mul(size_of::<VtgProbe>() as u32)
            .saturating_add(self.header.Probes.off);
        let is_good = probe.offArgList < self.header.ArgLists.cb
            && probe.offArgList.is_multiple_of(size_of::<VtgArgList>() as u32)
            && u32::from(probe.idxEnabled) == index
            && of_provider.is_some_and(|place| place < provider.cProbes.into())
            && i64::from(probe.offObjHdr) == i64::from(offset).saturating_neg();
        if !is_good {
            return Err(BAD);
        }
        self.check_arg_list(probe.offArgList, names)
    }

    fn check_arg_list(&self, offset: u32, names: &mut Names<'_>) -> Result<(), Status> {
        // The original does not see that a list ends behind the area.
        let (list, args) = self.arg_list(offset).ok_or(Status::VERR_SUPDRV_VTG_BAD_ARGLIST)?;
        if list.cArgs > ARGS_MAX || list.fHaveLargeArgs > 1 || list.abReserved != [0; 2] {
            return Err(Status::VERR_SUPDRV_VTG_BAD_ARGLIST);
        }
        for arg in args.iter().rev() {
            if !is_type(arg.fType) {
                return Err(Status::VERR_SUPDRV_TRACER_BAD_ARG_FLAGS);
            }
            names.check(arg.offType)?;
        }
        let has_large = args.iter().any(|arg| is_large(arg.fType));
        if has_large != (list.fHaveLargeArgs == 1) {
            return Err(Status::VERR_SUPDRV_VTG_BAD_PROBE);
        }
        Ok(())
    }

    /// Step 13.
    fn check_location(&self, kind: &Kind, index: u32) -> Result<(), Status> {
        let record = self.record(index);
        let is_good = record.is_some_and(|record| {
            record.is_fresh()
                && kind.contains(record.function)
                && self.probe_at(record.probe).is_some()
        });
        if is_good { Ok(()) } else { Err(Status::VERR_SUPDRV_VTG_BAD_PROBE_LOC) }
    }
}

/// An area of the object. Step 7 saw that it is there.
fn bytes(object: &[u8], area: VtgArea) -> Result<&[u8], Status> {
    let tail = object.get(area.off as usize..);
    tail.and_then(|tail| tail.get(..area.cb as usize)).ok_or(Status::VERR_SUPDRV_VTG_BAD_HDR_OFF)
}

/// The records of an area. Steps 7 and 9 saw that it holds whole ones, at multiples of 4 bytes.
fn records<T: FromBytes + Immutable>(object: &[u8], area: VtgArea) -> Result<&[T], Status> {
    <[T]>::ref_from_bytes(bytes(object, area)?).map_err(|_| Status::VERR_INTERNAL_ERROR)
}

fn are_known(attributes: &VtgAttributes) -> bool {
    let stability = 1..=STABILITY_MAX;
    stability.contains(&attributes.u8Code)
        && stability.contains(&attributes.u8Data)
        && (1..=CLASS_MAX).contains(&attributes.u8DataDep)
}

/// Whether a type has known bits only, and a size that goes with them.
const fn is_type(flags: u32) -> bool {
    let size_fits = match flags & VTG_TYPE_SIZE_MASK {
        0 => flags & VTG_TYPE_FIXED_SIZED == 0,
        1 | 2 | 4 | 8 => true,
        _ => false,
    };
    flags & !VTG_TYPE_VALID_MASK == 0 && size_fits
}

const fn is_large(flags: u32) -> bool {
    flags & VTG_TYPE_FIXED_SIZED != 0 && flags & VTG_TYPE_SIZE_MASK > SLOT_BYTES
}
