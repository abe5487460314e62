//! The doctor, as a program and a pipe see it.

mod common;

use std::io::Read;
use std::process::Stdio;

use common::{command, path, run, supctl};
use serde_json::Value;

/// What the issue asks for, in its order.
const NAMES: [&str; 23] = [
    "session opened",
    "paging mode",
    "VT capabilities",
    "GIP",
    "GIP accuracy",
    "GIP reads",
    "page memory",
    "shared pages",
    "large block",
    "low memory",
    "contiguous memory",
    "locked memory",
    "event ping-pong",
    "event alone",
    "manual-reset event",
    "module policy",
    "module loaded",
    "service requests",
    "service call",
    "symbol looked up",
    "module freed",
    "session closed",
    "nothing left",
];

fn checks(report: &Value) -> &[Value] {
    report["checks"].as_array().expect("the report has checks")
}

#[test]
fn every_check_passes_and_is_complete() {
    let doctor = supctl(&["doctor", "--json"]);
    let report: Value = serde_json::from_str(&doctor.stdout).expect("one JSON document");
    assert_eq!(doctor.exit, Some(0), "{report:#}");
    assert_eq!(report["passed"], true);
    assert_eq!(report["backend"], "embedded");
    assert!(report["reason"].as_str().is_some_and(|reason| reason.contains("SUP_BACKEND")));
    assert_eq!(report["version"], env!("CARGO_PKG_VERSION"));
    let names: Vec<&str> = checks(&report).iter().filter_map(|c| c["name"].as_str()).collect();
    assert_eq!(names, NAMES);
    for check in checks(&report) {
        assert_eq!(check["passed"], true, "{check}");
        assert!(check["figure"].as_f64().is_some_and(|figure| figure >= 0.0), "{check}");
        assert!(check["unit"].as_str().is_some_and(|unit| !unit.is_empty()), "{check}");
        assert!(check["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{check}");
        assert!(check.get("remedy").is_none(), "{check}");
    }
}

#[test]
fn no_argument_means_doctor_and_a_pipe_gets_plain_lines() {
    let doctor = supctl(&[]);
    assert_eq!(doctor.exit, Some(0), "{}", doctor.stdout);
    assert!(!doctor.stdout.contains(['\x1b', '\r', '─', '│']), "{}", doctor.stdout);
    assert_eq!(doctor.stderr, "");
    let lines: Vec<&str> = doctor.stdout.lines().collect();
    assert_eq!(lines.iter().filter(|line| line.starts_with(" ok ")).count(), NAMES.len());
    assert_eq!(lines.last(), Some(&"all 23 checks passed"));
}

#[test]
fn cannot_pass_without_a_driver_but_does_what_it_can() {
    let doctor = run(command(&["doctor", "--json"]).env("SUP_BACKEND", "kernel"));
    let report: Value = serde_json::from_str(&doctor.stdout).expect("one JSON document");
    assert_eq!(doctor.exit, Some(1));
    assert_eq!(report["passed"], false);
    assert_eq!(report["backend"], Value::Null);
    let reason = report["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("VERR_VM_DRIVER_NOT_INSTALLED (-1908)"), "{reason}");
    for check in checks(&report) {
        let works_alone = check["name"] == "page memory" || check["name"] == "nothing left";
        assert_eq!(check["passed"], works_alone, "{check}");
        assert_eq!(check["remedy"].is_string(), !works_alone, "{check}");
        assert_eq!(check["figure"].is_number(), works_alone, "{check}");
    }
}

#[test]
fn a_reader_may_go_away() {
    let mut child = command(&["doctor"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("supctl starts");
    // Nobody has read anything when the doctor prints.
    drop(child.stdout.take());
    let mut stderr = String::new();
    let mut pipe = child.stderr.take().expect("standard error is a pipe");
    pipe.read_to_string(&mut stderr).expect("supctl writes UTF-8");
    assert_eq!(stderr, "");
    assert_eq!(child.wait().expect("supctl ends").code(), Some(0));
}

#[test]
fn asynchronous_mode_is_as_good() {
    let doctor = run(command(&["doctor", "--json"]).env("SUP_GIP_MODE", "async"));
    assert_eq!(doctor.exit, Some(0), "{}", doctor.stdout);
    assert!(doctor.stdout.contains("asynchronous"), "{}", doctor.stdout);
}

#[test]
fn verbose_shows_the_modules_greeting() {
    let file = common::file(sup_modules::HELLO.image);
    let load = supctl(&["--verbose", "module", "load", path(&file)]);
    assert_eq!(load.exit, Some(0));
    assert!(load.stderr.contains("hello from ring 0"), "{}", load.stderr);
    assert!(!load.stderr.contains('\x1b'), "{}", load.stderr);
}
