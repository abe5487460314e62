//! What happens at a fault in a module: it is reported, and then goes the way that it went before.
//!
//! [`install`] puts a handler before those that the process has for the signals of faults, with the
//! first module. It stays: somebody may have put another one before it meanwhile. Timeline of a fault: the
//! report is written ([`report`]); a handler that was there is called, with the mask and the
//! arguments that it asked for; if there was none, the default comes back, and the instruction faults
//! once more, so that a core dump shows it where it was. A debugger that traces sees the fault first.
//!
//! `SUP_MODULE_BACKTRACE=off` leaves all handlers alone.
//!
//! Invariant: what was there before is known ([`PREVIOUS`]) when the first handler is in place. What another
//! thread has put there between the look and the handler is known a moment later ([`REPLACED`]); the
//! system names it when the handler takes its place, so that it is not lost.

use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::{Once, OnceLock};

use crate::crash::{Fault, report};

/// The signals of faults.
const SIGNALS: [(c_int, &str); 4] = [
    (libc::SIGSEGV, "SIGSEGV"),
    (libc::SIGBUS, "SIGBUS"),
    (libc::SIGILL, "SIGILL"),
    (libc::SIGFPE, "SIGFPE"),
];

/// What was there before, in the order of [`SIGNALS`].
static PREVIOUS: OnceLock<[libc::sigaction; SIGNALS.len()]> = OnceLock::new();
/// What the handler took the place of, in the same order: mostly the same.
static REPLACED: [OnceLock<libc::sigaction>; SIGNALS.len()] =
    [const { OnceLock::new() }; SIGNALS.len()];

/// A handler with `SA_SIGINFO`.
type Informed = unsafe extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);
/// A handler without.
type Plain = unsafe extern "C" fn(c_int);

/// Puts the handler in place, once in the life of a process.
pub(crate) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if is_wanted() {
            replace(look());
        }
    });
}

/// Looks what is there, once.
fn look() -> &'static [libc::sigaction; SIGNALS.len()] {
    PREVIOUS.get_or_init(|| SIGNALS.map(|(signal, _)| action_of(signal)))
}

/// Puts the handler in the place of those that were seen, or of what is there now.
fn replace(seen: &[libc::sigaction; SIGNALS.len()]) {
    for (((signal, _), before), replaced) in SIGNALS.iter().zip(seen).zip(&REPLACED) {
        let mut action = *before;
        action.sa_sigaction = on_fault as Informed as usize;
        // On the other stack, for a module may have used up this one. A handler that is to go after its
        // first call goes, but not this one.
        action.sa_flags |= libc::SA_SIGINFO | libc::SA_ONSTACK;
        action.sa_flags &= !libc::SA_RESETHAND;
        // Nobody else sets it: handlers are put in place once.
        let _ = replaced.set(set_action(*signal, &action));
    }
}

/// What comes after the handler, for the signal with this index.
fn next_of(index: usize) -> Option<&'static libc::sigaction> {
    // In a handler: neither look waits.
    REPLACED.get(index)?.get().or_else(|| PREVIOUS.get()?.get(index))
}

/// What `SUP_MODULE_BACKTRACE` says.
fn is_wanted() -> bool {
    match std::env::var("SUP_MODULE_BACKTRACE").as_deref() {
        Ok("off") => false,
        Ok("on") | Err(_) => true,
        Ok(other) => {
            tracing::warn!(target: "supdrv", other, "SUP_MODULE_BACKTRACE is neither on nor off");
            true
        }
    }
}

/// The handler.
unsafe extern "C" fn on_fault(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the C library has one for each thread, at all times.
    let error = unsafe { libc::__errno_location() };
    // SAFETY: it is this thread's own.
    let saved = unsafe { error.read() };
    // SAFETY: the system hands a handler with SA_SIGINFO, as this is, a context of this type.
    let machine = unsafe { &(*context.cast::<libc::ucontext_t>()).uc_mcontext };
    let register = |index: c_int| {
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        machine.gregs.get(index).map_or(0, |value| value.cast_unsigned())
    };
    // SAFETY: for the same reason there is information.
    let told = unsafe { &*info };
    // SAFETY: these signals have an address in it; if a process sent one, its number stands there.
    let address = unsafe { told.si_addr() };
    let position = SIGNALS.iter().position(|(number, _)| *number == signal);
    if let Some((index, (_, name))) = position.and_then(|index| Some((index, SIGNALS.get(index)?)))
    {
        let turn = report(&Fault {
            signal: name,
            address: address.addr() as u64,
            instruction: register(libc::REG_RIP),
            stack: register(libc::REG_RSP),
        });
        if let Some(previous) = next_of(index) {
            match turn {
                Some(turn) if ends_process(previous, told.si_code) => turn.keep(),
                // A handler may never come back.
                turn => drop(turn),
            }
            // SAFETY: the arguments are the system's, and this is what was there for the signal.
            unsafe { hand_on(previous, signal, info, context) };
        }
    }
    // SAFETY: it is this thread's own.
    unsafe { error.write(saved) };
}

/// Whether a signal that had this action before ends the process, a fault or one that was sent.
fn ends_process(previous: &libc::sigaction, code: c_int) -> bool {
    // The system does not let an instruction's fault be ignored.
    previous.sa_sigaction == libc::SIG_DFL || previous.sa_sigaction == libc::SIG_IGN && code > 0
}

/// Does what would have been done without this handler.
///
/// # Safety
/// The arguments are those of a handler that the system called, and `previous` was there for the signal.
unsafe fn hand_on(
    previous: &libc::sigaction,
    signal: c_int,
    info: *mut libc::siginfo_t,
    context: *mut c_void,
) {
    // SAFETY: by this function's contract there is information.
    let code = unsafe { (*info).si_code };
    // Sent by a process, and no instruction comes back to it.
    let was_sent = code <= 0;
    let handler = previous.sa_sigaction;
    if handler == libc::SIG_IGN && was_sent {
        return;
    }
    let is_default = ends_process(previous, code);
    if is_default || previous.sa_flags & libc::SA_RESETHAND != 0 {
        // SAFETY: zero is the empty set and no flag; it is complete.
        let mut default: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
        default.sa_sigaction = libc::SIG_DFL;
        set_action(signal, &default);
    }
    if is_default {
        if was_sent {
            // SAFETY: it takes a number. The signal comes when the handler returns.
            unsafe { libc::raise(signal) };
        }
    } else if previous.sa_flags & libc::SA_SIGINFO != 0 {
        // SAFETY: the flag says that it is a function of this type, which whoever set it promised.
        let handler = unsafe { std::mem::transmute::<usize, Informed>(handler) };
        // SAFETY: it gets what it would have got from the system.
        unsafe { handler(signal, info, context) };
    } else {
        // SAFETY: without the flag it is a function of this type, which whoever set it promised.
        let handler = unsafe { std::mem::transmute::<usize, Plain>(handler) };
        // SAFETY: it gets what it would have got from the system.
        unsafe { handler(signal) };
    }
}

/// What is done at a signal.
fn action_of(signal: c_int) -> libc::sigaction {
    // SAFETY: zero is a valid value of each field: the default action.
    let mut action = unsafe { MaybeUninit::zeroed().assume_init() };
    // It cannot fail: the signal exists, and is none of those that cannot be asked about.
    // SAFETY: nothing is set, and the action is written to a place of its type.
    unsafe { libc::sigaction(signal, ptr::null(), &raw mut action) };
    action
}

/// Sets what is done at a signal, and says what was done before.
fn set_action(signal: c_int, action: &libc::sigaction) -> libc::sigaction {
    // SAFETY: zero is a valid value of each field: the default action.
    let mut before = unsafe { MaybeUninit::zeroed().assume_init() };
    // It cannot fail: the signal exists, and is none of those that have no handler.
    // SAFETY: the action is complete, and its handler this module's, or the default; what was there is
    // written to a place of its type.
    unsafe { libc::sigaction(signal, action, &raw mut before) };
    before
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    static CALLS: AtomicU32 = AtomicU32::new(0);

    unsafe extern "C" fn count(signal: c_int) {
        assert_eq!(signal, libc::SIGFPE);
        CALLS.fetch_add(1, Ordering::Relaxed);
    }

    static LATE_CALLS: AtomicU32 = AtomicU32::new(0);

    unsafe extern "C" fn count_late(signal: c_int) {
        assert_eq!(signal, libc::SIGBUS);
        LATE_CALLS.fetch_add(1, Ordering::Relaxed);
    }

    #[test]
    fn a_handler_that_was_there_is_called_and_the_process_goes_on() {
        let mut own = action_of(libc::SIGFPE);
        own.sa_sigaction = count as Plain as usize;
        set_action(libc::SIGFPE, &own);
        let mut ignoring = action_of(libc::SIGILL);
        ignoring.sa_sigaction = libc::SIG_IGN;
        set_action(libc::SIGILL, &ignoring);
        look();
        // As another thread may do it between the look and the handler: it counts, too.
        let mut late = action_of(libc::SIGBUS);
        late.sa_sigaction = count_late as Plain as usize;
        set_action(libc::SIGBUS, &late);
        install();
        assert_eq!(action_of(libc::SIGFPE).sa_sigaction, on_fault as Informed as usize);
        // Once more is not once more in the chain.
        install();
        for _ in 0..2 {
            // SAFETY: there is a handler, which counts.
            assert_eq!(unsafe { libc::raise(libc::SIGFPE) }, 0);
        }
        // SAFETY: it is ignored, and goes on being.
        assert_eq!(unsafe { libc::raise(libc::SIGILL) }, 0);
        // SAFETY: the late one counts.
        assert_eq!(unsafe { libc::raise(libc::SIGBUS) }, 0);
        assert_eq!(CALLS.load(Ordering::Relaxed), 2);
        assert_eq!(LATE_CALLS.load(Ordering::Relaxed), 1);
    }
}
