//! Names and the UUID of an object, computed by the compiler.
//!
//! The assembler writes the object, and takes numbers only: a name reaches it as the words of its bytes.
//! Invariant: what a name here is accepted for the driver's validator accepts.

/// Words that a name takes in the string table.
pub const NAME_WORDS: usize = 8;
/// Bytes of the longest name, without the zeros behind it.
const NAME_BYTES_MAX: usize = NAME_WORDS * 8 - 1;

/// A probe's name: `__`, unless a third follows, stands for `-`.
#[must_use]
pub const fn probe_name(name: &str) -> [u64; NAME_WORDS] {
    let name = name.as_bytes();
    let mut bytes = [0; NAME_BYTES_MAX + 1];
    let (mut from, mut to) = (0, 0);
    while from < name.len() {
        let is_dash = at(name, from) == b'_' && at(name, from + 1) == b'_';
        assert!(to < NAME_BYTES_MAX, "a probe's name has at most 63 bytes");
        if is_dash && at(name, from + 2) != b'_' {
            bytes[to] = b'-';
            from += 1;
        } else {
            bytes[to] = name[from];
        }
        from += 1;
        to += 1;
    }
    words(&bytes)
}

/// A provider's name. A digit at its end would run into the process id that the driver appends.
#[must_use]
pub const fn provider_name(name: &str) -> [u64; NAME_WORDS] {
    let name = name.as_bytes();
    assert!(
        !name.is_empty() && name.len() <= NAME_BYTES_MAX,
        "a provider's name has 1 to 63 bytes"
    );
    assert!(!name[name.len() - 1].is_ascii_digit(), "a provider's name does not end in a digit");
    let mut bytes = [0; NAME_BYTES_MAX + 1];
    let mut index = 0;
    while index < name.len() {
        let byte = name[index];
        let is_allowed = byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        assert!(is_allowed, "a provider's name has letters, digits, `_` and `-`");
        bytes[index] = byte;
        index += 1;
    }
    words(&bytes)
}

const fn at(bytes: &[u8], index: usize) -> u8 {
    if index < bytes.len() { bytes[index] } else { 0 }
}

const fn words(bytes: &[u8; NAME_BYTES_MAX + 1]) -> [u64; NAME_WORDS] {
    let mut words = [0; NAME_WORDS];
    let mut index = 0;
    while index < bytes.len() {
        words[index / 8] |= (bytes[index] as u64) << (index % 8 * 8);
        index += 1;
    }
    words
}

/// Half of the UUID: FNV-1a over all texts, from a start that differs for the two halves. Never 0.
#[must_use]
pub const fn uuid_half(half: u64, texts: &[&str]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325 ^ half;
    let mut index = 0;
    while index < texts.len() {
        let text = texts[index].as_bytes();
        let mut place = 0;
        while place < text.len() {
            hash = (hash ^ text[place] as u64).wrapping_mul(0x100_0000_01b3);
            place += 1;
        }
        // The end of a text counts, so that it matters which of two texts a letter is in.
        hash = (hash ^ 0xff).wrapping_mul(0x100_0000_01b3);
        index += 1;
    }
    hash | 1
}

/// Whether two texts are equal.
#[must_use]
pub const fn is_same(left: &str, right: &str) -> bool {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    let mut index = 0;
    while index < left.len() && index < right.len() && left[index] == right[index] {
        index += 1;
    }
    index == left.len() && index == right.len()
}
