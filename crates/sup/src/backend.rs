//! Which driver a session speaks to, and why.
//!
//! `SUP_BACKEND` decides: `embedded` is the driver in this process, `kernel` the device
//! [`DEVICE`], `daemon:PATH` a daemon's socket. Without it, the kernel's driver is used if its device
//! can be opened and this library can speak to it, and the embedded one otherwise. The choice and its
//! reason are always there to be shown ([`Session::backend`](crate::Session::backend)).

use std::env;
use std::fmt;
use std::fs::OpenOptions;
use std::io::ErrorKind;

use sup_abi::Status;

use crate::error::{Error, Result};

/// The kernel backend's device.
pub const DEVICE: &str = "/dev/supdrv";

/// The variable that chooses the backend.
pub const VARIABLE: &str = "SUP_BACKEND";

/// A backend that this library can speak to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The driver in this process.
    Embedded,
}

/// The backend of a session, and why it is that one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    kind: Kind,
    reason: String,
}

impl Backend {
    /// Which backend.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its name, as `SUP_BACKEND` takes it.
    pub fn name(&self) -> &'static str {
        match self.kind {
            Kind::Embedded => "embedded",
        }
    }

    /// Why it was chosen, as half a sentence.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Chooses by the environment and the device.
    pub(crate) fn choose() -> Result<Self> {
        match env::var(VARIABLE) {
            Err(_) => Ok(Self::embedded(format!("{VARIABLE} is not set and {}", device_state()))),
            Ok(choice) => Self::chosen(&choice),
        }
    }

    fn chosen(choice: &str) -> Result<Self> {
        match choice {
            "embedded" => Ok(Self::embedded(format!("{VARIABLE}=embedded"))),
            "kernel" => {
                let (status, state) = match OpenOptions::new().read(true).write(true).open(DEVICE) {
                    Ok(_) => (Status::VERR_NOT_SUPPORTED, NO_KERNEL_TRANSPORT.to_owned()),
                    Err(error) => (open_status(&error), device_state()),
                };
                Err(Error::new("Session::open", status, format!("{VARIABLE}=kernel, but {state}")))
            }
            _ if choice.starts_with("daemon:") => Err(Error::new(
                "Session::open",
                Status::VERR_NOT_SUPPORTED,
                format!("{VARIABLE}={choice}: this library has no transport to a daemon"),
            )),
            _ => Err(Error::new(
                "Session::open",
                Status::VERR_INVALID_PARAMETER,
                format!("{VARIABLE}={choice}: there is embedded, kernel and daemon:PATH"),
            )),
        }
    }

    fn embedded(reason: String) -> Self {
        Self { kind: Kind::Embedded, reason }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.reason)
    }
}

const NO_KERNEL_TRANSPORT: &str =
    "this library has no transport to the kernel's driver; use SUP_BACKEND=embedded";

/// What an open of the device came to, as half a sentence.
fn device_state() -> String {
    match OpenOptions::new().read(true).write(true).open(DEVICE) {
        Ok(_) => NO_KERNEL_TRANSPORT.to_owned(),
        Err(error) => match error.kind() {
            ErrorKind::NotFound => format!("there is no {DEVICE}"),
            ErrorKind::PermissionDenied => format!("{DEVICE} may not be opened by this user"),
            _ => format!("{DEVICE} cannot be opened: {error}"),
        },
    }
}

/// The header's status of a device that cannot be opened.
fn open_status(error: &std::io::Error) -> Status {
    use rustix::io::Errno;
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::NXIO | Errno::NODEV) => Status::VERR_VM_DRIVER_LOAD_ERROR,
        Some(Errno::PERM | Errno::ACCESS) => Status::VERR_VM_DRIVER_NOT_ACCESSIBLE,
        Some(Errno::NOENT) => Status::VERR_VM_DRIVER_NOT_INSTALLED,
        _ => Status::VERR_VM_DRIVER_OPEN_ERROR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cannot_choose_what_is_not_there() {
        for (choice, status) in [
            ("kernel", Status::VERR_VM_DRIVER_NOT_INSTALLED),
            ("daemon:/run/supd", Status::VERR_NOT_SUPPORTED),
            ("ring-1", Status::VERR_INVALID_PARAMETER),
            ("", Status::VERR_INVALID_PARAMETER),
        ] {
            let error = Backend::chosen(choice).unwrap_err();
            assert_eq!(error.status(), status, "{error}");
        }
    }

    #[test]
    fn open_errors_have_the_headers_statuses() {
        for (errno, status) in [
            (6, Status::VERR_VM_DRIVER_LOAD_ERROR),
            (19, Status::VERR_VM_DRIVER_LOAD_ERROR),
            (1, Status::VERR_VM_DRIVER_NOT_ACCESSIBLE),
            (13, Status::VERR_VM_DRIVER_NOT_ACCESSIBLE),
            (2, Status::VERR_VM_DRIVER_NOT_INSTALLED),
            (5, Status::VERR_VM_DRIVER_OPEN_ERROR),
        ] {
            assert_eq!(open_status(&std::io::Error::from_raw_os_error(errno)), status);
        }
    }
}
