//! The commands beside the doctor, and what they say when something is wrong.

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use common::{command, file, path, run, supctl};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use sup_modules::{HELLO, hello};
use zerocopy::{FromBytes, IntoBytes};

#[test]
fn every_command_has_help() {
    for command in [
        &["--help"][..],
        &["doctor", "--help"],
        &["module", "--help"],
        &["module", "new", "--help"],
        &["module", "build", "--help"],
        &["module", "check", "--help"],
        &["module", "load", "--help"],
        &["module", "call", "--help"],
        &["module", "list", "--help"],
        &["verify", "--help"],
        &["installation", "sign", "--help"],
        &["installation", "verify", "--help"],
        &["gip", "--help"],
        &["log", "--help"],
        &["log", "show", "--help"],
        &["log", "set", "--help"],
        &["log", "destroy", "--help"],
        &["status", "--help"],
        &["completions", "--help"],
    ] {
        let help = supctl(command);
        assert_eq!(help.exit, Some(0), "{command:?}");
        assert!(help.stdout.contains("Usage: supctl"), "{command:?}: {}", help.stdout);
        assert!(!help.stdout.contains('\x1b'), "{command:?}");
    }
}

#[test]
fn cannot_say_nonsense() {
    for wrong in [
        &["doctors"][..],
        &["doctor", "--yaml"],
        &["module"],
        &["module", "load"],
        &["module", "new", "../escape"],
        &["module", "call", "hello.r0", "hello", "one"],
        &["module", "call", "hello.r0", "hello", "1", "--arg", "0xg"],
        &["module", "call", "hello.r0", "hello", "1", "--output", "out"],
        &["verify"],
        &["installation"],
        &["installation", "sign"],
        &["log", "list"],
        &["log", "--json", "destroy"],
        &["log", "set"],
        &["log", "set", "--debug", "--release", "--groups", "all"],
        &["log", "destroy", "--release"],
        &["status", "VERR_NONSENSE"],
        &["completions", "cmd.exe"],
    ] {
        let usage = supctl(wrong);
        assert_eq!(usage.exit, Some(2), "{wrong:?}");
        assert!(usage.stderr.starts_with("error: ") || usage.stderr.contains("Usage"), "{wrong:?}");
        assert_eq!(usage.stdout, "", "{wrong:?}");
    }
}

#[test]
fn hello_loads() {
    let module = file(HELLO.image);
    let load = supctl(&["module", "load", path(&module), "--name", "hello"]);
    assert_eq!(load.exit, Some(0), "{}", load.stderr);
    for text in ["module   hello\n", "base     0x", "loaded   just now", "freed"] {
        assert!(load.stdout.contains(text), "{text}: {}", load.stdout);
    }
}

#[test]
fn hello_greets() {
    let module = file(HELLO.image);
    let request = file(hello::Greet::new("supctl").expect("a short name").as_bytes());
    let answer = file(&[]);
    let call = ["module", "call", path(&module), "hello", "1", "--request-file", path(&request)];

    let raw = supctl(&[&call[..], &["--output", path(&answer)]].concat());
    assert_eq!((raw.exit, raw.stdout.as_str()), (Some(0), "VINF_SUCCESS (0)\n"), "{}", raw.stderr);
    let packet = fs::read(answer.path()).expect("the answer was written");
    let packet = hello::Greet::read_from_bytes(&packet).expect("the answer is a packet");
    assert_eq!(packet.greeting(), "Hello, supctl! Nice to meet you in ring 0.");

    let dump = supctl(&call);
    assert_eq!(dump.exit, Some(0), "{}", dump.stderr);
    let first = "\n00000000  16 04 64 19 c8 00 00 00 73 75 70 63 74 6c 00 00  ..d.....supctl..\n";
    assert!(dump.stdout.contains(first), "{}", dump.stdout);
}

#[test]
fn an_argument_and_a_status_go_through_unchanged() {
    let module = file(HELLO.image);
    let echo =
        |argument| supctl(&["module", "call", path(&module), "hello", "0x3", "--arg", argument]);
    assert_eq!(echo("85").stdout, "VINF_OBJECT_DESTROYED (85)\n");
    let failed = echo("0xfffffffe");
    assert_eq!(failed.exit, Some(1));
    assert_eq!(failed.stdout, "");
    assert!(failed.stderr.starts_with("supctl: CallService: VERR_INVALID_PARAMETER (-2): "));
}

#[test]
fn cannot_load_what_is_no_module() {
    let mut garbage = HELLO.image.to_vec();
    garbage[0] ^= 0xff;
    let truncated = &HELLO.image[..HELLO.image.len() / 2];
    for bytes in [&garbage, truncated, b"", b"#!/bin/sh\n"] {
        let module = file(bytes);
        for arguments in [
            &["module", "load", path(&module)][..],
            &["module", "call", path(&module), "hello", "0"],
        ] {
            let refused = supctl(arguments);
            assert_eq!(refused.exit, Some(1), "{arguments:?}");
            assert_eq!(refused.stdout, "", "{arguments:?}");
            let sentence = refused.stderr;
            let start = "supctl: LoadModule: VERR_BAD_EXE_FORMAT (-608): ";
            assert!(sentence.starts_with(start) && sentence.lines().count() == 1, "{sentence}");
        }
    }
}

#[test]
fn cannot_find_what_is_not_there() {
    let module = file(HELLO.image);
    for (arguments, status) in [
        (&["module", "load", "/nonexistent.r0"][..], "VERR_FILE_NOT_FOUND (-102)"),
        (&["module", "call", "/nonexistent.r0", "hello", "0"], "VERR_FILE_NOT_FOUND (-102)"),
        (&["module", "call", path(&module), "goodbye", "0"], "VERR_SYMBOL_NOT_FOUND (-609)"),
        (&["module", "load", path(&module), "--handler", "nobody"], "VERR_SYMBOL_NOT_FOUND (-609)"),
        (&["module", "call", path(&module), "hello", "99"], "VERR_NOT_SUPPORTED (-37)"),
        (
            &["module", "call", path(&module), "hello", "1", "--request-file", path(&module)],
            "VERR_INTERNAL_ERROR (-225)",
        ),
    ] {
        let refused = supctl(arguments);
        assert_eq!(refused.exit, Some(1), "{arguments:?}");
        assert!(refused.stderr.contains(status), "{arguments:?}: {}", refused.stderr);
        assert_eq!(refused.stderr.lines().count(), 1, "{}", refused.stderr);
    }
}

#[test]
fn a_module_is_checked_rule_by_rule() {
    let module = file(HELLO.image);
    let good = supctl(&["module", "check", path(&module)]);
    assert_eq!((good.exit, good.stderr.as_str()), (Some(0), ""));
    assert!(good.stdout.lines().all(|line| line.starts_with("ok  ")), "{}", good.stdout);

    let script = file(b"#!/bin/sh\n");
    let bad = supctl(&["module", "check", path(&script)]);
    assert_eq!(bad.exit, Some(1));
    assert!(bad.stdout.starts_with("no  format  "), "{}", bad.stdout);
    assert!(bad.stderr.contains("would not load: 1 rule is broken"), "{}", bad.stderr);
}

#[test]
fn the_driver_of_a_new_process_lists_nothing() {
    let list = supctl(&["module", "list"]);
    assert_eq!(list.exit, Some(0), "{}", list.stderr);
    assert!(list.stdout.starts_with("no module is loaded in this process"), "{}", list.stdout);
    let json = supctl(&["module", "list", "--json"]);
    let document: Value = serde_json::from_str(&json.stdout).expect("one JSON document");
    assert_eq!(document["backend"], "embedded");
    assert_eq!(document["modules"].as_array().map(Vec::len), Some(0), "{document}");
}

#[test]
fn cannot_make_a_module_where_something_is() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let place = folder.path().to_str().expect("temporary folders have plain names");
    let refused = supctl(&["module", "new", "adder", "--folder", place]);
    assert_eq!(refused.exit, Some(1));
    assert!(refused.stderr.contains("VERR_ALREADY_EXISTS (-105)"), "{}", refused.stderr);
    assert_eq!(fs::read_dir(place).expect("it is still there").count(), 0);
}

#[test]
fn cannot_build_without_a_compiler_but_is_told_what_to_install() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let place = folder.path().to_str().expect("temporary folders have plain names");
    fs::write(folder.path().join("Cargo.toml"), "").expect("the folder takes a file");
    let refused = run(command(&["module", "build", place]).env("PATH", ""));
    assert_eq!(refused.exit, Some(1));
    let is_told = ["rustup component add rust-src", "cargo failed"];
    assert!(is_told.iter().any(|text| refused.stderr.contains(text)), "{}", refused.stderr);
}

#[test]
fn cannot_use_a_kernel_driver_that_is_not_there() {
    let refused = run(command(&["gip"]).env("SUP_BACKEND", "kernel"));
    assert_eq!(refused.exit, Some(1));
    let start = "supctl: Session::open: VERR_VM_DRIVER_NOT_INSTALLED (-1908): ";
    assert!(refused.stderr.starts_with(start), "{}", refused.stderr);
}

#[test]
fn the_page_can_be_looked_at() {
    let text = supctl(&["gip"]);
    assert_eq!(text.exit, Some(0), "{}", text.stderr);
    assert!(text.stdout.starts_with("mode     "), "{}", text.stdout);

    let json = supctl(&["gip", "--json"]);
    let look: Value = serde_json::from_str(&json.stdout).expect("one JSON document");
    assert!(look["update_hz"].as_u64().is_some_and(|hz| hz > 0), "{look}");
    assert!(look["cpus"][0]["hz"].as_u64().is_some_and(|hz| hz > 1_000_000), "{look}");
    assert!(look["ahead_of_monotonic_ns"].as_i64().is_some(), "{look}");
}

#[test]
fn the_page_can_be_watched() {
    let watch = ["gip", "--watch", "--interval-ms", "20", "--count", "3"];
    let text = supctl(&watch);
    assert_eq!(text.exit, Some(0), "{}", text.stderr);
    assert!(!text.stdout.contains('\x1b'), "{}", text.stdout);
    let (header, rows) = text.stdout.split_once('\n').expect("a header");
    assert!(header.trim_start().starts_with("time ns"), "{header}");
    let times: Vec<u64> = rows
        .lines()
        .map(|row| row.split_whitespace().next().expect("a time").parse().expect("a number"))
        .collect();
    assert!(times.len() >= 3 && times.is_sorted() && times.first() < times.last(), "{times:?}");

    let json = supctl(&[&watch[..], &["--json"]].concat());
    let looks: Vec<Value> =
        json.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(looks.len(), 3);
    let ahead = looks[2]["cpus"][0]["ahead_ns"].as_i64().expect("an error");
    assert!(ahead.abs() < 1_000_000, "{ahead} ns ahead");
}

#[test]
fn a_watch_ends_cleanly_when_it_is_interrupted() {
    let mut child = command(&["gip", "--watch", "--interval-ms", "10"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("supctl starts");
    let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut line = String::new();
    stdout.read_line(&mut line).expect("a line");
    let pid = Pid::from_child(&child);
    kill_process(pid, Signal::INT).expect("it runs");
    stdout.read_to_string(&mut line).expect("the rest");
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    assert!(line.ends_with('\n'), "the last line is whole: {line}");
}

#[test]
fn a_picture_of_the_page_is_drawn() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("gip.svg");
    let name = file.to_str().expect("a plain name");
    let drawn = supctl(&["gip", "--plot", name, "--seconds", "1"]);
    assert_eq!(drawn.exit, Some(0), "{}", drawn.stderr);
    assert!(drawn.stdout.contains("median error"), "{}", drawn.stdout);
    let text = fs::read_to_string(&file).expect("the picture");
    assert!(text.starts_with("<svg") && text.trim_end().ends_with("</svg>"));
    for caption in
        ["Error against CLOCK_MONOTONIC", "Interval between updates", "What a read costs"]
    {
        assert!(text.contains(caption), "{caption}");
    }
    assert!(text.matches("<polyline").count() >= 2, "two curves");
    let nowhere = supctl(&["gip", "--plot", "/nonexistent/gip.svg", "--seconds", "1"]);
    assert_eq!(nowhere.exit, Some(1));
    assert!(
        nowhere.stderr.contains("/nonexistent/gip.svg: VERR_FILE_NOT_FOUND"),
        "{}",
        nowhere.stderr
    );
}

#[test]
fn statuses_are_explained() {
    for (argument, start) in [
        ("-2", "VERR_INVALID_PARAMETER (-2): "),
        ("0", "VINF_SUCCESS (0): "),
        ("VERR_TIMEOUT", "VERR_TIMEOUT (-40): "),
    ] {
        let status = supctl(&["status", argument]);
        assert_eq!(status.exit, Some(0), "{argument}");
        assert!(status.stdout.starts_with(start), "{}", status.stdout);
    }
    assert_eq!(supctl(&["status", "-99999"]).exit, Some(1));
    let all = supctl(&["status"]).stdout;
    assert_eq!(all.lines().count(), sup::Status::ALL.len() + 1);
}

#[test]
fn shells_get_completions() {
    for shell in ["bash", "zsh", "fish"] {
        let script = supctl(&["completions", shell]);
        assert_eq!(script.exit, Some(0), "{shell}");
        assert!(script.stdout.contains("doctor"), "{shell}");
    }
}

#[test]
fn a_full_disk_is_a_failure() {
    let full = fs::File::options().write(true).open("/dev/full").expect("Linux has /dev/full");
    let refused = run(command(&["status"]).stdout(full));
    assert_eq!(refused.exit, Some(1));
    assert!(refused.stderr.starts_with("supctl: standard output: "), "{}", refused.stderr);
}

#[test]
fn the_version_is_the_packages() {
    let version = supctl(&["--version"]).stdout;
    assert_eq!(version, concat!("supctl ", env!("CARGO_PKG_VERSION"), "\n"));
}

/// In this process: what comes of it in the kernel is the library's and the driver's, and tested there.
#[test]
fn loggers_are_made_and_destroyed() {
    let embedded = |arguments: &[&str]| run(command(arguments).env("SUP_BACKEND", "embedded"));
    for (which, name) in [("--debug", "debug"), ("--release", "release")] {
        let set = embedded(&["log", "set", which, "--flags", "-disabled", "--groups", "-sup all"]);
        assert_eq!(set.exit, Some(0), "{}", set.stderr);
        let settings =
            "                flags none\n                groups DEFAULT.e SUP.e SUP_DRV.e\n";
        assert_eq!(set.stdout, format!("the {name} logger is made\n{settings}"));
        assert!(set.stderr.contains("in this process"), "{}", set.stderr);
    }
    let set = embedded(&["log", "set", "--flags", "tscpid", "--groups", "s*.e.l2=~1 sup.f"]);
    let settings =
        "                flags pid tsc\n                groups SUP=0xfffffffe SUP_DRV=0xfffffffe\n";
    assert_eq!(set.stdout, format!("the debug logger is made\n{settings}"));
    let destroy = embedded(&["log", "destroy"]);
    assert_eq!((destroy.exit, destroy.stdout.as_str()), (Some(0), "there is no debug logger\n"));
    let long = embedded(&["log", "set", "--groups", &"x".repeat(20_000)]);
    assert_eq!(long.exit, Some(1));
    assert!(long.stderr.contains("VERR_INVALID_PARAMETER"), "{}", long.stderr);
}

#[test]
fn loggers_are_shown() {
    let embedded = |arguments: &[&str], limit: &str| {
        let limited = ("SUP_PRINT_LIMIT", limit);
        run(command(arguments).env("SUP_BACKEND", "embedded").env(limited.0, limited.1))
    };
    let text = embedded(&["log"], "7").stdout;
    assert_eq!(text, embedded(&["log", "show"], "7").stdout);
    for line in
        ["debug logger    none: ", "release logger  none: ", "lines a second  7 of each module\n"]
    {
        assert!(text.contains(line), "{text}");
    }
    assert!(embedded(&["log"], "0").stdout.contains("lines a second  as many as come\n"));
    let document = embedded(&["log", "--json"], "7").stdout;
    assert_eq!(document, embedded(&["log", "show", "--json"], "7").stdout);
    let document: Value = serde_json::from_str(&document).unwrap();
    assert_eq!(document["lines_per_second"], 7);
    assert!(document["debug"].is_null() && document["destination"].is_string());
}
