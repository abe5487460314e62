//! The groups of messages: their names, and the text that switches them.
//!
//! Source: specification 6.5, with its quirks: `*` jumps to the first place where the next character is,
//! and never tries another; a suffix is read beyond the end of its token. No text is an error, so strings
//! that name groups of other programs work here for those that are here.

use super::flags::skip;

/// A message is put out if its level's bits are on. Corresponds to `enabledonly`.
pub(crate) const ENABLED: u32 = 0x1;
/// What matters. Corresponds to `level1`.
pub(crate) const LEVEL_1: u32 = 0x2;
/// What helps to follow. Corresponds to `level2`.
pub(crate) const LEVEL_2: u32 = 0x4;

/// What a message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Group {
    /// Sessions.
    Sup = 1,
    /// The driver: modules, the tracer, the clock.
    SupDrv = 2,
}

/// Names of the groups, each at its number.
pub const NAMES: [&str; 3] = ["DEFAULT", "SUP", "SUP_DRV"];

/// The bits that are on in each group.
pub type Groups = [u32; NAMES.len()];

/// Names of bits in a suffix.
pub(super) const BITS: [(&[u8], u32); 36] = [
    (b"eo", 1),
    (b"enabledonly", 1),
    (b"e", 3),
    (b"enabled", 3),
    (b"l1", LEVEL_1),
    (b"level1", LEVEL_1),
    (b"l", LEVEL_2),
    (b"l2", LEVEL_2),
    (b"level2", LEVEL_2),
    (b"l3", 8),
    (b"level3", 8),
    (b"l4", 0x10),
    (b"level4", 0x10),
    (b"l5", 0x20),
    (b"level5", 0x20),
    (b"l6", 0x40),
    (b"level6", 0x40),
    (b"f", 0x80),
    (b"flow", 0x80),
    (b"restrict", 0x100),
    (b"lelik", 0x1_0000),
    (b"michael", 0x2_0000),
    (b"sunlover", 0x4_0000),
    (b"achim", 0x8_0000),
    (b"achimha", 0x8_0000),
    (b"s", 0x10_0000),
    (b"sander", 0x10_0000),
    (b"sandervl", 0x10_0000),
    (b"klaus", 0x20_0000),
    (b"frank", 0x40_0000),
    (b"b", 0x80_0000),
    (b"bird", 0x80_0000),
    (b"aleksey", 0x100_0000),
    (b"dj", 0x200_0000),
    (b"n", 0x400_0000),
    (b"noname", 0x400_0000),
];

/// Changes the groups as a text says.
pub fn change(groups: &mut Groups, text: &[u8]) {
    let mut rest = text;
    loop {
        let mut enables = true;
        while let Some((first, after)) = rest.split_first() {
            match first {
                b'-' => enables = false,
                b'+' | b';' => enables = true,
                b' ' | b'\t' | b'\n' => {}
                _ => break,
            }
            rest = after;
        }
        let length = rest.iter().take_while(|byte| !b"+- \t".contains(byte)).count();
        let Some((token, after)) = rest.split_at_checked(length).filter(|_| length != 0) else {
            return;
        };
        for (bits, name) in groups.iter_mut().zip(NAMES) {
            let end = all(token).or_else(|| matched(token, name.as_bytes()));
            if let Some(end) = end {
                let mask = mask(rest.get(end..).unwrap_or_default());
                *bits = if enables { *bits | mask } else { *bits & !mask };
            }
        }
        rest = after;
    }
}

/// Where the pattern of a token for every group ends.
fn all(token: &[u8]) -> Option<usize> {
    let (word, after) = token.split_at_checked(3)?;
    let is_whole = matches!(after.first(), None | Some(b'.' | b'='));
    (word.eq_ignore_ascii_case(b"all") && is_whole).then_some(3)
}

/// Where the pattern of a token ends that fits a name.
fn matched(token: &[u8], name: &[u8]) -> Option<usize> {
    let is_end = |byte: Option<&u8>| matches!(byte, None | Some(b'.' | b'='));
    let (mut at, mut rest) = (0_usize, name);
    loop {
        let character = token.get(at);
        if character == Some(&b'*') {
            at = at.saturating_add(1);
            let next = token.get(at);
            if is_end(next) {
                return Some(at);
            }
            let next = next?;
            let place = |wanted: u8| rest.iter().position(|byte| *byte == wanted);
            let jump =
                place(next.to_ascii_lowercase()).or_else(|| place(next.to_ascii_uppercase()));
            rest = rest.get(jump?..)?;
            continue;
        }
        if is_end(character) {
            return rest.is_empty().then_some(at);
        }
        let (first, after) = rest.split_first()?;
        if !first.eq_ignore_ascii_case(character?) {
            return None;
        }
        (at, rest) = (at.saturating_add(1), after);
    }
}

/// The bits that a suffix names; those of level 1 if there is none.
fn mask(suffix: &[u8]) -> u32 {
    let mut rest = suffix;
    let mut mask = if rest.first() == Some(&b'.') { 0 } else { ENABLED | LEVEL_1 };
    while let Some(after) = rest.strip_prefix(b".") {
        let length = after.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
        let (word, tail) = after.split_at_checked(length).unwrap_or_default();
        let Some((_, bits)) = BITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)) else {
            return mask;
        };
        mask |= bits;
        rest = tail;
    }
    match rest.strip_prefix(b"=") {
        Some(rest) => match rest.strip_prefix(b"~") {
            Some(rest) => !number(rest),
            None => number(rest),
        },
        None => mask,
    }
}

/// The number that a text starts with, as C reads one; its low 32 bits.
fn number(text: &[u8]) -> u32 {
    let mut rest = skip(text, super::flags::is_space);
    let mut is_negative = false;
    if let Some((sign @ (b'-' | b'+'), after)) = rest.split_first() {
        (is_negative, rest) = (*sign == b'-', after);
    }
    let hex = rest.strip_prefix(b"0x").or_else(|| rest.strip_prefix(b"0X"));
    let (digits, radix) = match (hex, rest.first()) {
        (Some(digits), _) => (digits, 16),
        (None, Some(b'0')) => (rest, 8),
        (None, _) => (rest, 10),
    };
    let value = digits
        .iter()
        .map_while(|digit| char::from(*digit).to_digit(radix))
        .fold(0_u32, |value, digit| value.wrapping_mul(radix).wrapping_add(digit));
    if is_negative { value.wrapping_neg() } else { value }
}
