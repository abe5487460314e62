//! [`RawSession`]: requests as packets, past the library that would not send them.

use anyhow::{Context, Result, anyhow, ensure};
use sup_abi::request::{
    CONNECT_MAGIC, Connect, ConnectIn, HEADER_BYTES, HEADER_FLAGS, Header, INITIAL_COOKIE,
    PROTOCOL_VERSION, Request, SemaphoreCreate, SemaphoreCreateIn, SemaphoreKind, SemaphoreOp,
    SemaphoreOpIn, SemaphoreOperation, SemaphoreQuery,
};
use sup_abi::{PhysAddr, Status};
use sup_embedded::Client;
use zerocopy::{FromBytes, IntoBytes};

/// A connected session.
#[derive(Debug)]
pub(in crate::suites) struct RawSession {
    client: Client,
    /// The driver's, and the session's.
    cookies: [u32; 2],
}

/// As large as the packets that are sent here, and aligned as they must be.
type Packet = [u64; 8];

impl RawSession {
    pub(in crate::suites) fn open() -> Result<Self> {
        let mut session = Self { client: Client::open()?, cookies: [INITIAL_COOKIE, 0] };
        let connected = session.call::<Connect>(&ConnectIn {
            magic: CONNECT_MAGIC,
            requested_version: PROTOCOL_VERSION,
            minimum_version: PROTOCOL_VERSION,
        })?;
        session.cookies = [connected.cookie, connected.session_cookie];
        Ok(session)
    }

    /// Creates an event, which the end of the session closes.
    pub(in crate::suites) fn create_event(&self) -> Result<u32> {
        let input = SemaphoreCreateIn {
            kind: SemaphoreKind::Event.into(),
            handle: 0,
            operation: SemaphoreQuery::Create.into(),
            reserved: 0,
            reserved2: 0,
        };
        Ok(self.call::<SemaphoreCreate>(&input)?.value)
    }

    /// Signals an event with a request.
    pub(in crate::suites) fn signal(&self, handle: u32) -> Result<()> {
        self.operate(handle, SemaphoreOperation::Signal, 0)
    }

    /// Waits for an event with a request, for ever.
    pub(in crate::suites) fn wait(&self, handle: u32) -> Result<()> {
        self.operate(handle, SemaphoreOperation::WaitNanos, u64::MAX)
    }

    fn operate(&self, handle: u32, operation: SemaphoreOperation, timeout: u64) -> Result<()> {
        let (kind, operation) = (SemaphoreKind::Event.into(), operation.into());
        let input = SemaphoreOpIn { kind, handle, operation, reserved: 0, timeout };
        self.call::<SemaphoreOp>(&input).map(|_| ())
    }

    fn call<R: Request>(&self, input: &R::In) -> Result<R::Out> {
        self.allocate::<R>(input, 0)
    }

    /// Sends a request whose answer lists the physical addresses of `pages` pages behind it.
    pub(in crate::suites) fn allocate<R: Request>(
        &self,
        input: &R::In,
        pages: usize,
    ) -> Result<R::Out> {
        let mut packet: Packet = [0; 8];
        let (status, answer) = self.exchange::<R>(&mut packet, input, pages)?;
        ensure!(status.is_success(), "the driver refuses a request: {status}");
        R::Out::read_from_bytes(answer).ok().context("the answer is too short")
    }

    /// Sends a request that has only a status for an answer.
    #[inline]
    pub(in crate::suites) fn status_of<R: Request>(&self, input: &R::In) -> Result<Status> {
        Ok(self.exchange::<R>(&mut [0; 8], input, 0)?.0)
    }

    /// The status, and the answer without what follows it.
    fn exchange<'a, R: Request>(
        &self,
        packet: &'a mut Packet,
        input: &R::In,
        pages: usize,
    ) -> Result<(Status, &'a [u8])> {
        const { assert!(R::BYTES_IN <= size_of::<Packet>()) };
        const { assert!(R::BYTES_OUT <= size_of::<Packet>()) };
        let bytes_out = R::BYTES_OUT + pages * size_of::<PhysAddr>();
        let room = packet.as_mut_bytes().get_mut(..R::BYTES_IN.max(bytes_out));
        let bytes = room.context("the answer does not fit into the packet")?;
        let header = Header {
            cookie: self.cookies[0],
            session_cookie: self.cookies[1],
            bytes_in: u32::try_from(R::BYTES_IN)?,
            bytes_out: u32::try_from(bytes_out)?,
            flags: HEADER_FLAGS,
            rc: 0,
        };
        bytes[..HEADER_BYTES].copy_from_slice(header.as_bytes());
        bytes[HEADER_BYTES..R::BYTES_IN].copy_from_slice(input.as_bytes());
        self.client.request(R::FUNCTION.into(), bytes).map_err(|error| error.0)?;
        let (header, _) = Header::read_from_prefix(bytes).map_err(|error| anyhow!("{error}"))?;
        Ok((Status::new(header.rc), &bytes[HEADER_BYTES..R::BYTES_OUT]))
    }
}
