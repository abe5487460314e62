//! [`Connection`]: the typed requests of a session, over whichever transport it has.
//!
//! A request is built in a buffer of this library's own, sent, and read back. Fixed requests live on
//! the stack; those with a tail are as large as it is.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use sup_abi::request::{
    CONNECT_MAGIC, Connect, ConnectIn, ConnectOut, HEADER_BYTES, HEADER_FLAGS, Header,
    INITIAL_COOKIE, PROTOCOL_VERSION, Request, SemaphoreWords, SemaphoreWordsIn, SessionId,
    is_compatible,
};
use sup_abi::{HANDLES_MAX, Status};
use sup_core::host::WORDS_PER_PAGE;
use sup_core::semaphore::word_position;
use sup_embedded::Client;
use zerocopy::{FromBytes, IntoBytes};

use crate::backend::DEVICE;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::semaphore::look::Looks;

/// The way to the driver.
#[derive(Debug)]
enum Transport {
    Embedded(Client),
    Kernel(Device),
}

/// An open session, with the cookies that every request carries.
#[derive(Debug)]
pub(crate) struct Connection {
    transport: Transport,
    cookie: u32,
    session_cookie: u32,
    name: SessionId,
    /// Where the pages of state words are mapped; 0 for one that nobody asked for yet.
    word_pages: [AtomicU64; HANDLES_MAX as usize / WORDS_PER_PAGE],
    /// What waits without an owner learned about looking, shared by the handles with the same low bits.
    looks: [Looks; LOOKS],
}

/// A wrong guess of another handle costs a look; a power of two.
const LOOKS: usize = 32;

/// A stack buffer for every fixed request; 8-byte words, so that packets are aligned.
type FixedPacket = [u64; 48];

/// What came back: the request's status, and the output if there is one.
pub(crate) struct Reply<T> {
    pub(crate) status: Status,
    pub(crate) output: Option<T>,
}

impl Connection {
    /// Opens a session in this process and agrees on the protocol.
    ///
    /// # Errors
    /// What kept the driver from starting; `VERR_VM_DRIVER_VERSION_MISMATCH` with both versions.
    pub(crate) fn embedded() -> Result<Self> {
        let client = Client::open()
            .map_err(|status| Error::new("Session::open", status, "the driver did not start"))?;
        Self::over(Transport::Embedded(client))
    }

    /// Agrees on the protocol with what is behind an open device.
    ///
    /// # Errors
    /// `VERR_VM_DRIVER_VERSION_MISMATCH` with both versions, `VERR_VM_DRIVER_LOAD_ERROR` if that is not
    /// our driver; the transport's.
    pub(crate) fn kernel(device: Device) -> Result<Self> {
        Self::over(Transport::Kernel(device)).map_err(|error| match error.status() {
            Status::VERR_GENERAL_FAILURE => Error::new(
                error.call(),
                Status::VERR_VM_DRIVER_LOAD_ERROR,
                format!(
                    "what is behind {DEVICE} is not supdrv; remove the node and load the module \
                     again"
                ),
            ),
            _ => error,
        })
    }

    fn over(transport: Transport) -> Result<Self> {
        let mut connection = Self {
            transport,
            cookie: INITIAL_COOKIE,
            session_cookie: 0,
            name: SessionId(0),
            word_pages: [const { AtomicU64::new(0) }; _],
            looks: Default::default(),
        };
        let connected = connection.connect()?;
        connection.cookie = connected.cookie;
        connection.session_cookie = connected.session_cookie;
        connection.name = connected.session;
        Ok(connection)
    }

    /// The name that the driver gave the session.
    pub(crate) fn name(&self) -> SessionId {
        self.name
    }

    fn connect(&self) -> Result<ConnectOut> {
        let input = ConnectIn {
            magic: CONNECT_MAGIC,
            requested_version: PROTOCOL_VERSION,
            minimum_version: PROTOCOL_VERSION,
        };
        agreed(self.exchange::<Connect>(&input)?)
    }

    /// Sends a request without a tail.
    ///
    /// # Errors
    /// The request's status.
    pub(crate) fn call<R: Request>(&self, input: &R::In) -> Result<R::Out> {
        let reply = self.exchange::<R>(input)?;
        match reply.output {
            Some(output) if reply.status.is_success() => Ok(output),
            _ => Err(Error::new(name::<R>(), reply.status, "")),
        }
    }

    /// Sends a request without a tail, and returns whatever status it has.
    ///
    /// # Errors
    /// The transport's status.
    pub(crate) fn exchange<R: Request>(&self, input: &R::In) -> Result<Reply<R::Out>> {
        const { assert!(R::BYTES_IN <= size_of::<FixedPacket>()) };
        const { assert!(R::BYTES_OUT <= size_of::<FixedPacket>()) };
        let mut buffer: FixedPacket = [0; 48];
        let bytes = buffer.as_mut_bytes();
        let packet = &mut bytes[..R::BYTES_IN.max(R::BYTES_OUT)];
        packet[HEADER_BYTES..R::BYTES_IN].copy_from_slice(input.as_bytes());
        let (status, answered) = self.send::<R>(packet, R::BYTES_IN, R::BYTES_OUT)?;
        let output = (answered >= R::BYTES_OUT)
            .then(|| R::Out::read_from_bytes(&packet[HEADER_BYTES..R::BYTES_OUT]).ok())
            .flatten();
        Ok(Reply { status, output })
    }

    /// Sends a packet that is complete behind its header; returns the status and the bytes answered.
    ///
    /// # Errors
    /// The transport's status.
    #[inline]
    pub(crate) fn send<R: Request>(
        &self,
        packet: &mut [u8],
        bytes_in: usize,
        bytes_out: usize,
    ) -> Result<(Status, usize)> {
        let too_large = |_| Error::new(name::<R>(), Status::VERR_TOO_MUCH_DATA, "");
        let header = header_of::<R>(packet)?;
        header.cookie = self.cookie;
        header.session_cookie = self.session_cookie;
        header.bytes_in = u32::try_from(bytes_in).map_err(too_large)?;
        header.bytes_out = u32::try_from(bytes_out).map_err(too_large)?;
        header.flags = HEADER_FLAGS;
        header.rc = Status::VERR_INTERNAL_ERROR.raw();
        match &self.transport {
            Transport::Embedded(client) => {
                client.request(R::FUNCTION.into(), packet).map_err(|error| error.0)
            }
            Transport::Kernel(device) => device.request(R::FUNCTION.into(), packet),
        }
        .map_err(transport_error::<R>)?;
        let header = header_of::<R>(packet)?;
        Ok((Status::new(header.rc), header.bytes_out as usize))
    }

    /// Calls the fast entry of the hypervisor's module, without a packet.
    #[inline]
    pub(crate) fn call_vmm_fast(&self, operation: u32, cpu: u32) -> Status {
        match &self.transport {
            Transport::Embedded(client) => client.call_vmm_fast(operation, cpu),
            Transport::Kernel(device) => device.call_vmm_fast(operation, cpu),
        }
    }

    /// What waits for a semaphore without an owner know about looking.
    #[inline]
    pub(crate) fn looks(&self, handle: u32) -> &Looks {
        &self.looks[handle as usize % LOOKS]
    }

    /// The state word of a semaphore, in a page that stays mapped until the session is closed.
    ///
    /// # Errors
    /// `VERR_INVALID_HANDLE` if no semaphore can have that number, `VERR_NO_MEMORY`, `VERR_MAP_FAILED`;
    /// `VERR_INVALID_PARAMETER` if none ever had one of that page.
    #[inline]
    pub(crate) fn word(&self, handle: u32) -> Result<NonNull<AtomicU64>> {
        let Some((number, index)) = word_position(handle) else { return Err(no_word()) };
        let Some(page) = self.word_pages.get(number) else { return Err(no_word()) };
        // Relaxed: the driver gives the same address each time, and a request orders what is in it.
        let address = match page.load(Ordering::Relaxed) {
            0 => self.word_page(number, page)?,
            address => address,
        };
        let word = (address as usize as *mut AtomicU64).wrapping_add(index);
        NonNull::new(word).ok_or_else(no_word)
    }

    /// Asks the driver where a page of words is, and notes that.
    #[cold]
    fn word_page(&self, number: usize, page: &AtomicU64) -> Result<u64> {
        let input = SemaphoreWordsIn { page: number as u32, reserved: 0 };
        let address = self.call::<SemaphoreWords>(&input)?.r3.get();
        // Relaxed: see `word`.
        page.store(address, Ordering::Relaxed);
        Ok(address)
    }
}

#[cold]
fn no_word() -> Error {
    Error::new("SemaphoreWords", Status::VERR_INVALID_HANDLE, "no state word")
}

/// The header of a packet where it lies. (A copy would read words that were just written as halves, and
/// processors wait for those to reach the cache.)
#[inline]
fn header_of<R: Request>(packet: &mut [u8]) -> Result<&mut Header> {
    match Header::mut_from_prefix(packet) {
        Ok((header, _)) => Ok(header),
        Err(_) => Err(Error::new(name::<R>(), Status::VERR_INTERNAL_ERROR, "")),
    }
}

/// What a driver answered to [`Connect`], if this library gets on with it.
fn agreed(reply: Reply<ConnectOut>) -> Result<ConnectOut> {
    let detail = match reply.output {
        Some(output) if reply.status.is_success() => {
            if is_compatible(PROTOCOL_VERSION, output.session_version) {
                return Ok(output);
            }
            both_versions(output.session_version)
        }
        Some(output) => both_versions(output.driver_version),
        None => format!("the driver answered {}", reply.status),
    };
    Err(Error::new("Connect", Status::VERR_VM_DRIVER_VERSION_MISMATCH, detail))
}

/// The error of a packet that did not come to be carried out.
#[cold]
fn transport_error<R: Request>(status: Status) -> Error {
    let detail = match status {
        Status::VERR_INVALID_PARAMETER => "the driver found the packet malformed",
        Status::VERR_GENERAL_FAILURE => "the driver does not know this request",
        _ => "",
    };
    Error::new(name::<R>(), status, detail)
}

fn both_versions(driver: u32) -> String {
    format!(
        "the driver speaks version {driver:#010x}, this library {PROTOCOL_VERSION:#010x}; update \
         the older of the two"
    )
}

/// The name of a request in the table.
pub(crate) fn name<R: Request>() -> &'static str {
    let row = sup_abi::request::TABLE.iter().find(|row| row.function == R::FUNCTION);
    row.map_or("request", |row| row.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use zerocopy::FromZeros;

    fn reply(status: Status, session_version: u32, driver_version: u32) -> Reply<ConnectOut> {
        let output = ConnectOut { session_version, driver_version, ..ConnectOut::new_zeroed() };
        Reply { status, output: Some(output) }
    }

    #[test]
    fn drivers_of_one_major_version_are_agreed_with() {
        for version in [PROTOCOL_VERSION, PROTOCOL_VERSION + 1] {
            let output = agreed(reply(Status::VINF_SUCCESS, version, version)).unwrap();
            assert_eq!(output.session_version, version);
        }
    }

    #[test]
    fn another_version_is_told_with_both_numbers() {
        let refused = reply(Status::VERR_VERSION_MISMATCH, u32::MAX, 0x0002_0003);
        // A driver that thinks that it fits is not believed.
        let wrong = reply(Status::VINF_SUCCESS, 0x0002_0003, 0x0002_0003);
        for answer in [refused, wrong] {
            let error = agreed(answer).unwrap_err();
            assert_eq!(error.status(), Status::VERR_VM_DRIVER_VERSION_MISMATCH);
            for word in ["0x00020003", "0x00010000", "update the older"] {
                assert!(error.detail().contains(word), "no '{word}' in: {error}");
            }
        }
        let mute = Reply { status: Status::VERR_INVALID_MAGIC, output: None };
        let error = agreed(mute).unwrap_err();
        assert_eq!(error.status(), Status::VERR_VM_DRIVER_VERSION_MISMATCH);
        assert!(error.detail().contains("VERR_INVALID_MAGIC"), "{error}");
    }

    #[test]
    fn errors_of_the_transport_keep_their_status() {
        for status in [
            Status::VERR_INVALID_PARAMETER,
            Status::VERR_GENERAL_FAILURE,
            Status::VERR_INTERRUPTED,
            Status::VERR_NO_MEMORY,
        ] {
            let error = transport_error::<SemaphoreWords>(status);
            assert_eq!((error.status(), error.call()), (status, "SemaphoreWords"));
        }
    }
}
