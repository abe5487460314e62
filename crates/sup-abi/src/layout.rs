//! Proof that the structures and enumerations are laid out as in the C header.
//!
//! One table lists what a C compiler computes on x86-64 Linux. While this crate compiles, every row
//! is checked against the Rust type. The rows also are data, [`LAYOUT`] and [`ENUMS`], which the
//! test `tests/layout.rs` compares with the list that the C compiler wrote.
//!
//! Invariant: a number in the table is right for Rust, or the crate does not compile; it is right
//! for C, or the test fails.

use core::mem::offset_of;

use crate::*;

/// One structure as C lays it out.
#[derive(Clone, Copy, Debug)]
pub struct StructLayout {
    /// The structure's name in the header.
    pub name: &'static str,
    /// Its size in bytes.
    pub size: usize,
    /// Its members, those of nested structures included.
    pub members: &'static [MemberLayout],
}

/// One member of a structure as C lays it out.
#[derive(Clone, Copy, Debug)]
pub struct MemberLayout {
    /// The path from the outermost structure, with dots between its parts.
    pub name: &'static str,
    /// Bytes before it in the outermost structure.
    pub offset: usize,
    /// Its size in bytes.
    pub size: usize,
}

/// One enumeration of the header.
#[derive(Clone, Copy, Debug)]
pub struct EnumLayout {
    /// The enumeration's name in the header.
    pub name: &'static str,
    /// The header's names and their values.
    pub values: &'static [(&'static str, u32)],
}

/// Returns the size of a member, given a function that takes its address: the only way to name a
/// member's type without its type.
const fn size_of_member<T, M>(_: fn(&T) -> *const M) -> usize {
    size_of::<M>()
}

/// Checks and lists structures.
///
/// `Type: size { member: offset, size; ... }`, then for each nested structure or union member
/// `"path" = member as Type: offset, size { ... }`: the bytes of `member` seen as `Type`. All
/// offsets count from the outermost structure.
macro_rules! structs {
    ($(
        $name:ident: $size:literal {
            $($member:ident: $offset:literal, $bytes:literal;)*
            $($path:literal = $base:ident as $view:ident: $view_offset:literal, $view_bytes:literal {
                $($inner:ident: $inner_offset:literal, $inner_bytes:literal;)*
            })*
        }
    )+) => {
        $(const _: () = {
            assert!(size_of::<$name>() == $size);
            $(
                assert!(offset_of!($name, $member) == $offset);
                assert!(size_of_member(|it: &$name| &raw const it.$member) == $bytes);
            )*
            $(
                assert!(offset_of!($name, $base) == $view_offset);
                assert!(size_of::<$view>() == $view_bytes);
                assert!(size_of_member(|it: &$name| &raw const it.$base) >= $view_bytes);
                $(
                    assert!($view_offset + offset_of!($view, $inner) == $inner_offset);
                    assert!(size_of_member(|it: &$view| &raw const it.$inner) == $inner_bytes);
                )*
            )*
        };)+

        /// Every structure of the header, with every member that a C program can name.
        pub static LAYOUT: &[StructLayout] = &[$(
            StructLayout {
                name: stringify!($name),
                size: $size,
                members: &[
                    $(MemberLayout {
                        name: stringify!($member),
                        offset: $offset,
                        size: $bytes,
                    },)*
                    $(
                        MemberLayout { name: $path, offset: $view_offset, size: $view_bytes },
                        $(MemberLayout {
                            name: concat!($path, ".", stringify!($inner)),
                            offset: $inner_offset,
                            size: $inner_bytes,
                        },)*
                    )*
                ],
            },
        )+];
    };
}

/// Checks and lists enumerations: `Type { header_name = Rust value, number; ... }`.
macro_rules! enums {
    ($(
        $name:ident { $($value:ident = $rust:expr, $number:literal;)+ }
    )+) => {
        $(const _: () = {
            assert!(size_of::<$name>() == size_of::<u32>());
            $(assert!($rust as u32 == $number);)+
        };)+

        /// Every enumeration of the header, with every value.
        pub static ENUMS: &[EnumLayout] = &[$(
            EnumLayout {
                name: stringify!($name),
                values: &[$((stringify!($value), $number),)+],
            },
        )+];
    };
}

structs! {
    SUPVMMR0REQHDR: 8 {
        u32Magic: 0, 4;
        cbReq: 4, 4;
    }
    SUPPAGE: 16 {
        Phys: 0, 8;
        uReserved: 8, 8;
    }
    SUPDRVTRACERUSRCTX: 240 {
        idProbe: 0, 4;
        cBits: 4, 1;
        abReserved: 5, 3;
        u: 8, 232;
        "u.X86" = u as TracerX86Context: 8, 136 {
            uVtgProbeLoc: 8, 4;
            aArgs: 12, 80;
            eip: 92, 4;
            eflags: 96, 4;
            eax: 100, 4;
            ecx: 104, 4;
            edx: 108, 4;
            ebx: 112, 4;
            esp: 116, 4;
            ebp: 120, 4;
            esi: 124, 4;
            edi: 128, 4;
            cs: 132, 2;
            ss: 134, 2;
            ds: 136, 2;
            es: 138, 2;
            fs: 140, 2;
            gs: 142, 2;
        }
        "u.Amd64" = u as TracerAmd64Context: 8, 232 {
            uVtgProbeLoc: 8, 8;
            aArgs: 16, 80;
            rip: 96, 8;
            rflags: 104, 8;
            rax: 112, 8;
            rcx: 120, 8;
            rdx: 128, 8;
            rbx: 136, 8;
            rsp: 144, 8;
            rbp: 152, 8;
            rsi: 160, 8;
            rdi: 168, 8;
            r8: 176, 8;
            r9: 184, 8;
            r10: 192, 8;
            r11: 200, 8;
            r12: 208, 8;
            r13: 216, 8;
            r14: 224, 8;
            r15: 232, 8;
        }
    }
    SUPGIPCPU: 128 {
        u32TransactionId: 0, 4;
        u32UpdateIntervalTSC: 4, 4;
        u64NanoTS: 8, 8;
        u64TSC: 16, 8;
        u64CpuHz: 24, 8;
        cErrors: 32, 4;
        iTSCHistoryHead: 36, 4;
        au32TSCHistory: 40, 32;
        u32PrevUpdateIntervalNS: 72, 4;
        au32Reserved: 76, 40;
        enmState: 116, 4;
        idCpu: 120, 4;
        iCpuSet: 124, 2;
        idApic: 126, 2;
    }
    SUPGLOBALINFOPAGE: 1408 {
        u32Magic: 0, 4;
        u32Version: 4, 4;
        u32Mode: 8, 4;
        cCpus: 12, 2;
        cPages: 14, 2;
        u32UpdateHz: 16, 4;
        u32UpdateIntervalNS: 20, 4;
        u64NanoTSLastUpdateHz: 24, 8;
        OnlineCpuSet: 32, 32;
        PresentCpuSet: 64, 32;
        PossibleCpuSet: 96, 32;
        cOnlineCpus: 128, 2;
        cPresentCpus: 130, 2;
        cPossibleCpus: 132, 2;
        u16Padding0: 134, 2;
        idCpuMax: 136, 4;
        au32Padding1: 140, 116;
        aiCpuFromApicId: 256, 512;
        aiCpuFromCpuSetIdx: 768, 512;
        aCPUs: 1280, 128;
    }
    SUPR0SERVICEREQHDR: 8 {
        u32Magic: 0, 4;
        cbReq: 4, 4;
    }
    SUPDRVFACTORY: 64 {
        szName: 0, 56;
        pfnQueryFactoryInterface: 56, 8;
    }
    SUPDRVTRACERDATA: 16 {
        au64: 0, 16;
        "DTrace" = au64 as DTraceData: 0, 16 {
            idProvider: 0, 8;
            cProvidedProbes: 8, 4;
            fZombie: 12, 1;
        }
    }
    SUPDRVPROBELOC: 8 {
        idProbe: 0, 4;
        fEnabled: 4, 1;
    }
    SUPDRVPROBEINFO: 4 {
        cEnabled: 0, 4;
    }
    SUPDRVVDTPROVIDERCORE: 96 {
        pszName: 16, 8;
        pszModName: 24, 8;
        pDesc: 32, 8;
        pHdr: 40, 8;
        cbProbeLocsEn: 48, 1;
        cBits: 49, 1;
        fUmod: 50, 1;
        abAlignment: 51, 5;
        paProbeLocsRO: 56, 8;
        pvProbeLocsEn: 64, 8;
        pacProbeEnabled: 72, 8;
        paR0ProbeLocs: 80, 8;
        paR0Probes: 88, 8;
        "TracerData" = TracerData as SUPDRVTRACERDATA: 0, 16 {
            au64: 0, 16;
        }
        "TracerData.DTrace" = TracerData as DTraceData: 0, 16 {
            idProvider: 0, 8;
            cProvidedProbes: 8, 4;
            fZombie: 12, 1;
        }
    }
    SUPDRVTRACERREG: 80 {
        u32Magic: 0, 4;
        u32Version: 4, 4;
        pfnProbeFireKernel: 8, 8;
        pfnProbeFireUser: 16, 8;
        pfnTracerOpen: 24, 8;
        pfnTracerIoCtl: 32, 8;
        pfnTracerClose: 40, 8;
        pfnProviderRegister: 48, 8;
        pfnProviderDeregister: 56, 8;
        pfnProviderDeregisterZombie: 64, 8;
        uEndMagic: 72, 8;
    }
    SUPDRVTRACERHLP: 16 {
        uVersion: 0, 8;
        uEndVersion: 8, 8;
    }
    SUPDRVIDCHANDLE: 32 {
        apvPadding: 0, 32;
    }
    RTERRINFO: 40 {
        fFlags: 0, 4;
        rc: 4, 4;
        cbMsg: 8, 8;
        pszMsg: 16, 8;
        apvReserved: 24, 16;
    }
}

enums! {
    SUPPAGINGMODE {
        SUPPAGINGMODE_INVALID = SUPPAGINGMODE::Invalid, 0;
        SUPPAGINGMODE_32_BIT = SUPPAGINGMODE::Bits32, 1;
        SUPPAGINGMODE_32_BIT_GLOBAL = SUPPAGINGMODE::Bits32Global, 2;
        SUPPAGINGMODE_PAE = SUPPAGINGMODE::Pae, 3;
        SUPPAGINGMODE_PAE_GLOBAL = SUPPAGINGMODE::PaeGlobal, 4;
        SUPPAGINGMODE_PAE_NX = SUPPAGINGMODE::PaeNx, 5;
        SUPPAGINGMODE_PAE_GLOBAL_NX = SUPPAGINGMODE::PaeGlobalNx, 6;
        SUPPAGINGMODE_AMD64 = SUPPAGINGMODE::Amd64, 7;
        SUPPAGINGMODE_AMD64_GLOBAL = SUPPAGINGMODE::Amd64Global, 8;
        SUPPAGINGMODE_AMD64_NX = SUPPAGINGMODE::Amd64Nx, 9;
        SUPPAGINGMODE_AMD64_GLOBAL_NX = SUPPAGINGMODE::Amd64GlobalNx, 10;
    }
    SUPGIPCPUSTATE {
        SUPGIPCPUSTATE_INVALID = SUPGIPCPUSTATE::Invalid, 0;
        SUPGIPCPUSTATE_ABSENT = SUPGIPCPUSTATE::Absent, 1;
        SUPGIPCPUSTATE_OFFLINE = SUPGIPCPUSTATE::Offline, 2;
        SUPGIPCPUSTATE_ONLINE = SUPGIPCPUSTATE::Online, 3;
        SUPGIPCPUSTATE_32_BIT_HACK = SUPGIPCPUSTATE_32_BIT_HACK, 0x7fff_ffff;
    }
    SUPGIPMODE {
        SUPGIPMODE_INVALID = SUPGIPMODE::Invalid, 0;
        SUPGIPMODE_SYNC_TSC = SUPGIPMODE::SyncTsc, 1;
        SUPGIPMODE_ASYNC_TSC = SUPGIPMODE::AsyncTsc, 2;
        SUPGIPMODE_32BIT_HACK = SUPGIPMODE_32BIT_HACK, 0x7fff_ffff;
    }
    SUPDRVOBJTYPE {
        SUPDRVOBJTYPE_INVALID = SUPDRVOBJTYPE::Invalid, 0;
        SUPDRVOBJTYPE_VM = SUPDRVOBJTYPE::Vm, 1;
        SUPDRVOBJTYPE_INTERNAL_NETWORK = SUPDRVOBJTYPE::InternalNetwork, 2;
        SUPDRVOBJTYPE_INTERNAL_NETWORK_INTERFACE = SUPDRVOBJTYPE::InternalNetworkInterface, 3;
        SUPDRVOBJTYPE_SEM_EVENT = SUPDRVOBJTYPE::SemEvent, 4;
        SUPDRVOBJTYPE_SEM_EVENT_MULTI = SUPDRVOBJTYPE::SemEventMulti, 5;
        SUPDRVOBJTYPE_RAW_PCI_DEVICE = SUPDRVOBJTYPE::RawPciDevice, 6;
        SUPDRVOBJTYPE_END = SUPDRVOBJTYPE_END, 7;
        SUPDRVOBJTYPE_32_BIT_HACK = SUPDRVOBJTYPE_32_BIT_HACK, 0x07ff_ffff;
    }
    SUPINITOP {
        kSupInitOp_Invalid = SUPINITOP::Invalid, 0;
        kSupInitOp_Integrity = SUPINITOP::Integrity, 1;
        kSupInitOp_RootCheck = SUPINITOP::RootCheck, 2;
        kSupInitOp_Driver = SUPINITOP::Driver, 3;
        kSupInitOp_IPRT = SUPINITOP::Iprt, 4;
        kSupInitOp_End = SUPINITOP_END, 5;
    }
    SUPLOGGER {
        SUPLOGGER_DEBUG = SUPLOGGER::Debug, 1;
        SUPLOGGER_RELEASE = SUPLOGGER::Release, 2;
    }
}

// A table of processors starts where the declared first entry does, aligned as the header demands.
const _: () = {
    assert!(OFFSET_OF_CPUS == offset_of!(SUPGLOBALINFOPAGE, aCPUs));
    assert!(OFFSET_OF_CPUS.is_multiple_of(256));
};
