//! Giving up the privileges: groups, capabilities and ids, for good.
//!
//! The order matters: groups while the process may change them, then the ids, group first. What the system
//! says afterwards is compared with what was wanted, because an id that is still there is worse than a program
//! that does not start. Source: specification 7.9, steps 7 and 8; the original leaves the supplementary groups
//! and lets core files be written.
//!
//! Invariant: after [`drop_privileges`] has succeeded no way leads back.

use rustix::process::{
    DumpableBehavior, Gid, Uid, getegid, geteuid, getgid, getgroups, getuid, set_dumpable_behavior,
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set, set_capabilities,
    set_keep_capabilities, set_no_new_privs, set_thread_groups, set_thread_res_gid,
    set_thread_res_uid, set_thread_uid,
};

use crate::fatal::Failure;

/// Six ids: real, effective and saved of the user and of the group.
#[derive(Debug, PartialEq, Eq)]
struct Ids {
    users: [u32; 3],
    groups: [u32; 3],
}

impl Ids {
    fn found() -> Self {
        let mut ids = Self { users: [0; 3], groups: [0; 3] };
        let [real, effective, saved] = &mut ids.users;
        // SAFETY: the three numbers are there to be written, and it never fails for such.
        unsafe { libc::getresuid(real, effective, saved) };
        let [real, effective, saved] = &mut ids.groups;
        // SAFETY: the three numbers of the group are there to be written, and it never fails for such.
        unsafe { libc::getresgid(real, effective, saved) };
        ids
    }
}

/// Becomes the real user, who keeps of root's capabilities those in `wanted` that there are. One thread runs.
///
/// # Errors
/// Plain: the system refuses, or says afterwards that something is left.
pub(crate) fn drop_privileges(wanted: CapabilitySet) -> Result<(), Failure> {
    let (user, group) = (getuid(), getgid());
    let refused = |what: &'static str| {
        move |error: rustix::io::Errno| Failure::plain(format!("{what}: {error}"))
    };
    if geteuid().is_root() {
        set_thread_groups(&[]).map_err(refused("cannot leave the supplementary groups"))?;
        if !getgroups().map_err(refused("cannot read the supplementary groups"))?.is_empty() {
            return Err(Failure::plain("privileges are left: supplementary groups"));
        }
    }
    // Where the kernel has no such set, there is nothing in it.
    let _ = clear_ambient_capability_set();
    let kept = keep(wanted);
    set_thread_res_gid(group, group, group).map_err(refused("cannot become the user's group"))?;
    set_thread_res_uid(user, user, user).map_err(refused("cannot become the user"))?;
    if !kept.is_empty() {
        // The change of ids took them out of effect; without them the program has to do.
        let _ = set_capabilities(None, only(kept));
        let _ = set_keep_capabilities(false);
    }
    set_no_new_privs(true).map_err(refused("cannot forbid new privileges"))?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(refused("cannot forbid others to look into this process"))?;
    check(user, group, kept)
}

/// Reduces the capabilities to those that are wanted, and has them kept when the ids change. Answers which
/// these are.
fn keep(wanted: CapabilitySet) -> CapabilitySet {
    if wanted.is_empty() {
        return wanted;
    }
    let permitted = capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.permitted);
    let kept = wanted & permitted;
    let is_kept = !kept.is_empty()
        && set_capabilities(None, only(kept)).is_ok()
        && set_keep_capabilities(true).is_ok();
    if is_kept { kept } else { CapabilitySet::empty() }
}

fn only(kept: CapabilitySet) -> CapabilitySets {
    CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() }
}

/// Compares what the system says with what was wanted.
fn check(user: Uid, group: Gid, kept: CapabilitySet) -> Result<(), Failure> {
    let found = Ids::found();
    let wanted = Ids { users: [user.as_raw(); 3], groups: [group.as_raw(); 3] };
    if found != wanted || geteuid() != user || getegid() != group {
        return Err(Failure::plain(format!(
            "privileges are left: the ids are {found:?}, and should be {wanted:?}"
        )));
    }
    if user.is_root() {
        return Ok(());
    }
    let sets = capabilities(None)
        .map_err(|error| Failure::plain(format!("capabilities cannot be read: {error}")))?;
    let beyond = (sets.permitted | sets.effective | sets.inheritable) - kept;
    if !beyond.is_empty() {
        return Err(Failure::plain(format!("privileges are left: {beyond:?}")));
    }
    // The proof: root is out of reach.
    match set_thread_uid(Uid::ROOT) {
        Err(_) => Ok(()),
        Ok(()) => Err(Failure::plain("privileges are left: root can be had again")),
    }
}
