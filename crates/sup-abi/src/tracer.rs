//! Tracers, providers and probes, as a tracer in the kernel sees them.
//!
//! A tracer registers with [`SUPDRVTRACERREG`] and gets [`SUPDRVTRACERHLP`]. The driver shows it each
//! provider as a [`SUPDRVVDTPROVIDERCORE`]. What a user-mode probe sends along is in
//! `tracer_context`; the records behind the `VTG` pointers are in `vtg`.
//!
//! Invariant: for providers in user modules only [`SUPDRVPROBELOC`] and [`SUPDRVPROBEINFO`] decide
//! anything. The module's own records can be changed by its process at any moment.

#![expect(non_snake_case, reason = "members keep the names they have in sup.h")]

use core::ffi::{c_char, c_void};
use core::sync::atomic::{AtomicU8, AtomicU32};

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, transmute_mut, transmute_ref};

use crate::{SUPDRVSESSION, SUPDRVTRACERUSRCTX, Status, VTGDESCPROVIDER, VTGOBJHDR, VTGPROBELOC};

/// First and last member of [`SUPDRVTRACERREG`]. Corresponds to `SUPDRVTRACERREG_MAGIC`.
pub const SUPDRVTRACERREG_MAGIC: u32 = 0x1960_1009;

/// What [`SUPDRVTRACERREG::u32Version`] must hold. Corresponds to `SUPDRVTRACERREG_VERSION`.
pub const SUPDRVTRACERREG_VERSION: u32 = 0x0001_0000;

/// First and last member of [`SUPDRVTRACERHLP`]. Corresponds to `SUPDRVTRACERHLP_VERSION`.
pub const SUPDRVTRACERHLP_VERSION: u32 = 0x0001_0000;

/// The user module is a program. Corresponds to `SUP_TRACER_UMOD_FLAGS_EXE`.
pub const SUP_TRACER_UMOD_FLAGS_EXE: u32 = 1;

/// The user module is a shared library. Corresponds to `SUP_TRACER_UMOD_FLAGS_SHARED`.
pub const SUP_TRACER_UMOD_FLAGS_SHARED: u32 = 2;

/// The bits that tell the kind of module. Corresponds to `SUP_TRACER_UMOD_FLAGS_TYPE_MASK`.
pub const SUP_TRACER_UMOD_FLAGS_TYPE_MASK: u32 = 3;

/// Two words in which the tracer keeps what it likes about a provider. Corresponds to
/// `SUPDRVTRACERDATA`.
///
/// The header has a union here; [`Self::dtrace`] gives its other member.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct SUPDRVTRACERDATA {
    /// The words as such.
    pub au64: [u64; 2],
}

/// What the DTrace backend keeps about a provider. Corresponds to `SUPDRVTRACERDATA::DTrace`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct DTraceData {
    /// The provider's number in DTrace.
    pub idProvider: u64,
    /// How many probes DTrace was given.
    pub cProvidedProbes: u32,
    /// Not 0 if the provider is to go as soon as DTrace lets it.
    pub fZombie: u8,
    /// Zero; a C compiler leaves this space too.
    pub abPadding: [u8; 3],
}

impl SUPDRVTRACERDATA {
    /// Reads the words as the DTrace backend's.
    #[must_use]
    pub const fn dtrace(&self) -> &DTraceData {
        transmute_ref!(&self.au64)
    }

    /// Changes the words as the DTrace backend's.
    pub fn dtrace_mut(&mut self) -> &mut DTraceData {
        transmute_mut!(&mut self.au64)
    }
}

/// The driver's own copy of what a user module's location record says. Corresponds to
/// `SUPDRVPROBELOC`.
///
/// The tracer changes it while probes fire on other processors.
#[derive(Debug, Default, FromBytes, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct SUPDRVPROBELOC {
    /// The number that the tracer gave to the location; 0 if it does not know it yet.
    pub idProbe: AtomicU32,
    /// Not 0 if the location is switched on.
    pub fEnabled: AtomicU8,
    /// Zero; a C compiler leaves this space too.
    pub abPadding: [u8; 3],
}

/// The driver's own count of a user module's enabled locations. Corresponds to `SUPDRVPROBEINFO`.
#[derive(Debug, Default, FromBytes, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct SUPDRVPROBEINFO {
    /// How many locations of the probe are switched on.
    pub cEnabled: AtomicU32,
}

/// One provider, as the driver shows it to the tracer. Corresponds to `SUPDRVVDTPROVIDERCORE`.
///
/// Both names stay readable until the tracer has let go of the provider, even if the module that it
/// came from is gone.
#[derive(Debug)]
#[repr(C)]
pub struct SUPDRVVDTPROVIDERCORE {
    /// The tracer's own words.
    pub TracerData: SUPDRVTRACERDATA,
    /// The name of the provider.
    pub pszName: *const c_char,
    /// The name of the module that it is part of.
    pub pszModName: *const c_char,
    /// The provider's record.
    pub pDesc: *mut VTGDESCPROVIDER,
    /// The object that the record is part of.
    pub pHdr: *mut VTGOBJHDR,
    /// Bytes in one entry of [`Self::pvProbeLocsEn`].
    pub cbProbeLocsEn: u8,
    /// Word width of the module, 32 or 64.
    pub cBits: u8,
    /// 1 if the module is a user-mode one, else 0.
    pub fUmod: u8,
    /// Zero.
    pub abAlignment: [u8; 5],
    /// The location records to take descriptions from.
    pub paProbeLocsRO: *const VTGPROBELOC,
    /// The location records whose bit the probe macro looks at.
    pub pvProbeLocsEn: *mut c_void,
    /// How many locations are switched on, by probe.
    pub pacProbeEnabled: *mut u32,
    /// The driver's location records of a user module, else NULL.
    pub paR0ProbeLocs: *mut SUPDRVPROBELOC,
    /// The driver's counts of a user module, else NULL.
    pub paR0Probes: *mut SUPDRVPROBEINFO,
}

/// Takes a hit of a kernel probe: the location and its arguments. Called in any context, by a tail
/// jump, so further arguments are where the calling convention left them.
pub type PFNPROBEFIREKERNEL =
    Option<unsafe extern "C" fn(*mut VTGPROBELOC, usize, usize, usize, usize, usize)>;

/// Takes a hit of a user probe: tracer, session, saved registers, object and location.
pub type PFNPROBEFIREUSER = Option<
    unsafe extern "C" fn(
        *const SUPDRVTRACERREG,
        *mut SUPDRVSESSION,
        *const SUPDRVTRACERUSRCTX,
        *const VTGOBJHDR,
        *const VTGPROBELOC,
    ),
>;

/// Opens the tracer for a session: tracer, session, cookie, argument, and where to store the word
/// that stands for the session, which must not be 0.
pub type PFNTRACEROPEN = Option<
    unsafe extern "C" fn(
        *const SUPDRVTRACERREG,
        *mut SUPDRVSESSION,
        u32,
        usize,
        *mut usize,
    ) -> Status,
>;

/// Does what the tracer's client asks for: tracer, session, the session's word, command, argument,
/// and where to store a number for the client.
pub type PFNTRACERIOCTL = Option<
    unsafe extern "C" fn(
        *const SUPDRVTRACERREG,
        *mut SUPDRVSESSION,
        usize,
        usize,
        usize,
        *mut i32,
    ) -> Status,
>;

/// Closes the tracer for a session: tracer, session and the session's word.
pub type PFNTRACERCLOSE =
    Option<unsafe extern "C" fn(*const SUPDRVTRACERREG, *mut SUPDRVSESSION, usize)>;

/// Tells the tracer of a provider that comes or goes: tracer and provider.
pub type PFNTRACERPROVIDER =
    Option<unsafe extern "C" fn(*const SUPDRVTRACERREG, *mut SUPDRVVDTPROVIDERCORE) -> Status>;

/// What a tracer registers with. Corresponds to `SUPDRVTRACERREG`.
///
/// The driver calls the three provider callbacks with its tracer lock held, so they must not
/// register or deregister anything; it calls the others without.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct SUPDRVTRACERREG {
    /// [`SUPDRVTRACERREG_MAGIC`].
    pub u32Magic: u32,
    /// [`SUPDRVTRACERREG_VERSION`].
    pub u32Version: u32,
    /// A probe in the kernel was hit.
    pub pfnProbeFireKernel: PFNPROBEFIREKERNEL,
    /// A probe in a user module was hit.
    pub pfnProbeFireUser: PFNPROBEFIREUSER,
    /// A session opens the tracer.
    pub pfnTracerOpen: PFNTRACEROPEN,
    /// A session that has opened the tracer wants something.
    pub pfnTracerIoCtl: PFNTRACERIOCTL,
    /// A session closes the tracer, or is closed itself.
    pub pfnTracerClose: PFNTRACERCLOSE,
    /// A provider is there. A failure leaves it unknown to the tracer.
    pub pfnProviderRegister: PFNTRACERPROVIDER,
    /// A provider goes. After a failure it is a zombie: the module is gone, the core stays.
    pub pfnProviderDeregister: PFNTRACERPROVIDER,
    /// A zombie is tried once more.
    pub pfnProviderDeregisterZombie: PFNTRACERPROVIDER,
    /// [`SUPDRVTRACERREG_MAGIC`] again.
    pub uEndMagic: usize,
}

/// What the driver offers to a tracer, so far nothing. Corresponds to `SUPDRVTRACERHLP`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct SUPDRVTRACERHLP {
    /// [`SUPDRVTRACERHLP_VERSION`].
    pub uVersion: usize,
    /// [`SUPDRVTRACERHLP_VERSION`] again.
    pub uEndVersion: usize,
}
