//! [`Value`]: what an argument's word means by the flags of its type.
//!
//! Neighbours: the flags are those of VTG objects, `sup-abi/src/vtg.rs`. Invariant: every word with every flags
//! is a value; only the bytes that the type has count.

use sup_abi::{
    VTG_TYPE_FIXED_SIZED, VTG_TYPE_PHYS, VTG_TYPE_POINTER, VTG_TYPE_SIGNED, VTG_TYPE_SIZE_MASK,
};

use crate::event::ARGS_MAX;
use crate::header::Probe;

/// What an argument is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value {
    Unsigned(u64),
    Signed(i64),
    Address(u64),
}

impl Value {
    pub(crate) fn of(word: u64, flags: u32) -> Self {
        if flags & (VTG_TYPE_POINTER | VTG_TYPE_PHYS) != 0 {
            return Self::Address(word);
        }
        let bytes = if flags & VTG_TYPE_FIXED_SIZED != 0 { flags & VTG_TYPE_SIZE_MASK } else { 8 };
        let unused_bits = match bytes {
            1..8 => 64 - 8 * bytes,
            _ => 0,
        };
        let shifted = word << unused_bits;
        if flags & VTG_TYPE_SIGNED != 0 {
            Self::Signed(shifted.cast_signed() >> unused_bits)
        } else {
            Self::Unsigned(shifted >> unused_bits)
        }
    }
}

/// What the arguments of a probe are called, `arg0 uint32_t`, and their flags; those that events keep.
pub(crate) fn arguments(probe: &Probe) -> impl Iterator<Item = (String, u32)> {
    let arguments = probe.arguments.iter().take(ARGS_MAX).enumerate();
    arguments.map(|(index, argument)| {
        (format!("arg{index} {}", argument.type_text).trim_end().to_owned(), argument.flags)
    })
}

/// The text of a JSON string, with its quotes.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            control if control < ' ' => {
                quoted.push_str(&format!("\\u{:04x}", u32::from(control)));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_bytes_of_the_type_count() {
        let fixed = VTG_TYPE_FIXED_SIZED;
        let signed = fixed | VTG_TYPE_SIGNED;
        assert_eq!(Value::of(0xffff_fff0, signed | 4), Value::Signed(-16));
        assert_eq!(Value::of(0xff_ffff_fff0, signed | 4), Value::Signed(-16));
        assert_eq!(Value::of(0xff_ffff_fff0, fixed | 4), Value::Unsigned(0xffff_fff0));
        assert_eq!(Value::of(u64::MAX, fixed | 1), Value::Unsigned(255));
        assert_eq!(Value::of(u64::MAX, signed | 8), Value::Signed(-1));
        assert_eq!(Value::of(u64::MAX, 0), Value::Unsigned(u64::MAX));
        assert_eq!(Value::of(5, VTG_TYPE_POINTER | 8), Value::Address(5));
        for bytes in 0..=255 {
            let _ = Value::of(u64::MAX, fixed | bytes);
        }
    }
}
