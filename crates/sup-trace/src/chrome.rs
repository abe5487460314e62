//! Trace Event JSON, which `chrome://tracing`, Perfetto's viewer and Speedscope read.
//!
//! A pair is a slice (`B`, `E`), any other event an instant (`i`), on the track of its thread. Where nobody knows
//! the thread it is on the track of its processor, in a process with the number 0. Times are microseconds of
//! `CLOCK_MONOTONIC`. Numbers that JavaScript would round, and addresses, are texts: `"0xffff888000000000"`.
//!
//! Neighbours: `export.rs`. Invariant: the document is JSON whatever the names are.

use std::collections::HashMap;
use std::io::{self, Read, Seek, Write};

use crate::clock::Clock;
use crate::event::Event;
use crate::export::{ExportError, Exported, Shape, Slices, Step, for_each};
use crate::header::Probe;
use crate::pairs::Pairs;
use crate::read::{Item, Trace};
use crate::value::{Value, arguments, quoted};

/// From here on JavaScript rounds.
const EXACT_MAX: u64 = 1 << 53;

/// What is the same for all events of a probe.
#[derive(Debug, Default)]
struct Texts {
    /// `{"name":…,"cat":…,"pid":` for instants and for slices.
    instant: Vec<u8>,
    slice: Vec<u8>,
    /// `"arg0 uint32_t":` and the flags.
    arguments: Vec<(Vec<u8>, u32)>,
}

impl Texts {
    fn new(probe: &Probe, slice: &str) -> Self {
        let category = quoted(&probe.provider);
        let start = |name: &str| format!("{{\"name\":{},\"cat\":{category},\"pid\":", quoted(name));
        let key =
            |(name, flags): (String, u32)| (format!("{}:", quoted(&name)).into_bytes(), flags);
        Self {
            instant: start(&probe.probe).into_bytes(),
            slice: start(slice).into_bytes(),
            arguments: arguments(probe).map(key).collect(),
        }
    }
}

/// Writes a trace as Trace Event JSON. `step` is told how many events are done.
///
/// # Errors
///
/// The trace cannot be read, the output takes no more, or `step` said to stop.
pub fn export<R: Read + Seek>(
    trace: &mut Trace<R>,
    mut output: impl Write,
    step: &mut dyn FnMut(u64) -> Step,
) -> Result<Exported, ExportError> {
    let clock = Clock::of(trace.header());
    let pairs = Pairs::of(trace.probes());
    let texts: HashMap<u32, Texts> = trace
        .probes()
        .iter()
        .map(|(id, probe)| {
            let pair = pairs.sides.get(id).and_then(|side| pairs.pairs.get(side.0));
            (*id, Texts::new(probe, pair.map_or("", |pair| &pair.name)))
        })
        .collect();
    let mut slices = Slices::new(pairs);
    let header = trace.header();
    write!(
        output,
        "{{\"displayTimeUnit\":\"ns\",\"otherData\":{{\"host\":{},\"kernel\":{},\"backend\":{},\
         \"command\":{},\"condition\":{}}},\"traceEvents\":[\n\
         {{\"name\":\"process_name\",\"ph\":\"M\",\"pid\":0,\"tid\":0,\"args\":{{\"name\":\"processors\"}}}}",
        quoted(&header.host),
        quoted(&header.kernel),
        quoted(&header.backend),
        quoted(&header.command),
        quoted(&trace.condition().to_string()),
    )?;
    let mut line = Vec::new();
    let mut last_ns = 0;
    let exported = for_each(trace, step, |item| {
        line.clear();
        line.extend_from_slice(b",\n");
        match item {
            Item::Event(event) => {
                last_ns = clock.monotonic_ns(event.time_tsc);
                put_event(&mut line, event, last_ns, slices.shape(event), texts.get(&event.id))?;
            }
            Item::Lost { cpu, events } => {
                line.extend_from_slice(
                    b"{\"name\":\"lost events\",\"cat\":\"supdrv\",\"pid\":0,\"tid\":",
                );
                put(&mut line, u64::from(*cpu));
                line.extend_from_slice(b",\"ph\":\"i\",\"s\":\"t\",\"ts\":");
                put_time(&mut line, last_ns);
                write!(line, ",\"args\":{{\"events\":{events}}}}}")?;
            }
        }
        output.write_all(&line)
    })?;
    output.write_all(b"\n]}\n")?;
    output.flush()?;
    Ok(exported)
}

fn put_event(
    line: &mut Vec<u8>,
    event: &Event,
    ns: u64,
    shape: Shape,
    texts: Option<&Texts>,
) -> io::Result<()> {
    match (texts, shape) {
        (Some(texts), Shape::Instant) => line.extend_from_slice(&texts.instant),
        (Some(texts), Shape::Begin | Shape::End) => line.extend_from_slice(&texts.slice),
        (None, _) => {
            write!(line, "{{\"name\":\"probe {}\",\"cat\":\"unknown\",\"pid\":", event.id)?;
        }
    }
    let (process, thread) = match event.who {
        0 => (0, u32::from(event.cpu)),
        _ => (event.process(), event.thread()),
    };
    put(line, u64::from(process));
    line.extend_from_slice(b",\"tid\":");
    put(line, u64::from(thread));
    line.extend_from_slice(match shape {
        Shape::Instant => b",\"ph\":\"i\",\"s\":\"t\",\"ts\":",
        Shape::Begin => b",\"ph\":\"B\",\"ts\":",
        Shape::End => b",\"ph\":\"E\",\"ts\":",
    });
    put_time(line, ns);
    line.extend_from_slice(b",\"args\":{\"cpu\":");
    put(line, u64::from(event.cpu));
    let keys = texts.map(|texts| &*texts.arguments).unwrap_or_default();
    for (index, word) in event.arguments().iter().enumerate() {
        line.push(b',');
        let flags = match keys.get(index) {
            Some((key, flags)) => {
                line.extend_from_slice(key);
                *flags
            }
            None => {
                write!(line, "\"arg{index}\":")?;
                0
            }
        };
        match Value::of(*word, flags) {
            Value::Unsigned(number) if number < EXACT_MAX => put(line, number),
            Value::Signed(number) if number.unsigned_abs() < EXACT_MAX => write!(line, "{number}")?,
            Value::Signed(number) => write!(line, "\"{number}\"")?,
            Value::Unsigned(number) | Value::Address(number) => write!(line, "\"{number:#x}\"")?,
        }
    }
    line.extend_from_slice(b"}}");
    Ok(())
}

fn put(line: &mut Vec<u8>, number: u64) {
    line.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Microseconds with three digits behind the point.
fn put_time(line: &mut Vec<u8>, ns: u64) {
    put(line, ns / 1_000);
    let rest = ns % 1_000;
    let digit = |divisor: u64| b'0' + (rest / divisor % 10) as u8;
    line.extend_from_slice(&[b'.', digit(100), digit(10), digit(1)]);
}
