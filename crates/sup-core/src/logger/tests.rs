//! The texts, quirk by quirk, and what the loggers let through.

mod grammar;

extern crate std;

use std::string::String;
use std::vec::Vec;

use proptest::prelude::*;
use sup_abi::Status;
use sup_abi::request::{LoggerAction, LoggerKind, LoggerSettings, LoggerSettingsIn};

use super::flags::{self, changed};
use super::groups::{self, Groups, change};
use crate::host::LogLevel;
use crate::testing::bench::Bench;

fn flags(text: &str) -> u32 {
    changed(0, text.as_bytes())
}

#[test]
fn names_of_flags_need_no_separators() {
    assert_eq!(flags(""), 0);
    assert_eq!(flags("tsc pid"), flags::TSC | flags::PROCESS);
    assert_eq!(flags("tscpid"), flags::TSC | flags::PROCESS);
    assert_eq!(flags(" \ttsc;;pid\n"), flags::TSC | flags::PROCESS);
    // The first name in the table that fits: not the longest, but the table has the longer ones first.
    assert_eq!(flags("timeprog"), 0x400_0000);
    assert_eq!(flags("time"), flags::TIME);
    assert_eq!(flags("flagno flag groupno group"), 0x3c_0000);
    assert_eq!(flags("writethru writethrough"), 0x100);
}

#[test]
fn negations_toggle_and_plus_negates() {
    assert_eq!(flags("disabled"), flags::DISABLED);
    assert_eq!(flags("disabled nodisabled"), 0);
    assert_eq!(flags("noenabled"), flags::DISABLED);
    assert_eq!(flags("disabled enabled"), 0);
    for twice in ["nono", "-!", "~no", "no-"] {
        assert_eq!(flags(&[twice, "tid"].concat()), flags::THREAD_ID, "{twice}");
    }
    assert_eq!(changed(flags::THREAD_ID, b"+tid"), 0);
    assert_eq!(changed(flags::THREAD_ID, b"-+tid"), 0);
    assert_eq!(flags("+-tid"), flags::THREAD_ID);
    // What is no name is skipped a character at a time, and the negation is lost.
    assert_eq!(flags("xtid"), flags::THREAD_ID);
    assert_eq!(flags("-xtid"), flags::THREAD_ID);
    // A text that ends in a prefix ends there.
    assert_eq!(flags("tid no"), flags::THREAD_ID);
    assert_eq!(flags("tid+"), flags::THREAD_ID);
}

fn groups(text: &str) -> Groups {
    let mut groups = [0; 3];
    change(&mut groups, text.as_bytes());
    groups
}

#[test]
fn groups_are_named_by_patterns() {
    assert_eq!(groups("all"), [3; 3]);
    assert_eq!(groups("ALL.e.l2"), [7; 3]);
    // Does not enable.
    assert_eq!(groups("all.l2"), [4; 3]);
    assert_eq!(groups("sup"), [0, 3, 0]);
    assert_eq!(groups("sup_drv+default"), [3, 0, 3]);
    assert_eq!(groups("s*"), [0, 3, 3]);
    assert_eq!(groups("*"), [3; 3]);
    assert_eq!(groups("*_drv"), [0, 0, 3]);
    assert_eq!(groups("*p*"), [0, 3, 3]);
    // Without going back: the first V is behind the first D.
    assert_eq!(groups("*d*d"), [0; 3]);
    assert_eq!(groups("cfgm cpum nobody"), [0; 3]);
    // A semicolon does not end a token.
    assert_eq!(groups("sup;default"), [0; 3]);
    assert_eq!(groups(";sup"), [0, 3, 0]);
}

#[test]
fn signs_switch_on_and_off() {
    assert_eq!(groups("all -sup"), [3, 0, 3]);
    assert_eq!(groups("all -sup.l1"), [3, 1, 3]);
    assert_eq!(groups("all-sup+sup"), [3; 3]);
    // The last one counts.
    assert_eq!(groups("-+sup"), [0, 3, 0]);
    assert_eq!(groups("+-sup"), [0; 3]);
}

#[test]
fn suffixes_and_numbers_make_the_mask() {
    assert_eq!(groups("sup.eo.l3.FLOW"), [0, 0x89, 0]);
    assert_eq!(groups("sup.nobody"), [0; 3]);
    assert_eq!(groups("sup.l3.nobody.l4"), [0, 8, 0]);
    // After a name that is none, the number is not looked at.
    assert_eq!(groups("sup.l3.nobody=0x10"), [0, 8, 0]);
    assert_eq!(groups("sup=0x10"), [0, 0x10, 0]);
    assert_eq!(groups("sup.l3=010"), [0, 8, 0]);
    assert_eq!(groups("sup=12abc"), [0, 12, 0]);
    assert_eq!(groups("sup="), [0; 3]);
    assert_eq!(groups("sup=~1"), [0, !1, 0]);
    // The suffix is read beyond its token, and what follows is a token of its own.
    assert_eq!(groups("sup=-1"), [0, u32::MAX, 0]);
    assert_eq!(groups("sup=0x100000002"), [0, 2, 0]);
}

proptest! {
    /// Any text has an effect, and one that ends: flags are those of the table, others stay.
    #[test]
    fn any_text_ends(text in prop::collection::vec(any::<u8>(), 0..200), before in any::<u32>()) {
        const KNOWN: u32 = 0x7dff_83f3;
        let after = changed(before, &text);
        prop_assert_eq!(after & !KNOWN, before & !KNOWN);
        let mut groups = [before; 3];
        change(&mut groups, &text);
    }

    /// Spaces between names change nothing.
    #[test]
    fn separators_are_optional(names in prop::collection::vec(
        prop::sample::select(std::vec!["tid", "pid", "cpuid", "nodisabled", "rel", "dec", "thread"]),
        0..8,
    )) {
        prop_assert_eq!(flags(&names.concat()), flags(&names.join(" ; ")));
    }
}

fn request(
    bench: &Bench,
    kind: LoggerKind,
    action: LoggerAction,
    [flags, groups, destination]: [&str; 3],
) -> Status {
    let mut strings = Vec::new();
    let mut put = |text: &str| {
        let offset = strings.len() as u32;
        strings.extend_from_slice(text.as_bytes());
        strings.push(0);
        offset
    };
    let input = LoggerSettingsIn {
        which: kind.into(),
        what: action.into(),
        flags_offset: put(flags),
        groups_offset: put(groups),
        destination_offset: put(destination),
    };
    bench.send::<LoggerSettings>(&input, &strings, 0).unwrap().0
}

fn lines(bench: &Bench) -> Vec<(LogLevel, String)> {
    std::mem::take(&mut *bench.host.record.log.lock().unwrap())
}

const NOTHING: [&str; 3] = [""; 3];

#[test]
fn loggers_go_through_their_states() {
    use LoggerAction::{Create, Destroy, Settings};
    use LoggerKind::{Debug, Release};
    use Status as S;
    let bench = Bench::new();
    for kind in [Debug, Release] {
        assert_eq!(request(&bench, kind, Settings, NOTHING), S::VERR_NOT_FOUND);
        assert_eq!(request(&bench, kind, Create, ["tid", "all", "file=x"]), S::VINF_SUCCESS);
        assert_eq!(request(&bench, kind, Create, NOTHING), S::VERR_ALREADY_EXISTS);
        assert_eq!(request(&bench, kind, Settings, ["nonsense", "?", "!"]), S::VINF_SUCCESS);
        assert_eq!(request(&bench, kind, Destroy, ["x", "", ""]), S::VERR_INVALID_PARAMETER);
    }
    assert_eq!(request(&bench, Release, Destroy, NOTHING), S::VERR_ACCESS_DENIED);
    assert_eq!(request(&bench, Debug, Destroy, NOTHING), S::VINF_SUCCESS);
    assert_eq!(request(&bench, Debug, Destroy, NOTHING), S::VINF_SUCCESS);
    bench.host.record.other_user.store(1, core::sync::atomic::Ordering::Relaxed);
    assert_eq!(request(&bench, Debug, Create, NOTHING), S::VERR_PERMISSION_DENIED);
    bench.close();
}

#[test]
fn malformed_texts_are_refused_by_the_transport() {
    let bench = Bench::new();
    let good = LoggerSettingsIn {
        which: 0,
        what: 1,
        flags_offset: 0,
        groups_offset: 0,
        destination_offset: 0,
    };
    let send = |input: &LoggerSettingsIn, strings: &[u8]| {
        bench.send::<LoggerSettings>(input, strings, 0).map(|(status, _)| status)
    };
    let refused = Err(crate::PacketError(Status::VERR_INVALID_PARAMETER));
    assert_eq!(send(&good, b""), refused);
    assert_eq!(send(&good, b"a"), refused);
    assert_eq!(send(&LoggerSettingsIn { flags_offset: 2, ..good }, b"a\0"), refused);
    assert_eq!(send(&LoggerSettingsIn { groups_offset: 2, ..good }, b"a\0"), refused);
    assert_eq!(send(&LoggerSettingsIn { destination_offset: 2, ..good }, b"a\0"), refused);
    assert_eq!(send(&LoggerSettingsIn { which: 2, ..good }, b"a\0"), refused);
    assert_eq!(send(&LoggerSettingsIn { what: 3, ..good }, b"a\0"), refused);
    assert_eq!(send(&good, b"\0"), Ok(Status::VINF_SUCCESS));
    bench.close();
}

#[test]
fn the_debug_logger_decides_about_messages_for_developers() {
    use LoggerAction::{Create, Settings};
    let bench = Bench::new();
    let session = || bench.driver.close_session(bench.driver.open_session(()).unwrap());
    session();
    assert_eq!(lines(&bench), []);
    let status =
        request(&bench, LoggerKind::Debug, Create, ["thread groupno group", "sup.e.l2", ""]);
    assert_eq!(status, Status::VINF_SUCCESS);
    session();
    let line = |what: &str| {
        let text = std::format!("R0 1 level2 process 7 of user 7 {what} a session");
        (LogLevel::Info, text)
    };
    assert_eq!(lines(&bench), [line("opens"), line("closes")]);
    // Level 2 is off, and then the logger.
    for [flags, groups] in [["", "-sup.l2"], ["disabled", "sup.l2"]] {
        let status = request(&bench, LoggerKind::Debug, Settings, [flags, groups, ""]);
        assert_eq!(status, Status::VINF_SUCCESS);
        session();
        assert_eq!(lines(&bench), [], "{flags} {groups}");
    }
    bench.close();
}

#[test]
fn the_release_logger_decides_about_information() {
    use LoggerAction::{Create, Settings};
    let bench = Bench::new();
    let load = || {
        let (status, base) = bench.load("module", "", b"image");
        assert_eq!(status, Status::VINF_SUCCESS);
        bench.driver.free_module(&bench.session, base).unwrap();
        lines(&bench).into_iter().filter(|(level, _)| *level == LogLevel::Info).count()
    };
    assert_eq!(load(), 1, "without a logger it is told");
    assert_eq!(request(&bench, LoggerKind::Release, Create, NOTHING), Status::VINF_SUCCESS);
    assert_eq!(load(), 0);
    let texts = ["ts tsc msprog time pid tid cpuid", "sup_drv", ""];
    assert_eq!(request(&bench, LoggerKind::Release, Settings, texts), Status::VINF_SUCCESS);
    assert_eq!(load(), 1);
    bench.close();
}

#[test]
fn prefixes_come_in_their_order() {
    let bench = Bench::new();
    let flags = "ts dec msprog pid thread cpuid lockcnts flagno groupno group";
    let texts = [flags, "sup.e.l2", ""];
    let status = request(&bench, LoggerKind::Debug, LoggerAction::Create, texts);
    assert_eq!(status, Status::VINF_SUCCESS);
    bench.driver.close_session(bench.driver.open_session(()).unwrap());
    let (_, line) = lines(&bench).remove(0);
    let (stamp, rest) = line.split_once(' ').unwrap();
    assert!(stamp.parse::<u64>().is_ok(), "{line}");
    assert!(rest.starts_with("0 7 R0 00 ?/? 00000004 1 level2 process"), "{line}");
    bench.close();
}

/// A thousand messages of 48 groups take no memory: the loggers have none to run out of.
#[test]
fn nothing_is_allocated() {
    use sup_alloc::faults::failing_after;
    let bench = Bench::new();
    let texts = super::LoggerTexts { groups: b"all.e.l2", ..Default::default() };
    let create = || bench.driver.change_logger(LoggerKind::Debug, LoggerAction::Create, texts);
    let (result, has_failed) = failing_after(0, create);
    assert_eq!((result, has_failed), (Ok(()), false));
    assert_eq!(groups::NAMES.len(), 3);
    bench.close();
}
