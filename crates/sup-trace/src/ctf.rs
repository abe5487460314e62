//! The Common Trace Format, 1.8: a folder with `metadata` and a stream for each processor.
//!
//! Every event has time, process and thread, and the arguments that its probe's table entry names. Losses are the
//! packets' `events_discarded`. Times are nanoseconds of `CLOCK_MONOTONIC`, with the offset to `CLOCK_REALTIME`; a
//! stream's times must not go back, so one that does is kept at the last.
//!
//! Neighbours: `export.rs`; `babeltrace2` reads it in the tests. Invariant: what `metadata` says of an event is
//! what is in the streams.

use std::collections::{BTreeMap, HashMap};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::Path;

use sup_abi::{VTG_TYPE_PHYS, VTG_TYPE_POINTER, VTG_TYPE_SIGNED};

use crate::clock::Clock;
use crate::event::{ARGS_MAX, Event};
use crate::export::{ExportError, Exported, Step, for_each};
use crate::header::{Header, Probe};
use crate::read::{Item, Trace};
use crate::value::{Value, arguments, quoted};

const MAGIC: u32 = 0xc1fc_1fc1;
/// Events of a packet.
const PACKET_EVENTS: usize = 1024;
/// The bytes of a packet before its events.
const PACKET_HEAD_BYTES: usize = 52;
/// The class of events of probes that the table does not have.
const UNKNOWN: u32 = u32::MAX;

/// What is said of the trace and of each packet.
const METADATA: &str = "\
typealias integer { size = 32; align = 8; signed = false; } := u32;
typealias integer { size = 64; align = 8; signed = false; } := u64;
typealias integer { size = 64; align = 8; signed = true; } := s64;
typealias integer { size = 64; align = 8; signed = false; base = 16; } := x64;
typealias integer { size = 64; align = 8; signed = false; map = clock.monotonic.value; } := time;

trace {
    major = 1;
    minor = 8;
    byte_order = le;
    packet.header := struct { u32 magic; u32 stream_id; };
};

stream {
    id = 0;
    packet.context := struct {
        time timestamp_begin;
        time timestamp_end;
        u64 content_size;
        u64 packet_size;
        u64 events_discarded;
        u32 cpu_id;
    };
    event.header := struct { u32 id; time timestamp; };
    event.context := struct { u32 process; u32 thread; };
};
";

/// What a processor has that is not written yet.
#[derive(Debug, Default)]
struct Stream {
    events: Vec<u8>,
    count: usize,
    begin_ns: u64,
    last_ns: u64,
    lost: u64,
    /// Whether `lost` is in no packet yet.
    owes_loss: bool,
}

/// Writes a trace as CTF into an empty folder. `step` is told how many events are done.
///
/// # Errors
///
/// The trace cannot be read, the folder takes no more, or `step` said to stop.
pub fn export<R: Read + Seek>(
    trace: &mut Trace<R>,
    folder: &Path,
    step: &mut dyn FnMut(u64) -> Step,
) -> Result<Exported, ExportError> {
    let mut metadata = File::create_new(folder.join("metadata"))?;
    metadata.write_all(describe(trace.header(), trace.probes()).as_bytes())?;
    let clock = Clock::of(trace.header());
    let flags: HashMap<u32, Vec<u32>> = trace
        .probes()
        .iter()
        .filter(|(id, _)| **id != UNKNOWN)
        .map(|(id, probe)| (*id, arguments(probe).map(|argument| argument.1).collect()))
        .collect();
    let mut streams: BTreeMap<u16, Stream> = BTreeMap::new();
    let exported = for_each(trace, step, |item| match item {
        Item::Event(event) => {
            let stream = streams.entry(event.cpu).or_default();
            stream.event(event, clock.monotonic_ns(event.time_tsc), flags.get(&event.id));
            if stream.count >= PACKET_EVENTS { stream.write(folder, event.cpu) } else { Ok(()) }
        }
        Item::Lost { cpu, events } => {
            let stream = streams.entry(*cpu).or_default();
            stream.write(folder, *cpu)?;
            stream.lost = stream.lost.saturating_add(*events);
            stream.owes_loss = true;
            Ok(())
        }
    })?;
    for (cpu, stream) in &mut streams {
        stream.write(folder, *cpu)?;
    }
    Ok(exported)
}

impl Stream {
    fn event(&mut self, event: &Event, ns: u64, flags: Option<&Vec<u32>>) {
        self.last_ns = ns.max(self.last_ns);
        if self.count == 0 {
            self.begin_ns = self.last_ns;
        }
        self.count += 1;
        let id = if flags.is_some() { event.id } else { UNKNOWN };
        self.events.extend_from_slice(&id.to_le_bytes());
        self.events.extend_from_slice(&self.last_ns.to_le_bytes());
        self.events.extend_from_slice(&event.process().to_le_bytes());
        self.events.extend_from_slice(&event.thread().to_le_bytes());
        let mut put = |word: u64| self.events.extend_from_slice(&word.to_le_bytes());
        match flags {
            Some(flags) => event.args.iter().zip(flags).for_each(|(word, flags)| {
                put(match Value::of(*word, *flags) {
                    Value::Unsigned(number) | Value::Address(number) => number,
                    Value::Signed(number) => number.cast_unsigned(),
                });
            }),
            None => {
                put(event.id.into());
                event.args.into_iter().for_each(put);
            }
        }
    }

    /// Appends a packet, if there is something to tell.
    fn write(&mut self, folder: &Path, cpu: u16) -> io::Result<()> {
        if self.count == 0 && !self.owes_loss {
            return Ok(());
        }
        if self.count == 0 {
            self.begin_ns = self.last_ns;
        }
        let bits = (PACKET_HEAD_BYTES + self.events.len()) as u64 * 8;
        let mut head = Vec::with_capacity(PACKET_HEAD_BYTES);
        for word in [MAGIC, 0] {
            head.extend_from_slice(&word.to_le_bytes());
        }
        for word in [self.begin_ns, self.last_ns, bits, bits, self.lost] {
            head.extend_from_slice(&word.to_le_bytes());
        }
        head.extend_from_slice(&u32::from(cpu).to_le_bytes());
        let path = folder.join(format!("cpu_{cpu}"));
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        file.write_all(&head)?;
        file.write_all(&self.events)?;
        self.events.clear();
        (self.count, self.owes_loss) = (0, false);
        Ok(())
    }
}

fn describe(header: &Header, probes: &BTreeMap<u32, Probe>) -> String {
    let mut text = String::from("/* CTF 1.8 */\n\n");
    let env = [
        ("hostname", &header.host),
        ("kernel_release", &header.kernel),
        ("backend", &header.backend),
        ("command", &header.command),
    ];
    text.push_str("env {\n    domain = \"supdrv\";\n    tracer_name = \"ringtrace\";\n");
    for (name, value) in env {
        text.push_str(&format!("    {name} = {};\n", plain(value)));
    }
    let offset = header.anchor_realtime_ns.saturating_sub(header.anchor_monotonic_ns);
    text.push_str(&format!(
        "}};\n\nclock {{\n    name = monotonic;\n    freq = 1000000000;\n    offset_s = {};\n    \
         offset = {};\n}};\n\n{METADATA}",
        offset / 1_000_000_000,
        offset % 1_000_000_000,
    ));
    for (id, probe) in probes.iter().filter(|(id, _)| **id != UNKNOWN) {
        let name = plain(&format!("{}:{}", probe.provider, probe.probe));
        text.push_str(&class(*id, &name, arguments(probe)));
    }
    let unknown = ["probe".to_owned()].into_iter().chain((0..ARGS_MAX).map(|n| format!("arg{n}")));
    text.push_str(&class(UNKNOWN, "\"unknown\"", unknown.map(|name| (name, 0))));
    text
}

fn class(id: u32, name: &str, fields: impl Iterator<Item = (String, u32)>) -> String {
    let mut text = format!("\nevent {{\n    name = {name};\n    id = {id};\n    stream_id = 0;\n");
    text.push_str("    fields := struct {");
    for (name, flags) in fields {
        let kind = if flags & (VTG_TYPE_POINTER | VTG_TYPE_PHYS) != 0 {
            "x64"
        } else if flags & VTG_TYPE_SIGNED != 0 {
            "s64"
        } else {
            "u64"
        };
        // The type's text is for people; names of fields are words.
        let word = name.split(' ').next().unwrap_or_default();
        text.push_str(&format!(" {kind} {word};"));
    }
    text.push_str(" };\n};\n");
    text
}

/// A text of TSDL, which knows the escapes of C: what is not printable ASCII becomes `?`.
fn plain(text: &str) -> String {
    let replaced = text.chars().map(|c| if matches!(c, ' '..='~') { c } else { '?' });
    quoted(&replaced.collect::<String>())
}
