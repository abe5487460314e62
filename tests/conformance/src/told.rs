//! [`Told`]: what a driver told its host's log from a moment on: the kernel's, or `tracing` in this process.
//!
//! Neighbour: `cases/printing.rs`. Invariant: a line is seen by each [`Told`] that was there before it.

use std::io;
use std::sync::Once;

use parking_lot::Mutex;
use sup::backend::Kind;
use sup_verdict::KernelLog;
use tracing::level_filters::LevelFilter;

use crate::backend::Backend;
use crate::case::{Stop, Verdict};

/// What the driver in this process told, without what `tracing` puts before it.
static HERE: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// The log from a moment on.
#[derive(Debug)]
pub(crate) struct Told(Source);

#[derive(Debug)]
enum Source {
    Kernel(KernelLog),
    /// So many bytes were there before.
    Here(usize),
}

impl Told {
    /// From now on.
    ///
    /// # Errors
    /// The kernel's log cannot be read, or something else listens to `tracing` in this process.
    pub(crate) fn from_now(backend: &dyn Backend) -> Verdict<Self> {
        match backend.kind() {
            Kind::Kernel => Ok(Self(Source::Kernel(KernelLog::from_now()?))),
            Kind::Embedded => {
                listen()?;
                Ok(Self(Source::Here(HERE.lock().len())))
            }
        }
    }

    /// The lines since then, or since the last look.
    ///
    /// # Errors
    /// The kernel's log cannot be read, or has forgotten some of it.
    pub(crate) fn lines(&mut self) -> Verdict<Vec<String>> {
        match &mut self.0 {
            Source::Kernel(log) => {
                let lines = log.lines()?;
                let line = |line: String| line.strip_prefix("supdrv: ").unwrap_or(&line).to_owned();
                Ok(lines.into_iter().map(line).collect())
            }
            Source::Here(seen) => {
                let all = HERE.lock();
                let new = String::from_utf8_lossy(&all[*seen..]);
                *seen = all.len();
                Ok(new.lines().map(|line| line.trim_start().to_owned()).collect())
            }
        }
    }
}

/// Has this process' `tracing` written to [`HERE`].
fn listen() -> Verdict {
    static ONCE: Once = Once::new();
    let mut result = Ok(());
    ONCE.call_once(|| {
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(LevelFilter::INFO)
            .with_ansi(false)
            .without_time()
            .with_level(false)
            .with_target(false)
            .with_writer(|| Here)
            .finish();
        result = tracing::subscriber::set_global_default(subscriber)
            .map_err(|_| Stop::failed("something else listens to what the driver tells"));
    });
    result
}

struct Here;

impl io::Write for Here {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        HERE.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
