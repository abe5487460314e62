//! Budgets of lines: of images, of the driver's loggers and of everybody else, each its own.

extern crate std;

use std::format;
use std::string::String;
use std::vec::Vec;

use super::*;
use crate::testing::bench::Bench;

const SECOND_NS: u64 = 1_000_000_000;
/// What a budget holds.
const WHOLE: usize = 200;

/// Lets time pass, and forgets what was told so far.
fn pass(bench: &Bench, seconds: u64) {
    bench.host.record.clock.fetch_add(seconds * SECOND_NS, Ordering::Relaxed);
    bench.host.record.log.lock().unwrap().clear();
}

/// What was told since, of information.
fn told(bench: &Bench) -> Vec<String> {
    let log = std::mem::take(&mut *bench.host.record.log.lock().unwrap());
    log.into_iter().filter(|(level, _)| *level == LogLevel::Info).map(|(_, line)| line).collect()
}

fn print(bench: &Bench, caller: u64, lines: usize) {
    for number in 0..lines {
        bench.driver.print(R0Ptr::new(caller), format_args!("line {number}"));
    }
}

/// The line about `count` lines.
fn untold(who: &str, count: usize) -> String {
    format!("lines {who} that were not put out, at 20 a second: {count}")
}

#[test]
fn a_module_that_floods_is_cut_and_counted() {
    let bench = Bench::new();
    let (_, base) = bench.load("flood", "", b"image");
    pass(&bench, 1);
    print(&bench, base.get(), 300);
    let lines = told(&bench);
    assert_eq!((lines.len(), &*lines[WHOLE - 1]), (WHOLE, "line 199"));
    // Two seconds are worth 40 lines; the first tells of those that were not.
    pass(&bench, 2);
    print(&bench, base.get() + 8, 60);
    let lines = told(&bench);
    let who = "of module 'flood'";
    assert_eq!((lines.len(), &lines[0], &*lines[1]), (41, &untold(who, 100), "line 0"));
    // The rest is told when it goes.
    bench.driver.free_module(&bench.session, base).unwrap();
    assert_eq!(told(&bench), [untold(who, 20)]);
    bench.close();
}

#[test]
fn one_module_does_not_silence_another() {
    let bench = Bench::new();
    let (_, first) = bench.load("first", "", b"image");
    let (_, second) = bench.load("second", "", b"image");
    print(&bench, first.get(), WHOLE + 1);
    pass(&bench, 0);
    print(&bench, first.get(), 1);
    print(&bench, second.get(), 1);
    print(&bench, 8, 1);
    assert_eq!(told(&bench).len(), 2, "another one, and code in no module");
    for base in [first, second] {
        bench.driver.free_module(&bench.session, base).unwrap();
    }
    // Who comes next to the same place has a whole budget.
    pass(&bench, 0);
    let (_, third) = bench.load("third", "", b"image");
    pass(&bench, 0);
    print(&bench, third.get(), WHOLE);
    assert_eq!(told(&bench).len(), WHOLE);
    bench.driver.free_module(&bench.session, third).unwrap();
    bench.close();
}

#[test]
fn who_is_in_no_module_shares_a_budget_which_is_told_at_the_end() {
    let bench = Bench::new();
    let record = bench.host.record.clone();
    pass(&bench, 0);
    print(&bench, 0, WHOLE);
    print(&bench, u64::MAX, 5);
    bench.close();
    let log = record.log.lock().unwrap();
    let expected = untold("of code in no module", 5);
    assert!(log.iter().any(|(_, line)| *line == expected), "{log:?}");
}

#[test]
fn images_beyond_the_table_share_a_budget() {
    let printers = Printers::try_new().unwrap();
    let base = |number: usize| R0Ptr::new((number as u64 + 1) << 20);
    for number in 0..=IMAGES_MAX {
        let name = ModuleName::from(&format!("m{number}")).unwrap();
        printers.add(&name, base(number), 1);
    }
    let name = |number| printers.at(base(number)).map(Printer::name);
    assert_eq!(name(IMAGES_MAX - 1).as_deref(), Some("m31"));
    assert_eq!(name(IMAGES_MAX), None);
    // Neither does it take another's place when it goes.
    assert_eq!(printers.remove(base(IMAGES_MAX), 1), 0);
    assert_eq!(name(0).as_deref(), Some("m0"));
}

#[test]
fn an_image_is_found_by_each_of_its_pages_and_by_no_other() {
    let printers = Printers::try_new().unwrap();
    let (base, bytes) = (0xffff_ffff_c000_0000, 16 << 20);
    let name = ModuleName::from("a-name-of-31-bytes-\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}").unwrap();
    assert_eq!(name.len(), 31);
    printers.add(&name, R0Ptr::new(base), bytes);
    for (address, is_inside) in [
        (base - 1, false),
        (base, true),
        (base + bytes as u64 - 1, true),
        (base + bytes as u64, false),
        (0, false),
    ] {
        let found = printers.at(R0Ptr::new(address)).map(Printer::name);
        assert_eq!(found, is_inside.then_some(name), "{address:x}");
    }
    // What is no image has no budget of its own.
    for (base, bytes) in [(base, 0), (0, 1), (base, (16 << 20) + 1)] {
        assert_eq!(pages(R0Ptr::new(base), bytes), None);
    }
}

#[test]
fn the_drivers_loggers_have_a_budget_too() {
    let bench = Bench::new();
    let texts = crate::logger::LoggerTexts { groups: b"sup.e.l2", ..Default::default() };
    let (kind, create) =
        (sup_abi::request::LoggerKind::Debug, sup_abi::request::LoggerAction::Create);
    bench.driver.change_logger(kind, create, texts).unwrap();
    pass(&bench, 20);
    for _ in 0..WHOLE {
        bench.driver.close_session(bench.driver.open_session(()).unwrap());
    }
    assert_eq!(told(&bench).len(), WHOLE);
    pass(&bench, 20);
    bench.driver.close_session(bench.driver.open_session(()).unwrap());
    assert_eq!(told(&bench)[0], untold("of the driver's loggers", WHOLE));
    bench.close();
}
