//! The kernel's log.

use core::fmt::{self, Write};

use sup_core::host::LogLevel;

use super::raw;

/// The level of lines that belong to an oops.
const DEATH: u32 = 4;

/// The longest line, in bytes.
const MAX_LINE: usize = 240;

/// Writes one line.
///
/// # Context
/// Any.
pub(crate) fn log(level: LogLevel, text: &str) {
    let level = match level {
        LogLevel::Error => 0,
        LogLevel::Warning => 1,
        LogLevel::Info => 2,
        LogLevel::Debug => 3,
    };
    write(level, text);
}

/// Writes one line that belongs to the report of an oops.
///
/// # Context
/// Any, also an NMI.
pub(crate) fn death(text: &str) {
    write(DEATH, text);
}

fn write(level: u32, text: &str) {
    let bytes = u32::try_from(text.len()).unwrap_or(u32::MAX);
    // SAFETY: the text is `bytes` initialised bytes, which the shim reads during the call only.
    unsafe { raw::supdrv_log(level, text.as_ptr(), bytes) };
}

/// A line under construction; what does not fit is cut.
pub(crate) struct Line {
    text: arrayvec::ArrayString<MAX_LINE>,
}

impl Line {
    pub(crate) fn new() -> Self {
        Self { text: arrayvec::ArrayString::new_const() }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            self.text.try_push(character).map_err(|_| fmt::Error)?;
        }
        Ok(())
    }
}
