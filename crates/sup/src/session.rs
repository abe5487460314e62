//! [`Session`]: the way to a driver.

use std::sync::Arc;

use sup_abi::request::{Empty, GetPagingMode, SessionId, Statistics, StatisticsOut, VtCaps};
use sup_abi::{SUPPAGINGMODE, Status};

use crate::backend::{self, Backend, Kind};
use crate::connection::Connection;
use crate::error::{Error, Result};

/// An open session. Clones are the same session; it is closed when the last clone, and the last thing
/// that it gave out, is dropped.
///
/// # Other processes
/// A session in the kernel is an open file. A child that the process forks has the same session, and
/// what the child frees or closes is gone for its parent too; but memory blocks and the page of the
/// clock are not mapped for the child, which must not touch them. A driver in the process does not
/// survive a fork: there a child can only start another program. Programs that a process starts inherit
/// nothing of either.
///
/// ```
/// let session = sup::Session::open()?;
/// println!("paging mode: {:?}", session.paging_mode()?);
/// # Ok::<(), sup::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Session {
    connection: Arc<Connection>,
    backend: Arc<Backend>,
}

impl Session {
    /// Opens a session with the backend that the environment chooses, see [`backend`](crate::backend).
    ///
    /// # Errors
    /// `VERR_VM_DRIVER_*` if the chosen backend cannot be opened or speaks another version,
    /// `VERR_INVALID_PARAMETER` if `SUP_BACKEND` says nothing known, `VERR_NO_MEMORY`.
    pub fn open() -> Result<Self> {
        backend::open().map(Self::new)
    }

    /// Opens a session with that backend, whatever the environment says.
    ///
    /// # Errors
    /// `VERR_VM_DRIVER_*` if the backend cannot be opened or speaks another version, `VERR_NO_MEMORY`.
    pub fn open_in(kind: Kind) -> Result<Self> {
        backend::open_in(kind).map(Self::new)
    }

    fn new((connection, backend): (Connection, Backend)) -> Self {
        Self { connection: Arc::new(connection), backend: Arc::new(backend) }
    }

    /// The random name that the driver gave the session: never zero, and of no use to anybody but for telling
    /// sessions apart.
    pub fn id(&self) -> SessionId {
        self.connection.name()
    }

    /// Which backend the session has, and why.
    pub fn backend(&self) -> &Backend {
        &self.backend
    }

    /// The paging mode of the host. Corresponds to `SUPR3GetPagingMode`.
    ///
    /// # Errors
    /// Only those of the transport.
    pub fn paging_mode(&self) -> Result<SUPPAGINGMODE> {
        let output = self.connection.call::<GetPagingMode>(&Empty {})?;
        Ok(SUPPAGINGMODE::try_from(output.mode).unwrap_or(SUPPAGINGMODE::Invalid))
    }

    /// The virtualisation capabilities of the host, `SUPVTCAPS_*`. Corresponds to `SUPR3QueryVTCaps`.
    ///
    /// # Errors
    /// Why there are none: `VERR_VMX_NO_VMX`, `VERR_VMX_MSR_LOCKED_OR_DISABLED`, `VERR_SVM_NO_SVM`,
    /// `VERR_SVM_DISABLED`, `VERR_UNSUPPORTED_CPU`.
    pub fn vt_caps(&self) -> Result<u32> {
        Ok(self.connection.call::<VtCaps>(&Empty {})?.caps)
    }

    /// Counts what the driver holds for all sessions, and for this one.
    ///
    /// # Errors
    /// Only those of the transport.
    pub fn statistics(&self) -> Result<StatisticsOut> {
        self.connection.call::<Statistics>(&Empty {})
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// An error of this library's own, before anything was sent.
    pub(crate) fn refuse<T>(call: &'static str, status: Status, detail: &'static str) -> Result<T> {
        Err(Error::new(call, status, detail))
    }
}
