//! What the requests need and may answer when there is no memory: one row each, or more where a request
//! does several things.

use std::os::fd::AsFd;

use rustix::io::Errno;
use sup::Status;
use sup_abi::request::{
    AddressIn, CONNECT_MAGIC, CallService, CallServiceIn, CallVmm, CallVmmBig, CallVmmFast,
    CallVmmFastIn, CallVmmIn, Connect, ConnectIn, ContAlloc, ContFree, Empty, FreeModule, Function,
    GetPagingMode, GetSymbol, GetSymbolIn, GipMap, GipUnmap, HEADER_BYTES, Header, INITIAL_COOKIE,
    ImageIn, ListModules, ListModulesIn, LoadModule, LoadModuleIn, LoadModuleOut, LockPages,
    LockPagesIn, LoggerAction, LoggerKind, LoggerSettings, LoggerSettingsIn, LoggerState,
    LoggerStateIn, LowAlloc, LowFree, MemoryOut, ModulePolicy, PROTOCOL_VERSION, PageAllocEx,
    PageAllocExIn, PageCountIn, PageFree, PageMapKernel, PageMapKernelIn, PageProtect,
    PageProtectIn, Request, SemaphoreCreate, SemaphoreCreateIn, SemaphoreKind, SemaphoreOp,
    SemaphoreOperation, SemaphoreQuery, SemaphoreWords, SemaphoreWordsIn, SetVm, SetVmIn,
    Statistics, TracerClose, TracerDeregisterUserModule, TracerDeregisterUserModuleIn, TracerFire,
    TracerIoCtl, TracerIoCtlIn, TracerOpen, TracerOpenIn, TracerRegisterUserModule,
    TracerRegisterUserModuleIn, UnlockPages, VtCaps,
};
use sup_abi::{R0Ptr, SUP_VMMR0_DO_NOP, SUPDRVTRACERUSRCTX, SUPVMMR0REQHDR, SUPVMMR0REQHDR_MAGIC};
use sup_modules::{HELLO, Module, VMMR0, hello, vmmr0};
use zerocopy::{FromBytes, IntoBytes};

use crate::check::{Stop, Verdict, same};
use crate::device::{Device, Packet, Service, event_input};

/// What a request has to do with memory.
#[derive(Debug, Clone, Copy)]
pub(super) enum Needs {
    /// It needs some, and answers one of these when there is none.
    Memory(&'static [Status]),
    /// It may ask for some, and does without: it cannot be refused.
    NoMemory,
    /// It never asks: it is called too often, or where nothing may sleep.
    Nothing,
}

/// A request that is tried with every allocation refused in turn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) function: Function,
    pub(super) needs: Needs,
    /// Its status when nothing is refused; `None` if the processor decides.
    pub(super) expected: Option<Status>,
    /// Brings a new session where the request can be carried out, and makes its packet.
    pub(super) packet: fn(&Device) -> Verdict<Packet>,
    pub(super) send: fn(&Device, &mut [u64]) -> Result<(), Errno>,
}

impl Row {
    const fn of<R: Request>(
        name: &'static str,
        needs: Needs,
        packet: fn(&Device) -> Verdict<Packet>,
    ) -> Self {
        let send = Device::send::<R>;
        let expected = Some(Status::VINF_SUCCESS);
        Self { name, function: R::FUNCTION, needs, expected, packet, send }
    }

    const fn answering(self, expected: Option<Status>) -> Self {
        Self { expected, ..self }
    }
}

const NO_MEMORY: Needs = Needs::Memory(&[Status::VERR_NO_MEMORY]);
const NO_MEMORY_OR_PLACE: Needs = Needs::Memory(&[Status::VERR_NO_MEMORY, Status::VERR_MAP_FAILED]);

/// Each is tried in sessions that did nothing before but what the row does.
pub(super) const ROWS: &[Row] = &[
    Row::of::<Connect>("Connect", Needs::Nothing, |device| {
        let input = ConnectIn {
            magic: CONNECT_MAGIC,
            requested_version: PROTOCOL_VERSION,
            minimum_version: PROTOCOL_VERSION,
        };
        let stranger = Device::adopt(device.as_fd().try_clone_to_owned()?, [INITIAL_COOKIE, 0]);
        Ok(simple::<Connect>(&stranger, &input))
    }),
    Row::of::<LoadModule>(
        "LoadModule",
        Needs::Memory(&[Status::VERR_NO_MEMORY, Status::VERR_NO_EXEC_MEMORY]),
        load_packet,
    ),
    // A long packet lies in pages if the slabs have no room for it.
    Row::of::<LoadModule>("LoadModule, loaded already", Needs::NoMemory, |device| {
        load(device)?;
        load_packet(device)
    }),
    Row::of::<FreeModule>("FreeModule", Needs::NoMemory, |device| {
        Ok(simple::<FreeModule>(device, &ImageIn { base: load(device)?.base }))
    }),
    Row::of::<GetSymbol>("GetSymbol", Needs::Nothing, |device| {
        let name = padded(hello::VERSION_SYMBOL);
        Ok(simple::<GetSymbol>(device, &GetSymbolIn { base: load(device)?.base, name }))
    }),
    Row::of::<ListModules>("ListModules", Needs::Nothing, |device| {
        load(device)?;
        let input = ListModulesIn { after: [0; _], use_room: 0, reserved: 0 };
        Ok(simple::<ListModules>(device, &input))
    }),
    Row::of::<LowAlloc>(
        "LowAlloc",
        Needs::Memory(&[
            Status::VERR_NO_MEMORY,
            Status::VERR_NO_LOW_MEMORY,
            Status::VERR_MAP_FAILED,
        ]),
        |device| {
            let count = PageCountIn { pages: 3, reserved: 0 };
            Ok(device.packet::<LowAlloc>(&count, LowAlloc::BYTES_OUT + 3 * size_of::<u64>()))
        },
    ),
    Row::of::<LowFree>("LowFree", Needs::NoMemory, |device| {
        freeing::<LowFree>(device, Service::Low)
    }),
    Row::of::<PageAllocEx>(
        "PageAllocEx, seen by ring 3",
        Needs::Memory(&[
            Status::VERR_NO_MEMORY,
            Status::VERR_NO_PHYS_MEMORY,
            Status::VERR_MAP_FAILED,
        ]),
        |device| Ok(page_alloc(device, 0)),
    ),
    Row::of::<PageAllocEx>("PageAllocEx, seen by both rings", NO_MEMORY_OR_PLACE, |device| {
        Ok(page_alloc(device, 1))
    }),
    Row::of::<PageFree>("PageFree", Needs::NoMemory, |device| {
        freeing::<PageFree>(device, Service::Anywhere)
    }),
    Row::of::<PageMapKernel>("PageMapKernel", NO_MEMORY_OR_PLACE, |device| {
        let r3 = device.allocate(Service::Anywhere, 3)?.r3();
        let input = PageMapKernelIn { r3, offset: 4096, bytes: 8192, flags: 0, reserved: 0 };
        Ok(simple::<PageMapKernel>(device, &input))
    }),
    Row::of::<PageProtect>("PageProtect of ring 3's mapping", NO_MEMORY, |device| {
        let r3 = device.allocate(Service::Anywhere, 3)?.r3();
        let (r0, offset, bytes) = (R0Ptr::NIL, 0, 4096);
        let input = PageProtectIn { r3, r0, offset, bytes, protection: 1, reserved: 0 };
        Ok(simple::<PageProtect>(device, &input))
    }),
    Row::of::<LockPages>("LockPages", NO_MEMORY, |device| {
        let r3 = device.allocate(Service::Anywhere, 3)?.r3();
        let input = LockPagesIn { r3, pages: 3, reserved: 0 };
        Ok(device.packet::<LockPages>(&input, LockPages::BYTES_OUT + 3 * size_of::<u64>()))
    }),
    Row::of::<UnlockPages>("UnlockPages", Needs::NoMemory, |device| {
        let r3 = device.allocate(Service::Anywhere, 3)?.r3();
        let input = LockPagesIn { r3, pages: 3, reserved: 0 };
        let bytes_out = LockPages::BYTES_OUT + 3 * size_of::<u64>();
        device.send::<LockPages>(&mut device.packet::<LockPages>(&input, bytes_out))?;
        Ok(simple::<UnlockPages>(device, &AddressIn { r3 }))
    }),
    Row::of::<ContAlloc>(
        "ContAlloc",
        Needs::Memory(&[
            Status::VERR_NO_MEMORY,
            Status::VERR_NO_CONT_MEMORY,
            Status::VERR_MAP_FAILED,
        ]),
        |device| Ok(simple::<ContAlloc>(device, &PageCountIn { pages: 3, reserved: 0 })),
    ),
    Row::of::<ContFree>("ContFree", Needs::NoMemory, |device| {
        freeing::<ContFree>(device, Service::Contiguous)
    }),
    Row::of::<GetPagingMode>("GetPagingMode", Needs::Nothing, |device| {
        Ok(simple::<GetPagingMode>(device, &Empty {}))
    }),
    Row::of::<GipMap>("GipMap", NO_MEMORY_OR_PLACE, |device| {
        Ok(simple::<GipMap>(device, &Empty {}))
    }),
    Row::of::<GipMap>("GipMap, mapped already", Needs::Nothing, |device| {
        device.clock_page()?;
        Ok(simple::<GipMap>(device, &Empty {}))
    }),
    Row::of::<GipUnmap>("GipUnmap", Needs::NoMemory, |device| {
        device.clock_page()?;
        Ok(simple::<GipUnmap>(device, &Empty {}))
    }),
    Row::of::<CallService>("CallService", Needs::Nothing, |device| {
        load(device)?;
        Ok(call(device, hello::OP_NOP, &[]))
    }),
    Row::of::<CallService>("CallService with a long packet", NO_MEMORY, |device| {
        const VALUES: u32 = 100;
        load(device)?;
        let sum = hello::Sum::new(VALUES).ok_or_else(|| Stop::failed("too many values"))?;
        let values = [0_u64; VALUES as usize];
        Ok(call(device, hello::OP_SUM, &[sum.as_bytes(), values.as_bytes()].concat()))
    }),
    Row::of::<CallService>("CallService that makes a semaphore", NO_MEMORY, |device| {
        load(device)?;
        Ok(call(device, hello::OP_SEMAPHORE, &[]))
    }),
    Row::of::<ModulePolicy>("ModulePolicy", Needs::Nothing, |device| {
        Ok(simple::<ModulePolicy>(device, &Empty {}))
    }),
    Row::of::<LoggerState>("LoggerState", Needs::Nothing, |device| {
        Ok(simple::<LoggerState>(device, &LoggerStateIn { which: LoggerKind::Debug.into() }))
    }),
    Row::of::<CallVmm>("CallVmm without a packet", Needs::Nothing, |device| {
        load_module(device, &VMMR0, "")?;
        Ok(call_vmm::<CallVmm>(device, vmmr0::OP_NOP, &[]))
    }),
    // The room for its objects came with the session.
    Row::of::<CallVmm>("CallVmm that makes a VM", Needs::NoMemory, |device| {
        load_module(device, &VMMR0, "")?;
        Ok(call_vmm::<CallVmm>(device, vmmr0::OP_CREATE_VM, vmmr0::Vm::new().as_bytes()))
    }),
    Row::of::<CallVmmBig>("CallVmmBig", NO_MEMORY, |device| {
        const BYTES: usize = 1024;
        load_module(device, &VMMR0, "")?;
        let header = SUPVMMR0REQHDR { u32Magic: SUPVMMR0REQHDR_MAGIC, cbReq: BYTES as u32 };
        let mut request = vec![0; BYTES];
        request[..size_of::<SUPVMMR0REQHDR>()].copy_from_slice(header.as_bytes());
        Ok(call_vmm::<CallVmmBig>(device, vmmr0::OP_INVERT, &request))
    }),
    Row::of::<SetVm>("SetVm", Needs::Nothing, |device| {
        load_module(device, &VMMR0, "")?;
        Ok(simple::<SetVm>(device, &SetVmIn { vm: kernel_block(device)? }))
    }),
    Row::of::<SetVm>("SetVm, to none", Needs::NoMemory, |device| {
        set_vm(device)?;
        Ok(simple::<SetVm>(device, &SetVmIn { vm: R0Ptr::NIL }))
    }),
    Row::of::<CallVmmFast>("CallVmmFast", Needs::Nothing, |device| {
        set_vm(device)?;
        let input = CallVmmFastIn { operation: SUP_VMMR0_DO_NOP, cpu: 0 };
        Ok(simple::<CallVmmFast>(device, &input))
    }),
    Row::of::<SemaphoreOp>("Signal", Needs::Nothing, |device| {
        operation(device, SemaphoreOperation::Signal, 0)
    }),
    Row::of::<SemaphoreOp>("Wake", Needs::Nothing, |device| {
        operation(device, SemaphoreOperation::Wake, 0)
    }),
    Row::of::<SemaphoreOp>("Wait, signalled", Needs::Nothing, |device| {
        let event = device.event()?;
        device.signal(event)?;
        let input = event_input(event, SemaphoreOperation::WaitNanos, u64::MAX);
        Ok(simple::<SemaphoreOp>(device, &input))
    }),
    Row::of::<SemaphoreOp>("Wait, polling", Needs::Nothing, |device| {
        operation(device, SemaphoreOperation::WaitNanos, 0)
    })
    .answering(Some(Status::VERR_TIMEOUT)),
    // A timer, which a debug kernel keeps books on.
    Row::of::<SemaphoreOp>("Wait, for a while", Needs::NoMemory, |device| {
        operation(device, SemaphoreOperation::WaitNanos, 100_000)
    })
    .answering(Some(Status::VERR_TIMEOUT)),
    Row::of::<SemaphoreOp>("Close", Needs::Nothing, |device| {
        operation(device, SemaphoreOperation::Close, 0)
    })
    .answering(Some(Status::VINF_OBJECT_DESTROYED)),
    Row::of::<SemaphoreCreate>("SemaphoreCreate, the first", NO_MEMORY, |device| {
        Ok(simple::<SemaphoreCreate>(device, &query(SemaphoreQuery::Create)))
    }),
    Row::of::<SemaphoreCreate>("SemaphoreCreate, the second", NO_MEMORY, |device| {
        device.event()?;
        Ok(simple::<SemaphoreCreate>(device, &query(SemaphoreQuery::Create)))
    }),
    Row::of::<SemaphoreCreate>("SemaphoreCreate, resolution", Needs::Nothing, |device| {
        Ok(simple::<SemaphoreCreate>(device, &query(SemaphoreQuery::Resolution)))
    }),
    Row::of::<LoggerSettings>("LoggerSettings", Needs::Nothing, |device| {
        let input = LoggerSettingsIn {
            which: LoggerKind::Debug.into(),
            what: LoggerAction::Settings.into(),
            flags_offset: 0,
            groups_offset: 0,
            destination_offset: 0,
        };
        Ok(with_tail::<LoggerSettings>(device, &input, b"\0", LoggerSettings::BYTES_OUT))
    })
    .answering(Some(Status::VERR_NOT_FOUND)),
    Row::of::<TracerOpen>("TracerOpen, without a tracer", Needs::Nothing, |device| {
        let input = TracerOpenIn { cookie: 0, reserved: 0, argument: 0 };
        Ok(simple::<TracerOpen>(device, &input))
    })
    .answering(Some(Status::VERR_SUPDRV_TRACER_NOT_PRESENT)),
    Row::of::<TracerIoCtl>("TracerIoCtl, not open", Needs::Nothing, |device| {
        Ok(simple::<TracerIoCtl>(device, &TracerIoCtlIn { command: 0, argument: 0 }))
    })
    .answering(Some(Status::VERR_SUPDRV_TRACER_NOT_OPENED)),
    Row::of::<TracerClose>("TracerClose, not open", Needs::Nothing, |device| {
        Ok(simple::<TracerClose>(device, &Empty {}))
    })
    .answering(Some(Status::VERR_SUPDRV_TRACER_NOT_OPENED)),
    Row::of::<TracerRegisterUserModule>("TracerRegisterUserModule", NO_MEMORY_OR_PLACE, |device| {
        Ok(simple::<TracerRegisterUserModule>(device, &user_module()))
    }),
    Row::of::<TracerDeregisterUserModule>(
        "TracerDeregisterUserModule",
        Needs::NoMemory,
        |device| {
            let input = user_module();
            let header = input.header;
            succeed::<TracerRegisterUserModule>(
                device,
                simple::<TracerRegisterUserModule>(device, &input),
            )?;
            let input = TracerDeregisterUserModuleIn { header };
            Ok(simple::<TracerDeregisterUserModule>(device, &input))
        },
    ),
    Row::of::<TracerFire>("TracerFire", Needs::Nothing, |device| {
        let context = SUPDRVTRACERUSRCTX { cBits: 64, ..Default::default() };
        Ok(simple::<TracerFire>(device, &context))
    }),
    Row::of::<VtCaps>("VtCaps", Needs::Nothing, |device| Ok(simple::<VtCaps>(device, &Empty {})))
        .answering(None),
    Row::of::<Statistics>("Statistics", Needs::Nothing, |device| {
        Ok(simple::<Statistics>(device, &Empty {}))
    }),
    Row::of::<SemaphoreWords>("SemaphoreWords", NO_MEMORY_OR_PLACE, |device| {
        device.event()?;
        Ok(simple::<SemaphoreWords>(device, &SemaphoreWordsIn { page: 0, reserved: 0 }))
    }),
];

/// A module of this process, which stays for as long as the process: the session keeps its pages.
fn user_module() -> TracerRegisterUserModuleIn {
    Box::leak(Box::new(sup_test_vtg::Module::new(1))).request()
}

/// A packet without a tail.
fn simple<R: Request>(device: &Device, input: &R::In) -> Packet {
    device.packet::<R>(input, R::BYTES_OUT)
}

/// A packet with a tail, and room for an answer of `bytes_out`.
fn with_tail<R: Request>(device: &Device, input: &R::In, tail: &[u8], bytes_out: usize) -> Packet {
    let bytes_in = R::BYTES_IN + tail.len();
    let mut packet = device.packet::<R>(input, bytes_in.max(bytes_out));
    let bytes = packet.as_mut_bytes();
    bytes[R::BYTES_IN..bytes_in].copy_from_slice(tail);
    if let Ok((header, _)) = Header::mut_from_prefix(bytes) {
        header.bytes_in = bytes_in as u32;
        header.bytes_out = bytes_out as u32;
    }
    packet
}

fn padded<const N: usize>(text: &str) -> [u8; N] {
    let mut field = [0; N];
    field[..text.len()].copy_from_slice(text.as_bytes());
    field
}

fn load_packet(device: &Device) -> Verdict<Packet> {
    Ok(load_packet_of(device, &HELLO, hello::SERVICE_HANDLER))
}

fn load_packet_of(device: &Device, module: &Module, handler: &str) -> Packet {
    let image = sup_test_key::signed(module.image, module.name);
    let input = LoadModuleIn {
        name: padded(module.name),
        handler: padded(handler),
        image_bytes: image.len() as u32,
        reserved: 0,
        reserved2: 0,
    };
    with_tail::<LoadModule>(device, &input, &image, LoadModule::BYTES_OUT)
}

/// Loads the hello module.
pub(super) fn load(device: &Device) -> Verdict<LoadModuleOut> {
    load_module(device, &HELLO, hello::SERVICE_HANDLER)
}

fn load_module(device: &Device, module: &Module, handler: &str) -> Verdict<LoadModuleOut> {
    succeed::<LoadModule>(device, load_packet_of(device, module, handler))
}

/// Sends a packet, which must succeed.
fn succeed<R: Request>(device: &Device, mut packet: Packet) -> Verdict<R::Out> {
    device.send::<R>(&mut packet)?;
    let (header, body) = Header::read_from_prefix(packet.as_bytes())
        .map_err(|_| Stop::failed("the packet is shorter than its header"))?;
    same!(Status::new(header.rc), Status::VINF_SUCCESS);
    let answer = R::Out::read_from_prefix(body);
    Ok(answer.map_err(|_| Stop::failed("success without an answer"))?.0)
}

fn call_vmm<R: Request<In = CallVmmIn>>(device: &Device, operation: u32, request: &[u8]) -> Packet {
    let input = CallVmmIn { vm: R0Ptr::NIL, cpu: 0, operation, argument: 0 };
    with_tail::<R>(device, &input, request, R::BYTES_IN + request.len())
}

/// A block that ring 0 sees, where it does.
fn kernel_block(device: &Device) -> Verdict<R0Ptr> {
    let MemoryOut { r0, .. } = succeed::<PageAllocEx>(device, page_alloc(device, 1))?;
    Ok(r0)
}

/// Chooses a VM for fast calls.
fn set_vm(device: &Device) -> Verdict {
    load_module(device, &VMMR0, "")?;
    let input = SetVmIn { vm: kernel_block(device)? };
    same!(device.status::<SetVm>(&input)?, Status::VINF_SUCCESS);
    Ok(())
}

fn call(device: &Device, operation: u32, packet: &[u8]) -> Packet {
    let input = CallServiceIn { name: padded(HELLO.name), operation, argument: 0 };
    with_tail::<CallService>(device, &input, packet, CallService::BYTES_IN + packet.len())
}

fn page_alloc(device: &Device, kernel_mapping: u8) -> Packet {
    let input = PageAllocExIn { pages: 3, kernel_mapping, user_mapping: 1, reserved: [0; 2] };
    device.packet::<PageAllocEx>(&input, PageAllocEx::BYTES_OUT + 3 * size_of::<u64>())
}

fn freeing<R: Request<In = AddressIn>>(device: &Device, service: Service) -> Verdict<Packet> {
    let region = device.allocate(service, 3)?;
    Ok(simple::<R>(device, &AddressIn { r3: region.r3() }))
}

/// An operation on a new event.
fn operation(device: &Device, operation: SemaphoreOperation, timeout: u64) -> Verdict<Packet> {
    let event = device.event()?;
    Ok(simple::<SemaphoreOp>(device, &event_input(event, operation, timeout)))
}

fn query(operation: SemaphoreQuery) -> SemaphoreCreateIn {
    SemaphoreCreateIn {
        kind: SemaphoreKind::Event.into(),
        handle: 0,
        operation: operation.into(),
        reserved: 0,
        reserved2: 0,
    }
}

/// The status in a packet that came back.
pub(super) fn status_of(packet: &[u64]) -> Verdict<Status> {
    const { assert!(HEADER_BYTES == size_of::<Header>()) };
    let header = Header::read_from_prefix(packet.as_bytes());
    let (header, _) = header.map_err(|_| Stop::failed("the packet is shorter than its header"))?;
    Ok(Status::new(header.rc))
}
