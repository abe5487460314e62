//! Other tools read what was exported: `protoc` Perfetto's protobuf, `babeltrace2` the Common Trace Format.
//!
//! Neighbours: `exports.rs` looks at JSON, reports and pictures. Invariant: where a tool is missing, its test
//! counts as skipped.

mod common;

use std::fs::File;
use std::io::Cursor;
use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Failed, Trial};
use sup_trace::{Step, Trace, ctf, perfetto};

fn main() -> ExitCode {
    let trials = vec![
        trial("protoc_decodes_perfetto", "protoc", "protobuf-compiler", protoc),
        trial("babeltrace2_reads_ctf", "babeltrace2", "babeltrace2", babeltrace),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn trial(name: &str, tool: &str, package: &str, test: fn() -> Result<(), Failed>) -> Trial {
    let trial = Trial::test(name, test);
    if Command::new(tool).arg("--version").output().is_ok() {
        return trial;
    }
    let reason = format!("there is no {tool}; on Debian `apt install {package}`");
    trial.with_kind(reason).with_ignored_flag(true)
}

fn sample() -> Result<Trace<Cursor<Vec<u8>>>, Failed> {
    Ok(Trace::open(Cursor::new(common::sample()))?)
}

fn same(found: &str, expected: &str) -> Result<(), Failed> {
    if found == expected {
        return Ok(());
    }
    Err(format!("found:\n{found}\nexpected:\n{expected}").into())
}

fn protoc() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("trace");
    perfetto::export(&mut sample()?, File::create(&path)?, &mut |_| Step::Continue)?;
    let decoded = Command::new("protoc").arg("--decode_raw").stdin(File::open(&path)?).output()?;
    let text = String::from_utf8(decoded.stdout)?;
    // A packet a line: its fields by their numbers.
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let packets: Vec<&str> = text.split("} 1 {").collect();
    for name in ["vm\\\"m", "run-begin", "io_entry", "tick", "arg0 uint64_t", "arg2 void <&> *"] {
        if !text.contains(&format!("\"{name}\"")) {
            return Err(format!("{name} is not among the names: {text}").into());
        }
    }
    let timestamps: Vec<&str> = packets
        .iter()
        .filter_map(|packet| packet.trim().strip_prefix("8: "))
        .filter_map(|packet| packet.split(' ').next())
        .collect();
    let expected =
        "1000001000 1000001100 1000001150 1000001200 1000002000 1000002000 1000002500 1000003000";
    same(&timestamps.join(" "), expected)?;
    let kinds: Vec<&str> = packets
        .iter()
        .filter_map(|packet| packet.split_once("11 { 9: "))
        .filter_map(|(_, event)| event.split(' ').next())
        .collect();
    same(&kinds.join(" "), "1 1 3 2 2 3 3 3")
}

fn babeltrace() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    ctf::export(&mut sample()?, folder.path(), &mut |_| Step::Continue)?;
    let printed = Command::new("babeltrace2")
        .args(["--clock-seconds", "--no-delta"])
        .arg(folder.path())
        .output()?;
    let text = String::from_utf8(printed.stdout)?;
    let trouble = String::from_utf8_lossy(&printed.stderr);
    let expected = "\
[1700000001.000001500] host? vm\"m:run-begin: { cpu_id = 0 }, { process = 70, thread = 71 }, { arg0 = 5 }
[1700000001.000001600] host? vm\"m:io_entry: { cpu_id = 0 }, { process = 70, thread = 71 }, { arg0 = 0xFFFF888000000000 }
[1700000001.000001650] host? vm\"m:tick: { cpu_id = 1 }, { process = 0, thread = 0 }, { arg0 = 1152921504606846976, arg1 = -1, arg2 = 0x1000 }
[1700000001.000001700] host? vm\"m:io_return: { cpu_id = 0 }, { process = 70, thread = 71 }, { }
[1700000001.000002500] host? vm\"m:run-end: { cpu_id = 0 }, { process = 70, thread = 71 }, { arg0 = -10 }
[1700000001.000003000] host? unknown: { cpu_id = 1 }, { process = 0, thread = 0 }, { probe = 99, arg0 = 7, arg1 = 0, arg2 = 0, arg3 = 0, arg4 = 0 }
[1700000001.000003500] host? vm\"m:run-end: { cpu_id = 0 }, { process = 70, thread = 71 }, { arg0 = 0 }
";
    same(&text, expected).map_err(|error| format!("{error:?}\n{trouble}"))?;
    if trouble.contains("discarded 3 events") {
        Ok(())
    } else {
        Err(format!("the loss is not told of: {trouble}").into())
    }
}
