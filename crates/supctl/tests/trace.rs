//! `supctl trace` over modules/ringtrace, built for ring 0, and the conformance suite's module with probes.
//!
//! Neighbours: the suite's cases of the tracer in the box test what it does. Without the sources of Rust's
//! library, with which the tracer is compiled, the tests count as skipped.

mod sources;

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use sup_conformance::traced::TRACED;
use sup_ring0::elf::Elf;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../modules/ringtrace");

fn main() -> ExitCode {
    let trials = [
        Trial::test("probes_are_listed_and_counted", listed_and_counted),
        Trial::test("builds_at_once_do_not_disturb_each_other", builds_at_once),
        Trial::test("a_signal_ends_a_recording_in_good_order", signals_end_a_recording),
        Trial::test("a_signal_ends_the_counting", signals_end_the_counting),
        Trial::test("a_signal_ends_the_command_too", signals_end_the_command),
        Trial::test("a_second_signal_ends_it_at_once", second_signal),
    ];
    let trials = trials.map(|trial| match sources::are_there() {
        true => trial,
        false => trial.with_kind(sources::MISSING).with_ignored_flag(true),
    });
    libtest_mimic::run(&Arguments::from_args(), trials.into()).exit_code()
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_supctl"));
    command.args(args).env("SUP_BACKEND", "embedded");
    for variable in ["SUP_MODULE_POLICY", "RUST_LOG"] {
        command.env_remove(variable);
    }
    command
}

fn supctl(args: &[&str]) -> Result<(String, String), Failed> {
    let output = command(args).output()?;
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

/// The driver's own probes: looking at them makes requests, which they tell of.
const OWN: [&str; 2] = ["--filter", "supdrv"];

/// `supctl trace` with the driver's own probes, and behind that a command of `sh`.
fn start(tracer: &str, what: &[&str], shell: Option<&str>) -> Result<Child, Failed> {
    let all = [&["trace"], what, &OWN, &["--tracer", tracer]].concat();
    let mut command = command(&all);
    if let Some(text) = shell {
        command.args(["--", "sh", "-c", text]);
    }
    // Not a terminal, which would tell the command too.
    Ok(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?)
}

/// Waits for a look at `/proc/PID/status` to be right: its line of that name, a mask of signals.
fn wait_for(child: &Child, name: &str, is_right: impl Fn(u64) -> bool) -> Result<(), Failed> {
    loop {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id()))?;
        let mask = status.lines().find_map(|line| line.strip_prefix(name)).ok_or("it has ended")?;
        if is_right(u64::from_str_radix(mask.trim(), 16)?) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

const fn bit(signal: Signal) -> u64 {
    1 << (signal.as_raw() - 1)
}

fn send(child: &Child, signal: Signal) -> Result<(), Failed> {
    Ok(kill_process(Pid::from_child(child), signal)?)
}

/// Sends a signal as soon as it does not end the program any more, and returns what it printed.
fn end(child: Child, signal: Signal) -> Result<(Option<i32>, String), Failed> {
    wait_for(&child, "SigCgt:", |caught| caught & bit(Signal::TERM) != 0)?;
    send(&child, signal)?;
    let output = child.wait_with_output()?;
    Ok((output.status.code(), String::from_utf8(output.stdout)?))
}

fn signals_end_a_recording() -> Result<(), Failed> {
    let tracer = build()?;
    for signal in [Signal::INT, Signal::TERM] {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("hits.sup");
        let path = file.to_str().ok_or("a strange folder")?;
        // A small ring, so that there are losses to be told of.
        let child = start(&tracer, &["record", "-o", path, "--buffer", "2"], None)?;
        let (code, text) = end(child, signal)?;
        assert_eq!(code, Some(0), "{text}");
        // The file has its name, and nothing is beside it.
        let names: Vec<_> = std::fs::read_dir(&folder)?
            .map(|entry| Ok(entry?.file_name()))
            .collect::<std::io::Result<_>>()?;
        assert_eq!(names, ["hits.sup"]);
        let mut trace = sup_trace::Trace::open(std::fs::File::open(&file)?)?;
        assert_eq!(trace.condition(), sup_trace::Condition::Whole);
        let (mut all, mut count, mut lost) = (trace.events()?, 0, 0);
        while let Some(item) = all.next()? {
            match item {
                sup_trace::Item::Event(_) => count += 1,
                sup_trace::Item::Lost { events, .. } => lost += events,
            }
        }
        assert!(count > 0, "{text}");
        assert!(text.contains(&format!("hits.sup: {count} events, {lost} lost")), "{text}");
    }
    Ok(())
}

fn signals_end_the_counting() -> Result<(), Failed> {
    let tracer = build()?;
    for signal in [Signal::INT, Signal::TERM] {
        let (code, text) = end(start(&tracer, &["stat", "--json"], None)?, signal)?;
        assert_eq!(code, Some(0), "{text}");
        let counted: Value = serde_json::from_str(&text)?;
        assert!(counted["hits"].as_u64().is_some_and(|hits| hits > 0), "{counted}");
        assert_eq!(counted["counts"]["written"], counted["hits"], "{counted}");
    }
    Ok(())
}

fn signals_end_the_command() -> Result<(), Failed> {
    const LOOP: &str = "trap 'echo interrupted; exit 3' INT; trap 'echo terminated; exit 3' TERM; \
                        echo ready; while :; do sleep 0.01; done";
    let tracer = build()?;
    for (signal, answer) in [(Signal::INT, "interrupted"), (Signal::TERM, "terminated")] {
        let mut child = start(&tracer, &["stat", "--json"], Some(LOOP))?;
        let mut stdout = BufReader::new(child.stdout.take().ok_or("no pipe")?);
        let mut line = String::new();
        stdout.read_line(&mut line)?;
        assert_eq!(line, "ready\n");
        send(&child, signal)?;
        let text = std::io::read_to_string(stdout)?;
        // What the command makes of it is its own business.
        assert_eq!(child.wait()?.code(), Some(0), "{text}");
        let (told, counted) = text.split_once('\n').ok_or("one line")?;
        assert_eq!(told, answer);
        assert!(serde_json::from_str::<Value>(counted)?["hits"].is_u64(), "{text}");
    }
    // So does the end of the time.
    let mut child = start(&tracer, &["stat", "--json", "--seconds", "1"], Some(LOOP))?;
    let text = std::io::read_to_string(child.stdout.take().ok_or("no pipe")?)?;
    assert_eq!(child.wait()?.code(), Some(0), "{text}");
    assert!(text.starts_with("ready\nterminated\n{"), "{text}");
    Ok(())
}

/// While it waits for a command that does not listen.
fn second_signal() -> Result<(), Failed> {
    const DEAF: &str = "trap '' INT TERM; echo $$; exec sleep 600";
    let tracer = build()?;
    for (signal, status) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let mut child = start(&tracer, &["stat"], Some(DEAF))?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or("no pipe")?).read_line(&mut line)?;
        let deaf = line.trim().parse().ok().and_then(Pid::from_raw).ok_or("no number")?;
        send(&child, signal)?;
        // Two that come before the first is looked at are one.
        wait_for(&child, "ShdPnd:", |pending| pending & bit(signal) == 0)?;
        send(&child, signal)?;
        assert_eq!(child.wait()?.code(), Some(status));
        kill_process(deaf, Signal::KILL)?;
    }
    Ok(())
}
