//! [`FlagsText`] and [`GroupText`]: the settings of a logger as texts that would make them.
//!
//! Neighbours: `flags` and `groups` read such texts. Invariant: what is written here is read as it was, on top of a
//! logger without flags and groups.

use core::fmt;

use super::{flags, groups};

/// Flags, as `tsc pid`. Bits that no name has are left out: no text makes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlagsText(pub u32);

impl fmt::Display for FlagsText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        let mut separator = "";
        for (name, bit) in flags::setting() {
            if rest & bit != 0 {
                write!(f, "{separator}{name}")?;
                separator = " ";
                rest &= !bit;
            }
        }
        Ok(())
    }
}

/// A group that is not all off, as `SUP.e.l2`; with a number if its bits have no names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupText<'a> {
    /// The group's name.
    pub name: &'a str,
    /// Which of its bits are on.
    pub bits: u32,
}

/// Which names are taken first: `e`, which is both `eo` and `l1`, then those like `l2`.
fn rank(suffix: &[u8], bits: u32) -> u32 {
    match (bits.count_ones(), suffix.len()) {
        (2, _) => 0,
        (_, 2) => 1,
        _ => 2,
    }
}

impl fmt::Display for GroupText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, bits } = *self;
        let named = groups::BITS.iter().fold(0, |all, (_, bit)| all | bit);
        if bits & !named != 0 {
            return write!(f, "{name}={bits:#x}");
        }
        f.write_str(name)?;
        let mut rest = bits;
        for wanted in 0..=2 {
            for (suffix, bits) in &groups::BITS {
                if rank(suffix, *bits) == wanted && rest & bits == *bits {
                    write!(f, ".{}", suffix.escape_ascii())?;
                    rest &= !bits;
                }
            }
        }
        // Without a suffix a name stands for level 1.
        if bits == 0 { f.write_str("=0") } else { Ok(()) }
    }
}
