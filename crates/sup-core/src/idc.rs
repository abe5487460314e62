//! Connections of modules and of other kernel drivers: sessions that no process opened.
//!
//! Such a session has no process and nobody's rights, and may register component factories. It ends when
//! its client closes it; when the image goes in which the client keeps its handle, since nobody could close
//! it any more; and at last with the driver.
//!
//! Neighbours: [`session`](crate::session) makes and ends them, `sup-ring0` has the C functions. Invariant:
//! which versions fit is decided here alone.

use sup_abi::{R0Ptr, SUPDRV_IDC_VERSION, Status};
use sup_alloc::Arc;

use crate::host::Host;
use crate::{Driver, Session};

/// Decides whether a client that asks for a version, and takes any from `minimum` on, can be served; 0 is
/// the driver's own, and so is what is too small.
///
/// # Errors
/// `VERR_INVALID_PARAMETER` for another major number, and if the minimum is above the request;
/// `VERR_VERSION_MISMATCH` if the driver is older than the minimum.
///
/// ```
/// use sup_abi::Status;
/// use sup_core::negotiate_idc;
///
/// assert_eq!(negotiate_idc(0, 0), Ok(()));
/// assert_eq!(negotiate_idc(0x0001_0005, 0x0001_0000), Ok(()));
/// assert_eq!(negotiate_idc(0x0001_0005, 0x0001_0001), Err(Status::VERR_VERSION_MISMATCH));
/// assert_eq!(negotiate_idc(0, 0x0001_0001), Err(Status::VERR_INVALID_PARAMETER));
/// assert_eq!(negotiate_idc(0x0002_0000, 0), Err(Status::VERR_INVALID_PARAMETER));
/// ```
pub fn negotiate_idc(requested: u32, minimum: u32) -> Result<(), Status> {
    const MAJOR: u32 = SUPDRV_IDC_VERSION >> 16;
    let is_foreign = |version: u32| version != 0 && version >> 16 != MAJOR;
    if is_foreign(minimum) || is_foreign(requested) {
        return Err(Status::VERR_INVALID_PARAMETER);
    }
    let or_own = |version: u32| if version == 0 { SUPDRV_IDC_VERSION } else { version };
    accept_idc(or_own(requested), or_own(minimum))
}

/// The same for a client that names both versions itself, as packets do.
///
/// # Errors
/// `VERR_INVALID_PARAMETER` if the minimum is above the request or has another major number than it;
/// `VERR_VERSION_MISMATCH` if the driver is older than the minimum or has another major number.
///
/// ```
/// use sup_abi::Status;
/// use sup_core::accept_idc;
///
/// assert_eq!(accept_idc(0x0001_0005, 0x0001_0000), Ok(()));
/// assert_eq!(accept_idc(0x0001_0000, 0x0001_0001), Err(Status::VERR_INVALID_PARAMETER));
/// assert_eq!(accept_idc(0x0002_0000, 0x0001_0000), Err(Status::VERR_INVALID_PARAMETER));
/// assert_eq!(accept_idc(0x0002_0000, 0x0002_0000), Err(Status::VERR_VERSION_MISMATCH));
/// assert_eq!(accept_idc(0, 0), Err(Status::VERR_VERSION_MISMATCH));
/// ```
pub fn accept_idc(requested: u32, minimum: u32) -> Result<(), Status> {
    if minimum > requested || minimum >> 16 != requested >> 16 {
        return Err(Status::VERR_INVALID_PARAMETER);
    }
    if minimum > SUPDRV_IDC_VERSION || minimum >> 16 != SUPDRV_IDC_VERSION >> 16 {
        return Err(Status::VERR_VERSION_MISMATCH);
    }
    Ok(())
}

impl<H: Host> Driver<H> {
    /// Closes a kernel session.
    ///
    /// # Errors
    /// `VERR_INVALID_HANDLE` if it is a process', `VERR_WRONG_ORDER` if the caller would wait for
    /// itself, as [`component_deregister`](Self::component_deregister) has it.
    ///
    /// # Context
    /// That of [`close_session`](Self::close_session).
    pub fn close_kernel_session(&self, session: Arc<Session<H>>) -> Result<(), Status> {
        session.require_kernel().map_err(|_| Status::VERR_INVALID_HANDLE)?;
        if self.retire_with_components(&session)? {
            self.end_session(&session);
        }
        Ok(())
    }

    /// Closes the kernel sessions whose clients keep their handles in an image. For the image's end.
    pub(crate) fn close_sessions_kept_in(&self, base: R0Ptr, bytes: usize) {
        self.close_kernel_sessions_if(|session| {
            let offset = session.kept_at().get().checked_sub(base.get());
            offset.is_some_and(|offset| offset < bytes as u64)
        });
    }

    /// Closes the kernel sessions that are left. For the driver's end, when nobody can use them any more.
    ///
    /// # Context
    /// That of [`close_session`](Self::close_session).
    pub fn close_kernel_sessions(&self) {
        self.close_kernel_sessions_if(|_| true);
    }

    fn close_kernel_sessions_if(&self, is_it: impl Fn(&Session<H>) -> bool) {
        let mut after = None;
        while let Some((handle, session)) = self.session_after(after) {
            after = Some(handle);
            if session.require_kernel().is_ok() && is_it(&session) {
                self.close_session(session);
            }
        }
    }
}
