//! Perfetto's own format: a protobuf `Trace` of packets, with a track for each thread.
//!
//! The field numbers are those of Perfetto's `trace_packet.proto` and `track_event/*.proto`; they are its stable
//! interface. Names are told once, and events name them by number. Slices, instants and tracks are those of
//! `chrome.rs`; times are nanoseconds of `CLOCK_MONOTONIC`.
//!
//! Neighbours: `export.rs`; `protoc --decode_raw` reads it in the tests. Invariant: a number is told before it is
//! used.

use std::collections::{HashMap, HashSet};
use std::io::{self, Read, Seek, Write};

use crate::clock::Clock;
use crate::event::Event;
use crate::export::{ExportError, Exported, Shape, Slices, Step, for_each};
use crate::pairs::{Pairs, Track};
use crate::read::{Item, Trace};
use crate::value::{Value, arguments};

/// The one sequence of packets.
const SEQUENCE: u64 = 1;
const STATE_CLEARED: u64 = 1;
const NEEDS_STATE: u64 = 2;
const CLOCK_REALTIME: u64 = 1;
const CLOCK_MONOTONIC: u64 = 3;
/// Tracks of processors are called this and their number; threads have their own, which is shorter by a bit.
const CPU_TRACKS: u64 = 1 << 63;
/// The most threads with a track of their own name; the rest has the same slices on a track without one.
const TRACKS_MAX: usize = 1 << 20;

/// Numbers of fields.
mod field {
    pub(super) const TRACE_PACKET: u64 = 1;

    pub(super) const PACKET_CLOCK_SNAPSHOT: u64 = 6;
    pub(super) const PACKET_TIMESTAMP: u64 = 8;
    pub(super) const PACKET_SEQUENCE: u64 = 10;
    pub(super) const PACKET_TRACK_EVENT: u64 = 11;
    pub(super) const PACKET_INTERNED_DATA: u64 = 12;
    pub(super) const PACKET_SEQUENCE_FLAGS: u64 = 13;
    pub(super) const PACKET_DEFAULTS: u64 = 59;
    pub(super) const PACKET_TRACK_DESCRIPTOR: u64 = 60;

    pub(super) const DEFAULTS_CLOCK: u64 = 58;
    pub(super) const SNAPSHOT_CLOCKS: u64 = 1;
    pub(super) const SNAPSHOT_PRIMARY: u64 = 2;
    pub(super) const CLOCK_ID: u64 = 1;
    pub(super) const CLOCK_TIMESTAMP: u64 = 2;

    pub(super) const INTERNED_CATEGORIES: u64 = 1;
    pub(super) const INTERNED_EVENT_NAMES: u64 = 2;
    pub(super) const INTERNED_ANNOTATION_NAMES: u64 = 3;
    pub(super) const INTERNED_ID: u64 = 1;
    pub(super) const INTERNED_TEXT: u64 = 2;

    pub(super) const EVENT_CATEGORY: u64 = 3;
    pub(super) const EVENT_ANNOTATIONS: u64 = 4;
    pub(super) const EVENT_TYPE: u64 = 9;
    pub(super) const EVENT_NAME: u64 = 10;
    pub(super) const EVENT_TRACK: u64 = 11;
    pub(super) const EVENT_NAME_TEXT: u64 = 23;

    pub(super) const ANNOTATION_NAME: u64 = 1;
    pub(super) const ANNOTATION_UNSIGNED: u64 = 3;
    pub(super) const ANNOTATION_SIGNED: u64 = 4;
    pub(super) const ANNOTATION_POINTER: u64 = 7;
    pub(super) const ANNOTATION_NAME_TEXT: u64 = 10;

    pub(super) const TRACK_ID: u64 = 1;
    pub(super) const TRACK_NAME: u64 = 2;
    pub(super) const TRACK_PROCESS: u64 = 3;
    pub(super) const TRACK_THREAD: u64 = 4;
    pub(super) const PROCESS_ID: u64 = 1;
    pub(super) const THREAD_PROCESS: u64 = 1;
    pub(super) const THREAD_ID: u64 = 2;
}

/// A message that is being written.
#[derive(Debug, Default)]
struct Message {
    bytes: Vec<u8>,
}

impl Message {
    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.bytes.push(number as u8);
    }

    fn number(&mut self, field: u64, number: u64) -> &mut Self {
        self.varint(field << 3);
        self.varint(number);
        self
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) -> &mut Self {
        self.varint(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.bytes.extend_from_slice(bytes);
        self
    }

    fn message(&mut self, field: u64, write: impl FnOnce(&mut Self)) -> &mut Self {
        let mut inner = Self::default();
        write(&mut inner);
        self.bytes(field, &inner.bytes)
    }
}

/// Numbers of names; 0 is none.
#[derive(Debug, Default)]
struct Names {
    numbers: HashMap<String, u64>,
}

impl Names {
    fn number(&mut self, name: &str) -> u64 {
        let next = self.numbers.len() as u64 + 1;
        *self.numbers.entry(name.to_owned()).or_insert(next)
    }

    fn put(&self, message: &mut Message, field: u64) {
        let mut names: Vec<_> = self.numbers.iter().collect();
        names.sort_by_key(|name| name.1);
        for (name, number) in names {
            message.message(field, |entry| {
                entry.number(field::INTERNED_ID, *number);
                entry.bytes(field::INTERNED_TEXT, name.as_bytes());
            });
        }
    }
}

/// The numbers of what is the same for all events of a probe.
#[derive(Debug)]
struct Numbers {
    category: u64,
    instant: u64,
    slice: u64,
    /// With their flags.
    arguments: Vec<(u64, u32)>,
}

/// Writes packets; keeps its buffers between them.
#[derive(Debug)]
struct Packets<W> {
    output: W,
    packet: Message,
    frame: Message,
    event: Message,
    annotation: Message,
    told: HashSet<u64>,
}

/// Writes a trace as Perfetto's protobuf. `step` is told how many events are done.
///
/// # Errors
///
/// The trace cannot be read, the output takes no more, or `step` said to stop.
pub fn export<R: Read + Seek>(
    trace: &mut Trace<R>,
    output: impl Write,
    step: &mut dyn FnMut(u64) -> Step,
) -> Result<Exported, ExportError> {
    let clock = Clock::of(trace.header());
    let pairs = Pairs::of(trace.probes());
    let (mut categories, mut events, mut annotations) =
        (Names::default(), Names::default(), Names::default());
    let mut numbers = HashMap::new();
    for (id, probe) in trace.probes() {
        let pair = pairs.sides.get(id).and_then(|side| pairs.pairs.get(side.0));
        let probe_numbers = Numbers {
            category: categories.number(&probe.provider),
            instant: events.number(&probe.probe),
            slice: pair.map_or(0, |pair| events.number(&pair.name)),
            arguments: arguments(probe)
                .map(|(name, flags)| (annotations.number(&name), flags))
                .collect(),
        };
        numbers.insert(*id, probe_numbers);
    }
    let mut packets = Packets {
        output,
        packet: Message::default(),
        frame: Message::default(),
        event: Message::default(),
        annotation: Message::default(),
        told: HashSet::new(),
    };
    let header = trace.header();
    let times = [
        (CLOCK_REALTIME, header.anchor_realtime_ns),
        (CLOCK_MONOTONIC, header.anchor_monotonic_ns),
    ];
    packets.write(|packet| {
        packet.number(field::PACKET_SEQUENCE, SEQUENCE);
        packet.number(field::PACKET_SEQUENCE_FLAGS, STATE_CLEARED);
        packet.message(field::PACKET_DEFAULTS, |defaults| {
            defaults.number(field::DEFAULTS_CLOCK, CLOCK_MONOTONIC);
        });
        packet.message(field::PACKET_CLOCK_SNAPSHOT, |snapshot| {
            for (id, time) in times {
                snapshot.message(field::SNAPSHOT_CLOCKS, |clock| {
                    clock.number(field::CLOCK_ID, id).number(field::CLOCK_TIMESTAMP, time);
                });
            }
            snapshot.number(field::SNAPSHOT_PRIMARY, CLOCK_MONOTONIC);
        });
        packet.message(field::PACKET_INTERNED_DATA, |data| {
            categories.put(data, field::INTERNED_CATEGORIES);
            events.put(data, field::INTERNED_EVENT_NAMES);
            annotations.put(data, field::INTERNED_ANNOTATION_NAMES);
        });
    })?;
    let mut slices = Slices::new(pairs);
    let mut last_ns = 0;
    let exported = for_each(trace, step, |item| match item {
        Item::Event(event) => {
            last_ns = clock.monotonic_ns(event.time_tsc);
            let shape = slices.shape(event);
            packets.event(event, last_ns, shape, numbers.get(&event.id))
        }
        Item::Lost { cpu, events } => packets.lost(*cpu, *events, last_ns),
    })?;
    packets.output.flush()?;
    Ok(exported)
}

impl<W: Write> Packets<W> {
    fn write(&mut self, fill: impl FnOnce(&mut Message)) -> io::Result<()> {
        self.packet.bytes.clear();
        fill(&mut self.packet);
        self.frame.bytes.clear();
        self.frame.bytes(field::TRACE_PACKET, &self.packet.bytes);
        self.output.write_all(&self.frame.bytes)
    }

    /// The number of a track, which is told if it is a new one.
    fn track(&mut self, track: Track) -> io::Result<u64> {
        let (id, who) = match track {
            Track::Cpu(cpu) => (CPU_TRACKS | u64::from(cpu), None),
            Track::Thread(who) => (who & !CPU_TRACKS, Some(who)),
        };
        if self.told.len() >= TRACKS_MAX || !self.told.insert(id) {
            return Ok(id);
        }
        self.write(|packet| {
            packet.number(field::PACKET_SEQUENCE, SEQUENCE);
            packet.message(field::PACKET_TRACK_DESCRIPTOR, |descriptor| {
                descriptor.number(field::TRACK_ID, id);
                let Some(who) = who else {
                    let name = format!("processor {}", id & !CPU_TRACKS);
                    descriptor.bytes(field::TRACK_NAME, name.as_bytes());
                    return;
                };
                let (process, thread) = (who >> 32, who & u64::from(u32::MAX));
                if thread == 0 {
                    descriptor.message(field::TRACK_PROCESS, |message| {
                        message.number(field::PROCESS_ID, process);
                    });
                } else {
                    descriptor.message(field::TRACK_THREAD, |message| {
                        message.number(field::THREAD_PROCESS, process);
                        message.number(field::THREAD_ID, thread);
                    });
                }
            });
        })?;
        Ok(id)
    }

    fn event(
        &mut self,
        event: &Event,
        ns: u64,
        shape: Shape,
        numbers: Option<&Numbers>,
    ) -> io::Result<()> {
        let track = self.track(Track::of(event))?;
        let mut message = std::mem::take(&mut self.event);
        message.bytes.clear();
        let kind = match shape {
            Shape::Begin => 1,
            Shape::End => 2,
            Shape::Instant => 3,
        };
        message.number(field::EVENT_TYPE, kind).number(field::EVENT_TRACK, track);
        match numbers {
            Some(numbers) => {
                let is_slice = shape != Shape::Instant;
                let name = if is_slice { numbers.slice } else { numbers.instant };
                message.number(field::EVENT_NAME, name);
                message.number(field::EVENT_CATEGORY, numbers.category);
            }
            None => {
                message.bytes(field::EVENT_NAME_TEXT, format!("probe {}", event.id).as_bytes());
            }
        }
        let names = numbers.map(|numbers| &*numbers.arguments).unwrap_or_default();
        for (index, word) in event.arguments().iter().enumerate() {
            self.annotation.bytes.clear();
            let flags = match names.get(index) {
                Some((name, flags)) => {
                    self.annotation.number(field::ANNOTATION_NAME, *name);
                    *flags
                }
                None => {
                    let name = format!("arg{index}");
                    self.annotation.bytes(field::ANNOTATION_NAME_TEXT, name.as_bytes());
                    0
                }
            };
            let (field, number) = match Value::of(*word, flags) {
                Value::Unsigned(number) => (field::ANNOTATION_UNSIGNED, number),
                Value::Signed(number) => (field::ANNOTATION_SIGNED, number.cast_unsigned()),
                Value::Address(number) => (field::ANNOTATION_POINTER, number),
            };
            self.annotation.number(field, number);
            message.bytes(field::EVENT_ANNOTATIONS, &self.annotation.bytes);
        }
        let written = self.packet(ns, &message);
        self.event = message;
        written
    }

    fn lost(&mut self, cpu: u16, events: u64, ns: u64) -> io::Result<()> {
        let track = self.track(Track::Cpu(cpu))?;
        let mut message = Message::default();
        message.number(field::EVENT_TYPE, 3).number(field::EVENT_TRACK, track);
        message.bytes(field::EVENT_NAME_TEXT, b"lost events");
        message.message(field::EVENT_ANNOTATIONS, |annotation| {
            annotation.bytes(field::ANNOTATION_NAME_TEXT, b"events");
            annotation.number(field::ANNOTATION_UNSIGNED, events);
        });
        self.packet(ns, &message)
    }

    fn packet(&mut self, ns: u64, event: &Message) -> io::Result<()> {
        self.write(|packet| {
            packet.number(field::PACKET_TIMESTAMP, ns);
            packet.number(field::PACKET_SEQUENCE, SEQUENCE);
            packet.number(field::PACKET_SEQUENCE_FLAGS, NEEDS_STATE);
            packet.bytes(field::PACKET_TRACK_EVENT, &event.bytes);
        })
    }
}
