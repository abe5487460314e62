//! Which driver a session speaks to, and why.
//!
//! `SUP_BACKEND` decides: `embedded` is the driver in this process, `kernel` the device
//! [`DEVICE`], `daemon:PATH` a daemon's socket. Without it, the kernel's driver is used if its device
//! can be opened and speaks this library's protocol, and the embedded one otherwise. The choice and its
//! reason are always there to be shown ([`Session::backend`](crate::Session::backend)).
//!
//! Neighbour: `backend/diagnosis.rs` finds out why a device cannot be opened. It looks around in the
//! system, so it is asked only for an error, or when a reason is shown.

mod diagnosis;

use std::borrow::Cow;
use std::env;
use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};

use rustix::io::Errno;
use sup_abi::Status;
use sup_abi::request::ioctl;

use self::diagnosis::{Diagnosis, Facts};
use crate::connection::Connection;
use crate::device::Device;
use crate::error::{Error, Result};

/// The kernel backend's device.
pub use sup_abi::request::ioctl::DEVICE;

/// The variable that chooses the backend.
pub const VARIABLE: &str = "SUP_BACKEND";

/// A backend that this library can speak to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The driver in this process.
    Embedded,
    /// The driver in the kernel, behind [`DEVICE`].
    Kernel,
}

impl Kind {
    /// Its name, as `SUP_BACKEND` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Kernel => "kernel",
        }
    }
}

/// The backend of a session, and why it is that one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    kind: Kind,
    reason: Reason,
}

/// Why a backend was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Reason {
    /// `SUP_BACKEND` names it.
    Variable,
    /// The program names it.
    Program,
    /// The start with privileges opened the device.
    HandedOver,
    /// Nobody names one, and the kernel's driver is there.
    Present,
    /// Nobody names one, and the device cannot be opened.
    Closed(Errno),
    /// Nobody names one, and what is behind the device cannot be spoken to.
    Foreign(String),
}

impl Backend {
    /// Which backend.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its name, as `SUP_BACKEND` takes it.
    pub fn name(&self) -> &'static str {
        self.kind.name()
    }

    /// Why it was chosen, as half a sentence.
    pub fn reason(&self) -> Cow<'_, str> {
        match &self.reason {
            Reason::Variable => format!("{VARIABLE}={}", self.name()).into(),
            Reason::Program => "the program asks for it".into(),
            Reason::HandedOver => format!("the start of the program opened {DEVICE}").into(),
            Reason::Present => format!("{VARIABLE} is not set and {DEVICE} can be opened").into(),
            Reason::Closed(errno) => {
                let Diagnosis { state, .. } = Facts::gather(*errno).diagnose();
                format!("{VARIABLE} is not set and {state}").into()
            }
            Reason::Foreign(why) => format!("{VARIABLE} is not set and {why}").into(),
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.reason())
    }
}

/// A session, and where it is.
type Opened = Result<(Connection, Backend)>;

/// The device that the start with privileges opened for this process, until a session takes it.
static HANDED_OVER: Mutex<Option<OwnedFd>> = Mutex::new(None);

/// Gives this process a device that somebody with more rights opened: the next session is in the kernel, with
/// this device, whatever the environment says. Later ones are opened as always.
pub fn hand_over(device: OwnedFd) {
    *HANDED_OVER.lock().unwrap_or_else(PoisonError::into_inner) = Some(device);
}

/// Opens a session with the device that was handed over, or else with the backend that the environment chooses.
pub(crate) fn open() -> Opened {
    let handed_over = HANDED_OVER.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(device) = handed_over {
        let connection = Connection::kernel(Device::of(device))?;
        return Ok((connection, Backend { kind: Kind::Kernel, reason: Reason::HandedOver }));
    }
    match env::var_os(VARIABLE) {
        None => open_best(DEVICE),
        Some(choice) => open_chosen(&choice.to_string_lossy()),
    }
}

/// Opens a session with that backend, whatever the environment says.
pub(crate) fn open_in(kind: Kind) -> Opened {
    let connection = match kind {
        Kind::Embedded => Connection::embedded()?,
        Kind::Kernel => open_kernel("a session in the kernel was asked for")?,
    };
    Ok((connection, Backend { kind, reason: Reason::Program }))
}

fn open_chosen(choice: &str) -> Opened {
    let (connection, kind) = match choice {
        "embedded" => (Connection::embedded()?, Kind::Embedded),
        "kernel" => (open_kernel("SUP_BACKEND=kernel")?, Kind::Kernel),
        _ if choice.starts_with("daemon:") => {
            return Err(Error::new(
                OPEN,
                Status::VERR_NOT_SUPPORTED,
                format!("{VARIABLE}={choice}: this library has no transport to a daemon"),
            ));
        }
        _ => {
            return Err(Error::new(
                OPEN,
                Status::VERR_INVALID_PARAMETER,
                format!("{VARIABLE}={choice}: there is embedded, kernel and daemon:PATH"),
            ));
        }
    };
    Ok((connection, Backend { kind, reason: Reason::Variable }))
}

const OPEN: &str = "Session::open";

fn open_kernel(wanted_by: &str) -> Result<Connection> {
    let device = Device::open(DEVICE).map_err(|errno| {
        let Diagnosis { state, remedy } = Facts::gather(errno).diagnose();
        Error::new(
            OPEN,
            ioctl::open_status(errno.raw_os_error()),
            format!("{wanted_by}, but {state}; {remedy}"),
        )
    })?;
    Connection::kernel(device)
}

/// Opens a session with the device if it is our driver of our version, else in this process.
fn open_best(device: &str) -> Opened {
    let reason = match Device::open(device) {
        Err(errno) => Reason::Closed(errno),
        Ok(device) => match Connection::kernel(device) {
            Ok(connection) => {
                let backend = Backend { kind: Kind::Kernel, reason: Reason::Present };
                return Ok((connection, backend));
            }
            Err(error) if is_foreign(error.status()) => Reason::Foreign(error.detail().to_owned()),
            // Our driver, which just now has no memory, say: a caller who waits may have luck.
            Err(error) => return Err(error),
        },
    };
    Ok((Connection::embedded()?, Backend { kind: Kind::Embedded, reason }))
}

/// Whether a driver answered the first request like one that this library will never get on with.
fn is_foreign(status: Status) -> bool {
    status == Status::VERR_VM_DRIVER_VERSION_MISMATCH || status == Status::VERR_VM_DRIVER_LOAD_ERROR
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cannot_choose_what_is_not_there() {
        for (choice, status) in [
            ("daemon:/run/supd", Status::VERR_NOT_SUPPORTED),
            ("ring-1", Status::VERR_INVALID_PARAMETER),
            ("", Status::VERR_INVALID_PARAMETER),
        ] {
            let error = open_chosen(choice).unwrap_err();
            assert_eq!(error.status(), status, "{error}");
            assert!(error.detail().contains(VARIABLE), "{error}");
        }
    }

    #[test]
    fn a_choice_is_kept_and_is_the_reason() {
        let (_connection, backend) = open_chosen("embedded").unwrap();
        assert_eq!(backend.kind(), Kind::Embedded);
        assert_eq!(backend.to_string(), "embedded (SUP_BACKEND=embedded)");
        let (_connection, backend) = open_in(Kind::Embedded).unwrap();
        assert_eq!(backend.to_string(), "embedded (the program asks for it)");
    }

    #[test]
    fn without_a_device_the_driver_is_in_the_process() {
        let (_connection, backend) = open_best("/dev/supdrv-nobody").unwrap();
        assert_eq!(backend.kind(), Kind::Embedded);
        assert_eq!(backend.reason, Reason::Closed(Errno::NOENT));
        let reason = backend.reason();
        assert!(
            reason.starts_with("SUP_BACKEND is not set and there is no /dev/supdrv"),
            "{reason}"
        );
    }

    #[test]
    fn another_device_is_not_taken_for_the_driver() {
        let (_connection, backend) = open_best("/dev/null").unwrap();
        assert_eq!(backend.kind(), Kind::Embedded);
        let reason = backend.reason();
        assert!(reason.contains("is not supdrv"), "{reason}");
    }

    #[test]
    fn what_was_handed_over_is_taken_once_and_by_no_other_name() {
        let null = || std::fs::File::options().read(true).write(true).open("/dev/null").unwrap();
        hand_over(null().into());
        let error = open().map(drop).unwrap_err();
        assert_eq!(error.status(), Status::VERR_VM_DRIVER_LOAD_ERROR, "it is not supdrv");
        let (_connection, backend) = open().unwrap();
        assert_ne!(backend.reason, Reason::HandedOver);
    }

    #[test]
    fn open_errors_have_the_headers_statuses() {
        for (errno, status) in [
            (Errno::NXIO, Status::VERR_VM_DRIVER_LOAD_ERROR),
            (Errno::NODEV, Status::VERR_VM_DRIVER_LOAD_ERROR),
            (Errno::PERM, Status::VERR_VM_DRIVER_NOT_ACCESSIBLE),
            (Errno::ACCESS, Status::VERR_VM_DRIVER_NOT_ACCESSIBLE),
            (Errno::NOENT, Status::VERR_VM_DRIVER_NOT_INSTALLED),
            (Errno::IO, Status::VERR_VM_DRIVER_OPEN_ERROR),
            (Errno::NOMEM, Status::VERR_VM_DRIVER_OPEN_ERROR),
        ] {
            assert_eq!(ioctl::open_status(errno.raw_os_error()), status, "{errno:?}");
        }
    }
}
