//! [`Client`]: a session over raw packets.
//!
//! Every answer, in whatever case, is held against what holds for all: a refused packet comes back
//! untouched, an answer ends where its header says, and a request that failed answers with its header
//! alone (see `dispatch.rs` of the driver). Every status is noted for [`statuses`](crate::statuses).

use std::sync::atomic::AtomicU64;

use sup::{Counts, StatisticsOut, Status};
use sup_abi::request::{
    CONNECT_MAGIC, Connect, ConnectIn, ConnectOut, Empty, Function, HEADER_BYTES, HEADER_FLAGS,
    Header, INITIAL_COOKIE, PROTOCOL_VERSION, Request, SemaphoreCreate, SemaphoreCreateIn,
    SemaphoreKind, SemaphoreOp, SemaphoreOpIn, SemaphoreOperation, SemaphoreQuery, SemaphoreWords,
    SemaphoreWordsIn, Statistics,
};
use sup_core::semaphore::word_position;
use zerocopy::{FromBytes, IntoBytes};

use crate::backend::{Backend, RawSession};
use crate::case::{Stop, Verdict, check, same};
use crate::statuses;

/// What the bytes of a packet hold that are not sent.
const STALE: u8 = 0xaa;

/// A packet under construction.
#[derive(Debug, Clone)]
pub struct Packet {
    /// The number that it is sent under.
    pub function: u32,
    /// All of it; what lies behind the input is stale on purpose.
    pub bytes: Vec<u8>,
}

impl Packet {
    /// A packet with any input and sizes of its own choice.
    pub fn new(function: Function, cookies: [u32; 2], input: &[u8], bytes_out: usize) -> Self {
        let bytes_in = HEADER_BYTES + input.len();
        let mut bytes = vec![STALE; bytes_in.max(bytes_out)];
        bytes[HEADER_BYTES..bytes_in].copy_from_slice(input);
        let packet = Self { function: function.into(), bytes };
        packet.with_header(|header| {
            *header = Header {
                cookie: cookies[0],
                session_cookie: cookies[1],
                bytes_in: bytes_in as u32,
                bytes_out: bytes_out as u32,
                flags: HEADER_FLAGS,
                rc: Status::VERR_INTERNAL_ERROR.raw(),
            };
        })
    }

    /// The packet with another header.
    #[must_use]
    pub fn with_header(mut self, change: impl FnOnce(&mut Header)) -> Self {
        if let Ok((header, _)) = Header::mut_from_prefix(&mut self.bytes) {
            change(header);
        }
        self
    }

    /// Sets the size of the output, and makes room for it.
    #[must_use]
    pub fn with_bytes_out(mut self, bytes_out: usize) -> Self {
        let bytes = self.bytes.len().max(bytes_out);
        self.bytes.resize(bytes, STALE);
        self.with_header(|header| header.bytes_out = bytes_out as u32)
    }

    /// Sets the size of the input, and makes room for it.
    #[must_use]
    pub fn with_bytes_in(mut self, bytes_in: usize) -> Self {
        let bytes = self.bytes.len().max(bytes_in);
        self.bytes.resize(bytes, 0);
        self.with_header(|header| header.bytes_in = bytes_in as u32)
    }
}

/// What came back for a packet.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// The transport's status.
    pub(crate) transport: Status,
    /// The header of the answer.
    pub(crate) header: Header,
    /// What followed it.
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The request's status.
    pub(crate) fn status(&self) -> Status {
        Status::new(self.header.rc)
    }

    /// The output of `R`, if there is one.
    pub(crate) fn output<R: Request>(&self) -> Option<R::Out> {
        R::Out::read_from_prefix(&self.body).ok().map(|(output, _)| output)
    }
}

/// A connected session.
pub(crate) struct Client {
    raw: Box<dyn RawSession>,
    /// The cookies of driver and session.
    pub(crate) cookies: [u32; 2],
    /// What the driver said of the session.
    pub(crate) connected: ConnectOut,
}

/// The input that agrees on the protocol.
pub(crate) const CONNECT: ConnectIn = ConnectIn {
    magic: CONNECT_MAGIC,
    requested_version: PROTOCOL_VERSION,
    minimum_version: PROTOCOL_VERSION,
};

impl Client {
    /// Opens a session and agrees on the protocol.
    pub(crate) fn connect(backend: &dyn Backend) -> Verdict<Self> {
        let raw = backend.raw()?;
        let packet = Packet::new(
            Function::Connect,
            [INITIAL_COOKIE, 0],
            CONNECT.as_bytes(),
            Connect::BYTES_OUT,
        );
        let answer = exchange(&*raw, &packet)?;
        same!(answer.status(), Status::VINF_SUCCESS);
        let connected = answer.output::<Connect>().ok_or_else(|| Stop::failed("no output"))?;
        Ok(Self { raw, cookies: [connected.cookie, connected.session_cookie], connected })
    }

    /// A well-formed packet of `R`.
    pub(crate) fn packet<R: Request>(&self, input: &R::In) -> Packet {
        Packet::new(R::FUNCTION, self.cookies, input.as_bytes(), R::BYTES_OUT)
    }

    /// A packet of `R` with a tail behind its input.
    pub(crate) fn packet_with_tail<R: Request>(&self, input: &R::In, tail: &[u8]) -> Packet {
        let input = [input.as_bytes(), tail].concat();
        Packet::new(R::FUNCTION, self.cookies, &input, R::BYTES_OUT)
    }

    /// Sends a packet that may be malformed.
    #[track_caller]
    pub(crate) fn send(&self, packet: &Packet) -> Verdict<Answer> {
        exchange(&*self.raw, packet)
    }

    /// Sends a packet that must be malformed.
    #[track_caller]
    pub(crate) fn refused(&self, packet: &Packet, status: Status, what: &str) -> Verdict {
        let transport = self.send(packet)?.transport;
        if transport == status {
            return Ok(());
        }
        let function = packet.function;
        Err(Stop::failed(format_args!(
            "request {function} {what}: transport {transport} instead of {status}"
        )))
    }

    /// Sends a well-formed packet.
    #[track_caller]
    pub(crate) fn exchange(&self, packet: &Packet) -> Verdict<Answer> {
        let answer = self.send(packet)?;
        if answer.transport == Status::VINF_SUCCESS {
            return Ok(answer);
        }
        let (function, transport) = (packet.function, answer.transport);
        Err(Stop::failed(format_args!("request {function}: transport {transport}")))
    }

    /// Carries out a request without a tail; returns its status and its output.
    #[track_caller]
    pub(crate) fn call<R: Request>(&self, input: &R::In) -> Verdict<(Status, Option<R::Out>)> {
        let answer = self.exchange(&self.packet::<R>(input))?;
        Ok((answer.status(), answer.output::<R>()))
    }

    /// Carries out a request that must succeed.
    #[track_caller]
    pub(crate) fn get<R: Request>(&self, input: &R::In) -> Verdict<R::Out> {
        match self.call::<R>(input)? {
            (Status::VINF_SUCCESS, Some(output)) => Ok(output),
            (status, _) => Err(Stop::failed(format_args!("{:?}: {status}", R::FUNCTION))),
        }
    }

    /// The counts of the driver and of this session.
    #[track_caller]
    pub(crate) fn statistics(&self) -> Verdict<StatisticsOut> {
        self.get::<Statistics>(&Empty {})
    }

    /// The counts of the whole driver, comparable.
    #[track_caller]
    pub(crate) fn totals(&self) -> Verdict<[u64; 6]> {
        self.statistics().map(|statistics| figures(&statistics.driver))
    }

    /// Creates a semaphore.
    #[track_caller]
    pub(crate) fn create(&self, kind: SemaphoreKind) -> Verdict<u32> {
        match self.try_create(kind)? {
            Ok(handle) => Ok(handle),
            Err(status) => Err(Stop::failed(format_args!("create: {status}"))),
        }
    }

    /// Creates a semaphore, which may fail.
    #[track_caller]
    pub(crate) fn try_create(&self, kind: SemaphoreKind) -> Verdict<Result<u32, Status>> {
        let query = SemaphoreQuery::Create.into();
        let kind = kind.into();
        let input =
            SemaphoreCreateIn { kind, handle: 0, operation: query, reserved: 0, reserved2: 0 };
        Ok(match self.call::<SemaphoreCreate>(&input)? {
            (status, Some(output)) if status.is_success() => Ok(output.value),
            (status, _) => Err(status),
        })
    }

    /// Operates on a semaphore.
    #[track_caller]
    pub(crate) fn operate(
        &self,
        kind: SemaphoreKind,
        handle: u32,
        operation: SemaphoreOperation,
        timeout: u64,
    ) -> Verdict<Status> {
        let (kind, operation) = (kind.into(), operation.into());
        let input = SemaphoreOpIn { kind, handle, operation, reserved: 0, timeout };
        self.call::<SemaphoreOp>(&input).map(|(status, _)| status)
    }

    /// Calls `look` with a semaphore's state word.
    pub(crate) fn with_state_word<T>(
        &self,
        handle: u32,
        look: impl Fn(&AtomicU64) -> T,
    ) -> Verdict<T> {
        let no_word = || Stop::failed(format_args!("handle {handle} has no state word"));
        let (page, index) = word_position(handle).ok_or_else(no_word)?;
        let input = SemaphoreWordsIn { page: page as u32, reserved: 0 };
        let words = self.get::<SemaphoreWords>(&input)?.r3.get() as usize as *const AtomicU64;
        // SAFETY: the driver mapped a page of words there, until this client's session is closed, and
        // `word_position` gives an index in a page; everybody accesses words by atomic operations.
        let word = unsafe { words.wrapping_add(index).as_ref() };
        word.map(look).ok_or_else(no_word)
    }

    /// The session is as good as ever.
    #[track_caller]
    pub(crate) fn still_works(&self) -> Verdict {
        self.statistics().map(|_| ())
    }
}

/// Counts as something to compare.
pub(crate) fn figures(counts: &Counts) -> [u64; 6] {
    let Counts { sessions, objects, handles, memory_blocks, memory_pages, image_references } =
        *counts;
    [sessions, objects, handles, memory_blocks, memory_pages, image_references]
}

/// Sends a packet and holds the answer against what holds for all.
#[track_caller]
pub(crate) fn exchange(raw: &dyn RawSession, packet: &Packet) -> Verdict<Answer> {
    let reply = raw.send(packet.function, &packet.bytes);
    same!(reply.packet.len(), packet.bytes.len(), "length of the buffer");
    let transport = reply.transport;
    let (header, rest) = Header::read_from_prefix(&reply.packet).unwrap_or((NO_HEADER, &[]));
    statuses::note(packet.function, transport, Status::new(header.rc));
    if transport != Status::VINF_SUCCESS {
        check!(transport.is_failure(), "transport status {transport}");
        check!(reply.packet == packet.bytes, "a refused packet came back changed");
        return Ok(Answer { transport, header, body: Vec::new() });
    }
    let bytes_out = header.bytes_out as usize;
    check!((HEADER_BYTES..=reply.packet.len()).contains(&bytes_out), "{bytes_out} bytes answered");
    check!(reply.packet[bytes_out..] == packet.bytes[bytes_out..], "written behind the answer");
    let explains = [
        Function::Connect,
        Function::LoadModule,
        Function::FreeModule,
        Function::CallService,
        Function::CallVmm,
        Function::CallVmmBig,
        Function::TracerIoCtl,
    ];
    let is_mute = !explains.iter().any(|function| u32::from(*function) == packet.function);
    if Status::new(header.rc).is_failure() && is_mute {
        same!(bytes_out, HEADER_BYTES, "size of a failed request's answer");
    }
    Ok(Answer { transport, header, body: rest[..bytes_out - HEADER_BYTES].to_vec() })
}

const NO_HEADER: Header =
    Header { cookie: 0, session_cookie: 0, bytes_in: 0, bytes_out: 0, flags: 0, rc: 0 };
