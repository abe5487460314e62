//! [`Privilege`]: whether this process may do more than whoever started it.
//!
//! Neighbours: `policy.rs` reads modules accordingly. Invariant: what the kernel says of the start of the process
//! stays true: a process that has given its privileges back still counts as having them.

use rustix::process::{getegid, geteuid, getgid, getuid};

/// Whether this process may do more than whoever started it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Privilege {
    /// It is as its user is.
    None,
    /// It was started set-user-id or set-group-id or with capabilities of its file's, or acts as another user
    /// than the one it belongs to.
    More,
}

impl Privilege {
    /// That of this process.
    pub(crate) fn of_this_process() -> Self {
        let acts_as_another = getuid() != geteuid() || getgid() != getegid();
        // SAFETY: the C library looks the number up in what the kernel gave at the start; it always answers.
        let was_started_with_more = unsafe { libc::getauxval(libc::AT_SECURE) } != 0;
        match was_started_with_more || acts_as_another {
            true => Self::More,
            false => Self::None,
        }
    }
}
