//! [`Header`] and [`Probe`]: what a file says about its recording and its probes.
//!
//! Neighbours: `format.rs` has the layout. Invariant: what was decoded keeps the limits of the format, so
//! that it can be written again.

use crate::format::{Fields, PROBE_ARGS_MAX, put_text};

/// About a recording.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Header {
    /// Ticks of the time stamp counter a second; 0 is read as 1.
    pub tsc_hz: u64,
    /// The time stamp counter at the moment of the next two.
    pub anchor_tsc: u64,
    /// What `CLOCK_REALTIME` said then.
    pub anchor_realtime_ns: u64,
    /// What `CLOCK_MONOTONIC` said then.
    pub anchor_monotonic_ns: u64,
    /// The name of the machine.
    pub host: String,
    /// The release of its kernel.
    pub kernel: String,
    /// The driver's backend.
    pub backend: String,
    /// The command that was recorded, or that recorded.
    pub command: String,
}

impl Header {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let times = [self.anchor_tsc, self.anchor_realtime_ns, self.anchor_monotonic_ns, 0];
        for word in [self.tsc_hz].into_iter().chain(times) {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        for text in [&self.host, &self.kernel, &self.backend, &self.command] {
            put_text(&mut bytes, text);
        }
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields::new(bytes);
        let [tsc_hz, anchor_tsc, anchor_realtime_ns, anchor_monotonic_ns, _reserved] =
            [fields.u64()?, fields.u64()?, fields.u64()?, fields.u64()?, fields.u64()?];
        Some(Self {
            tsc_hz,
            anchor_tsc,
            anchor_realtime_ns,
            anchor_monotonic_ns,
            host: fields.text()?,
            kernel: fields.text()?,
            backend: fields.text()?,
            command: fields.text()?,
        })
    }
}

/// A probe of a recording.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Probe {
    /// Its number in events.
    pub id: u32,
    /// The provider's name.
    pub provider: String,
    /// Its own name.
    pub probe: String,
    /// The module in which it fires.
    pub module: String,
    /// The function in which it fires.
    pub function: String,
    /// The line in the source.
    pub line: u32,
    /// How stable name and arguments are, in words.
    pub stability: String,
    /// At most 16 are kept.
    pub arguments: Vec<Argument>,
}

/// An argument of a probe.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Argument {
    /// The text of the type.
    pub type_text: String,
    /// `VTG_TYPE_` flags, with the size in the low byte.
    pub flags: u32,
}

impl Probe {
    pub(crate) fn encode(&self, bytes: &mut Vec<u8>) {
        let arguments = self.arguments.iter().take(PROBE_ARGS_MAX);
        for number in [self.id, self.line, arguments.len() as u32] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        for text in [&self.provider, &self.probe, &self.module, &self.function, &self.stability] {
            put_text(bytes, text);
        }
        for argument in arguments {
            bytes.extend_from_slice(&argument.flags.to_le_bytes());
            put_text(bytes, &argument.type_text);
        }
    }

    pub(crate) fn decode(fields: &mut Fields<'_>) -> Option<Self> {
        let (id, line, arguments) = (fields.u32()?, fields.u32()?, fields.u32()? as usize);
        if arguments > PROBE_ARGS_MAX {
            return None;
        }
        let mut probe = Self {
            id,
            line,
            provider: fields.text()?,
            probe: fields.text()?,
            module: fields.text()?,
            function: fields.text()?,
            stability: fields.text()?,
            arguments: Vec::new(),
        };
        for _ in 0..arguments {
            let flags = fields.u32()?;
            probe.arguments.push(Argument { flags, type_text: fields.text()? });
        }
        Some(probe)
    }
}
