//! Files that were written are read as they were; cut and damaged ones as far as they can be.
//!
//! Neighbours: `fuzz/fuzz_targets/trace.rs` does the same with whatever a fuzzer comes upon. Invariant: what is
//! read of a damaged file is a part of what was written.

use std::io::Cursor;

use proptest::collection::vec;
use proptest::prelude::*;
use sup_trace::{
    Argument, BLOCK_EVENTS_MAX, CPUS_MAX, Condition, Event, Header, Item, Probe, ReadError, Trace,
    TraceWriter, WriteError,
};

fn header() -> Header {
    Header {
        tsc_hz: 3_000_000_000,
        anchor_tsc: 1_000,
        anchor_realtime_ns: 1_700_000_000_000_000_000,
        anchor_monotonic_ns: 5_000_000_000,
        host: "host".into(),
        kernel: "6.1.0".into(),
        backend: "embedded".into(),
        command: "supctl trace record".into(),
    }
}

fn probe(id: u32) -> Probe {
    let argument = |type_text: &str, flags| Argument { type_text: type_text.into(), flags };
    Probe {
        id,
        provider: "vmm".into(),
        probe: format!("exit-{id}"),
        module: "VMMR0.r0".into(),
        function: "run".into(),
        line: 17,
        stability: "Evolving/Evolving/Common".into(),
        arguments: vec![argument("uint32_t", 0x4000_0104), argument("void *", 0x308)],
    }
}

/// An event whose every field says which one it is.
fn event(number: u64, cpu: u16) -> Event {
    Event {
        time_tsc: number * 10,
        id: number as u32 % 3,
        cpu,
        kind: 1,
        arg_count: 2,
        who: 7 << 32 | 8,
        args: [number, !number, 0, 0, 0],
    }
}

/// A file with events of three processors, a loss between them and one at the end.
fn sample() -> (Vec<u8>, Vec<Event>) {
    let mut writer = TraceWriter::new(Vec::new(), &header()).unwrap();
    writer.probes(&[probe(0), probe(1), probe(2)]).unwrap();
    let events: Vec<Event> = (0..30).map(|number| event(number, (number % 3) as u16)).collect();
    for (number, event) in events.iter().enumerate() {
        writer.event(event).unwrap();
        if number == 12 {
            writer.lost(1, 5).unwrap();
        }
    }
    writer.lost(2, 6).unwrap();
    (writer.finish().unwrap(), events)
}

/// The events, and how many are told as lost.
fn read(file: &[u8]) -> Result<(Vec<Event>, u64, Condition), ReadError> {
    let mut trace = Trace::open(Cursor::new(file))?;
    let condition = trace.condition();
    let (mut read, mut lost) = (Vec::new(), 0_u64);
    let mut events = trace.events()?;
    while let Some(item) = events.next()? {
        match item {
            Item::Event(event) => read.push(event),
            Item::Lost { events, .. } => lost = lost.saturating_add(events),
        }
    }
    Ok((read, lost, condition))
}

#[test]
fn a_file_is_read_as_it_was_written() {
    let (file, written) = sample();
    let trace = Trace::open(Cursor::new(&file)).unwrap();
    assert_eq!(*trace.header(), header());
    assert_eq!(trace.probes().values().cloned().collect::<Vec<_>>(), [0, 1, 2].map(probe));
    let totals = trace.totals();
    assert_eq!((totals.events, totals.lost), (30, 11));
    assert_eq!(read(&file).unwrap(), (written, 11, Condition::Whole));
}

#[test]
fn a_loss_is_told_before_the_next_event_of_its_processor() {
    let (file, _) = sample();
    let mut trace = Trace::open(Cursor::new(file)).unwrap();
    let mut events = trace.events().unwrap();
    let mut last_of_cpu_1 = 0;
    loop {
        match events.next().unwrap().unwrap() {
            Item::Event(event) if event.cpu == 1 => last_of_cpu_1 = event.time_tsc,
            Item::Event(_) => {}
            Item::Lost { cpu, events } => {
                assert_eq!((cpu, events, last_of_cpu_1), (1, 5, 100));
                break;
            }
        }
    }
}

#[test]
fn a_file_that_ends_anywhere_is_read_up_to_its_last_whole_block() {
    let (file, written) = sample();
    let mut lengths = Vec::new();
    for length in 0..file.len() {
        match read(&file[..length]) {
            Ok((read, _, condition)) => {
                assert!(matches!(condition, Condition::Cut { .. }), "{length}: {condition}");
                assert!(read.iter().all(|event| written.contains(event)), "{length}");
                lengths.push(read.len());
            }
            Err(error) => assert!(lengths.is_empty(), "{length}: {error}"),
        }
    }
    assert!(lengths.is_sorted());
    assert_eq!((lengths.first(), lengths.last()), (Some(&0), Some(&30)));
}

#[test]
fn no_changed_bit_goes_unnoticed() {
    let (file, written) = sample();
    for bit in 0..file.len() * 8 {
        let mut damaged = file.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        match read(&damaged) {
            Err(ReadError::Io(error)) => panic!("bit {bit}: {error}"),
            Err(_) => {}
            Ok((read, lost, condition)) => {
                let is_told = condition != Condition::Whole || lost > 11;
                assert!(is_told, "bit {bit} goes unnoticed");
                assert!(read.iter().all(|event| written.contains(event)), "bit {bit}");
            }
        }
    }
}

#[test]
fn a_damaged_block_costs_no_other() {
    let (file, _) = sample();
    // The first block: events of processor 1, before its loss.
    let place = file.windows(4).position(|bytes| bytes == b"BLOK").unwrap();
    let mut damaged = file;
    damaged[place + 32 + 20] ^= 1;
    let (read, lost, condition) = read(&damaged).unwrap();
    assert_eq!((read.len(), lost, condition), (26, 15, Condition::Whole));
}

#[test]
fn what_is_no_trace_is_said_to_be_none() {
    let (file, _) = sample();
    assert!(matches!(read(b""), Err(ReadError::NoTrace)));
    assert!(matches!(read(&[0; 100]), Err(ReadError::NoTrace)));
    let mut later = file.clone();
    later[16] = 2;
    assert!(matches!(read(&later), Err(ReadError::Version(2))));
    let mut swapped = file.clone();
    swapped[20..24].reverse();
    assert!(matches!(read(&swapped), Err(ReadError::NoTrace)));
    assert!(matches!(read(&file[..60]), Err(ReadError::Header)));
}

#[test]
fn a_writer_that_dies_leaves_what_it_flushed() {
    let mut file = Vec::new();
    let mut writer = TraceWriter::new(&mut file, &header()).unwrap();
    writer.event(&event(1, 0)).unwrap();
    writer.flush().unwrap();
    writer.event(&event(2, 0)).unwrap();
    drop(writer);
    let (read, lost, condition) = read(&file).unwrap();
    assert_eq!((read, lost), (vec![event(1, 0)], 0));
    let why = "the writer did not end it";
    assert_eq!(condition, Condition::Cut { at: file.len() as u64, why });
}

#[test]
fn a_section_that_was_taken_out_is_missed() {
    let (file, _) = sample();
    let blocks: Vec<usize> =
        (0..file.len()).filter(|&at| file[at..].starts_with(b"BLOK")).collect();
    let without = [&file[..blocks[0]], &file[blocks[1]..]].concat();
    let (_, _, condition) = read(&without).unwrap();
    assert_eq!(condition, Condition::Cut { at: blocks[0] as u64, why: "a section is missing" });
    let more = [&file[..], b"x"].concat();
    assert!(matches!(read(&more).unwrap().2, Condition::Cut { .. }));
}

#[test]
fn limits_are_kept_by_the_writer() {
    let mut writer = TraceWriter::new(Vec::new(), &header()).unwrap();
    assert!(matches!(writer.event(&event(1, CPUS_MAX)), Err(WriteError::Cpu(CPUS_MAX))));
    assert!(matches!(writer.lost(CPUS_MAX, 1), Err(WriteError::Cpu(_))));
    writer.event(&event(1, CPUS_MAX - 1)).unwrap();
    let many: Vec<Probe> = (0..1 << 16).map(probe).collect();
    writer.probes(&many).unwrap();
    assert!(matches!(writer.probes(&[probe(0)]), Err(WriteError::Probes)));
    let long = Probe { id: 5, provider: "é".repeat(4000), ..Probe::default() };
    let mut writer = TraceWriter::new(Vec::new(), &header()).unwrap();
    writer.probes(&[long]).unwrap();
    let trace = Trace::open(Cursor::new(writer.finish().unwrap())).unwrap();
    assert_eq!(trace.probes()[&5].provider, "é".repeat(2048));
}

#[test]
fn a_table_of_many_probes_is_written_in_parts() {
    let many: Vec<Probe> = (0..1 << 16).map(probe).collect();
    let mut writer = TraceWriter::new(Vec::new(), &header()).unwrap();
    writer.probes(&many).unwrap();
    let trace = Trace::open(Cursor::new(writer.finish().unwrap())).unwrap();
    assert_eq!(trace.condition(), Condition::Whole);
    assert!(trace.probes().values().eq(&many));
}

prop_compose! {
    fn any_event()(
        time_tsc in 0..1000_u64, id: u32, cpu in 0..4_u16, kind: u8, arg_count: u8, who: u64,
        args: [u64; 5],
    ) -> Event {
        Event { time_tsc, id, cpu, kind, arg_count, who, args }
    }
}

proptest! {
    #[test]
    fn all_events_come_back_in_the_order_of_time(
        events in vec(any_event(), 0..3 * BLOCK_EVENTS_MAX),
        flushes in vec(0..3 * BLOCK_EVENTS_MAX, 0..4),
        tell_lost in vec((0..3 * BLOCK_EVENTS_MAX, 0..4_u16, 1..9_u64), 0..4),
    ) {
        // A recorder hands over what its processors have in the order of time, each its own.
        let mut events = events;
        events.sort_by_key(|event| event.time_tsc);
        let mut writer = TraceWriter::new(Vec::new(), &header()).unwrap();
        let mut lost = 0;
        for (number, event) in events.iter().enumerate() {
            if flushes.contains(&number) {
                writer.flush().unwrap();
            }
            for (_, cpu, count) in tell_lost.iter().filter(|tell| tell.0 == number) {
                writer.lost(*cpu, *count).unwrap();
                lost += count;
            }
            writer.event(event).unwrap();
        }
        let file = writer.finish().unwrap();
        let (read, read_lost, condition) = read(&file).unwrap();
        prop_assert_eq!((read_lost, condition), (lost, Condition::Whole));
        prop_assert!(read.is_sorted_by_key(|event| event.time_tsc));
        // Equal times may change places.
        let key = |event: &Event| (event.time_tsc, event.id, event.cpu, event.who, event.args);
        let (mut read, mut events) = (read, events);
        read.sort_by_key(key);
        events.sort_by_key(key);
        prop_assert_eq!(read, events);
    }

    #[test]
    fn whatever_a_file_has_the_reader_keeps_its_bounds(
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
        cut in any::<prop::sample::Index>(),
    ) {
        let (mut file, written) = sample();
        for (place, byte) in damage {
            let place = place.index(file.len());
            file[place] = byte;
        }
        file.truncate(cut.index(file.len() + 1));
        if let Ok((read, ..)) = read(&file) {
            prop_assert!(read.iter().all(|event| written.contains(event)));
        }
    }
}
