//! [`Backend`]: what a case sees of a driver.

use sup::backend::Kind;
use sup::{Session, Status};

use crate::{Embedded, Kernel};

/// What some backends can and others cannot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feature {
    /// The transport carries the length of a packet beside what its header says.
    PacketLength,
    /// The driver's memory is this process' own, so that its limits are the driver's.
    InProcess,
    /// Loading a module takes a right that not every process has.
    Privilege,
}

/// The backend of a kind.
pub fn backend(kind: Kind) -> &'static dyn Backend {
    match kind {
        Kind::Embedded => &Embedded,
        Kind::Kernel => &Kernel,
    }
}

/// A driver to be tested.
pub trait Backend: Sync {
    /// Which one.
    fn kind(&self) -> Kind;

    /// Its name.
    fn name(&self) -> &'static str {
        self.kind().name()
    }

    /// Whether it has something that not all have.
    fn can(&self, feature: Feature) -> bool;

    /// Opens a session through the library.
    ///
    /// # Errors
    /// The library's.
    fn open(&self) -> sup::Result<Session>;

    /// Opens a session that has not agreed on the protocol yet.
    ///
    /// # Errors
    /// Those of the transport.
    fn raw(&self) -> Result<Box<dyn RawSession>, Status>;
}

/// A session that sends anything.
pub trait RawSession: Send + Sync {
    /// Sends `packet` as the request `function`.
    fn send(&self, function: u32, packet: &[u8]) -> Reply;
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The transport's status.
    pub transport: Status,
    /// The client's buffer afterwards, as long as the packet was.
    pub packet: Vec<u8>,
}
