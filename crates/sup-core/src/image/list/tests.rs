//! Who is told what of the modules that are loaded.

extern crate std;

use std::sync::atomic::Ordering;
use std::vec::Vec;

use sup_abi::request::{
    HEADER_BYTES, ListModules, ListModulesIn, ListModulesOut, ModuleUse, Request, Trust, padded,
    terminated,
};
use sup_abi::{R0Ptr, Status};
use zerocopy::FromBytes;

use crate::host::LogLevel;
use crate::testing::Event;
use crate::testing::bench::Bench;

/// What is told of the module behind `after`, and the uses that `use_room` has room for.
fn list(
    bench: &Bench,
    after: &str,
    use_room: u32,
) -> Result<(ListModulesOut, Vec<ModuleUse>), Status> {
    let input = ListModulesIn { after: padded(after).unwrap(), use_room, reserved: 0 };
    let tail = use_room as usize * size_of::<ModuleUse>();
    let (status, packet) = bench.send::<ListModules>(&input, &[], tail).unwrap();
    if status.is_failure() {
        assert_eq!(packet.len(), HEADER_BYTES);
        return Err(status);
    }
    let (fixed, tail) = packet[HEADER_BYTES..].split_at(size_of::<ListModulesOut>());
    let uses = tail.chunks_exact(size_of::<ModuleUse>());
    let uses = uses.map(|bytes| ModuleUse::read_from_bytes(bytes).unwrap()).collect();
    Ok((ListModulesOut::read_from_bytes(fixed).unwrap(), uses))
}

/// Another session of the same driver.
fn another(bench: &Bench) -> Bench {
    let session = bench.driver.open_session(()).unwrap();
    Bench { host: bench.host.clone(), driver: bench.driver.clone(), session }
}

#[test]
fn every_module_is_told_of_once_in_the_order_of_names() {
    let bench = Bench::new();
    assert_eq!(list(&bench, "", 0).unwrap_err(), Status::VERR_NOT_FOUND);
    for name in ["b", "a", "Z", "ab"] {
        assert!(bench.load(name, "handler", b"image").0.is_success());
    }
    let mut names = Vec::new();
    let mut after = std::string::String::new();
    while let Ok((told, _)) = list(&bench, &after, 0) {
        after = terminated(&told.name).unwrap().into();
        names.push(after.clone());
        assert_eq!(told.trust, u32::from(Trust::Unsigned));
        assert_ne!(told.hash, [0; 32]);
        assert_eq!((told.references, told.own_references, told.dependents), (1, 1, 0));
    }
    assert_eq!(names, ["Z", "a", "ab", "b"]);
    bench.close();
}

#[test]
fn uses_are_counted_for_each_session_and_cut_where_the_room_ends() {
    let bench = Bench::new();
    let second = another(&bench);
    for _ in 0..3 {
        assert!(bench.load("m", "handler", b"image").0.is_success());
    }
    assert!(second.load("m", "handler", b"image").0.is_success());
    let (told, uses) = list(&bench, "", 4).unwrap();
    assert_eq!((told.references, told.own_references, told.use_count), (4, 3, 2));
    let known = |references| ModuleUse { process: 7, user: 7, references };
    assert_eq!(uses, [known(3), known(1), ModuleUse { process: 0, user: 0, ..known(0) }, uses[2]]);
    let (told, uses) = list(&second, "", 1).unwrap();
    assert_eq!((told.own_references, told.use_count), (1, 2));
    assert_eq!(uses, [known(3)]);
    bench.driver.close_session(second.session);
    bench.close();
}

/// As in the kernel, which goes on after a fault in a module.
#[test]
fn a_module_in_which_a_thread_died_stays_and_keeps_nobody_waiting() {
    let bench = Bench::new();
    let second = another(&bench);
    let (_, base) = second.load("wild", "handler", b"image");
    bench.host.record.lost_calls.store(1, Ordering::Relaxed);
    bench.driver.close_session(second.session);
    let (told, _) = list(&bench, "", 0).unwrap();
    assert_eq!((told.base, told.references, told.own_references), (base, 1, 0));
    // It can be used as ever, and does not go with its next user either.
    let (status, again) = bench.load("wild", "handler", b"image");
    assert_eq!((status, again), (Status::VINF_SUCCESS, base));
    assert_eq!(bench.call("wild", 5).raw(), 5);
    let Bench { host, driver, session } = bench;
    driver.close_session(session);
    assert!(!host.record.events.lock().unwrap().contains(&Event::Term));
    let log = host.record.log.lock().unwrap();
    let line = "module 'wild' stays loaded: a call in it faulted";
    assert_eq!(
        log.iter().filter(|(level, text)| (*level, &**text) == (LogLevel::Error, line)).count(),
        1
    );
}

#[test]
fn cannot_see_where_modules_of_others_are_nor_who_uses_them() {
    let bench = Bench::new();
    let (_, base) = bench.load("m", "handler", b"image");
    bench.host.record.other_user.store(1, Ordering::Relaxed);
    let stranger = another(&bench);
    let (told, uses) = list(&stranger, "", 1).unwrap();
    assert_eq!((told.base, told.references, told.own_references), (R0Ptr::NIL, 1, 0));
    assert_eq!((told.use_count, uses[0].references), (0, 0));
    // What it has loaded itself it knows already; of the other session it learns nothing.
    assert!(stranger.load("m", "handler", b"image").0.is_success());
    let (told, uses) = list(&stranger, "", 2).unwrap();
    assert_eq!((told.base, told.references, told.own_references), (base, 2, 1));
    assert_eq!((told.use_count, uses[0].user, uses[1].references), (1, 8, 0));
    // Who sees ring 0 sees both.
    bench.host.record.other_user.store(0, Ordering::Relaxed);
    let (told, uses) = list(&stranger, "", 2).unwrap();
    assert_eq!((told.base, told.use_count), (base, 2));
    assert_eq!((uses[0].user, uses[1].user), (7, 8));
    bench.driver.close_session(stranger.session);
    bench.close();
}

#[test]
fn cannot_ask_with_another_room_than_the_packet_has() {
    let bench = Bench::new();
    for (use_room, tail) in [(1, 0), (0, 16), (2, 31), (u32::MAX, 16)] {
        let input = ListModulesIn { after: [0; 32], use_room, reserved: 0 };
        assert!(bench.send::<ListModules>(&input, &[], tail).is_err(), "{use_room} in {tail}");
    }
    let unterminated = ListModulesIn { after: [b'a'; 32], use_room: 0, reserved: 0 };
    assert!(bench.send::<ListModules>(&unterminated, &[], 0).is_err());
    let reserved = ListModulesIn { after: [0; 32], use_room: 0, reserved: 1 };
    assert!(bench.send::<ListModules>(&reserved, &[], 0).is_err());
    assert_eq!(ListModules::BYTES_OUT, 168);
    bench.close();
}
