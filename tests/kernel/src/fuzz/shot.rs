//! [`Shot`]: one call of the driver, from well-formed to noise.
//!
//! The most come from the request table: a header that is right, fields that mean something, and the
//! sizes that belong to them. Then one thing or the other is spoiled. So requests get past every check,
//! and every check is met from both sides.
//!
//! Invariants: nobody sleeps for long, whatever a packet says, since each wait's timeout is cut last of
//! all; no block is larger than [`PAGES_MAX`]; and the choices depend on the random numbers and on nothing
//! that the driver answers.

use std::mem::offset_of;
use std::sync::OnceLock;

use sup_abi::request::{
    CONNECT_MAGIC, CallServiceIn, CallVmmIn, ConnectIn, Function, GetSymbolIn, HEADER_BYTES,
    HEADER_FLAGS, Header, INITIAL_COOKIE, ListModulesIn, LoadModuleIn, LockPagesIn,
    LoggerSettingsIn, MAX_PACKET_BYTES, ModuleUse, PROTOCOL_VERSION, PageAllocExIn, PageCountIn,
    PageMapKernelIn, PageProtectIn, RequestInfo, SemaphoreCreateIn, SemaphoreOpIn, TABLE, Tail,
    TracerOpenIn, TracerRegisterUserModuleIn, ioctl, padded,
};
use sup_abi::{
    PAGE_SIZE, R0Ptr, R3Ptr, SUPDRVTRACERUSRCTX, SUPR0SERVICEREQHDR_MAGIC, SUPVMMR0REQHDR,
    SUPVMMR0REQHDR_MAGIC, Status,
};
use sup_modules::{HELLO, hello};
use zerocopy::IntoBytes;

use super::memory::Answers;
use crate::random::Random;

/// The largest block that is asked for with any hope.
const PAGES_MAX: u32 = 24;

/// How much noise there is at most.
const NOISE_BYTES: usize = 400;

/// Where the packet lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// At the start of the arena.
    Start,
    /// Its last byte is the arena's last.
    End,
    /// So many of its bytes are missing, because the arena ends.
    BeyondEnd(usize),
    /// Where the driver can read but not write.
    ReadOnly,
    /// Nowhere.
    Nothing(u64),
}

/// One call.
#[derive(Debug, Clone)]
pub(super) struct Shot {
    pub(super) number: u32,
    pub(super) packet: Vec<u8>,
    pub(super) place: Place,
}

/// A number that means something to some field, or any.
fn word(random: &mut Random) -> u32 {
    match random.below(8) {
        0..4 => random.below(8) as u32,
        4 => 254 + random.below(4) as u32,
        5 => 32_766 + random.below(4) as u32,
        6 => u32::MAX - random.below(3) as u32,
        _ => random.next() as u32,
    }
}

fn words(random: &mut Random, bytes: usize) -> Vec<u8> {
    let words = (0..bytes.div_ceil(size_of::<u32>())).flat_map(|_| word(random).to_le_bytes());
    words.take(bytes).collect()
}

fn pages(random: &mut Random) -> u32 {
    match random.below(8) {
        0 => 0,
        1 => random.below(PAGES_MAX as usize) as u32,
        // More than any service gives.
        2 => 65_537 + random.next() as u32 % 1000,
        _ => 1 + random.below(4) as u32,
    }
}

/// A number of bytes within a block, from so many pages on: mostly whole pages.
fn part(random: &mut Random, least_pages: u32) -> u32 {
    let pages = (least_pages + random.below(2) as u32) * PAGE_SIZE as u32;
    if random.is_one_in(8) { pages + 2048 } else { pages }
}

/// The tutorial module, perhaps with one byte changed that its loading can notice but not run into, or
/// with one of its signature.
fn load_module(random: &mut Random) -> Vec<u8> {
    let mut image = HELLO.image.to_vec();
    let mut handler = hello::SERVICE_HANDLER;
    if random.is_one_in(3) {
        // The header and the tables behind it, not the code. And nothing of such an image is called,
        // because it has no such handler.
        let position = random.below(0x300);
        image[position] ^= 1 + random.below(255) as u8;
        handler = "nobody";
    }
    let name = random.choose(&[HELLO.name, HELLO.name, HELLO.name, ""]);
    let content_bytes = image.len();
    let mut image = sup_test_key::signed(&image, name);
    if random.is_one_in(8) && image.len() > content_bytes {
        let position = content_bytes + random.below(image.len() - content_bytes);
        image[position] ^= 1 + random.below(255) as u8;
    }
    let input = LoadModuleIn {
        name: padded(name).unwrap_or_default(),
        handler: padded(handler).unwrap_or([0; 64]),
        image_bytes: image.len() as u32,
        reserved: 0,
        reserved2: 0,
    };
    [input.as_bytes(), &image].concat()
}

fn call_service(random: &mut Random) -> Vec<u8> {
    let input = CallServiceIn {
        name: padded(HELLO.name).unwrap_or_default(),
        operation: random.below(8) as u32,
        argument: random.next(),
    };
    let tail = match random.below(4) {
        0 => Vec::new(),
        // A packet of the service's, with a size that is right, or about right.
        1 => {
            let bytes = 16 + 8 * random.below(24);
            let claimed = if random.is_one_in(4) { word(random) } else { bytes as u32 };
            let mut tail = [SUPR0SERVICEREQHDR_MAGIC, claimed].as_bytes().to_vec();
            tail.extend(words(random, bytes - tail.len()));
            tail
        }
        2 => hello::Greet::new("fuzz").map_or_else(Vec::new, |greet| greet.as_bytes().to_vec()),
        _ => {
            let bytes = 8 * random.below(12);
            words(random, bytes)
        }
    };
    [input.as_bytes(), &tail].concat()
}

/// The input that a request asks for, as far as somebody who knows the table can tell.
fn input_of(row: &RequestInfo, answers: &Answers, random: &mut Random) -> Vec<u8> {
    match row.function {
        Function::Connect => ConnectIn {
            magic: CONNECT_MAGIC,
            requested_version: PROTOCOL_VERSION,
            minimum_version: if random.is_one_in(4) { word(random) } else { PROTOCOL_VERSION },
        }
        .as_bytes()
        .to_vec(),
        Function::LoadModule => load_module(random),
        Function::GetSymbol => GetSymbolIn {
            base: R0Ptr::new(answers.image(random)),
            name: padded(random.choose(&[hello::VERSION_SYMBOL, hello::SERVICE_HANDLER, "", "?"]))
                .unwrap_or([0; 64]),
        }
        .as_bytes()
        .to_vec(),
        Function::FreeModule => answers.image(random).as_bytes().to_vec(),
        Function::PageMapKernel => PageMapKernelIn {
            r3: R3Ptr::new(answers.block(random)),
            offset: part(random, 0),
            bytes: part(random, 1),
            flags: 0,
            reserved: 0,
        }
        .as_bytes()
        .to_vec(),
        // Never execution: what a shot makes executable, no later one may fill.
        Function::PageProtect => PageProtectIn {
            r3: R3Ptr::new(if random.is_one_in(3) { answers.block(random) } else { 0 }),
            r0: R0Ptr::new(answers.kernel_block(random)),
            offset: part(random, 0),
            bytes: part(random, 1),
            protection: random.below(4) as u32,
            reserved: 0,
        }
        .as_bytes()
        .to_vec(),
        Function::LockPages => {
            let r3 = R3Ptr::new(answers.block(random));
            LockPagesIn { r3, pages: random.below(6) as u32, reserved: 0 }.as_bytes().to_vec()
        }
        Function::LowFree | Function::PageFree | Function::ContFree | Function::UnlockPages => {
            answers.block(random).as_bytes().to_vec()
        }
        Function::LowAlloc | Function::ContAlloc => {
            PageCountIn { pages: pages(random), reserved: 0 }.as_bytes().to_vec()
        }
        Function::PageAllocEx => PageAllocExIn {
            pages: pages(random),
            kernel_mapping: random.below(2) as u8,
            user_mapping: 1,
            reserved: [0; 2],
        }
        .as_bytes()
        .to_vec(),
        Function::SemaphoreCreate => SemaphoreCreateIn {
            kind: random.below(2) as u32,
            handle: 0,
            operation: u32::from(random.is_one_in(8)),
            reserved: 0,
            reserved2: 0,
        }
        .as_bytes()
        .to_vec(),
        Function::SemaphoreOp => SemaphoreOpIn {
            kind: random.below(2) as u32,
            handle: answers.semaphore(random),
            operation: random.below(7) as u32,
            reserved: 0,
            timeout: if random.is_one_in(2) { 0 } else { random.next() },
        }
        .as_bytes()
        .to_vec(),
        Function::CallService => call_service(random),
        Function::ListModules => ListModulesIn {
            after: padded(random.choose(&["", "", "", HELLO.name])).unwrap_or_default(),
            use_room: random.below(4) as u32,
            reserved: 0,
        }
        .as_bytes()
        .to_vec(),
        Function::SemaphoreWords => [random.below(4) as u32, 0].as_bytes().to_vec(),
        Function::SetVm => {
            [if random.is_one_in(2) { 0 } else { random.next() }].as_bytes().to_vec()
        }
        Function::CallVmm | Function::CallVmmBig => call_vmm(random),
        Function::CallVmmFast => [random.below(4) as u32, word(random)].as_bytes().to_vec(),
        Function::LoggerSettings => logger_settings(random),
        Function::TracerOpen => {
            TracerOpenIn { cookie: word(random), reserved: 0, argument: random.next() }
                .as_bytes()
                .to_vec()
        }
        Function::TracerIoCtl => [random.next(), random.next()].as_bytes().to_vec(),
        Function::TracerRegisterUserModule => register_user_module(answers, random),
        Function::TracerDeregisterUserModule => user_module(answers, random).as_bytes().to_vec(),
        Function::TracerFire => {
            let id = random.below(4) as u32 | (random.below(3) as u32) << 24;
            let bits = random.choose(&[32, 64, 64, 0]);
            SUPDRVTRACERUSRCTX { idProbe: id, cBits: bits, ..Default::default() }
                .as_bytes()
                .to_vec()
        }
        Function::LoggerState => word(random).min(2).to_le_bytes().to_vec(),
        Function::TracerClose
        | Function::GetPagingMode
        | Function::GipMap
        | Function::GipUnmap
        | Function::VtCaps
        | Function::ModulePolicy
        | Function::Statistics => Vec::new(),
    }
}

/// Settings of a logger that leave it silent: what the driver says of fuzzed requests would be long.
fn logger_settings(random: &mut Random) -> Vec<u8> {
    let flags = random.choose(&["disabled", "disabled tscpid", "disabled no+-x", "disabled;ts;"]);
    let groups = random.choose(&["", "all.l2", "*u*.e=~0x10", "-sup=-1", "s*=", "+;-+"]);
    let mut strings = [flags.as_bytes(), b"\0", groups.as_bytes(), b"\0"].concat();
    if random.is_one_in(8) {
        strings.pop();
    }
    let offset = |at: usize, random: &mut Random| {
        if random.is_one_in(8) { word(random) } else { at as u32 }
    };
    let input = LoggerSettingsIn {
        which: random.below(3) as u32,
        what: random.below(4) as u32,
        flags_offset: offset(0, random),
        groups_offset: offset(flags.len() + 1, random),
        destination_offset: offset(flags.len() + 1 + groups.len(), random),
    };
    [input.as_bytes(), &strings].concat()
}

/// The process' own module with probes, which stays for as long as the process.
fn own_module() -> TracerRegisterUserModuleIn {
    static OWN: OnceLock<TracerRegisterUserModuleIn> = OnceLock::new();
    *OWN.get_or_init(|| Box::leak(Box::new(sup_test_vtg::Module::new(1))).request())
}

/// A module with probes: the process' own, or one in a block that the driver gave, where other requests
/// left what they left. One thing or the other may be wrong with either.
fn register_user_module(answers: &Answers, random: &mut Random) -> Vec<u8> {
    let mut input = own_module();
    if random.is_one_in(3) {
        input.header = R3Ptr::new(answers.block(random));
        input.believed_header = input.header.get();
    }
    match random.below(12) {
        0 => input.believed_header = random.next(),
        1 => input.names = R3Ptr::new(answers.block(random)),
        2 => input.name_bytes = word(random),
        3 => input.flags = word(random),
        4 => input.name = [0; 64],
        _ => {}
    }
    input.as_bytes().to_vec()
}

/// The header of the process' own module, or a block.
fn user_module(answers: &Answers, random: &mut Random) -> u64 {
    if random.is_one_in(3) { answers.block(random) } else { own_module().header.get() }
}

/// A call of VMMR0 with a packet, whose numbers say nothing to the driver.
fn call_vmm(random: &mut Random) -> Vec<u8> {
    let (vm, argument, bytes) = (random.next(), random.next(), 8 + random.below(64));
    let (cpu, operation) = (word(random), word(random));
    let header = SUPVMMR0REQHDR { u32Magic: SUPVMMR0REQHDR_MAGIC, cbReq: bytes as u32 };
    let mut input = CallVmmIn { vm: R0Ptr::new(vm), cpu, operation, argument }.as_bytes().to_vec();
    let end = input.len() + bytes;
    input.extend_from_slice(header.as_bytes());
    input.resize(end, 0x5a);
    input
}

/// What is sent before anything is spoiled.
#[derive(Debug)]
struct Draft {
    function: u32,
    input: Vec<u8>,
    bytes_out: usize,
}

fn draft(answers: &Answers, random: &mut Random) -> Draft {
    if random.is_one_in(12) {
        let bytes = random.below(NOISE_BYTES);
        let input = (0..bytes).map(|_| random.next() as u8).collect();
        let (function, bytes_out) = (random.below(64) as u32, random.below(NOISE_BYTES));
        return Draft { function, input, bytes_out };
    }
    let mut row = random.choose(TABLE);
    // A module is long and its loading prints: not too often.
    if row.function == Function::LoadModule && !random.is_one_in(3) {
        row = random.choose(TABLE);
    }
    let mut input = input_of(&row, answers, random);
    if random.is_one_in(5) && row.function != Function::LoadModule {
        let bytes = row.bytes_in - HEADER_BYTES + 8 * random.below(3);
        input = words(random, bytes);
    }
    let tail = match row.tail_out {
        Tail::None => 0,
        Tail::Bytes => (HEADER_BYTES + input.len()).saturating_sub(row.bytes_in),
        Tail::PhysicalAddresses => {
            // Behind the address of what shall be locked, first in the other requests.
            let place = if row.function == Function::LockPages { size_of::<R3Ptr>() } else { 0 };
            let count = input.get(place..).and_then(|count| count.first_chunk());
            let asked = count.map_or(0, |bytes| u32::from_le_bytes(*bytes));
            8 * asked.min(PAGES_MAX) as usize
        }
        Tail::ModuleUses => {
            let place = offset_of!(ListModulesIn, use_room);
            let room = input.get(place..).and_then(|room| room.first_chunk());
            let room = room.map_or(0, |bytes| u32::from_le_bytes(*bytes));
            size_of::<ModuleUse>() * room.min(PAGES_MAX) as usize
        }
    };
    let tail = if random.is_one_in(12) { 8 * random.below(4) } else { tail };
    Draft { function: row.function.into(), input, bytes_out: row.bytes_out + tail }
}

impl Shot {
    /// The next call of a sequence, to a session with these cookies.
    pub(super) fn next(cookies: [u32; 2], answers: &Answers, random: &mut Random) -> Self {
        let Draft { function, input, bytes_out } = draft(answers, random);
        let is_first = function == u32::from(Function::Connect);
        let [cookie, session_cookie] = if is_first { [INITIAL_COOKIE, 0] } else { cookies };
        let header = Header {
            cookie,
            session_cookie,
            bytes_in: (HEADER_BYTES + input.len()) as u32,
            bytes_out: bytes_out as u32,
            flags: HEADER_FLAGS,
            rc: Status::VERR_INTERNAL_ERROR.raw(),
        };
        let mut packet = [header.as_bytes(), &input].concat();
        packet.resize(packet.len().max(bytes_out), 0x5a);
        if random.is_one_in(6) {
            spoil_header(&mut packet, random);
        }
        let mut number = ioctl::number(function, packet.len());
        if random.is_one_in(10) {
            number = spoil_number(number, random);
        }
        limit(number, &mut packet, random);
        let place = place(packet.len(), random);
        Self { number, packet, place }
    }
}

fn spoil_header(packet: &mut [u8], random: &mut Random) {
    let field = 4 * random.below(HEADER_BYTES / 4);
    let Some(old) = packet.get(field..).and_then(<[u8]>::first_chunk) else { return };
    let old = u32::from_le_bytes(*old);
    let new = match random.below(4) {
        0 => old ^ 1 << random.below(32),
        1 => old.wrapping_add(random.below(9) as u32).wrapping_sub(4),
        2 => MAX_PACKET_BYTES as u32 + random.below(2) as u32,
        _ => word(random),
    };
    packet[field..field + 4].copy_from_slice(&new.to_le_bytes());
}

fn spoil_number(number: u32, random: &mut Random) -> u32 {
    const SIZE_SHIFT: u32 = 16;
    /// `FIFREEZE` and `FITHAW` are among these: they concern the file system where the device's node is.
    const TYPE_OF_FILE_SYSTEMS: u32 = b'X' as u32;
    let spoiled = match random.below(5) {
        // Another size, sometimes none.
        0 => number & !(0x3fff << SIZE_SHIFT),
        1 => number ^ 1 << (SIZE_SHIFT + random.below(14) as u32),
        // Another type or direction.
        2 => number ^ 1 << random.choose(&[8, 9, 10, 11, 12, 13, 14, 15, 30, 31]),
        // Another function with these bytes.
        3 => number & !0xff | random.below(64) as u32,
        _ => random.next() as u32,
    };
    if spoiled >> 8 & 0xff == TYPE_OF_FILE_SYSTEMS { number } else { spoiled }
}

/// Cuts what would take too long or too much, in the packet as it will be read.
fn limit(number: u32, packet: &mut [u8], random: &mut Random) {
    const TIMEOUT: usize = HEADER_BYTES + offset_of!(SemaphoreOpIn, timeout);
    const PAGES: usize = HEADER_BYTES + offset_of!(PageCountIn, pages);
    let Some((function, _)) = ioctl::parse(number) else { return };
    if function == u32::from(Function::SemaphoreOp)
        && let Some(timeout) = packet.get_mut(TIMEOUT..TIMEOUT + 8)
    {
        // Milliseconds, nanoseconds, or a moment that is over, as the operation says.
        let short = if random.is_one_in(4) { random.below(3) as u64 } else { 0 };
        timeout.copy_from_slice(&short.to_le_bytes());
    }
    let allocates = [Function::LowAlloc, Function::ContAlloc, Function::PageAllocEx];
    if allocates.map(u32::from).contains(&function)
        && let Some(pages) = packet.get_mut(PAGES..PAGES + 4)
    {
        let asked = <[u8; 4]>::try_from(&*pages).map_or(0, u32::from_le_bytes);
        if (PAGES_MAX..=u32::from(u16::MAX) + 1).contains(&asked) {
            pages.copy_from_slice(&(asked % PAGES_MAX).to_le_bytes());
        }
    }
}

fn place(bytes: usize, random: &mut Random) -> Place {
    match random.below(40) {
        0 => Place::BeyondEnd(1 + random.below(bytes.min(PAGE_SIZE))),
        1 => Place::ReadOnly,
        2 => Place::Nothing(nowhere(random)),
        3..16 => Place::End,
        _ => Place::Start,
    }
}

/// An address at which no program has anything: the first page, the kernel's half, or none at all.
fn nowhere(random: &mut Random) -> u64 {
    const KERNEL_HALF: u64 = 0xffff_8000_0000_0000;
    const NOT_CANONICAL: u64 = 0x0100_0000_0000_0000;
    match random.below(4) {
        0 => random.next() % PAGE_SIZE as u64,
        1 => KERNEL_HALF | random.next(),
        2 => NOT_CANONICAL,
        _ => u64::MAX - random.next() % 200,
    }
}
