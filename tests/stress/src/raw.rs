//! [`Raw`]: a session over raw packets and state words, below the library.

use rustix::time::{ClockId, clock_gettime};
use sup_abi::Status;
use sup_abi::request::{
    CONNECT_MAGIC, Connect, ConnectIn, Empty, HEADER_BYTES, HEADER_FLAGS, Header, INITIAL_COOKIE,
    PROTOCOL_VERSION, Request, SemaphoreCreate, SemaphoreCreateIn, SemaphoreKind, SemaphoreOp,
    SemaphoreOpIn, SemaphoreOperation, SemaphoreQuery, Statistics,
};
use sup_core::host::WordPage;
use sup_core::semaphore::word::{Fast, Meant, NotThatSemaphore, StateWord};
use sup_core::semaphore::word_position;
use sup_embedded::Client;
use zerocopy::{FromBytes, IntoBytes};

use crate::model::{Call, What};

/// Which way a call takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// A request.
    Request,
    /// The state word where that can do it, as in the library.
    Fast,
}

/// How long a wait may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// So many milliseconds.
    Millis(u64),
    /// So many nanoseconds.
    Nanos(u64),
    /// Until so many nanoseconds from now.
    Deadline(u64),
    /// Until the clock shows so many nanoseconds, which is over.
    Past(u64),
    /// For ever.
    Never,
}

impl Limit {
    fn request(self) -> (SemaphoreOperation, u64) {
        use SemaphoreOperation::{WaitDeadline, WaitMillis, WaitNanos};
        match self {
            Self::Millis(millis) => (WaitMillis, millis),
            Self::Nanos(nanos) => (WaitNanos, nanos),
            Self::Deadline(nanos) => (WaitDeadline, monotonic_nanos() + nanos),
            Self::Past(nanos) => (WaitDeadline, nanos),
            Self::Never => (WaitNanos, u64::MAX),
        }
    }
}

fn monotonic_nanos() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.cast_unsigned() * 1_000_000_000 + now.tv_nsec.cast_unsigned()
}

/// A connected session.
#[derive(Debug)]
pub struct Raw {
    client: Client,
    cookies: [u32; 2],
}

impl Raw {
    /// Opens a session and agrees on the protocol.
    ///
    /// # Panics
    /// If the driver does not start.
    pub fn open() -> Self {
        let client = Client::open().expect("the driver starts");
        let mut raw = Self { client, cookies: [INITIAL_COOKIE, 0] };
        let (requested_version, minimum_version) = (PROTOCOL_VERSION, PROTOCOL_VERSION);
        let input = ConnectIn { magic: CONNECT_MAGIC, requested_version, minimum_version };
        let (status, output) = raw.send::<Connect>(&input);
        assert_eq!(status, Status::VINF_SUCCESS);
        raw.cookies = [output.cookie, output.session_cookie];
        raw
    }

    /// Creates a semaphore.
    ///
    /// # Panics
    /// If that fails.
    pub fn create(&self, kind: SemaphoreKind) -> u32 {
        let (kind, operation) = (kind.into(), SemaphoreQuery::Create.into());
        let input = SemaphoreCreateIn { kind, handle: 0, operation, reserved: 0, reserved2: 0 };
        let (status, output) = self.send::<SemaphoreCreate>(&input);
        assert_eq!(status, Status::VINF_SUCCESS);
        output.value
    }

    /// Carries out a call; `limit` is for waits.
    pub fn call(&self, handle: u32, call: Call, way: Way, limit: Limit) -> Status {
        if way == Way::Fast
            && let Some(status) = self.fast(handle, call, limit)
        {
            return status;
        }
        let (operation, timeout) = match call.what {
            What::Signal => (SemaphoreOperation::Signal.into(), 0),
            What::Reset => (SemaphoreOperation::Reset.into(), 0),
            What::Close => (SemaphoreOperation::Close.into(), 0),
            What::Wake => (SemaphoreOperation::Wake.into(), 0),
            What::Unknown => (7, 0),
            What::Wait => {
                let (operation, timeout) = limit.request();
                (operation.into(), timeout)
            }
        };
        let input =
            SemaphoreOpIn { kind: call.kind.into(), handle, operation, reserved: 0, timeout };
        self.send::<SemaphoreOp>(&input).0
    }

    /// Does with the state word what the library does; `None` if that takes a request.
    fn fast(&self, handle: u32, call: Call, limit: Limit) -> Option<Status> {
        let Call { kind, what } = call;
        let meant = Meant::any(kind);
        let result = match (what, kind) {
            (What::Signal, _) => self.with_word(handle, |word| word.signal(kind, meant))?,
            (What::Wait, _) => self.with_word(handle, |word| word.try_take(kind, meant))?,
            (What::Reset, SemaphoreKind::EventMulti) => {
                self.with_word(handle, |word| word.reset(meant))?.map(|()| Fast::Done)
            }
            _ => return None,
        };
        match (result, what) {
            (Err(NotThatSemaphore), _) => Some(Status::VERR_INVALID_HANDLE),
            (Ok(Fast::Done), _) => Some(Status::VINF_SUCCESS),
            (Ok(Fast::EnterDriver), What::Wait) => {
                (limit == Limit::Nanos(0)).then_some(Status::VERR_TIMEOUT)
            }
            (Ok(Fast::EnterDriver), _) => {
                // The signal is made. If the semaphore was closed since, nobody is left to be woken.
                let _ = self.call(handle, Call { kind, what: What::Wake }, Way::Request, limit);
                Some(Status::VINF_SUCCESS)
            }
        }
    }

    /// Looks at the state word of a handle; `None` if no handle of its page was ever open.
    pub fn with_word<T>(&self, handle: u32, look: impl FnOnce(StateWord<'_>) -> T) -> Option<T> {
        let (page, index) = word_position(handle)?;
        let page = self.client.word_page(page)?;
        Some(look(StateWord::new(&page.words()[index])))
    }

    /// The number of open handles.
    pub fn open_handles(&self) -> u64 {
        self.send::<Statistics>(&Empty {}).1.session.handles
    }

    /// Sends a request; the output means nothing if it failed.
    fn send<R: Request>(&self, input: &R::In) -> (Status, R::Out) {
        let mut words = [0_u64; 32];
        let packet = &mut words.as_mut_bytes()[..R::BYTES_IN.max(R::BYTES_OUT)];
        let header = Header {
            cookie: self.cookies[0],
            session_cookie: self.cookies[1],
            bytes_in: R::BYTES_IN as u32,
            bytes_out: R::BYTES_OUT as u32,
            flags: HEADER_FLAGS,
            rc: Status::VERR_INTERNAL_ERROR.raw(),
        };
        packet[..HEADER_BYTES].copy_from_slice(header.as_bytes());
        packet[HEADER_BYTES..R::BYTES_IN].copy_from_slice(input.as_bytes());
        self.client.request(R::FUNCTION.into(), packet).expect("the packet is well-formed");
        let (header, _) = Header::read_from_prefix(packet).expect("there is a header");
        let (output, _) =
            R::Out::read_from_prefix(&packet[HEADER_BYTES..]).expect("there is room for it");
        (Status::new(header.rc), output)
    }
}
