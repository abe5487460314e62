//! [`Open`] and its life: the one session of the process, and how often it was asked for.
//!
//! States: no session (count 0); open (count 1 and more); lost, in a child that was forked while a driver
//! ran in the process. The child has a copy of that driver's tables, its memory but not its threads, so
//! nothing can be opened there any more. A session in the kernel the child closes on its side, and it may
//! open one of its own.
//!
//! Locks: [`STATE`] is held while a session is opened and while it is taken away; calls never take it.
//!
//! Invariant: `g_pSUPGlobalInfoPage` is NULL unless a session is open.

use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use sup::backend::Kind;
use sup::{Gip, Session};
use sup_abi::{R0Ptr, SUPDRVSESSION, SUPGLOBALINFOPAGE, Status};

use crate::lock::Lock;
use crate::{calls, log, pages};

/// The open session and what belongs to it.
pub(crate) struct Open {
    pub(crate) session: Session,
    pub(crate) gip: Gip,
    /// Where VMMR0.r0 is, and how often it was loaded here; NIL while it is not.
    pub(crate) vmm: Lock<(R0Ptr, u32)>,
}

impl Open {
    fn new() -> Result<Box<Self>, Status> {
        log::start();
        let session = Session::open()?;
        let gip = session.gip()?;
        Ok(Box::new(Self { session, gip, vmm: Lock::new((R0Ptr::NIL, 0)) }))
    }
}

/// The process's Global Information Page, NULL while no session is open. Corresponds to
/// `g_pSUPGlobalInfoPage`.
#[unsafe(no_mangle)]
static g_pSUPGlobalInfoPage: AtomicPtr<SUPGLOBALINFOPAGE> = AtomicPtr::new(ptr::null_mut());

/// Where the page is, or NULL.
pub(crate) fn gip() -> *mut SUPGLOBALINFOPAGE {
    // Acquire: pairs with the release of `init`; what is in the page is the driver's to order.
    g_pSUPGlobalInfoPage.load(Ordering::Acquire)
}

struct State {
    /// Calls of `SUPR3Init` that `SUPR3Term` did not take back.
    count: u32,
    /// What C knows the session by: its random name. NULL while there is none.
    name: *mut SUPDRVSESSION,
    is_lost: bool,
    is_fork_watched: bool,
}

// SAFETY: the name is a number that nobody follows.
unsafe impl Send for State {}

impl State {
    const fn new(is_lost: bool, is_fork_watched: bool) -> Self {
        Self { count: 0, name: ptr::null_mut(), is_lost, is_fork_watched }
    }
}

static STATE: Lock<State> = Lock::new(State::new(false, false));

/// Whether a session is open.
pub(crate) fn is_open() -> bool {
    STATE.lock().count > 0
}

/// Opens the session, or counts one user more. `tell` gets the session's name: first the one that was
/// there, and then that of a new one.
///
/// # Errors
/// Those of [`Session::open`] and [`Session::gip`]; `VERR_NOT_SUPPORTED` where the driver in the process was
/// lost at a fork, `VERR_OUT_OF_RANGE` after 2^32 calls.
pub(crate) fn init(tell: impl Fn(*mut SUPDRVSESSION)) -> Result<(), Status> {
    let mut state = STATE.lock();
    tell(state.name);
    if state.count > 0 {
        state.count = state.count.checked_add(1).ok_or(Status::VERR_OUT_OF_RANGE)?;
        return Ok(());
    }
    if state.is_lost {
        return Err(Status::VERR_NOT_SUPPORTED);
    }
    if !state.is_fork_watched {
        // SAFETY: the function is there for as long as the process: the library is not unloaded.
        let failed = unsafe { libc::pthread_atfork(None, None, Some(after_fork_in_child)) };
        if failed != 0 {
            return Err(Status::VERR_NO_MEMORY);
        }
        state.is_fork_watched = true;
    }
    calls::close_retired();
    let open = Open::new()?;
    state.name = open.session.id().0 as usize as *mut SUPDRVSESSION;
    state.count = 1;
    // Release: the page was checked before anybody reads it.
    g_pSUPGlobalInfoPage.store(open.gip.as_ptr().cast_mut(), Ordering::Release);
    calls::publish(open);
    tell(state.name);
    Ok(())
}

/// Counts one user less, and closes the session if that was the last or `is_forced`.
///
/// # Errors
/// `VERR_WRONG_ORDER` if there is none.
pub(crate) fn term(is_forced: bool) -> Result<(), Status> {
    let mut state = STATE.lock();
    if state.count == 0 {
        return Err(Status::VERR_WRONG_ORDER);
    }
    if state.count > 1 && !is_forced {
        state.count -= 1;
        return Ok(());
    }
    *state = State::new(false, state.is_fork_watched);
    // Release: nobody finds the page that is about to go.
    g_pSUPGlobalInfoPage.store(ptr::null_mut(), Ordering::Release);
    calls::retire();
    Ok(())
}

/// Makes the library in a forked child what it is before `SUPR3Init`.
unsafe extern "C" fn after_fork_in_child() {
    g_pSUPGlobalInfoPage.store(ptr::null_mut(), Ordering::Release);
    // SAFETY: a child has the thread alone that forked, and that one was not in a call of this library,
    // none of which forks.
    let (open, had_retired) = unsafe { calls::renew_in_child() };
    let is_lost = match open {
        // Closes the descriptor of the child; the parent's stays.
        Some(open) if open.session.backend().kind() == Kind::Kernel => had_retired,
        // Its drop would end the parent's modules a second time.
        Some(open) => {
            std::mem::forget(open);
            true
        }
        None => had_retired,
    };
    // SAFETY: as above.
    unsafe { STATE.renew(State::new(is_lost, true)) };
    // SAFETY: as above.
    unsafe { pages::renew_in_child() };
}
