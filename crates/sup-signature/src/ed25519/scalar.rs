//! [`Scalar`]: a number modulo the order of the group, 2²⁵² + 27742317777372353535851937790883648493.

use super::field::is_below;

/// The order, little-endian.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// The same in words.
const ORDER_WORDS: [u64; 4] =
    [0x5812_631a_5cf5_d3ed, 0x14de_f9de_a2f7_9cd6, 0, 0x1000_0000_0000_0000];

/// A number below the order of the group, little-endian words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scalar([u64; 4]);

/// The digits of a scalar, the lowest first: each is 0 or odd and between -7 and 7, and of four in a row
/// at most one is not 0.
pub(super) type Digits = [i8; 256];

impl Scalar {
    /// The number of little-endian `bytes`; `None` if it is not below the order.
    pub(super) fn canonical(bytes: &[u8; 32]) -> Option<Self> {
        if !is_below(bytes, &ORDER) {
            return None;
        }
        let mut words = [0; 4];
        for (word, chunk) in words.iter_mut().zip(bytes.as_chunks().0) {
            *word = u64::from_le_bytes(*chunk);
        }
        Some(Self(words))
    }

    /// The remainder of a number of little-endian `bytes`, bit by bit from the highest: at most one
    /// subtraction each, since the remainder so far is below the order.
    #[inline(never)]
    pub(super) fn reduced(bytes: &[u8; 64]) -> Self {
        let mut words = [0; 4];
        for byte in bytes.iter().rev() {
            for bit in (0..8).rev() {
                shift_in(&mut words, u64::from((byte >> bit) & 1));
                if let Some(less) = minus_order(&words) {
                    words = less;
                }
            }
        }
        Self(words)
    }

    /// The digits.
    #[inline(never)]
    pub(super) fn digits(&self) -> Digits {
        let mut digits = [0; 256];
        let Self(mut rest) = *self;
        for digit in &mut digits {
            let [low, ..] = rest;
            if low & 1 == 1 {
                // The lowest four bits as a number between -8 and 7; odd, hence not -8.
                let value = (low & 0xf) as i8;
                *digit = if value < 8 { value } else { value.wrapping_sub(16) };
                // What is subtracted here is below zero for a negative digit: a carry to the rest.
                rest = minus_small(&rest, *digit);
            }
            halve(&mut rest);
        }
        digits
    }
}

/// Doubles a number below 2²⁵⁵ and adds a bit.
fn shift_in(words: &mut [u64; 4], bit: u64) {
    let mut carry = bit;
    for word in words {
        let out = *word >> 63;
        *word = (*word << 1) | carry;
        carry = out;
    }
}

fn halve(words: &mut [u64; 4]) {
    let mut carry = 0;
    for word in words.iter_mut().rev() {
        let out = *word << 63;
        *word = (*word >> 1) | carry;
        carry = out;
    }
}

/// The number without the order; `None` if it is below it.
fn minus_order(words: &[u64; 4]) -> Option<[u64; 4]> {
    let mut difference = [0; 4];
    let mut borrow = false;
    for ((out, word), order) in difference.iter_mut().zip(words).zip(&ORDER_WORDS) {
        let (first, is_less) = word.overflowing_sub(*order);
        let (second, is_less_still) = first.overflowing_sub(u64::from(borrow));
        *out = second;
        borrow = is_less || is_less_still;
    }
    (!borrow).then_some(difference)
}

/// The number without a small one, whose lowest bits it has, or which is negative.
fn minus_small(words: &[u64; 4], small: i8) -> [u64; 4] {
    let mut result = *words;
    let mut carry = u64::from(small.unsigned_abs());
    for word in &mut result {
        let (value, over) =
            if small < 0 { word.overflowing_add(carry) } else { word.overflowing_sub(carry) };
        *word = value;
        carry = u64::from(over);
    }
    result
}
