//! The global information page: the driver's clock, readable by everybody without a call.
//!
//! The driver owns the memory and updates it from a timer; processes map it read-only. A
//! [`SUPGLOBALINFOPAGE`] starts with general data and ends in a table with one [`SUPGIPCPU`] for
//! each processor. How to update and to read it consistently is the core's affair.
//!
//! Invariant: whatever may change while somebody else reads is an atomic. The page lies in memory
//! that other processors, other processes and C code access at the same time, so a plain field
//! would be a data race; an atomic is what makes `volatile` of the header well defined in Rust.
//! Which ordering an access needs is said where it is made.

#![expect(non_snake_case, reason = "members keep the names they have in sup.h")]

use core::sync::atomic::{AtomicI16, AtomicU16, AtomicU32, AtomicU64};

use num_enum::{IntoPrimitive, TryFromPrimitive};
use zerocopy::{FromBytes, IntoBytes, KnownLayout};

use crate::cpuset::{AtomicCpuSet, RTCPUSET_MAX_CPUS};

/// What [`SUPGLOBALINFOPAGE::u32Magic`] holds while the page is alive. Corresponds to
/// `SUPGLOBALINFOPAGE_MAGIC`.
pub const SUPGLOBALINFOPAGE_MAGIC: u32 = 0x1959_0106;

/// The layout described here. The upper half is the major version, which changes only if old
/// readers would be misled. Corresponds to `SUPGLOBALINFOPAGE_VERSION`.
pub const SUPGLOBALINFOPAGE_VERSION: u32 = 0x0003_0000;

/// The most processors that the index tables can tell apart.
pub const GIP_MAX_CPUS: usize = RTCPUSET_MAX_CPUS;

/// Entries in [`SUPGLOBALINFOPAGE::aiCpuFromApicId`].
pub const GIP_APIC_TABLE_ENTRIES: usize = 256;

/// Entries in [`SUPGLOBALINFOPAGE::aiCpuFromCpuSetIdx`].
pub const GIP_CPU_SET_TABLE_ENTRIES: usize = RTCPUSET_MAX_CPUS;

/// Deltas that [`SUPGIPCPU::au32TSCHistory`] remembers.
pub const GIP_HISTORY_ENTRIES: usize = 8;

/// Bytes before the first processor's entry. A page for `n` processors has
/// `OFFSET_OF_CPUS + n * size_of::<SUPGIPCPU>()` bytes, rounded up to whole pages.
pub const OFFSET_OF_CPUS: usize = 1280;

/// Whether a processor's entry is in use. Corresponds to `SUPGIPCPUSTATE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, TryFromPrimitive, IntoPrimitive)]
#[repr(u32)]
pub enum SUPGIPCPUSTATE {
    /// The entry is unused. Corresponds to `SUPGIPCPUSTATE_INVALID`.
    Invalid = 0,
    /// The processor is not there. Corresponds to `SUPGIPCPUSTATE_ABSENT`.
    Absent = 1,
    /// The processor is there and stopped. Corresponds to `SUPGIPCPUSTATE_OFFLINE`.
    Offline = 2,
    /// The processor runs. Corresponds to `SUPGIPCPUSTATE_ONLINE`.
    Online = 3,
}

/// Never used; makes a C compiler choose 32 bits. Corresponds to `SUPGIPCPUSTATE_32_BIT_HACK`.
pub const SUPGIPCPUSTATE_32_BIT_HACK: u32 = 0x7fff_ffff;

/// How the time stamp counters of the processors relate. Corresponds to `SUPGIPMODE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, TryFromPrimitive, IntoPrimitive)]
#[repr(u32)]
pub enum SUPGIPMODE {
    /// Not decided. Corresponds to `SUPGIPMODE_INVALID`.
    Invalid = 0,
    /// They agree, so the first entry serves all. Corresponds to `SUPGIPMODE_SYNC_TSC`.
    SyncTsc = 1,
    /// Each goes its own way and has its own entry. Corresponds to `SUPGIPMODE_ASYNC_TSC`.
    AsyncTsc = 2,
}

/// Never used; makes a C compiler choose 32 bits. Corresponds to `SUPGIPMODE_32BIT_HACK`.
pub const SUPGIPMODE_32BIT_HACK: u32 = 0x7fff_ffff;

/// The clock of one processor. Corresponds to `SUPGIPCPU`.
///
/// "Ticks" are those of the time stamp counter; an "update" is one run of the driver's timer.
#[derive(Debug, FromBytes, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct SUPGIPCPU {
    /// Counts the beginnings and ends of updates: odd while one is going on. A reader takes it
    /// before and after, and starts again if it was odd or has changed.
    pub u32TransactionId: AtomicU32,
    /// Ticks between two updates, rounded up a little so that interpolated time rather lags than
    /// overtakes the next update.
    pub u32UpdateIntervalTSC: AtomicU32,
    /// The monotonic time of the last update, in nanoseconds.
    pub u64NanoTS: AtomicU64,
    /// The time stamp counter at the last update.
    pub u64TSC: AtomicU64,
    /// Ticks per second.
    pub u64CpuHz: AtomicU64,
    /// Updates that overlapped another one or came with an impossible number of ticks.
    pub cErrors: AtomicU32,
    /// The index of the newest entry of [`Self::au32TSCHistory`].
    pub iTSCHistoryHead: AtomicU32,
    /// Ticks between past updates, a ring. [`Self::u32UpdateIntervalTSC`] is computed from it.
    pub au32TSCHistory: [AtomicU32; GIP_HISTORY_ENTRIES],
    /// Nanoseconds between the last two updates.
    pub u32PrevUpdateIntervalNS: AtomicU32,
    /// Zero.
    pub au32Reserved: [u32; 10],
    /// A [`SUPGIPCPUSTATE`].
    pub enmState: AtomicU32,
    /// The processor's number, a [`CpuId`](crate::CpuId).
    pub idCpu: AtomicU32,
    /// The processor's index in the sets of the page, or -1.
    pub iCpuSet: AtomicI16,
    /// The number of the processor's interrupt controller.
    pub idApic: AtomicU16,
}

/// The whole page, as far as its size is fixed. Corresponds to `SUPGLOBALINFOPAGE`.
#[derive(Debug, FromBytes, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct SUPGLOBALINFOPAGE {
    /// [`SUPGLOBALINFOPAGE_MAGIC`]; zero tells readers that the page is about to go away.
    pub u32Magic: AtomicU32,
    /// [`SUPGLOBALINFOPAGE_VERSION`].
    pub u32Version: AtomicU32,
    /// A [`SUPGIPMODE`].
    pub u32Mode: AtomicU32,
    /// Entries in [`Self::aCPUs`].
    pub cCpus: AtomicU16,
    /// Size of the structure with its table, in pages.
    pub cPages: AtomicU16,
    /// Updates per second.
    pub u32UpdateHz: AtomicU32,
    /// Nanoseconds between two updates.
    pub u32UpdateIntervalNS: AtomicU32,
    /// When [`Self::u32UpdateHz`] was last measured, in nanoseconds of the monotonic clock.
    pub u64NanoTSLastUpdateHz: AtomicU64,
    /// The processors that run.
    pub OnlineCpuSet: AtomicCpuSet,
    /// The processors that are there.
    pub PresentCpuSet: AtomicCpuSet,
    /// The processors that can be there one day.
    pub PossibleCpuSet: AtomicCpuSet,
    /// How many processors run.
    pub cOnlineCpus: AtomicU16,
    /// How many processors are there.
    pub cPresentCpus: AtomicU16,
    /// How many processors can be there one day.
    pub cPossibleCpus: AtomicU16,
    /// Zero.
    pub u16Padding0: u16,
    /// The highest number a processor can have, a [`CpuId`](crate::CpuId).
    pub idCpuMax: AtomicU32,
    /// Zero.
    pub au32Padding1: [u32; 29],
    /// The index into [`Self::aCPUs`] by interrupt controller number.
    pub aiCpuFromApicId: [AtomicU16; GIP_APIC_TABLE_ENTRIES],
    /// The index into [`Self::aCPUs`] by processor set index.
    pub aiCpuFromCpuSetIdx: [AtomicU16; GIP_CPU_SET_TABLE_ENTRIES],
    /// The first entry of the table; [`Self::cCpus`] entries follow each other from here on, beyond
    /// the end of this type.
    pub aCPUs: [SUPGIPCPU; 1],
}
