//! The bytes of a trace file. All numbers are little-endian.
//!
//! A file is a prefix and sections. The prefix has 24 bytes:
//!
//! | at | bytes | what |
//! |---|---|---|
//! | 0 | 16 | [`MAGIC`] |
//! | 16 | 4 | [`VERSION`] |
//! | 20 | 4 | [`BYTE_ORDER_MARK`]: other bytes if somebody swapped them |
//!
//! Each section has a head of 32 bytes and a body:
//!
//! | at | bytes | what |
//! |---|---|---|
//! | 0 | 4 | the kind: `HEAD`, `PROB`, `BLOK` or `DONE` |
//! | 4 | 4 | of a block: its processor, below [`CPUS_MAX`]; else 0 |
//! | 8 | 4 | the bytes of the body |
//! | 12 | 4 | CRC-32 of the body |
//! | 16 | 8 | of a block: the events that this processor lost since its last block, before the first of this one |
//! | 24 | 4 | the number of the section, from 0 |
//! | 28 | 4 | CRC-32 of the 28 bytes before |
//!
//! The first section is the `HEAD`, and there is one. The `DONE` is the last; a file without one was cut.
//!
//! | section | body |
//! |---|---|
//! | `HEAD` | five words of 8 bytes: ticks a second, then at one moment the time stamp counter, `CLOCK_REALTIME` and `CLOCK_MONOTONIC` in nanoseconds, and 0; texts: host, kernel, backend, command |
//! | `PROB` | the count (4); for each probe: number (4), line (4), count of its arguments (4); texts: provider, probe, module, function, stability; for each argument: flags (4), text of its type |
//! | `BLOK` | up to [`BLOCK_EVENTS_MAX`] events of one processor, 64 bytes each: see [`Event`](crate::Event) |
//! | `DONE` | three words of 8 bytes: events, lost events, blocks |
//!
//! A text is its length in bytes (2) and UTF-8.
//!
//! Neighbours: `write.rs` and `read.rs` are the two who know this. Invariant: what a head says is believed
//! only if its checksum holds and it keeps the limits of its kind.

use std::fmt;

/// How a file begins. The last four show what a transfer as text would have spoiled.
pub(crate) const MAGIC: [u8; 16] = *b"supdrv-trace\r\n\x1a\n";
/// The version of the format.
pub(crate) const VERSION: u32 = 1;
/// Says that the bytes are in their order.
pub(crate) const BYTE_ORDER_MARK: u32 = 0x0102_0304;
/// The bytes before the first section.
pub(crate) const PREFIX_BYTES: u64 = 24;
/// The bytes of a section's head.
pub(crate) const HEAD_BYTES: usize = 32;
/// The most events of a block.
pub const BLOCK_EVENTS_MAX: usize = 1024;
/// Processors have smaller numbers than this.
pub const CPUS_MAX: u16 = 4096;
/// The longest body of a section that is no block.
pub(crate) const TABLE_BYTES_MAX: usize = 1 << 20;
/// The most probes of a file.
pub(crate) const PROBES_MAX: usize = 1 << 16;
/// The longest text; as long as VTG's names, and a rest of its last character.
pub(crate) const TEXT_BYTES_MAX: usize = 4096;
/// The most arguments of a probe, as in VTG objects.
pub(crate) const PROBE_ARGS_MAX: usize = 16;

/// What a section is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Header,
    Probes,
    Block,
    End,
}

impl Kind {
    fn tag(self) -> [u8; 4] {
        match self {
            Self::Header => *b"HEAD",
            Self::Probes => *b"PROB",
            Self::Block => *b"BLOK",
            Self::End => *b"DONE",
        }
    }

    fn of(tag: [u8; 4]) -> Option<Self> {
        [Self::Header, Self::Probes, Self::Block, Self::End]
            .into_iter()
            .find(|kind| kind.tag() == tag)
    }
}

/// The head of a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) kind: Kind,
    pub(crate) cpu: u16,
    pub(crate) body_bytes: usize,
    pub(crate) body_crc: u32,
    pub(crate) lost: u64,
    pub(crate) number: u32,
}

impl Head {
    pub(crate) fn to_bytes(self) -> [u8; HEAD_BYTES] {
        let mut bytes = [0; HEAD_BYTES];
        bytes[..4].copy_from_slice(&self.kind.tag());
        bytes[4..6].copy_from_slice(&self.cpu.to_le_bytes());
        bytes[8..12].copy_from_slice(&(self.body_bytes as u32).to_le_bytes());
        bytes[12..16].copy_from_slice(&self.body_crc.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.lost.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.number.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..28]);
        bytes[28..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The head that these bytes are; `None` if they are none, or one beyond the limits.
    pub(crate) fn from_bytes(bytes: &[u8; HEAD_BYTES]) -> Option<Self> {
        let mut fields = Fields::new(bytes);
        let kind = Kind::of(fields.array()?);
        let (cpu, body_bytes) = (fields.u32()?, fields.u32()? as usize);
        let (body_crc, lost, number) = (fields.u32()?, fields.u64()?, fields.u32()?);
        if fields.u32()? != crc32fast::hash(&bytes[..28]) {
            return None;
        }
        let kind = kind?;
        let cpu = u16::try_from(cpu).ok().filter(|&cpu| cpu < CPUS_MAX)?;
        let keeps_limits = match kind {
            Kind::Block => {
                body_bytes.is_multiple_of(crate::EVENT_BYTES)
                    && body_bytes <= BLOCK_EVENTS_MAX * crate::EVENT_BYTES
            }
            Kind::Header | Kind::Probes | Kind::End => body_bytes <= TABLE_BYTES_MAX,
        };
        keeps_limits.then_some(Self { kind, cpu, body_bytes, body_crc, lost, number })
    }
}

/// Appends a text, as far as it may be long.
pub(crate) fn put_text(bytes: &mut Vec<u8>, text: &str) {
    let text = text.get(..text.floor_char_boundary(TEXT_BYTES_MAX)).unwrap_or_default();
    bytes.extend_from_slice(&(text.len() as u16).to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

/// Takes fields off the front of bytes; `None` once they do not suffice.
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

impl fmt::Debug for Fields<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fields({} bytes)", self.rest.len())
    }
}

impl<'a> Fields<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn array<const BYTES: usize>(&mut self) -> Option<[u8; BYTES]> {
        let (first, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*first)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn text(&mut self) -> Option<String> {
        let bytes = usize::from(self.array().map(u16::from_le_bytes)?);
        let (text, rest) = self.rest.split_at_checked(bytes)?;
        self.rest = rest;
        std::str::from_utf8(text)
            .ok()
            .filter(|text| text.len() <= TEXT_BYTES_MAX)
            .map(str::to_owned)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }
}
