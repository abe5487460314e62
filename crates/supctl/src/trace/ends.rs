//! [`Ends`]: Ctrl-C and SIGTERM end a command in good order; once more, and it ends at once.
//!
//! Neighbours: `run` traces until then, `file` reads files until then. Invariant: the second signal needs nothing of
//! this program's, which may be waiting for somebody else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustix::process::Signal;
use signal_hook::flag::{register, register_conditional_shutdown, register_usize};

use crate::failure::Failure;

/// The signals, each with what shells say of a program that it ended.
const SIGNALS: [(Signal, i32); 2] = [(Signal::INT, 130), (Signal::TERM, 143)];

/// Whether it is time to end.
pub(super) struct Ends {
    /// The number of the signal that came last; 0 for none.
    signal: Arc<AtomicUsize>,
}

impl Ends {
    /// Takes the signals over from the system, which would end the program.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn at_signals() -> Result<Self, Failure> {
        let (has_come, signal) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        for (which, status) in SIGNALS {
            let number = which.as_raw();
            // In this order: what is registered first looks whether one has come before.
            register_conditional_shutdown(number, status, has_come.clone())
                .and_then(|_| register(number, has_come.clone()))
                .and_then(|_| register_usize(number, signal.clone(), number as usize))
                .map_err(Failure::Signals)?;
        }
        Ok(Self { signal })
    }

    /// The signal that came, if one did.
    pub(super) fn signal(&self) -> Option<Signal> {
        // Relaxed: the number says no more than itself.
        let number = self.signal.load(Ordering::Relaxed);
        SIGNALS.iter().map(|(signal, _)| *signal).find(|signal| signal.as_raw() as usize == number)
    }
}
