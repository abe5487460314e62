//! [`TraceWriter`]: writes a trace file from front to back.
//!
//! Neighbours: `read.rs` reads it. Invariant: what was written is a file that can be read up to its last whole
//! section, whenever the writer dies; [`TraceWriter::finish`] alone makes it whole.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};

use crate::event::{self, EVENT_BYTES, Event};
use crate::format::{
    BLOCK_EVENTS_MAX, BYTE_ORDER_MARK, CPUS_MAX, Head, Kind, MAGIC, PROBES_MAX, TABLE_BYTES_MAX,
    VERSION,
};
use crate::header::{Header, Probe};

/// Why something is not in the file.
#[derive(Debug)]
pub enum WriteError {
    /// The file takes no more.
    Io(io::Error),
    /// A processor whose number is too high for a file.
    Cpu(u16),
    /// More probes than a file can have.
    Probes,
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Cpu(cpu) => write!(f, "processor {cpu}: a trace file has {CPUS_MAX} at most"),
            Self::Probes => write!(f, "a trace file has {PROBES_MAX} probes at most"),
        }
    }
}

impl std::error::Error for WriteError {}

impl From<io::Error> for WriteError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// What a processor has that is not in the file yet.
#[derive(Debug, Default)]
struct Pending {
    body: Vec<u8>,
    /// Before the first event of `body`.
    lost: u64,
}

/// Writes a trace file. It keeps up to 64 KiB for each processor; give it a writer that makes large writes of
/// small ones, or none: a block is two writes.
#[derive(Debug)]
pub struct TraceWriter<W: Write> {
    output: W,
    cpus: BTreeMap<u16, Pending>,
    probes: usize,
    sections: u32,
    events: u64,
    lost: u64,
    blocks: u64,
}

impl<W: Write> TraceWriter<W> {
    /// Begins a file.
    ///
    /// # Errors
    ///
    /// The output takes no more.
    pub fn new(mut output: W, header: &Header) -> Result<Self, WriteError> {
        output.write_all(&MAGIC)?;
        output.write_all(&VERSION.to_le_bytes())?;
        output.write_all(&BYTE_ORDER_MARK.to_le_bytes())?;
        let mut writer = Self {
            output,
            cpus: BTreeMap::new(),
            probes: 0,
            sections: 0,
            events: 0,
            lost: 0,
            blocks: 0,
        };
        writer.section(Kind::Header, 0, 0, &header.encode())?;
        Ok(writer)
    }

    /// Adds probes to the table, at any time. Of two with one number the last one counts.
    ///
    /// # Errors
    ///
    /// There are too many, or the output takes no more.
    pub fn probes(&mut self, probes: &[Probe]) -> Result<(), WriteError> {
        if self.probes.saturating_add(probes.len()) > PROBES_MAX {
            return Err(WriteError::Probes);
        }
        self.probes += probes.len();
        let (mut count, mut table, mut probe_bytes) = (0_u32, Vec::new(), Vec::new());
        for probe in probes {
            probe_bytes.clear();
            probe.encode(&mut probe_bytes);
            if 4 + table.len() + probe_bytes.len() > TABLE_BYTES_MAX {
                self.table(count, &table)?;
                (count, table) = (0, Vec::new());
            }
            count += 1;
            table.extend_from_slice(&probe_bytes);
        }
        self.table(count, &table)
    }

    fn table(&mut self, count: u32, table: &[u8]) -> Result<(), WriteError> {
        if count == 0 {
            return Ok(());
        }
        let body = [&count.to_le_bytes(), table].concat();
        self.section(Kind::Probes, 0, 0, &body)
    }

    /// Adds an event. Those of one processor have to come about in the order of time: the reader sorts
    /// those of a block, not blocks.
    ///
    /// # Errors
    ///
    /// The processor's number is too high, or the output takes no more.
    pub fn event(&mut self, event: &Event) -> Result<(), WriteError> {
        let pending = self.pending(event.cpu)?;
        pending.body.extend_from_slice(&event::to_bytes(event));
        let is_full = pending.body.len() >= BLOCK_EVENTS_MAX * EVENT_BYTES;
        self.events += 1;
        if is_full { self.block(event.cpu) } else { Ok(()) }
    }

    /// Notes that a processor has lost events after its last one.
    ///
    /// # Errors
    ///
    /// As for [`event`](Self::event).
    pub fn lost(&mut self, cpu: u16, events: u64) -> Result<(), WriteError> {
        if events == 0 {
            return Ok(());
        }
        if !self.pending(cpu)?.body.is_empty() {
            self.block(cpu)?;
        }
        let pending = self.pending(cpu)?;
        pending.lost = pending.lost.saturating_add(events);
        self.lost = self.lost.saturating_add(events);
        Ok(())
    }

    /// Writes what is kept, so that a killed writer loses nothing before this.
    ///
    /// # Errors
    ///
    /// The output takes no more.
    pub fn flush(&mut self) -> Result<(), WriteError> {
        let cpus: Vec<u16> = self.cpus.keys().copied().collect();
        for cpu in cpus {
            self.block(cpu)?;
        }
        Ok(self.output.flush()?)
    }

    /// Ends the file, and gives the output back.
    ///
    /// # Errors
    ///
    /// The output takes no more.
    pub fn finish(mut self) -> Result<W, WriteError> {
        self.flush()?;
        let words = [self.events, self.lost, self.blocks];
        let body: Vec<u8> = words.into_iter().flat_map(u64::to_le_bytes).collect();
        self.section(Kind::End, 0, 0, &body)?;
        self.output.flush()?;
        Ok(self.output)
    }

    /// The events so far.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// The lost ones so far.
    pub fn lost_events(&self) -> u64 {
        self.lost
    }

    fn pending(&mut self, cpu: u16) -> Result<&mut Pending, WriteError> {
        if cpu >= CPUS_MAX {
            return Err(WriteError::Cpu(cpu));
        }
        Ok(self.cpus.entry(cpu).or_default())
    }

    /// Writes what is kept of a processor, if there is something.
    fn block(&mut self, cpu: u16) -> Result<(), WriteError> {
        let Some(pending) = self.cpus.get_mut(&cpu) else { return Ok(()) };
        if pending.body.is_empty() && pending.lost == 0 {
            return Ok(());
        }
        let Pending { mut body, lost } = std::mem::take(pending);
        self.blocks += 1;
        self.section(Kind::Block, cpu, lost, &body)?;
        body.clear();
        if let Some(pending) = self.cpus.get_mut(&cpu) {
            pending.body = body;
        }
        Ok(())
    }

    fn section(&mut self, kind: Kind, cpu: u16, lost: u64, body: &[u8]) -> Result<(), WriteError> {
        let (body_bytes, body_crc) = (body.len(), crc32fast::hash(body));
        let head = Head { kind, cpu, body_bytes, body_crc, lost, number: self.sections };
        self.sections = self.sections.wrapping_add(1);
        self.output.write_all(&head.to_bytes())?;
        Ok(self.output.write_all(body)?)
    }
}
