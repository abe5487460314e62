//! The packet of the request on loggers.

use num_enum::{IntoPrimitive, TryFromPrimitive};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Bytes of texts that one request can carry: its size is part of its number.
pub const LOGGER_STRING_BYTES_MAX: usize = 16_339;

/// Groups of messages that an answer has room for.
pub const LOGGER_GROUPS_MAX: usize = 8;

/// Which of the driver's loggers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, TryFromPrimitive, IntoPrimitive)]
#[repr(u32)]
pub enum LoggerKind {
    /// Corresponds to `SUPLOGGER_DEBUG`.
    Debug = 0,
    /// Corresponds to `SUPLOGGER_RELEASE`.
    Release = 1,
}

/// What to do with a logger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, TryFromPrimitive, IntoPrimitive)]
#[repr(u32)]
pub enum LoggerAction {
    /// Change its settings.
    Settings = 0,
    /// Create it.
    Create = 1,
    /// Destroy it.
    Destroy = 2,
}

packets! {
    /// Input of [`LoggerSettings`](crate::request::LoggerSettings); behind it texts, each terminated.
    LoggerSettingsIn (20) {
        /// A [`LoggerKind`].
        which: u32,
        /// A [`LoggerAction`].
        what: u32,
        /// Where the flags are among the texts.
        flags_offset: u32,
        /// Where the groups are.
        groups_offset: u32,
        /// Where the destination is.
        destination_offset: u32,
    }

    /// Input of [`LoggerState`](crate::request::LoggerState).
    LoggerStateIn (4) {
        /// A [`LoggerKind`].
        which: u32,
    }

    /// Output of [`LoggerState`](crate::request::LoggerState).
    LoggerStateOut (176) {
        /// 1 if it is there; else it has no flags, and all groups are off.
        is_there: u32,
        /// Its flags, as the specification numbers them.
        flags: u32,
        /// How many groups of messages there are.
        group_count: u32,
        /// Lines a second that each printer of messages has; 0 for as many as come.
        print_limit: u32,
        /// The bits of so many groups, and then zeros.
        groups: [u32; LOGGER_GROUPS_MAX],
        /// Their names, each with a NUL behind it.
        names: [[u8; 16]; LOGGER_GROUPS_MAX],
    }
}
