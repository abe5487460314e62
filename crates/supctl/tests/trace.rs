//! `supctl trace` over modules/ringtrace, built for ring 0, and the conformance suite's module with probes.
//!
//! Neighbours: the suite's cases of the tracer in the box test what it does. Without the sources of Rust's
//! library, with which the tracer is compiled, the tests count as skipped.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::Value;
use sup_conformance::traced::TRACED;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../modules/ringtrace");

fn has_library_sources() -> bool {
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).output();
    let current = sysroot.ok().and_then(|run| String::from_utf8(run.stdout).ok());
    let places = [current.unwrap_or_default(), "/usr".to_owned()];
    places.iter().any(|place| Path::new(place.trim()).join("lib/rustlib/src/rust/library").is_dir())
}

fn main() -> ExitCode {
    let trial = Trial::test("probes_are_listed_and_counted", listed_and_counted);
    let trial = if has_library_sources() {
        trial
    } else {
        let reason = "no sources of Rust's library: `rustup component add rust-src`";
        trial.with_kind(reason).with_ignored_flag(true)
    };
    libtest_mimic::run(&Arguments::from_args(), vec![trial]).exit_code()
}

fn supctl(args: &[&str]) -> Result<(String, String), Failed> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_supctl"));
    command.args(args).env("SUP_BACKEND", "embedded");
    for variable in ["SUP_MODULE_POLICY", "RUST_LOG"] {
        command.env_remove(variable);
    }
    let output = command.output()?;
    Ok((String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?))
}

fn listed_and_counted() -> Result<(), Failed> {
    let (built, told) = supctl(&["module", "build", FOLDER])?;
    let tracer = built.lines().last().ok_or(told)?.trim().to_owned();
    let folder = tempfile::tempdir()?;
    let traced: PathBuf = folder.path().join("traced.r0");
    std::fs::write(&traced, TRACED)?;
    let traced = traced.to_str().ok_or("a strange folder")?;
    let with = ["--tracer", &tracer, "--load", traced];

    let run = |args: &[&str]| supctl(&[&["trace"], args, &with[..]].concat());
    let (text, _) = run(&["list"])?;
    assert!(text.starts_with("PROVIDER  PROBE"), "{text}");
    assert_eq!(text.lines().count(), 6, "{text}");
    let (text, _) = run(&["list", "--json", "beta"])?;
    let json: Value = serde_json::from_str(&text)?;
    let lines: Vec<_> = json["locations"].as_array().ok_or("no list")?.iter().collect();
    assert_eq!(lines.len(), 2);
    assert!(
        lines.iter().all(|at| at["probe"] == "tick-tock" && at["arguments"][0]["type"] == "void *")
    );
    let (text, _) = run(&["list", "nobody:*"])?;
    assert!(text.starts_with("no such probe in this process"), "{text}");

    // A thousand hits of the first location, of which the second argument counts from 0.
    let call = format!("3:{}", 1000 << 8);
    let counted = |more: &[&str]| -> Result<Value, Failed> {
        let (text, told) = run(&[&["stat", "--json", "--call", &call], more].concat())?;
        serde_json::from_str(&text).map_err(|_| told.into())
    };
    let all = counted(&[])?;
    assert_eq!(all["hits"], 1000, "{all}");
    assert_eq!(all["counts"]["lost"], 0, "{all}");
    assert_eq!(counted(&["--filter", "beta"])?["hits"], 0);
    let few = counted(&["--filter", "alpha:op*", "--where", "arg1<10"])?;
    assert_eq!(few["hits"], 10, "{few}");
    // A ring of two: what was not read in time was lost, and counted.
    let lossy = counted(&["--buffer", "2"])?;
    let lost = lossy["counts"]["lost"].as_u64().ok_or("no count")?;
    assert_eq!(lossy["hits"].as_u64().map(|hits| hits + lost), Some(1000), "{lossy}");

    let file = folder.path().join("hits.sup");
    let path = file.to_str().ok_or("a strange folder")?;
    let (text, told) = run(&["record", "-o", path, "--call", &call])?;
    assert!(text.contains("hits.sup: 1000 events, 0 lost"), "{text}{told}");
    let mut trace = sup_trace::Trace::open(std::fs::File::open(&file)?)?;
    let (mut events, mut next) = (trace.events()?, 0);
    while let Some(item) = events.next()? {
        if let sup_trace::Item::Event(event) = item {
            assert_eq!((event.arg_count, event.args), (2, [0, next, 0, 0, 0]));
            next += 1;
        }
    }
    assert_eq!(next, 1000);

    let (text, _) = run(&["stat", "--call", &call])?;
    assert!(text.contains("1000 hits in"), "{text}");
    let (_, told) = run(&["stat", "--call", &call, "--buffer", "3"])?;
    assert!(told.contains("a ring has 2, 4, 8, … 32768 records, not 3"), "{told}");
    Ok(())
}
