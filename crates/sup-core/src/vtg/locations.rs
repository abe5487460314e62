//! [`Location`]: a place where a probe may fire, of 64-bit or of 32-bit code.
//!
//! Records are copied out of bytes, since what they are copies of changes while it is in use.
//!
//! Invariant: the two kinds of records differ here and nowhere else.

use sup_abi::{VTGPROBELOC, VTGPROBELOC_ENABLED, VtgProbeLoc32};
use zerocopy::FromBytes;

/// The first line number that is too much.
const LINES: u32 = 1 << 30;

/// A place where a probe may fire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Location {
    /// The line in its source file.
    pub line: u32,
    /// Address of the function's name. What is there nobody has looked at.
    pub function: u64,
    /// Index of the probe.
    pub probe: u32,
}

/// A record as it stands.
pub(super) struct Record {
    line_and_enabled: u32,
    id: u32,
    pub(super) function: u64,
    /// Address of the probe's record.
    pub(super) probe: u64,
}

impl Record {
    /// Reads a record; which of the two kinds it is, its size tells.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        if let Ok(record) = VTGPROBELOC::read_from_bytes(bytes) {
            return Some(Self {
                line_and_enabled: record.uLineAndEnabled.into_inner(),
                id: record.idProbe.into_inner(),
                function: record.pszFunction,
                probe: record.pProbe,
            });
        }
        let record = VtgProbeLoc32::read_from_bytes(bytes).ok()?;
        Some(Self {
            line_and_enabled: record.uLineAndEnabled.into_inner(),
            id: record.idProbe.into_inner(),
            function: record.pszFunction.into(),
            probe: record.pProbe.into(),
        })
    }

    pub(super) const fn line(&self) -> u32 {
        self.line_and_enabled & !VTGPROBELOC_ENABLED
    }

    /// Whether it is as nobody has touched it yet: switched off, without a number, at a line that there
    /// can be.
    pub(super) const fn is_fresh(&self) -> bool {
        self.line_and_enabled < LINES && self.id == 0
    }
}
