//! `supctl trace` over modules/ringtrace, built for ring 0, and the conformance suite's module with probes.
//!
//! Neighbours: the suite's cases of the tracer in the box test what it does. Without the sources of Rust's
//! library, with which the tracer is compiled, the tests count as skipped.

mod sources;

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::Value;
use sup_conformance::traced::TRACED;
use sup_ring0::elf::Elf;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../modules/ringtrace");

fn main() -> ExitCode {
    let trials = [
        Trial::test("probes_are_listed_and_counted", listed_and_counted),
        Trial::test("builds_at_once_do_not_disturb_each_other", builds_at_once),
    ];
    let trials = trials.map(|trial| match sources::are_there() {
        true => trial,
        false => trial.with_kind(sources::MISSING).with_ignored_flag(true),
    });
    libtest_mimic::run(&Arguments::from_args(), trials.into()).exit_code()
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

/// Builds the tracer, and says where it is.
fn build() -> Result<String, Failed> {
    let (built, told) = supctl(&["module", "build", FOLDER])?;
    Ok(built.lines().last().ok_or(told)?.trim().to_owned())
}

/// Each build finds its module where it was told, whole.
fn builds_at_once() -> Result<(), Failed> {
    std::thread::scope(|scope| {
        let builder = || {
            (0..3).try_for_each(|_| -> Result<(), Failed> {
                let image = std::fs::read(build()?)?;
                Elf::parse(&image).map(|_| ()).map_err(|error| error.to_string().into())
            })
        };
        let builders: Vec<_> = (0..4).map(|_| scope.spawn(builder)).collect();
        builders.into_iter().try_for_each(|one| one.join().map_err(|_| "a panic")?)
    })
}

fn listed_and_counted() -> Result<(), Failed> {
    let tracer = build()?;
    let folder = tempfile::tempdir()?;
    let traced: PathBuf = folder.path().join("traced.r0");
    std::fs::write(&traced, TRACED)?;
    let traced = traced.to_str().ok_or("a strange folder")?;
    let with = ["--tracer", &tracer, "--load", traced];

    let run = |args: &[&str]| supctl(&[&["trace"], args, &with[..]].concat());
    let (text, _) = run(&["list"])?;
    assert!(text.contains("supdrv:request-end") && text.contains("supdrv dispatch\n"), "{text}");
    let (text, _) = run(&["list", "alpha", "beta"])?;
    assert!(text.contains("alpha:open      (int, uint64_t)  traced vtgFunction:100"), "{text}");
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
    // The driver's own, if asked for: each request has a begin and an end.
    let own = counted(&["--filter", "supdrv:request-*"])?;
    assert!(own["hits"].as_u64().is_some_and(|hits| hits >= 2), "{own}");
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
