//! VTG objects: how an image describes the probes that are in it.
//!
//! An object is a [`VTGOBJHDR`] with five areas behind it (string table, argument lists, probes,
//! providers, enabled counts); the records of the places where probes fire ([`VTGPROBELOC`]) are an
//! array of their own. Source: specification 8.1. The header `sup.h` only points at these types; their
//! layout is that of the objects which compilers of probe descriptions emit. What makes an object valid
//! is the tracing core's to say; who is told of it is in [`tracer`](crate::tracer).
//!
//! Invariant: all types are plain data in any bytes; each has the size that the specification gives.

#![expect(non_snake_case, reason = "members keep the names that the specification gives them")]

use core::sync::atomic::AtomicU32;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// First bytes of a [`VTGOBJHDR`].
pub const VTGOBJHDR_MAGIC: [u8; 24] = *b"VTG Object Header v1.5\0\0";

/// The name of the driver's own provider, and of its module.
pub const DRIVER_PROVIDER: &str = "supdrv";

/// The symbol of an image's header.
pub const VTGOBJHDR_SYMBOL: &str = "g_VTGObjHeader";

/// The section that the location records are in.
pub const VTGPROBELOC_SECTION: &str = ".VTGPrLc";

/// An argument of fixed size; the low byte of the flags is the size in bytes.
pub const VTG_TYPE_FIXED_SIZED: u32 = 0x100;
/// A pointer of the probe's own context.
pub const VTG_TYPE_POINTER: u32 = 0x200;
/// A pointer of the context that the context bits name.
pub const VTG_TYPE_CTX_POINTER: u32 = 0x400;
/// A value as wide as the host's words.
pub const VTG_TYPE_HC_ARCH: u32 = 0x800;
/// Of ring 3.
pub const VTG_TYPE_CTX_R3: u32 = 1 << 24;
/// Of ring 0.
pub const VTG_TYPE_CTX_R0: u32 = 1 << 25;
/// Of the raw-mode context.
pub const VTG_TYPE_CTX_RC: u32 = 1 << 26;
/// Of the guest.
pub const VTG_TYPE_CTX_GST: u32 = 1 << 27;
/// The probe macro converts the pointer to ring 0's.
pub const VTG_TYPE_AUTO_CONV_PTR: u32 = 1 << 28;
/// A physical address.
pub const VTG_TYPE_PHYS: u32 = 1 << 29;
/// An unsigned number.
pub const VTG_TYPE_UNSIGNED: u32 = 1 << 30;
/// A signed number.
pub const VTG_TYPE_SIGNED: u32 = 1 << 31;
/// Every bit that a type may have.
pub const VTG_TYPE_VALID_MASK: u32 = 0xff00_0fff;
/// The size in bytes, in a type's low byte.
pub const VTG_TYPE_SIZE_MASK: u32 = 0xff;

/// An area of a [`VTGOBJHDR`].
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct VtgArea {
    /// Bytes from the header to the area.
    pub off: u32,
    /// Bytes in the area.
    pub cb: u32,
}

/// The head of a trace provider object. Corresponds to `VTGOBJHDR`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct VTGOBJHDR {
    /// [`VTGOBJHDR_MAGIC`].
    pub szMagic: [u8; 24],
    /// Word width of the image, 32 or 64.
    pub cBits: u32,
    /// Bytes in the object, header and areas, without the location records.
    pub cbObj: u32,
    /// Names, each terminated.
    pub StrTab: VtgArea,
    /// [`VtgArgList`]s with their [`VtgArg`]s.
    pub ArgLists: VtgArea,
    /// [`VtgProbe`]s.
    pub Probes: VtgArea,
    /// [`VTGDESCPROVIDER`]s.
    pub Providers: VtgArea,
    /// One `u32` for each probe: how many of its locations are switched on.
    pub ProbeEnabled: VtgArea,
    /// Bytes from the header to the location records, which may lie before it; 0 if nobody has
    /// computed it yet.
    pub offProbeLocs: i32,
    /// Bytes of location records.
    pub cbProbeLocs: u32,
    /// Address of the first location record. A 32-bit object uses the low half.
    pub uProbeLocs: u64,
    /// Address behind the last location record.
    pub uProbeLocsEnd: u64,
    /// Different for each build of an image.
    pub Uuid: [u8; 16],
    /// 0 except on macOS.
    pub u64VtgObjSectionStart: u64,
    /// Zero.
    pub au32Reserved: [u32; 2],
}

/// How far something may be relied on: code and data each from 1 (internal) to 8 (standard), class from
/// 1 (unknown) to 6 (common).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct VtgAttributes {
    /// Stability of the names.
    pub u8Code: u8,
    /// Stability of the data.
    pub u8Data: u8,
    /// What it depends on.
    pub u8DataDep: u8,
}

/// The description of one trace provider. Corresponds to `VTGDESCPROVIDER`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct VTGDESCPROVIDER {
    /// The name's place in the string table.
    pub offName: u32,
    /// Index of its first probe.
    pub iFirstProbe: u16,
    /// Number of its probes, which follow each other.
    pub cProbes: u16,
    /// Of the provider itself.
    pub AttrSelf: VtgAttributes,
    /// Of the names of modules.
    pub AttrModules: VtgAttributes,
    /// Of the names of functions.
    pub AttrFunctions: VtgAttributes,
    /// Of the names of probes.
    pub AttrNames: VtgAttributes,
    /// Of the arguments.
    pub AttrArguments: VtgAttributes,
    /// Zero.
    pub bReserved: u8,
}

/// The description of one probe.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct VtgProbe {
    /// The name's place in the string table.
    pub offName: u32,
    /// The argument list's place in its area.
    pub offArgList: u32,
    /// Index of the enabled count: the probe's own index.
    pub idxEnabled: u16,
    /// Index of the provider.
    pub idxProvider: u16,
    /// Bytes from this record to the header: negative.
    pub offObjHdr: i32,
}

/// The head of an argument list; [`VtgArg`]s follow.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct VtgArgList {
    /// Number of arguments.
    pub cArgs: u8,
    /// 1 if an argument is of fixed size and larger than 4 bytes, else 0.
    pub fHaveLargeArgs: u8,
    /// Zero.
    pub abReserved: [u8; 2],
}

/// One argument of a probe.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct VtgArg {
    /// Place of the type's text in the string table.
    pub offType: u32,
    /// `VTG_TYPE_` bits, with the size in the low byte.
    pub fType: u32,
}

/// A place in 64-bit code where a probe may fire. Corresponds to `VTGPROBELOC`.
///
/// The tracer changes the first two words while other processors read them.
#[derive(Debug, Default, FromBytes, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct VTGPROBELOC {
    /// The line in the low 31 bits, and [`VTGPROBELOC_ENABLED`].
    pub uLineAndEnabled: AtomicU32,
    /// The number that the tracer, or for user modules the driver, gives to it.
    pub idProbe: AtomicU32,
    /// Address of the function's name.
    pub pszFunction: u64,
    /// Address of the [`VtgProbe`].
    pub pProbe: u64,
    /// Nothing.
    pub uPadding: u64,
}

/// A place in 32-bit code where a probe may fire.
#[derive(Debug, Default, FromBytes, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct VtgProbeLoc32 {
    /// The line in the low 31 bits, and [`VTGPROBELOC_ENABLED`].
    pub uLineAndEnabled: AtomicU32,
    /// The number that the driver gives to it.
    pub idProbe: AtomicU32,
    /// Address of the function's name.
    pub pszFunction: u32,
    /// Address of the [`VtgProbe`].
    pub pProbe: u32,
}

/// The location is switched on: bit 31 of a location's first word. The probe's stub tests it as bit 7
/// of byte 3.
pub const VTGPROBELOC_ENABLED: u32 = 1 << 31;

const _: () = {
    assert!(size_of::<VTGOBJHDR>() == 128);
    assert!(core::mem::offset_of!(VTGOBJHDR, offProbeLocs) == 72);
    assert!(core::mem::offset_of!(VTGOBJHDR, Uuid) == 96);
    assert!(core::mem::offset_of!(VTGOBJHDR, au32Reserved) == 120);
    assert!(size_of::<VTGDESCPROVIDER>() == 24);
    assert!(size_of::<VtgProbe>() == 16);
    assert!(size_of::<VtgArgList>() == 4);
    assert!(size_of::<VtgArg>() == 8);
    assert!(size_of::<VTGPROBELOC>() == 32);
    assert!(size_of::<VtgProbeLoc32>() == 16);
};
