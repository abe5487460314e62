//! [`log!`](crate::log): a line in the driver's log.
//!
//! Neighbours: `panic` writes its last words the same way. Invariant: the text is formatted on the stack,
//! and cut where the driver would cut it.

use core::fmt;

/// The longest text, in bytes: that of `SUPR0Printf`.
const MAX_TEXT: usize = 510;

/// Writes a line to the driver's log, formatted as by `format!`. Corresponds to `SUPR0Printf`.
///
/// Of a module's lines twenty a second are put out, two hundred at once; the others are counted, and the driver
/// tells how many (docs/logger.md).
///
/// # Context
/// Any.
#[macro_export]
macro_rules! log {
    ($($argument:tt)*) => {
        $crate::write(::core::format_args!($($argument)*))
    };
}

/// Text of bounded length. What does not fit is cut off.
#[derive(Debug, Default)]
pub(crate) struct Text(arrayvec::ArrayVec<u8, MAX_TEXT>);

impl Text {
    pub(crate) fn new(arguments: fmt::Arguments<'_>) -> Self {
        let mut text = Self::default();
        // A text that is full is cut.
        let _ = fmt::write(&mut text, arguments);
        text
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Write for Text {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        part.bytes().try_for_each(|byte| self.0.try_push(byte).map_err(|_| fmt::Error))
    }
}

/// Writes a line to the driver's log.
#[cfg(target_os = "none")]
pub fn write(arguments: fmt::Arguments<'_>) {
    let text = Text::new(arguments);
    let bytes = text.as_bytes();
    // SAFETY: the format takes a length and as many bytes, which are there; the length is at most 510.
    unsafe {
        crate::raw::SUPR0Printf(c"%.*s\n".as_ptr(), bytes.len() as i32, bytes.as_ptr());
    }
}

/// Writes a line to the driver's log, which the host does not have: the text is formatted all the same.
#[cfg(not(target_os = "none"))]
pub fn write(arguments: fmt::Arguments<'_>) {
    let _ = Text::new(arguments).as_bytes();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut() {
        let long = "x".repeat(MAX_TEXT);
        assert_eq!(Text::new(format_args!("{long}y")).as_bytes(), long.as_bytes());
        assert_eq!(Text::new(format_args!("{}-{}", 1, 2)).as_bytes(), b"1-2");
    }
}
