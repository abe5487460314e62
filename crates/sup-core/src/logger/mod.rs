//! The driver's two loggers: what of its own messages goes to the host's log, and what stands before them.
//!
//! Corresponds to `SUPR3LoggerSettings`, `SUPR3LoggerCreate` and `SUPR3LoggerDestroy`. Source: specification
//! 6.5. Errors and warnings always reach the host's log. The debug logger decides about messages for those
//! who follow the driver, of which there are none without it; the release logger, while there is one, about
//! information that otherwise is always told. What modules print is theirs, and passes both by. Of all that, no more
//! is told than [`printers`] has budgets for.
//!
//! ```text
//! (none) ── create ──▶ there, all groups off but those of its text ── settings ──▶ there
//!                        └── destroy (the debug logger alone) ──▶ (none)
//! ```
//! A logger is a few words without memory of its own, so it goes with the driver. Who may not bring code
//! into ring 0 changes neither: they are the machine's, not a session's.
//!
//! Lock order: the loggers' lock (spinning) is innermost, and not held while a line is put out. Invariant:
//! no text is an error.

pub mod flags;
pub mod groups;
mod limit;
mod line;
#[cfg(test)]
#[cfg(not(loom))]
mod model;
mod printers;
#[cfg(test)]
#[cfg(not(loom))]
mod tests;
mod text;

pub use printers::PRINT_LIMIT_DEFAULT;
pub(crate) use printers::Printers;
pub use text::{FlagsText, GroupText};

use core::fmt;
use core::num::NonZeroU32;
use core::sync::atomic::{AtomicU32, Ordering};

use sup_abi::Status;
use sup_abi::request::{LOGGER_GROUPS_MAX, LoggerAction, LoggerKind, LoggerStateOut, padded};

use self::groups::{Group, Groups};
use self::line::Prefix;
use crate::host::{Host, LogLevel};
use crate::{Driver, Lock};

/// The settings of one logger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Logger {
    flags: u32,
    groups: Groups,
    /// The clock at the line before, for relative time stamps.
    last_ns: u64,
}

impl Logger {
    fn new(texts: LoggerTexts<'_>) -> Self {
        let mut logger = Self { flags: 0, groups: [0; groups::NAMES.len()], last_ns: 0 };
        groups::change(&mut logger.groups, texts.groups);
        logger.flags = flags::changed(0, texts.flags);
        logger
    }

    fn wants(&self, group: Group, level: u32) -> bool {
        let needed = level | groups::ENABLED;
        let bits = self.groups.get(group as usize).copied().unwrap_or(0);
        self.flags & flags::DISABLED == 0 && bits & needed == needed
    }
}

/// What a client says of a logger: texts without their NULs.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct LoggerTexts<'a> {
    pub(crate) flags: &'a [u8],
    pub(crate) groups: &'a [u8],
    /// Never interpreted: ring 0 has one destination, the host's log.
    pub(crate) destination: &'a [u8],
}

impl LoggerTexts<'_> {
    fn is_empty(&self) -> bool {
        self.flags.is_empty() && self.groups.is_empty() && self.destination.is_empty()
    }
}

/// Both loggers.
pub(crate) struct Loggers<H: Host> {
    both: Lock<H::SpinLock, [Option<Logger>; 2]>,
    /// How many there are, to be looked at without the lock.
    count: AtomicU32,
}

impl<H: Host> Loggers<H> {
    pub(crate) const fn new() -> Self {
        Self { both: Lock::new([None; 2]), count: AtomicU32::new(0) }
    }
}

/// What a logger says to a line.
enum Verdict {
    NoLogger,
    Silent,
    Wanted(Logger),
}

impl<H: Host> Driver<H> {
    /// Changes, creates or destroys a logger.
    ///
    /// # Errors
    /// `VERR_PERMISSION_DENIED` if the caller may not bring code into ring 0; `VERR_INVALID_PARAMETER` for
    /// texts that come with a destruction; `VERR_ACCESS_DENIED` for the end of the release logger;
    /// `VERR_NOT_FOUND` if there is no such logger, `VERR_ALREADY_EXISTS` if there is one.
    pub(crate) fn change_logger(
        &self,
        kind: LoggerKind,
        action: LoggerAction,
        texts: LoggerTexts<'_>,
    ) -> Result<(), Status> {
        if !self.host().may_see_ring0() {
            return Err(Status::VERR_PERMISSION_DENIED);
        }
        // Without the lock: texts may be long.
        let new = Logger::new(texts);
        let mut both = self.loggers().both.lock();
        let [debug, release] = &mut *both;
        let logger = match kind {
            LoggerKind::Debug => debug,
            LoggerKind::Release => release,
        };
        match action {
            LoggerAction::Settings => {
                let logger = logger.as_mut().ok_or(Status::VERR_NOT_FOUND)?;
                logger.flags = flags::changed(logger.flags, texts.flags);
                groups::change(&mut logger.groups, texts.groups);
            }
            LoggerAction::Create if logger.is_some() => return Err(Status::VERR_ALREADY_EXISTS),
            LoggerAction::Create => *logger = Some(new),
            LoggerAction::Destroy if !texts.is_empty() => {
                return Err(Status::VERR_INVALID_PARAMETER);
            }
            LoggerAction::Destroy if kind == LoggerKind::Release => {
                return Err(Status::VERR_ACCESS_DENIED);
            }
            LoggerAction::Destroy => *logger = None,
        }
        let count = both.iter().flatten().count();
        // Relaxed: a message at the same time comes before or after.
        self.loggers().count.store(u32::try_from(count).unwrap_or(2), Ordering::Relaxed);
        Ok(())
    }

    /// The settings of a logger, for everybody.
    pub(crate) fn logger_state(&self, kind: LoggerKind) -> LoggerStateOut {
        let [debug, release] = *self.loggers().both.lock();
        let logger = match kind {
            LoggerKind::Debug => debug,
            LoggerKind::Release => release,
        };
        let is_there = u32::from(logger.is_some());
        let logger = logger.unwrap_or_else(|| Logger::new(LoggerTexts::default()));
        let mut bits = [0; LOGGER_GROUPS_MAX];
        let mut names = [[0; _]; LOGGER_GROUPS_MAX];
        for (place, group) in bits.iter_mut().zip(logger.groups) {
            *place = group;
        }
        for (place, name) in names.iter_mut().zip(groups::NAMES) {
            *place = padded(name).unwrap_or_default();
        }
        LoggerStateOut {
            is_there,
            flags: logger.flags,
            group_count: u32::try_from(groups::NAMES.len()).unwrap_or(0),
            print_limit: self.host().print_limit().map_or(0, NonZeroU32::get),
            groups: bits,
            names,
        }
    }

    /// Says something that only matters to those who follow the driver; without a logger nobody does.
    #[inline]
    pub(crate) fn debug(&self, group: Group, level: u32, line: fmt::Arguments<'_>) {
        // Relaxed: see `change_logger`.
        if self.loggers().count.load(Ordering::Relaxed) != 0 {
            self.put_out(LoggerKind::Debug, group, level, line);
        }
    }

    /// The same of what happens seldom: without a logger it goes to the host's log for developers.
    pub(crate) fn note(&self, group: Group, line: fmt::Arguments<'_>) {
        self.put_out(LoggerKind::Debug, group, groups::LEVEL_1, line);
    }

    /// Tells something that is told unless the release logger says otherwise.
    pub(crate) fn inform(&self, group: Group, line: fmt::Arguments<'_>) {
        self.put_out(LoggerKind::Release, group, groups::LEVEL_1, line);
    }

    #[inline(never)]
    fn put_out(&self, kind: LoggerKind, group: Group, level: u32, line: fmt::Arguments<'_>) {
        match (self.ask_logger(kind, group, level), kind) {
            (Verdict::NoLogger, LoggerKind::Release) => self.put_own(line),
            (Verdict::NoLogger, LoggerKind::Debug) => self.host().log(LogLevel::Debug, line),
            (Verdict::Silent, _) => {}
            (Verdict::Wanted(logger), _) => {
                let prefix = Prefix::new(self.host(), &logger, group, level);
                self.put_own(format_args!("{prefix}{line}"));
            }
        }
    }

    fn ask_logger(&self, kind: LoggerKind, group: Group, level: u32) -> Verdict {
        let now = self.host().now().get();
        let mut both = self.loggers().both.lock();
        let [debug, release] = &mut *both;
        let logger = match kind {
            LoggerKind::Debug => debug,
            LoggerKind::Release => release,
        };
        match logger {
            None => Verdict::NoLogger,
            Some(logger) if logger.wants(group, level) => {
                let before = *logger;
                logger.last_ns = now;
                Verdict::Wanted(before)
            }
            Some(_) => Verdict::Silent,
        }
    }
}
