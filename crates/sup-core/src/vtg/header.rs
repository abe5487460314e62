//! [`check_header`]: steps 1 to 9, which need no more than the header.
//!
//! Invariant: after them the five areas lie one behind the other in the object, the locations overlap
//! none of them, and no size is beyond its limit.

use core::ops::Range;

use sup_abi::{
    Status, VTGDESCPROVIDER, VTGOBJHDR, VTGOBJHDR_MAGIC, VTGPROBELOC, VtgArea, VtgProbe,
    VtgProbeLoc32,
};

use super::Kind;

/// An object has at most so many bytes, and so has its string table.
const OBJECT_BYTES_MAX: u32 = 1 << 20;

/// What records of some kind may be, all together.
struct Sizes {
    /// Bytes in a record.
    unit: u32,
    /// Records, from the fewest to the first number that is too much.
    units: Range<u32>,
    /// What their place is a multiple of.
    align: u32,
}

const STRINGS: Sizes = Sizes { unit: 1, units: 4..OBJECT_BYTES_MAX, align: 1 };
const ARG_LISTS: Sizes = Sizes { unit: 4, units: 1..32768, align: 4 };
const PROBES: Sizes = Sizes { unit: size_of::<VtgProbe>() as u32, units: 1..32768, align: 4 };
const PROVIDERS: Sizes =
    Sizes { unit: size_of::<VTGDESCPROVIDER>() as u32, units: 1..16, align: 4 };
const ENABLED: Sizes = Sizes { unit: size_of::<u32>() as u32, units: 1..32768, align: 4 };
/// Locations of ring 0; their place is not asked for.
const LOCATIONS: Sizes =
    Sizes { unit: size_of::<VTGPROBELOC>() as u32, units: 1..131_072, align: 1 };
const USER_LOCATIONS_MAX: u32 = 8192;

impl Sizes {
    const fn bytes(&self, units: u32) -> u32 {
        self.unit.saturating_mul(units)
    }

    /// Checks a number of bytes.
    fn check_bytes(&self, bytes: u32) -> Result<(), Status> {
        if bytes < self.bytes(self.units.start) {
            return Err(Status::VERR_SUPDRV_VTG_BAD_HDR_TOO_FEW);
        }
        if bytes >= self.bytes(self.units.end) {
            return Err(Status::VERR_SUPDRV_VTG_BAD_HDR_TOO_MUCH);
        }
        if !bytes.is_multiple_of(self.unit) {
            return Err(Status::VERR_SUPDRV_VTG_BAD_HDR_NOT_MULTIPLE);
        }
        Ok(())
    }

    /// Checks an area of an object of so many bytes.
    fn check_area(&self, area: VtgArea, object_bytes: u32) -> Result<(), Status> {
        let room = object_bytes.saturating_sub(area.cb);
        // An area as large as the object leaves none for the header.
        if room == 0 || area.off > room || !area.off.is_multiple_of(self.align) {
            return Err(Status::VERR_SUPDRV_VTG_BAD_HDR_OFF);
        }
        self.check_bytes(area.cb)
    }
}

/// Checks a private copy of a header that lies at `address`: steps 1 to 9. For a module of ring 3 that is
/// the address by which the module knows it.
///
/// Writes `offProbeLocs` and `cbProbeLocs` into the copy, if `offProbeLocs` is 0 and the magic is right.
/// (The original writes before it looks at the magic, into whatever a caller named.) A bound is kept when
/// the last byte lies one past it: who copies an object out of an image looks at the image's end himself.
///
/// # Errors
/// In the order of the steps: `VERR_SUPDRV_VTG_BAD_HDR_PTR`, `VERR_SUPDRV_TRACER_TOO_LARGE`,
/// `VERR_SUPDRV_VTG_BAD_HDR_TOO_MUCH`, `VERR_SUPDRV_VTG_MAGIC`, `VERR_SUPDRV_VTG_BITS`,
/// `VERR_SUPDRV_VTG_BAD_HDR_MISC`, `VERR_SUPDRV_VTG_BAD_HDR_OFF`, `VERR_SUPDRV_VTG_BAD_HDR_TOO_FEW`,
/// `VERR_SUPDRV_VTG_BAD_HDR_NOT_MULTIPLE`.
///
/// # Context
/// Any.
#[inline(never)]
pub fn check_header(kind: &Kind, header: &mut VTGOBJHDR, address: u64) -> Result<(), Status> {
    let last = address.wrapping_add(header.cbObj.into()).wrapping_sub(1);
    if matches!(kind, Kind::Image { .. }) && !(kind.contains(address) && kind.contains(last)) {
        return Err(Status::VERR_SUPDRV_VTG_BAD_HDR_PTR);
    }
    if header.cbObj > OBJECT_BYTES_MAX {
        return Err(Status::VERR_SUPDRV_TRACER_TOO_LARGE);
    }
    let (offset, bytes) = match header.offProbeLocs {
        0 => location_area(header, address)?,
        offset => (offset, header.cbProbeLocs),
    };
    if header.szMagic != VTGOBJHDR_MAGIC {
        return Err(Status::VERR_SUPDRV_VTG_MAGIC);
    }
    (header.offProbeLocs, header.cbProbeLocs) = (offset, bytes);
    match (kind, header.cBits) {
        (_, 64) | (Kind::User, 32) => (),
        _ => return Err(Status::VERR_SUPDRV_VTG_BITS),
    }
    if header.au32Reserved != [0; 2] || header.Uuid == [0; 16] {
        return Err(Status::VERR_SUPDRV_VTG_BAD_HDR_MISC);
    }
    STRINGS.check_area(header.StrTab, header.cbObj)?;
    ARG_LISTS.check_area(header.ArgLists, header.cbObj)?;
    PROBES.check_area(header.Probes, header.cbObj)?;
    PROVIDERS.check_area(header.Providers, header.cbObj)?;
    ENABLED.check_area(header.ProbeEnabled, header.cbObj)?;
    check_locations(kind, header)?;
    if !agrees(header, address) {
        return Err(Status::VERR_SUPDRV_VTG_BAD_HDR_MISC);
    }
    Ok(())
}

/// Where the locations are as seen from the header, and their size in bytes: step 3.
fn location_area(header: &VTGOBJHDR, address: u64) -> Result<(i32, u32), Status> {
    // An end before the start is far beyond the limit too.
    let bytes = match u32::try_from(header.uProbeLocsEnd.wrapping_sub(header.uProbeLocs)) {
        Ok(bytes) if bytes != u32::MAX => bytes,
        _ => return Err(Status::VERR_SUPDRV_VTG_BAD_HDR_TOO_MUCH),
    };
    let offset = header.uProbeLocs.wrapping_sub(address).cast_signed();
    let offset = i32::try_from(offset).map_err(|_| Status::VERR_SUPDRV_VTG_BAD_HDR_PTR)?;
    Ok((offset, bytes))
}

/// Step 8.
fn check_locations(kind: &Kind, header: &VTGOBJHDR) -> Result<(), Status> {
    if !kind.contains(header.uProbeLocs) || !kind.contains(header.uProbeLocsEnd) {
        return Err(Status::VERR_SUPDRV_VTG_BAD_HDR_PTR);
    }
    let sizes = match kind {
        Kind::User => {
            Sizes { unit: location_bytes(header), units: 1..USER_LOCATIONS_MAX, align: 1 }
        }
        _ => LOCATIONS,
    };
    sizes.check_bytes(header.cbProbeLocs)
}

/// Bytes in one location record.
pub(super) const fn location_bytes(header: &VTGOBJHDR) -> u32 {
    match header.cBits {
        32 => size_of::<VtgProbeLoc32>() as u32,
        _ => size_of::<VTGPROBELOC>() as u32,
    }
}

/// Whether no two things of the header contradict each other: step 9.
fn agrees(header: &VTGOBJHDR, address: u64) -> bool {
    let locations = i64::from(header.offProbeLocs);
    let is_located = header.uProbeLocsEnd.wrapping_sub(header.uProbeLocs)
        == u64::from(header.cbProbeLocs)
        && header.uProbeLocs.wrapping_sub(address).cast_signed() == locations;
    let has_counts = header.Probes.cb.checked_div(PROBES.unit)
        == header.ProbeEnabled.cb.checked_div(ENABLED.unit);
    let mut end = size_of::<VTGOBJHDR>() as u32;
    let mut is_ascending = true;
    for area in
        [header.StrTab, header.ArgLists, header.Probes, header.Providers, header.ProbeEnabled]
    {
        is_ascending &= area.off >= end;
        end = area.off.saturating_add(area.cb);
    }
    // The original has the sign of the second wrong, and finds no overlap in front of the header.
    let is_apart = if locations >= 0 {
        locations >= i64::from(end)
    } else {
        locations.saturating_add(header.cbProbeLocs.into()) <= 0
    };
    is_located && has_counts && is_ascending && is_apart && header.cbObj == end
}
