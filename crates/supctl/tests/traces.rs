//! `supctl trace report | export`, as a user runs them on files that are good, cut, or no traces.
//!
//! Neighbours: `sup-trace/tests` looks closer at what they write. Invariant: what fails leaves nothing behind.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use sup_trace::{Event, Header, Probe, TraceWriter};

/// A trace of ten calls that take a microsecond each.
fn trace() -> Vec<u8> {
    let probe = |id, name: &str| Probe {
        id,
        provider: "app".into(),
        probe: name.into(),
        ..Probe::default()
    };
    let header = Header { tsc_hz: 1_000_000_000, host: "box".into(), ..Header::default() };
    let mut writer = TraceWriter::new(Vec::new(), &header).unwrap();
    writer.probes(&[probe(0, "call-begin"), probe(1, "call-end")]).unwrap();
    for number in 0..20_u64 {
        let (time_tsc, id) = (1_000 * number, (number % 2) as u32);
        writer.event(&Event { time_tsc, id, who: 1 << 32 | 1, ..Event::default() }).unwrap();
    }
    writer.finish().unwrap()
}

/// How a run of `supctl` ended.
struct Run {
    exit: Option<i32>,
    stdout: String,
    stderr: String,
}

/// Runs a command in a folder that has `good.trace`, a `cut.trace` and something else.
fn in_folder(folder: &Path, args: &[&str]) -> Run {
    let file = trace();
    fs::write(folder.join("good.trace"), &file).unwrap();
    fs::write(folder.join("cut.trace"), &file[..file.len() - 10]).unwrap();
    fs::write(folder.join("other.trace"), "something else, and longer than a prefix").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_supctl"));
    let output = command.args(args).current_dir(folder).env_remove("RUST_LOG").output().unwrap();
    let text = |bytes| String::from_utf8(bytes).expect("supctl writes UTF-8");
    Run { exit: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| !name.ends_with(".trace"));
    names.sort();
    names
}

#[test]
fn a_report_is_a_table_a_document_or_a_picture() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let table = in_folder(folder, &["trace", "report", "good.trace"]);
    assert_eq!((table.exit, &*table.stderr), (Some(0), ""));
    assert!(table.stdout.starts_with("20 events in 0.000019 s\n"), "{}", table.stdout);
    assert!(!table.stdout.contains('\x1b'));
    let row = table.stdout.lines().find(|line| line.trim_start().starts_with("app:call "));
    let row = row.unwrap_or_else(|| panic!("{}", table.stdout));
    let words: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(words[1..7], ["10", "1000", "1000", "1000", "1000", "0"], "{row}");

    let json = in_folder(folder, &["trace", "report", "good.trace", "--json"]);
    let document: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!((&document["events"], &document["is_whole"]), (&20.into(), &true.into()));
    assert_eq!(document["latencies"][0]["max_ns"], 1_000);

    let picture = in_folder(folder, &["trace", "report", "good.trace", "--svg", "out.svg"]);
    assert_eq!((picture.exit, &*picture.stdout), (Some(0), "out.svg: 20 events\n"));
    assert!(fs::read_to_string(folder.join("out.svg")).unwrap().starts_with("<svg"));
    assert_eq!(names(folder), ["out.svg"]);
}

#[test]
fn a_cut_trace_is_reported_as_far_as_it_goes() {
    let folder = tempfile::tempdir().unwrap();
    let table = in_folder(folder.path(), &["trace", "report", "cut.trace"]);
    assert_eq!(table.exit, Some(0));
    assert!(table.stdout.starts_with("20 events"), "{}", table.stdout);
    assert!(table.stdout.contains("file cut at byte"), "{}", table.stdout);
    let args = ["trace", "export", "cut.trace", "--format", "chrome", "-o", "x"];
    let export = in_folder(folder.path(), &args);
    assert!(export.stdout.contains("20 events; the trace is cut"), "{}", export.stdout);
}

#[test]
fn exports_take_their_places_when_they_are_whole() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (format, name) in
        [("chrome", "good.json"), ("perfetto", "good.perfetto-trace"), ("ctf", "good.ctf")]
    {
        let export = in_folder(folder, &["trace", "export", "good.trace", "--format", format]);
        assert_eq!((export.exit, &*export.stderr), (Some(0), ""), "{format}");
        assert_eq!(export.stdout, format!("{name}: 20 events\n"));
    }
    assert_eq!(names(folder), ["good.ctf", "good.json", "good.perfetto-trace"]);
    let document = fs::read(folder.join("good.json")).unwrap();
    let document: Value = serde_json::from_slice(&document).unwrap();
    assert_eq!(document["traceEvents"].as_array().unwrap().len(), 21);
    let again = in_folder(folder, &["trace", "export", "good.trace", "--format", "ctf"]);
    assert_eq!(again.exit, Some(1));
    assert!(again.stderr.contains("good.ctf: "), "{}", again.stderr);
}

#[test]
fn what_cannot_be_done_is_said_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (args, sentence) in [
        (&["trace", "report", "none.trace"][..], "none.trace: VERR_FILE_NOT_FOUND"),
        (&["trace", "report", "other.trace"], "other.trace: no trace file"),
        (&["trace", "export", "other.trace", "--format", "chrome"], "other.trace: no trace file"),
        (
            &["trace", "export", "good.trace", "--format", "chrome", "-o", "none/x"],
            "none/x: VERR_FILE_NOT_FOUND",
        ),
        (&["trace", "report", "good.trace", "--svg", "none/x.svg"], "none/x.svg: "),
    ] {
        let failed = in_folder(folder, args);
        assert_eq!((failed.exit, &*failed.stdout), (Some(1), ""), "{args:?}");
        assert!(failed.stderr.starts_with(&format!("supctl: {sentence}")), "{}", failed.stderr);
    }
    assert!(names(folder).is_empty());
    for args in [&["trace"][..], &["trace", "export", "good.trace"], &["trace", "report"]] {
        assert_eq!(in_folder(folder, args).exit, Some(2), "{args:?}");
    }
    for args in
        [&["trace", "--help"][..], &["trace", "report", "--help"], &["trace", "export", "--help"]]
    {
        assert!(in_folder(folder, args).stdout.contains("Usage: supctl trace"), "{args:?}");
    }
}
