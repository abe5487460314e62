//! The driver, in the kernel for as long as a piece of work takes.
//!
//! For the suites that insert it themselves. Invariant: it is gone when [`while_inserted`] returns, or the
//! verdict says that it is not.

use std::ffi::CStr;
use std::fs::File;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::system::{delete_module, finit_module};

use crate::check::Verdict;
use crate::wait::PATIENCE;

/// The driver, as the kernel calls it.
pub(crate) const DRIVER: &CStr = c"supdrv";
/// `O_NONBLOCK`, as rmmod passes it: fail instead of waiting.
pub(crate) const AT_ONCE: i32 = 0o4000;

/// Inserts the driver's file with `parameters`, does `work`, and removes it, however `work` ends.
pub(crate) fn while_inserted(
    module: &Path,
    parameters: &CStr,
    work: impl FnOnce() -> Verdict,
) -> Verdict {
    finit_module(&File::open(module)?, parameters, 0)?;
    let verdict = work();
    verdict.and(remove())
}

/// Removes the driver; the last close may still be on its way.
fn remove() -> Verdict {
    let end = Instant::now() + PATIENCE;
    while let Err(error) = delete_module(DRIVER, AT_ONCE) {
        if Instant::now() > end {
            return Err(error.into());
        }
        sleep(Duration::from_millis(10));
    }
    Ok(())
}
