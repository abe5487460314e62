//! The table of requests: the one place where a request gets its number, its packets and its line of
//! documentation. Numbers are those of the header's era where the request means the same.
//!
//! Neighbours: `packets.rs` holds the packets. Invariant: a number is never used again for another
//! meaning; a packet never changes without a new major [`PROTOCOL_VERSION`](super::PROTOCOL_VERSION).

use super::{Request, RequestInfo, Tail, packets::*};
use crate::SUPDRVTRACERUSRCTX;
use num_enum::{IntoPrimitive, TryFromPrimitive};

macro_rules! requests {
    ($($name:ident = $number:literal, $input:ty [$tail_in:ident] => $output:ty [$tail_out:ident], $about:literal;)*) => {
        /// The number of a request.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, TryFromPrimitive, IntoPrimitive)]
        #[repr(u32)]
        pub enum Function {
            $(#[doc = $about] $name = $number,)*
        }

        $(
            #[doc = $about]
            #[derive(Debug, Clone, Copy)]
            pub enum $name {}

            impl Request for $name {
                const FUNCTION: Function = Function::$name;
                type In = $input;
                type Out = $output;
            }
        )*

        /// Every request, in the order of the numbers.
        pub static TABLE: &[RequestInfo] = &[
            $(RequestInfo {
                function: Function::$name,
                name: stringify!($name),
                bytes_in: <$name as Request>::BYTES_IN,
                tail_in: Tail::$tail_in,
                bytes_out: <$name as Request>::BYTES_OUT,
                tail_out: Tail::$tail_out,
                about: $about,
            },)*
        ];
    };
}

requests! {
    Connect = 1, ConnectIn [None] => ConnectOut [None],
        "Agrees on the protocol version and names the session.";
    LoadModule = 4, LoadModuleIn [Bytes] => LoadModuleOut [None],
        "Loads a ring-0 module image, or adds a reference to a loaded one.";
    FreeModule = 5, ImageIn [None] => FreeModuleOut [None],
        "Gives one reference to a module back.";
    GetSymbol = 6, GetSymbolIn [None] => GetSymbolOut [None],
        "Looks a symbol of a loaded module up.";
    CallVmm = 7, CallVmmIn [Bytes] => CallVmmOut [Bytes],
        "Calls VMMR0.r0, with a packet of up to 4047 bytes or without one.";
    LowAlloc = 8, PageCountIn [None] => MemoryOut [PhysicalAddresses],
        "Allocates pages below 4 GiB, mapped in both rings.";
    LowFree = 9, AddressIn [None] => Empty [None],
        "Frees what `LowAlloc` gave.";
    PageAllocEx = 10, PageAllocExIn [None] => MemoryOut [PhysicalAddresses],
        "Allocates locked pages, mapped in ring 3 and, if asked for, in ring 0.";
    PageMapKernel = 11, PageMapKernelIn [None] => PageMapKernelOut [None],
        "Maps a part of a block of `PageAllocEx`, or of locked pages, into ring 0 once more.";
    PageProtect = 12, PageProtectIn [None] => Empty [None],
        "Changes what either ring may do with a part of a block of `PageAllocEx`.";
    PageFree = 13, AddressIn [None] => Empty [None],
        "Frees what `PageAllocEx` gave.";
    LockPages = 14, LockPagesIn [None] => LockPagesOut [PhysicalAddresses],
        "Pins writable pages of the calling process where they are.";
    UnlockPages = 15, AddressIn [None] => Empty [None],
        "Undoes one `LockPages`.";
    ContAlloc = 16, PageCountIn [None] => ContAllocOut [None],
        "Allocates one physically contiguous run of pages below 4 GiB, mapped in both rings.";
    ContFree = 17, AddressIn [None] => Empty [None],
        "Frees what `ContAlloc` gave.";
    GetPagingMode = 18, Empty [None] => PagingModeOut [None],
        "Reads the paging mode of the host.";
    SetVm = 19, SetVmIn [None] => Empty [None],
        "Chooses the VM of the session's fast calls: the handle or the first value of an object of type VM that the session references, or the ring-0 address of one of its memory blocks; 0 for none.";
    GipMap = 20, Empty [None] => GipMapOut [None],
        "Maps the Global Information Page read-only.";
    GipUnmap = 21, Empty [None] => Empty [None],
        "Unmaps the Global Information Page.";
    CallService = 22, CallServiceIn [Bytes] => CallServiceOut [Bytes],
        "Calls the request handler of a service module.";
    LoggerSettings = 23, LoggerSettingsIn [Bytes] => Empty [None],
        "Changes, creates or destroys one of the driver's loggers.";
    SemaphoreOp = 24, SemaphoreOpIn [None] => Empty [None],
        "Waits on, signals, resets or closes a semaphore.";
    SemaphoreCreate = 25, SemaphoreCreateIn [None] => SemaphoreCreateOut [None],
        "Creates a semaphore, or reads the resolution of waits.";
    VtCaps = 26, Empty [None] => VtCapsOut [None],
        "Reads the virtualisation capabilities of the host.";
    CallVmmBig = 27, CallVmmIn [Bytes] => CallVmmOut [Bytes],
        "Calls VMMR0.r0 with a packet of up to 512 KiB.";
    TracerOpen = 28, TracerOpenIn [None] => Empty [None],
        "Opens the tracer for the session.";
    TracerClose = 29, Empty [None] => Empty [None],
        "Closes the tracer for the session.";
    TracerIoCtl = 30, TracerIoCtlIn [None] => TracerIoCtlOut [None],
        "Has the tracer carry out a command.";
    TracerRegisterUserModule = 31, TracerRegisterUserModuleIn [None] => Empty [None],
        "Registers the probes of a module of the calling process.";
    TracerDeregisterUserModule = 32, TracerDeregisterUserModuleIn [None] => Empty [None],
        "Undoes `TracerRegisterUserModule`.";
    TracerFire = 33, SUPDRVTRACERUSRCTX [None] => Empty [None],
        "Tells the tracer that a probe in the calling process was hit.";
    Statistics = 40, Empty [None] => StatisticsOut [None],
        "Counts what the driver holds, in all sessions and in the caller's.";
    SemaphoreWords = 41, SemaphoreWordsIn [None] => SemaphoreWordsOut [None],
        "Maps a page of the state words of the session's semaphores.";
    ModulePolicy = 43, Empty [None] => ModulePolicyOut [None],
        "Tells what the driver demands of modules, and which keys it trusts.";
    CallVmmFast = 44, CallVmmFastIn [None] => Empty [None],
        "Calls the fast entry of VMMR0.r0 for the session's VM; the kernel's device has numbers for it that take no packet.";
    ListModules = 45, ListModulesIn [None] => ListModulesOut [ModuleUses],
        "Tells of the loaded module whose name follows another: who uses it and, to whom may know, where it is.";
    LoggerState = 46, LoggerStateIn [None] => LoggerStateOut [None],
        "Tells the settings of one of the driver's loggers.";
}
