//! A small trace with everything that exports have to show.
//!
//! Invariant: the same bytes each time.

use sup_trace::{Argument, Event, Header, Probe, TraceWriter};

/// A thread of a process, and nobody.
const WHO: u64 = 70 << 32 | 71;

fn probe(id: u32, name: &str, arguments: &[(&str, u32)]) -> Probe {
    let argument = |(type_text, flags): &(&str, u32)| Argument {
        type_text: (*type_text).into(),
        flags: *flags,
    };
    Probe {
        id,
        provider: "vm\"m".into(),
        probe: name.into(),
        module: "VMMR0.r0".into(),
        function: "run".into(),
        line: 10 + id,
        stability: "Evolving".into(),
        arguments: arguments.iter().map(argument).collect(),
    }
}

/// Two nested slices, an instant on a processor, a loss, an unknown probe, and an end without a begin.
pub(crate) fn sample() -> Vec<u8> {
    let header = Header {
        tsc_hz: 1_000_000_000,
        anchor_tsc: 0,
        anchor_realtime_ns: 1_700_000_001_000_000_500,
        anchor_monotonic_ns: 1_000_000_000,
        host: "host\u{1}".into(),
        kernel: "6.1.0".into(),
        backend: "embedded".into(),
        command: "test".into(),
    };
    let signed = ("int32_t", 0x8000_0104);
    let address = ("void <&> *", 0x308);
    let number = ("uint64_t", 0x4000_0108);
    let probes = [
        probe(0, "run-begin", &[number]),
        probe(1, "run-end", &[signed]),
        probe(2, "io_entry", &[address]),
        probe(3, "io_return", &[]),
        probe(4, "tick", &[number, signed, address]),
    ];
    let mut writer = TraceWriter::new(Vec::new(), &header).unwrap();
    writer.probes(&probes).unwrap();
    let event = |time_tsc, id, cpu, who, arguments: &[u64]| {
        let mut args = [0; 5];
        args[..arguments.len()].copy_from_slice(arguments);
        Event { time_tsc, id, cpu, kind: 0, arg_count: arguments.len() as u8, who, args }
    };
    let events = [
        event(1_000, 0, 0, WHO, &[5]),
        event(1_100, 2, 0, WHO, &[0xffff_8880_0000_0000]),
        event(1_150, 4, 1, 0, &[1 << 60, 0xffff_ffff, 0x1000]),
        event(1_200, 3, 0, WHO, &[]),
        event(2_000, 1, 0, WHO, &[0xffff_fff6]),
    ];
    events.iter().for_each(|event| writer.event(event).unwrap());
    writer.lost(1, 3).unwrap();
    writer.event(&event(2_500, 99, 1, 0, &[7])).unwrap();
    writer.event(&event(3_000, 1, 0, WHO, &[0])).unwrap();
    writer.finish().unwrap()
}
