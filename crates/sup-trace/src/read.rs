//! [`Trace`] opens a trace file, [`Events`] reads its events in the order of time.
//!
//! Opening goes from head to head and keeps 24 bytes a block; reading has one block of each processor in
//! memory, 64 KiB, and takes the earliest event of all. A block is sorted when it is read: what interrupts a
//! probe fires before it.
//!
//! Neighbours: `format.rs` has the layout and its limits, `write.rs` writes it. Invariant: nothing is
//! allocated by what a file says beyond the limits of the format and its own length; a file that ends or is
//! damaged anywhere is read up to there, and [`Trace::condition`] says so.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fmt;
use std::io::{self, Read, Seek, SeekFrom};

use crate::event::{self, EVENT_BYTES, Event};
use crate::format::{
    BYTE_ORDER_MARK, Fields, HEAD_BYTES, Head, Kind, MAGIC, PREFIX_BYTES, PROBES_MAX, VERSION,
};
use crate::header::{Header, Probe};

/// Why a file cannot be read.
#[derive(Debug)]
pub enum ReadError {
    /// The system does not give it.
    Io(io::Error),
    /// It does not begin as a trace does.
    NoTrace,
    /// It is of a version that this reader does not know.
    Version(u32),
    /// It is a trace, and what it says of itself is cut or damaged.
    Header,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::NoTrace => f.write_str("no trace file: `supctl trace record` makes them"),
            Self::Version(version) => {
                write!(f, "a trace of version {version}, and this reads version {VERSION}")
            }
            Self::Header => {
                f.write_str("cut or damaged before its first event: nothing can be read")
            }
        }
    }
}

impl std::error::Error for ReadError {}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// How a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// It has its end, and all before it.
    Whole,
    /// It can be read up to this byte only.
    Cut {
        /// Where the first section begins that cannot be used.
        at: u64,
        /// What is wrong there.
        why: &'static str,
    },
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => f.write_str("whole"),
            Self::Cut { at, why } => write!(f, "cut at byte {at}: {why}"),
        }
    }
}

/// What the heads of a file's blocks say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// The events in it.
    pub events: u64,
    /// Those that were lost while it was recorded.
    pub lost: u64,
    /// The blocks.
    pub blocks: u64,
}

/// Where a block is.
#[derive(Debug, Clone, Copy)]
struct Place {
    at: u64,
    lost: u64,
    cpu: u16,
    events: u16,
}

/// A trace file. It takes 24 bytes for each block, what the table of probes takes, and 64 KiB a processor
/// while events are read.
#[derive(Debug)]
pub struct Trace<R> {
    input: R,
    header: Header,
    probes: BTreeMap<u32, Probe>,
    /// By processor, and for each in the order of the file.
    places: Vec<Place>,
    totals: Totals,
    condition: Condition,
}

impl<R: Read + Seek> Trace<R> {
    /// Opens a file and finds its blocks. It may be cut; that is not an error.
    ///
    /// # Errors
    ///
    /// It is no trace, one of another version, has no whole header, or cannot be read.
    pub fn open(mut input: R) -> Result<Self, ReadError> {
        let length = input.seek(SeekFrom::End(0))?;
        input.rewind()?;
        let mut prefix = [0; PREFIX_BYTES as usize];
        if length < PREFIX_BYTES {
            return Err(ReadError::NoTrace);
        }
        input.read_exact(&mut prefix)?;
        let mut fields = Fields::new(&prefix);
        let (magic, version, mark) = (fields.array(), fields.u32(), fields.u32());
        if magic != Some(MAGIC) || mark != Some(BYTE_ORDER_MARK) {
            return Err(ReadError::NoTrace);
        }
        if version != Some(VERSION) {
            return Err(ReadError::Version(version.unwrap_or_default()));
        }
        let mut scan = Scan::default();
        let condition = scan.run(&mut input, length)?;
        let header = scan.header.ok_or(ReadError::Header)?;
        scan.places.sort_by_key(|place| place.cpu);
        Ok(Self {
            input,
            header,
            probes: scan.probes,
            places: scan.places,
            totals: scan.totals,
            condition,
        })
    }

    /// What it says of itself.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Its probes, by number.
    pub fn probes(&self) -> &BTreeMap<u32, Probe> {
        &self.probes
    }

    /// What its blocks have, damaged ones included.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Whether it is whole. A damaged block is found when it is read: [`Events::damaged`].
    pub fn condition(&self) -> Condition {
        self.condition
    }

    /// Reads the events, from the first.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn events(&mut self) -> Result<Events<'_, R>, ReadError> {
        let cursors = self
            .places
            .chunk_by(|one, next| one.cpu == next.cpu)
            .map(|places| Cursor { places, next_place: 0, block: Vec::new(), next: 0, lost: 0 })
            .collect();
        let mut events = Events {
            input: &mut self.input,
            cursors,
            waiting: BinaryHeap::new(),
            current: None,
            limit: None,
            body: Vec::new(),
            damaged: 0,
        };
        for index in 0..events.cursors.len() {
            events.queue(index)?;
        }
        Ok(events)
    }
}

/// What was found so far from head to head.
#[derive(Debug, Default)]
struct Scan {
    header: Option<Header>,
    probes: BTreeMap<u32, Probe>,
    places: Vec<Place>,
    totals: Totals,
}

impl Scan {
    fn run<R: Read + Seek>(&mut self, input: &mut R, length: u64) -> Result<Condition, ReadError> {
        let mut at = PREFIX_BYTES;
        let mut number = 0_u32;
        let cut = |at, why| Ok(Condition::Cut { at, why });
        loop {
            let left = length.saturating_sub(at);
            if left == 0 {
                return cut(at, "the writer did not end it");
            }
            if left < HEAD_BYTES as u64 {
                return cut(at, "the file ends in a section's head");
            }
            input.seek(SeekFrom::Start(at))?;
            let mut bytes = [0; HEAD_BYTES];
            input.read_exact(&mut bytes)?;
            let Some(head) = Head::from_bytes(&bytes) else {
                return cut(at, "a section's head is damaged");
            };
            if head.number != number {
                return cut(at, "a section is missing");
            }
            let end = at.saturating_add((HEAD_BYTES + head.body_bytes) as u64);
            if end > length {
                return cut(at, "the file ends in a section");
            }
            if let Some(why) = self.section(input, &head, at)? {
                return cut(at, why);
            }
            if head.kind == Kind::End {
                return if end == length {
                    Ok(Condition::Whole)
                } else {
                    cut(end, "something follows the end")
                };
            }
            at = end;
            number = number.wrapping_add(1);
        }
    }

    /// Takes a section, or says why the file ends for us here.
    fn section<R: Read>(
        &mut self,
        input: &mut R,
        head: &Head,
        at: u64,
    ) -> Result<Option<&'static str>, ReadError> {
        if (head.kind == Kind::Header) == self.header.is_some() {
            return Ok(Some("a section is not in its place"));
        }
        if head.kind == Kind::Block {
            let events = (head.body_bytes / EVENT_BYTES) as u16;
            self.totals.events = self.totals.events.saturating_add(events.into());
            self.totals.lost = self.totals.lost.saturating_add(head.lost);
            self.totals.blocks += 1;
            self.places.push(Place { at, lost: head.lost, cpu: head.cpu, events });
            return Ok(None);
        }
        let mut body = vec![0; head.body_bytes];
        input.read_exact(&mut body)?;
        if crc32fast::hash(&body) != head.body_crc {
            return Ok(Some("a table is damaged"));
        }
        let is_good = match head.kind {
            Kind::Header => {
                self.header = Header::decode(&body);
                self.header.is_some()
            }
            Kind::Probes => self.table(&body).is_some(),
            Kind::Block | Kind::End => {
                let mut fields = Fields::new(&body);
                let Totals { events, lost, blocks } = self.totals;
                [events, lost, blocks].into_iter().all(|total| fields.u64() == Some(total))
            }
        };
        Ok((!is_good).then_some("a table does not say what it should"))
    }

    fn table(&mut self, body: &[u8]) -> Option<()> {
        let mut fields = Fields::new(body);
        for _ in 0..fields.u32()? {
            let probe = Probe::decode(&mut fields)?;
            self.probes.insert(probe.id, probe);
            if self.probes.len() > PROBES_MAX {
                return None;
            }
        }
        fields.is_empty().then_some(())
    }
}

/// What comes next in a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item {
    /// An event.
    Event(Event),
    /// A processor lost events here, or they are damaged.
    Lost {
        /// The processor.
        cpu: u16,
        /// How many.
        events: u64,
    },
}

/// One processor's way through its blocks.
#[derive(Debug)]
struct Cursor<'a> {
    places: &'a [Place],
    next_place: usize,
    block: Vec<Event>,
    next: usize,
    /// Not told yet.
    lost: u64,
}

/// The events of a trace, in the order of time.
#[derive(Debug)]
pub struct Events<'a, R> {
    input: &'a mut R,
    cursors: Vec<Cursor<'a>>,
    /// Time of the next event, and whose it is.
    waiting: BinaryHeap<Reverse<(u64, usize)>>,
    /// Whose events come now, up to `limit`: the one that waits first.
    current: Option<usize>,
    limit: Option<(u64, usize)>,
    body: Vec<u8>,
    damaged: u64,
}

impl<R: Read + Seek> Events<'_, R> {
    /// The next event or loss; `None` after the last.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    #[expect(clippy::should_implement_trait, reason = "an iterator could not stop at an error")]
    pub fn next(&mut self) -> Result<Option<Item>, ReadError> {
        loop {
            let Some(index) = self.current else {
                let Some(Reverse((_, index))) = self.waiting.pop() else { return Ok(None) };
                self.current = Some(index);
                self.limit = self.waiting.peek().map(|next| next.0);
                continue;
            };
            let Some(cursor) = self.cursors.get_mut(index) else { return Ok(None) };
            if cursor.lost > 0 {
                let cpu = cursor.places.first().map_or(0, |place| place.cpu);
                let events = std::mem::take(&mut cursor.lost);
                return Ok(Some(Item::Lost { cpu, events }));
            }
            match cursor.block.get(cursor.next) {
                Some(event) if self.limit.is_none_or(|limit| (event.time_tsc, index) <= limit) => {
                    cursor.next += 1;
                    return Ok(Some(Item::Event(*event)));
                }
                _ => {
                    self.current = None;
                    self.queue(index)?;
                }
            }
        }
    }

    /// The events so far that were in damaged blocks, and were told as lost.
    pub fn damaged(&self) -> u64 {
        self.damaged
    }

    /// Puts a processor where its next event belongs, and reads a block for it if that needs one.
    fn queue(&mut self, index: usize) -> Result<(), ReadError> {
        let Some(cursor) = self.cursors.get_mut(index) else { return Ok(()) };
        while cursor.next >= cursor.block.len() {
            let Some(place) = cursor.places.get(cursor.next_place) else {
                cursor.block = Vec::new();
                if cursor.lost > 0 {
                    // Lost after its last event.
                    self.waiting.push(Reverse((u64::MAX, index)));
                }
                return Ok(());
            };
            cursor.next_place += 1;
            cursor.next = 0;
            cursor.lost = cursor.lost.saturating_add(place.lost);
            if !read_block(self.input, place, &mut self.body, &mut cursor.block)? {
                cursor.block.clear();
                cursor.lost = cursor.lost.saturating_add(place.events.into());
                self.damaged = self.damaged.saturating_add(place.events.into());
            }
        }
        if let Some(event) = cursor.block.get(cursor.next) {
            self.waiting.push(Reverse((event.time_tsc, index)));
        }
        Ok(())
    }
}

/// Reads a block in the order of time; false if it is damaged.
fn read_block<R: Read + Seek>(
    input: &mut R,
    place: &Place,
    body: &mut Vec<u8>,
    block: &mut Vec<Event>,
) -> Result<bool, ReadError> {
    body.resize(HEAD_BYTES + usize::from(place.events) * EVENT_BYTES, 0);
    input.seek(SeekFrom::Start(place.at))?;
    input.read_exact(body)?;
    let Some((head, body)) = body.split_first_chunk() else { return Ok(false) };
    // Looked at again: the file can have changed since it was opened.
    let is_good = Head::from_bytes(head).is_some_and(|head| head.body_crc == crc32fast::hash(body));
    block.clear();
    block.extend(body.as_chunks().0.iter().map(event::from_bytes));
    if !block.is_sorted_by_key(|event| event.time_tsc) {
        block.sort_by_key(|event| event.time_tsc);
    }
    Ok(is_good && block.iter().all(|event| event.cpu == place.cpu))
}
