//! The decoder of requests: whatever packets come, in whatever order, the driver answers within the packet or
//! leaves it alone, and when the session is closed nothing is left.
//!
//! An input is packets behind each other, each behind a [`Shot`]. The driver is the one in this process, with
//! the tutorial module loaded, so that there is a service to call.
//!
//! Neighbours: `tests/kernel/src/fuzz` does the same to the kernel's driver, `src/seeds.rs` writes packets of
//! the table. Invariants: no wait sleeps; no image is mapped that somebody made up, since a loaded one runs.

#![no_main]

use std::mem::offset_of;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use sup_abi::request::{
    CONNECT_MAGIC, Connect, ConnectIn, ConnectOut, Empty, Function, GipMap, HEADER_BYTES,
    HEADER_FLAGS, Header, INITIAL_COOKIE, LoadModule, LoadModuleIn, PROTOCOL_VERSION, PageCountIn,
    Request, SemaphoreOpIn, Statistics, StatisticsOut, padded,
};
use sup_embedded::Client;
use sup_fuzz::Shot;
use sup_modules::{HELLO, hello};
use sup_ring0::elf::Elf;
use zerocopy::{FromBytes, FromZeros, IntoBytes};

/// No block is larger: a gigabyte of memory says no more than a few pages.
const PAGES_MAX: u32 = 16;

/// A session with its cookies.
struct Session {
    client: Client,
    cookies: [u32; 2],
}

impl Session {
    fn open() -> Self {
        let mut session =
            Self { client: Client::open().expect("a driver"), cookies: [INITIAL_COOKIE, 0] };
        let input = ConnectIn {
            magic: CONNECT_MAGIC,
            requested_version: PROTOCOL_VERSION,
            minimum_version: PROTOCOL_VERSION,
        };
        let output: ConnectOut = session.call::<Connect>(&input, &[]);
        session.cookies = [output.cookie, output.session_cookie];
        session
    }

    fn call<R: Request>(&self, input: &R::In, tail: &[u8]) -> R::Out {
        let input = [input.as_bytes(), tail].concat();
        let (bytes_in, bytes_out) = (HEADER_BYTES + input.len(), R::BYTES_OUT);
        let mut packet = Packet::new(bytes_in.max(bytes_out));
        packet.put(0, self.header(bytes_in, bytes_out).as_bytes());
        packet.put(HEADER_BYTES, &input);
        let sent = self.client.request(R::FUNCTION.into(), packet.bytes());
        assert!(sent.is_ok(), "{:?}: {sent:?}", R::FUNCTION);
        let output = R::Out::read_from_prefix(&packet.bytes()[HEADER_BYTES..]);
        output.map(|(output, _)| output).unwrap_or_else(|_| R::Out::new_zeroed())
    }

    fn header(&self, bytes_in: usize, bytes_out: usize) -> Header {
        let [cookie, session_cookie] = self.cookies;
        let (bytes_in, bytes_out) = (bytes_in as u32, bytes_out as u32);
        Header { cookie, session_cookie, bytes_in, bytes_out, flags: HEADER_FLAGS, rc: 0 }
    }

    fn counts(&self) -> StatisticsOut {
        self.call::<Statistics>(&Empty {}, &[])
    }

    /// Sends a packet, and holds the answer against what holds for all.
    fn fire(&self, shot: &Shot, body: &[u8]) {
        let function = u32::from(shot.function);
        let bytes_out = HEADER_BYTES + usize::from(shot.bytes_out);
        let bytes_in = HEADER_BYTES + body.len();
        let mut packet = Packet::new(bytes_in.max(bytes_out));
        let mut header = self.header(bytes_in, bytes_out);
        if function == u32::from(Function::Connect) {
            header.cookie = INITIAL_COOKIE;
        }
        packet.put(0, header.as_bytes());
        // A word of the header is spoiled, if the shot says so.
        if let Some(word) = packet.bytes().chunks_exact_mut(4).nth(shot.spoiled_word.into())
            && usize::from(shot.spoiled_word) < HEADER_BYTES / 4
        {
            word.iter_mut().zip(shot.spoil.to_le_bytes()).for_each(|(byte, bits)| *byte ^= bits);
        }
        packet.put(HEADER_BYTES, body);
        tame(function, packet.bytes());
        if is_made_up(function, packet.bytes()) {
            return;
        }
        let before = packet.bytes().to_vec();
        let sent = self.client.request(function, packet.bytes());
        let after = packet.bytes();
        match sent {
            Err(_) => assert!(after == before, "request {function} was refused and changed"),
            Ok(()) => {
                let header = Header::read_from_prefix(after).expect("a header").0;
                let answered = header.bytes_out as usize;
                assert!((HEADER_BYTES..=after.len()).contains(&answered), "{answered} bytes");
            }
        }
    }
}

/// A packet in aligned memory.
struct Packet(Vec<u64>, usize);

impl Packet {
    fn new(bytes: usize) -> Self {
        Self(vec![0; bytes.div_ceil(8)], bytes)
    }

    fn bytes(&mut self) -> &mut [u8] {
        &mut self.0.as_mut_bytes()[..self.1]
    }

    fn put(&mut self, place: usize, bytes: &[u8]) {
        self.bytes()[place..place + bytes.len()].copy_from_slice(bytes);
    }
}

/// Cuts what would sleep, or take more memory than it tells.
fn tame(function: u32, packet: &mut [u8]) {
    const TIMEOUT: usize = HEADER_BYTES + offset_of!(SemaphoreOpIn, timeout);
    const PAGES: usize = HEADER_BYTES + offset_of!(PageCountIn, pages);
    if function == u32::from(Function::SemaphoreOp)
        && let Some(timeout) = packet.get_mut(TIMEOUT..TIMEOUT + 8)
    {
        timeout.fill(0);
    }
    let allocates = [Function::LowAlloc, Function::ContAlloc, Function::PageAllocEx];
    if allocates.map(u32::from).contains(&function)
        && let Some(pages) = packet.get_mut(PAGES..PAGES + 4)
    {
        let asked = u32::from_le_bytes([pages[0], pages[1], pages[2], pages[3]]);
        if (PAGES_MAX..=1 << 16).contains(&asked) {
            pages.copy_from_slice(&(asked % PAGES_MAX).to_le_bytes());
        }
    }
}

/// Whether the packet holds an image that would run, and that nobody compiled. Those are the other target's.
fn is_made_up(function: u32, packet: &[u8]) -> bool {
    let Some(file) = packet.get(LoadModule::BYTES_IN..) else { return false };
    let is_load = function == u32::from(Function::LoadModule);
    is_load && !file.starts_with(HELLO.image) && Elf::parse(file).is_ok()
}

/// A session that stays open, so that the driver runs on from input to input; and that has mapped the clock's
/// page, so that its timer does: stopping one takes as long as a tick.
fn observer() -> &'static Session {
    static OBSERVER: OnceLock<Session> = OnceLock::new();
    OBSERVER.get_or_init(|| {
        let session = Session::open();
        session.call::<GipMap>(&Empty {}, &[]);
        session
    })
}

fuzz_target!(|input: &[u8]| {
    let observer = observer();
    let load = LoadModuleIn {
        name: padded(HELLO.name).expect("a short name"),
        handler: padded(hello::SERVICE_HANDLER).expect("a short name"),
        image_bytes: HELLO.image.len() as u32,
        reserved: 0,
        reserved2: 0,
    };
    let before = observer.counts().driver;
    let session = Session::open();
    let loaded = session.call::<LoadModule>(&load, HELLO.image);
    assert!(!loaded.base.is_nil(), "the tutorial module does not load");
    let mut rest = input;
    while let Ok((shot, behind)) = Shot::read_from_prefix(rest) {
        let (body, behind) = behind.split_at(behind.len().min(shot.bytes.into()));
        session.fire(&shot, body);
        rest = behind;
    }
    assert_eq!(session.counts().session.sessions, 1, "the session works on");
    drop(session);
    assert_eq!(observer.counts().driver.as_bytes(), before.as_bytes(), "something is left");
});
