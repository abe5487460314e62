//! The flags of a logger: their bits, and the text that changes them.
//!
//! Source: specification 6.5, with its quirks: separators are optional, the first name in the order of
//! [`NAMES`] that fits is taken, and `+` negates. No text is an error.

/// Nothing is put out. Corresponds to `disabled`.
pub(crate) const DISABLED: u32 = 0x1;
/// Time stamps tell what has passed since the line before.
pub(crate) const RELATIVE: u32 = 0x40;
/// Time stamps are decimal.
pub(crate) const DECIMAL: u32 = 0x80;
/// Prefix: locks held by the thread, which ring 0 does not know.
pub(crate) const LOCK_COUNTS: u32 = 0x8000;
/// Prefix: the processor.
pub(crate) const CPU: u32 = 0x1_0000;
/// Prefix: the process.
pub(crate) const PROCESS: u32 = 0x2_0000;
/// Prefix: the bits of the message's level.
pub(crate) const LEVEL_NUMBER: u32 = 0x4_0000;
/// Prefix: the number of the message's group.
pub(crate) const GROUP_NUMBER: u32 = 0x10_0000;
/// Prefix: the name of the message's level.
pub(crate) const LEVEL: u32 = 0x20_0000;
/// Prefix: the thread's number.
pub(crate) const THREAD_ID: u32 = 0x40_0000;
/// Prefix: the thread's name, `R0` in ring 0.
pub(crate) const THREAD: u32 = 0x80_0000;
/// Prefix: the time of day of the monotonic clock.
pub(crate) const TIME: u32 = 0x800_0000;
/// Prefix: milliseconds of the program, 0 in ring 0.
pub(crate) const PROGRAM_MS: u32 = 0x1000_0000;
/// Prefix: the time stamp counter.
pub(crate) const TSC: u32 = 0x2000_0000;
/// Prefix: nanoseconds.
pub(crate) const TIME_STAMP: u32 = 0x4000_0000;

/// What a name does with its bit when nothing negates it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sense {
    Sets,
    Clears,
}

use Sense::{Clears, Sets};

/// In the order in which they are tried.
const NAMES: [(&[u8], u32, Sense); 30] = [
    (b"disabled", DISABLED, Sets),
    (b"enabled", DISABLED, Clears),
    (b"buffered", 0x2, Sets),
    (b"unbuffered", 0x2, Clears),
    (b"usecrlf", 0x10, Sets),
    (b"uself", 0x10, Clears),
    (b"append", 0x20, Sets),
    (b"overwrite", 0x20, Clears),
    (b"rel", RELATIVE, Sets),
    (b"abs", RELATIVE, Clears),
    (b"dec", DECIMAL, Sets),
    (b"hex", DECIMAL, Clears),
    (b"writethru", 0x100, Sets),
    (b"writethrough", 0x100, Sets),
    (b"flush", 0x200, Sets),
    (b"lockcnts", LOCK_COUNTS, Sets),
    (b"cpuid", CPU, Sets),
    (b"pid", PROCESS, Sets),
    (b"flagno", LEVEL_NUMBER, Sets),
    (b"flag", 0x8_0000, Sets),
    (b"groupno", GROUP_NUMBER, Sets),
    (b"group", LEVEL, Sets),
    (b"tid", THREAD_ID, Sets),
    (b"thread", THREAD, Sets),
    (b"custom", 0x100_0000, Sets),
    (b"timeprog", 0x400_0000, Sets),
    (b"time", TIME, Sets),
    (b"msprog", PROGRAM_MS, Sets),
    (b"tsc", TSC, Sets),
    (b"ts", TIME_STAMP, Sets),
];

pub(super) const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

pub(super) fn skip(text: &[u8], is_it: impl Fn(u8) -> bool) -> &[u8] {
    let length = text.iter().take_while(|byte| is_it(**byte)).count();
    text.get(length..).unwrap_or_default()
}

/// The names that set a bit, the first of each bit, with the bit.
pub(super) fn setting() -> impl Iterator<Item = (&'static str, u32)> {
    let names = NAMES.iter().filter(|(_, _, sense)| *sense == Sets);
    names.map(|(name, bit, _)| (core::str::from_utf8(name).unwrap_or_default(), *bit))
}

/// The flags as a text changes them.
pub fn changed(mut flags: u32, text: &[u8]) -> u32 {
    let mut rest = skip(text, is_space);
    while !rest.is_empty() {
        let (is_negated, after) = negation(rest);
        rest = after;
        match NAMES
            .iter()
            .find_map(|(name, bit, sense)| Some((rest.strip_prefix(*name)?, bit, sense)))
        {
            Some((after, bit, sense)) => {
                let sets = is_negated == (*sense == Clears);
                flags = if sets { flags | bit } else { flags & !bit };
                rest = after;
            }
            // One character that starts no name.
            None => rest = rest.get(1..).unwrap_or_default(),
        }
        rest = skip(rest, |byte| is_space(byte) || byte == b';');
    }
    flags
}

/// What stands before a name, and whether that negates it.
fn negation(mut text: &[u8]) -> (bool, &[u8]) {
    let mut is_negated = false;
    loop {
        if let Some(rest) = text.strip_prefix(b"no") {
            (is_negated, text) = (!is_negated, rest);
            continue;
        }
        match text.split_first() {
            Some((b'-' | b'!' | b'~', rest)) => (is_negated, text) = (!is_negated, rest),
            // The original's quirk, from whatever state.
            Some((b'+', rest)) => (is_negated, text) = (true, rest),
            _ => return (is_negated, text),
        }
    }
}
