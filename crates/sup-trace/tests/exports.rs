//! What exports, reports and pictures say of a small trace, and that they end when they are told to.
//!
//! Neighbours: `tools.rs` has other tools read the same exports. Invariant: what is expected here was looked at
//! by a person; a change of it is a change of what users see.

mod common;

use std::io::Cursor;

use serde_json::Value;
use sup_trace::{
    Event, ExportError, Header, Report, STEP_EVENTS, Step, Trace, TraceWriter, chrome, ctf,
    perfetto, svg,
};

fn go_on(_: u64) -> Step {
    Step::Continue
}

fn sample() -> Trace<Cursor<Vec<u8>>> {
    Trace::open(Cursor::new(common::sample())).unwrap()
}

fn chrome_events() -> Vec<Value> {
    let mut out = Vec::new();
    let exported = chrome::export(&mut sample(), &mut out, &mut go_on).unwrap();
    assert_eq!((exported.events, exported.lost, exported.damaged), (7, 3, 0));
    let document: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(document["otherData"]["host"], "host\u{1}");
    document["traceEvents"].as_array().unwrap().clone()
}

#[test]
fn chrome_events_keep_the_rules_of_the_format() {
    for event in chrome_events() {
        for number in ["pid", "tid"] {
            assert!(event[number].is_u64(), "{event}");
        }
        assert!(event["name"].is_string(), "{event}");
        match event["ph"].as_str().unwrap() {
            "M" => {}
            "B" | "E" => assert!(event["ts"].is_number(), "{event}"),
            "i" => assert!(event["ts"].is_number() && event["s"] == "t", "{event}"),
            other => panic!("{other}: {event}"),
        }
    }
}

#[test]
fn chrome_events_are_slices_and_instants() {
    let line = |event: &Value| {
        let text = |name: &str| event[name].to_string().replace('"', "");
        format!("{} {} {}/{} {}", text("ts"), text("ph"), text("pid"), text("tid"), text("name"))
    };
    let lines: Vec<String> = chrome_events().iter().skip(1).map(line).collect();
    let expected = [
        "1000001.0 B 70/71 run",
        "1000001.1 B 70/71 io",
        "1000001.15 i 0/1 tick",
        "1000001.2 E 70/71 io",
        "1000002.0 E 70/71 run",
        "1000002.0 i 0/1 lost events",
        "1000002.5 i 0/1 probe 99",
        "1000003.0 i 70/71 run-end",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn chrome_arguments_are_what_their_types_say() {
    let events = chrome_events();
    let tick = &events[3]["args"];
    assert_eq!(tick["arg0 uint64_t"], "0x1000000000000000", "JavaScript would round it");
    assert_eq!(tick["arg1 int32_t"], -1);
    assert_eq!(tick["arg2 void <&> *"], "0x1000");
    assert_eq!(tick["cpu"], 1);
    assert_eq!(events[5]["args"]["arg0 int32_t"], -10);
    assert_eq!(events[7]["args"]["arg0"], 7);
}

#[test]
fn a_report_counts_and_measures() {
    let report = Report::of(&mut sample(), &mut go_on).unwrap();
    assert_eq!((report.events, report.lost, report.unknown), (7, 3, 1));
    assert_eq!((report.duration_ns, report.is_whole), (2_000, true));
    assert_eq!(report.start_realtime_ns, 1_700_000_001_000_001_500);
    let probes: Vec<_> = report.probes.iter().map(|probe| (&*probe.probe, probe.events)).collect();
    let once = ["io_entry", "io_return", "run-begin", "tick"].map(|name| (name, 1));
    assert_eq!(probes, [&[("run-end", 2)][..], &once].concat());
    assert_eq!((report.probes[0].first_ns, report.probes[0].longest_gap_ns), (1_000, 1_000));
    let figures: Vec<_> = report
        .latencies
        .iter()
        .map(|latency| {
            (
                &*latency.name,
                latency.count,
                latency.max_ns,
                latency.median_ns,
                latency.without_begin,
            )
        })
        .collect();
    assert_eq!(figures, [("io", 1, 100, 100, 0), ("run", 1, 1_000, 1_000, 1)]);
    let cpus: Vec<_> = report.cpus.iter().map(|cpu| (cpu.cpu, cpu.events, cpu.lost)).collect();
    assert_eq!(cpus, [(0, 5, 0), (1, 2, 3)]);
    let counted: u64 = report.probes.iter().flat_map(|probe| &probe.over_time).sum();
    assert_eq!(counted + report.unknown, report.events);
}

#[test]
fn a_loss_ends_what_is_open() {
    let probe = |id, name: &str| sup_trace::Probe { id, probe: name.into(), ..Default::default() };
    let mut writer = TraceWriter::new(Vec::new(), &Header::default()).unwrap();
    writer.probes(&[probe(0, "x-begin"), probe(1, "x-end")]).unwrap();
    writer.event(&Event { id: 0, ..Event::default() }).unwrap();
    writer.lost(0, 1).unwrap();
    writer.event(&Event { id: 1, time_tsc: 9, ..Event::default() }).unwrap();
    let mut trace = Trace::open(Cursor::new(writer.finish().unwrap())).unwrap();
    let report = Report::of(&mut trace, &mut go_on).unwrap();
    let latency = &report.latencies[0];
    assert_eq!((latency.count, latency.without_end, latency.without_begin), (0, 1, 1));
}

#[test]
fn a_picture_is_well_formed() {
    let empty = TraceWriter::new(Vec::new(), &Header::default()).unwrap().finish().unwrap();
    for file in [common::sample(), empty] {
        let mut trace = Trace::open(Cursor::new(file)).unwrap();
        let picture = svg::draw(&Report::of(&mut trace, &mut go_on).unwrap());
        assert_well_formed(&picture);
    }
}

/// Elements nest, attributes are quoted, and there is no stray `<` or `&`.
fn assert_well_formed(xml: &str) {
    let mut open = Vec::new();
    let mut rest = xml;
    while let Some((text, tag)) = rest.split_once('<') {
        for entity in text.split('&').skip(1) {
            let name = entity.split(';').next().unwrap();
            assert!(["amp", "lt", "gt", "quot"].contains(&name), "{entity}");
        }
        let (tag, after) = tag.split_once('>').expect("a tag ends");
        rest = after;
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap();
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "{tag}");
        } else if !tag.ends_with('/') {
            open.push(name);
        }
    }
    assert!(open.is_empty() && rest.trim().is_empty(), "{open:?}");
    assert!(xml.chars().all(|c| c == '\n' || c >= ' '), "a control character");
}

#[test]
fn whoever_exports_can_stop() {
    let mut writer = TraceWriter::new(Vec::new(), &Header::default()).unwrap();
    for time_tsc in 0..2 * STEP_EVENTS {
        writer.event(&Event { time_tsc, ..Event::default() }).unwrap();
    }
    let mut trace = Trace::open(Cursor::new(writer.finish().unwrap())).unwrap();
    let mut asked = Vec::new();
    let mut stop = |done| {
        asked.push(done);
        Step::Stop
    };
    let result = chrome::export(&mut trace, Vec::new(), &mut stop);
    assert!(matches!(result, Err(ExportError::Stopped)));
    let result = perfetto::export(&mut trace, Vec::new(), &mut stop);
    assert!(matches!(result, Err(ExportError::Stopped)));
    let folder = tempfile::tempdir().unwrap();
    let result = ctf::export(&mut trace, folder.path(), &mut stop);
    assert!(matches!(result, Err(ExportError::Stopped)));
    assert!(matches!(Report::of(&mut trace, &mut stop), Err(ExportError::Stopped)));
    assert_eq!(asked, [STEP_EVENTS; 4]);
}
