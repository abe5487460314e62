//! Tracers, providers and clients: who is told what, in which order, and what the end waits for.

extern crate std;

use std::boxed::Box;
use std::sync::Arc as StdArc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;
use std::vec::Vec;

use sup_abi::{R0Ptr, Status};
use sup_alloc::Arc;
use sup_alloc::faults::failing_after;

use super::TracerOwner;
use crate::Session;
use crate::testing::TestHost;
use crate::testing::bench::Bench;
use crate::testing::tracer::{Inside, TestTracer, TracerRecord};
use crate::vtg::testing::Shape;

mod user_modules;

/// Loads a module whose `ModuleInit` does `init`.
fn load(
    bench: &Bench,
    name: &str,
    init: impl FnOnce(R0Ptr, R0Ptr) -> Status + Send + 'static,
) -> (Status, R0Ptr) {
    *bench.host.record.on_init.0.lock().unwrap() = Some(Box::new(init));
    bench.load(name, "", b"image")
}

/// Puts a valid object where the host can read it.
fn place(host: &TestHost, address: u64) -> R0Ptr {
    let parts = Shape::sample().build(address);
    let start = address;
    let mut region = std::vec![0; (parts.header.uProbeLocsEnd - start) as usize];
    let object = parts.object();
    region[..object.bytes().len()].copy_from_slice(object.bytes());
    let locations = (parts.header.uProbeLocs - start) as usize;
    region[locations..].copy_from_slice(&parts.locations());
    host.record.memory.lock().unwrap().push((address, region));
    R0Ptr::new(address)
}

/// Loads a module with an object of two providers, `alpha` and `beta`.
fn load_providers(bench: &Bench, name: &str) -> (Status, R0Ptr) {
    let (driver, host) = (bench.driver.clone(), bench.host.clone());
    load(bench, name, move |module, base| {
        let header = place(&host, base.get() + 0x100);
        driver.tracer_register_module(module, header).err().unwrap_or(Status::VINF_SUCCESS)
    })
}

fn free(bench: &Bench, base: R0Ptr) {
    bench.driver.free_module(&bench.session, base).unwrap();
}

fn kernel_session(bench: &Bench) -> Arc<Session<TestHost>> {
    bench.driver.open_kernel_session((), R0Ptr::NIL).unwrap()
}

/// Registers a tracer of a kernel session.
fn tracer(bench: &Bench) -> (StdArc<TracerRecord>, Arc<Session<TestHost>>) {
    let (tracer, session) = (TestTracer::default(), kernel_session(bench));
    let owner = TracerOwner::Session(session.handle());
    bench.driver.tracer_register(owner, tracer.clone()).unwrap();
    (tracer.0, session)
}

fn deregister(bench: &Bench, session: &Session<TestHost>) -> Result<(), Status> {
    bench.driver.tracer_deregister(TracerOwner::Session(session.handle()))
}

#[test]
fn a_tracer_is_told_of_what_was_before_and_of_what_comes() {
    let bench = Bench::new();
    let (status, first) = load_providers(&bench, "first");
    assert_eq!(status, Status::VINF_SUCCESS);
    let (record, session) = tracer(&bench);
    assert_eq!(record.take(), ["register beta", "register alpha"]);
    let (_, second) = load_providers(&bench, "second");
    assert_eq!(record.take(), ["register beta", "register alpha"]);
    free(&bench, first);
    assert_eq!(record.take(), ["deregister beta", "deregister alpha"]);
    assert_eq!(deregister(&bench, &session), Ok(()));
    assert_eq!(record.take(), ["deregister beta", "deregister alpha"]);
    assert_eq!(bench.host.record.has_aim.load(Ordering::Relaxed), 0);
    // Providers stay, for the next.
    let (next, other) = tracer(&bench);
    assert_eq!(next.take(), ["register beta", "register alpha"]);
    free(&bench, second);
    bench.driver.close_kernel_session(other).unwrap();
    bench.driver.close_kernel_session(session).unwrap();
    bench.close();
}

#[test]
fn there_is_one_tracer_and_its_owner_ends_it() {
    let bench = Bench::new();
    let other = kernel_session(&bench);
    assert_eq!(deregister(&bench, &other), Err(Status::VERR_SUPDRV_TRACER_NOT_REGISTERED));
    let (_, session) = tracer(&bench);
    let again =
        bench.driver.tracer_register(TracerOwner::Session(other.handle()), TestTracer::default());
    assert_eq!(again, Err(Status::VERR_SUPDRV_TRACER_ALREADY_REGISTERED));
    assert_eq!(deregister(&bench, &other), Err(Status::VERR_SUPDRV_TRACER_NOT_REGISTERED));
    let by_process = TracerOwner::Session(bench.session.handle());
    let refused = bench.driver.tracer_register(by_process, TestTracer::default());
    assert_eq!(refused, Err(Status::VERR_INVALID_PARAMETER));
    assert_eq!(deregister(&bench, &session), Ok(()));
    assert_eq!(deregister(&bench, &session), Err(Status::VERR_SUPDRV_TRACER_NOT_REGISTERED));
    bench.driver.close_kernel_sessions();
    bench.close();
}

#[test]
fn modules_register_in_their_own_init_only() {
    let bench = Bench::new();
    let nobody = bench.driver.tracer_register_module(R0Ptr::new(0x1234), R0Ptr::new(0x5000));
    assert_eq!(nobody, Err(Status::VERR_INVALID_HANDLE));
    let (tell, told) = channel();
    let driver = bench.driver.clone();
    let (status, base) = load(&bench, "late", move |module, base| {
        let outside = driver.tracer_register_module(module, R0Ptr::new(base.get() + 4096));
        assert_eq!(outside, Err(Status::VERR_INVALID_PARAMETER));
        let elsewhere = {
            let driver = driver.clone();
            thread::spawn(move || {
                let owner = TracerOwner::Module(module);
                (
                    driver.tracer_register_module(module, base),
                    driver.tracer_register(owner, TestTracer::default()),
                )
            })
        };
        tell.send((module, elsewhere.join().unwrap())).unwrap();
        Status::VINF_SUCCESS
    });
    assert_eq!(status, Status::VINF_SUCCESS);
    let (module, elsewhere) = told.recv().unwrap();
    let wrong = Err(Status::VERR_WRONG_ORDER);
    assert_eq!(elsewhere, (wrong, wrong));
    assert_eq!(bench.driver.tracer_register_module(module, base), wrong);
    free(&bench, base);
    bench.close();
}

#[test]
fn an_object_is_registered_once_and_a_driver_has_one() {
    let bench = Bench::new();
    let session = kernel_session(&bench);
    let header = place(&bench.host, 0x900_0000);
    let other = place(&bench.host, 0xa00_0000);
    let register = |session: &Session<TestHost>, header| {
        bench.driver.tracer_register_driver(session, header, "driver", 48)
    };
    assert_eq!(register(&bench.session, header), Err(Status::VERR_INVALID_PARAMETER));
    assert_eq!(register(&session, header), Ok(()));
    assert_eq!(register(&session, header), Err(Status::VERR_SUPDRV_VTG_ALREADY_REGISTERED));
    assert_eq!(register(&session, other), Err(Status::VERR_SUPDRV_VTG_ONLY_ONCE_PER_SESSION));
    let nothing = register(&session, R0Ptr::new(0xb00_0000));
    assert_eq!(nothing, Err(Status::VERR_SUPDRV_VTG_BAD_HDR_PTR));
    bench.driver.tracer_deregister_driver(&session);
    assert_eq!(register(&session, other), Ok(()));
    bench.driver.close_kernel_session(session).unwrap();
    assert!(bench.driver.tracing().registry.lock().providers.is_empty());
    bench.close();
}

#[test]
fn a_provider_that_the_tracer_keeps_is_a_zombie_until_it_lets_go() {
    let bench = Bench::new();
    let (record, session) = tracer(&bench);
    let (_, base) = load_providers(&bench, "busy");
    record.take();
    *record.refusals.lock().unwrap() = 2;
    free(&bench, base);
    let expected = ["deregister beta: refused", "deregister alpha: refused"];
    assert_eq!(record.take()[..2], expected);
    // The unload has tried them once more.
    assert!(bench.driver.tracing().registry.lock().zombies.is_empty());
    let (_, base) = load_providers(&bench, "busy");
    record.take();
    *record.refusals.lock().unwrap() = 3;
    free(&bench, base);
    assert_eq!(bench.driver.tracing().registry.lock().zombies.len(), 1);
    record.take();
    let driver_session = kernel_session(&bench);
    let header = place(&bench.host, 0x900_0000);
    bench.driver.tracer_register_driver(&driver_session, header, "driver", 48).unwrap();
    let events = record.take();
    assert_eq!(events[2..], ["zombie beta (gone)"], "{events:?}");
    bench.driver.close_kernel_session(driver_session).unwrap();
    assert_eq!(deregister(&bench, &session), Ok(()));
    bench.driver.close_kernel_session(session).unwrap();
    bench.close();
}

#[test]
fn a_tracer_that_goes_is_asked_again_each_round() {
    let bench = Bench::new();
    let (_, base) = load_providers(&bench, "module");
    let (record, session) = tracer(&bench);
    record.take();
    *record.refusals.lock().unwrap() = 1;
    assert_eq!(deregister(&bench, &session), Ok(()));
    let events = record.take();
    assert_eq!(events, ["deregister beta: refused", "deregister alpha", "zombie beta"]);
    free(&bench, base);
    bench.driver.close_kernel_session(session).unwrap();
    bench.close();
}

#[test]
fn a_tracer_that_never_lets_go_is_forgotten_with_its_module() {
    let bench = Bench::new();
    let (_, base) = load_providers(&bench, "module");
    let (record, session) = tracer(&bench);
    *record.refusals.lock().unwrap() = u32::MAX;
    bench.driver.close_kernel_session(session).unwrap();
    let (next, session) = tracer(&bench);
    assert_eq!(next.take(), ["register beta", "register alpha"]);
    bench.driver.close_kernel_session(session).unwrap();
    free(&bench, base);
    bench.close();
}

#[test]
fn what_a_tracer_refuses_undoes_the_registration() {
    let bench = Bench::new();
    let (record, session) = tracer(&bench);
    *record.register_status.lock().unwrap() = Some(Status::VERR_NOT_SUPPORTED);
    let (status, _) = load_providers(&bench, "module");
    assert_eq!(status, Status::VERR_NOT_SUPPORTED);
    assert!(bench.driver.tracing().registry.lock().providers.is_empty());
    bench.driver.close_kernel_session(session).unwrap();
    bench.close();
}

#[test]
fn a_client_goes_through_its_states() {
    let bench = Bench::new();
    let (driver, session) = (&bench.driver, &bench.session);
    use Status as S;
    assert_eq!(driver.tracer_open(session, 7, 8), Err(S::VERR_SUPDRV_TRACER_NOT_PRESENT));
    assert_eq!(driver.tracer_close(session), Err(S::VERR_SUPDRV_TRACER_NOT_OPENED));
    assert_eq!(driver.tracer_io_ctl(session, 1, 2), Err(S::VERR_SUPDRV_TRACER_NOT_OPENED));
    let (record, owner) = tracer(&bench);
    assert_eq!(driver.tracer_open(&owner, 7, 8), Err(S::VERR_SUPDRV_TRACER_CANNOT_OPEN_SELF));
    *record.open_status.lock().unwrap() = Some(S::VERR_NO_MEMORY);
    assert_eq!(driver.tracer_open(session, 7, 8), Err(S::VERR_NO_MEMORY));
    *record.open_status.lock().unwrap() = None;
    assert_eq!(driver.tracer_open(session, 7, 8), Ok(()));
    assert_eq!(driver.tracer_open(session, 7, 8), Err(S::VERR_SUPDRV_TRACER_ALREADY_OPENED));
    assert_eq!(driver.tracer_io_ctl(session, 5, 6), Ok((S::new(5), 6)));
    assert_eq!(driver.tracer_close(session), Ok(()));
    assert_eq!(driver.tracer_close(session), Err(S::VERR_SUPDRV_TRACER_NOT_OPENED));
    assert_eq!(record.take(), ["open 7 8", "open 7 8", "command 5 6 of 7", "close 7"]);
    driver.tracer_open(session, 9, 9).unwrap();
    // Its session goes: nobody can be asked to close the tracer, so the driver does.
    driver.close_kernel_session(owner).unwrap();
    assert_eq!(record.take(), ["open 9 9", "close 9"]);
    assert_eq!(driver.tracer_io_ctl(session, 5, 6), Err(S::VERR_SUPDRV_TRACER_NOT_PRESENT));
    assert_eq!(driver.tracer_close(session), Err(S::VERR_SUPDRV_TRACER_NOT_PRESENT));
    assert_eq!(driver.tracer_close(session), Err(S::VERR_SUPDRV_TRACER_NOT_OPENED));
    bench.close();
}

/// A tracer in which calls wait until the returned sender goes.
fn hold(record: &TracerRecord) -> (Sender<()>, StdArc<AtomicU32>) {
    let (release, wait) = channel::<()>();
    let (entered, wait) = (StdArc::new(AtomicU32::new(0)), std::sync::Mutex::new(wait));
    let count = entered.clone();
    *record.inside.lock().unwrap() = Some(Inside(StdArc::new(move || {
        count.fetch_add(1, Ordering::SeqCst);
        let _ = wait.lock().unwrap().recv();
    })));
    (release, entered)
}

fn until(condition: impl Fn() -> bool) {
    while !condition() {
        thread::yield_now();
    }
}

#[test]
fn a_session_is_busy_while_one_of_its_threads_is_inside() {
    let bench = Bench::new();
    let (record, owner) = tracer(&bench);
    bench.driver.tracer_open(&bench.session, 7, 8).unwrap();
    let (release, entered) = hold(&record);
    let busy = Status::VERR_SUPDRV_TRACER_SESSION_BUSY;
    thread::scope(|scope| {
        let command = scope.spawn(|| bench.driver.tracer_io_ctl(&bench.session, 1, 2));
        until(|| entered.load(Ordering::SeqCst) == 1);
        assert_eq!(bench.driver.tracer_io_ctl(&bench.session, 3, 4), Err(busy));
        assert_eq!(bench.driver.tracer_close(&bench.session), Err(busy));
        drop(release);
        assert_eq!(command.join().unwrap(), Ok((Status::new(1), 2)));
    });
    bench.driver.tracer_close(&bench.session).unwrap();
    let (release, entered) = hold(&record);
    thread::scope(|scope| {
        let open = scope.spawn(|| bench.driver.tracer_open(&bench.session, 1, 2));
        until(|| entered.load(Ordering::SeqCst) == 1);
        let again = bench.driver.tracer_open(&bench.session, 1, 2);
        assert_eq!(again, Err(Status::VERR_SUPDRV_TRACER_ALREADY_OPENED));
        drop(release);
        assert_eq!(open.join().unwrap(), Ok(()));
    });
    bench.driver.close_kernel_session(owner).unwrap();
    bench.close();
}

#[test]
fn the_end_of_a_tracer_waits_for_who_is_inside_and_for_the_last_close() {
    let bench = Bench::new();
    let (record, owner) = tracer(&bench);
    bench.driver.tracer_open(&bench.session, 7, 8).unwrap();
    let (release, entered) = hold(&record);
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let command = scope.spawn(|| bench.driver.tracer_io_ctl(&bench.session, 1, 2));
        until(|| entered.load(Ordering::SeqCst) == 1);
        scope.spawn(|| {
            assert_eq!(deregister(&bench, &owner), Ok(()));
            ended.store(true, Ordering::SeqCst);
        });
        let going = || {
            let registry = bench.driver.tracing().registry.lock();
            registry.tracer.as_ref().is_some_and(|tracer| tracer.is_going)
        };
        until(going);
        let unloading = Status::VERR_SUPDRV_TRACER_UNLOADING;
        let other = bench.driver.open_session(()).unwrap();
        assert_eq!(bench.driver.tracer_open(&other, 1, 2), Err(unloading));
        bench.driver.close_session(other);
        thread::sleep(Duration::from_millis(20));
        assert!(!ended.load(Ordering::SeqCst));
        drop(release);
        assert_eq!(command.join().unwrap(), Ok((Status::new(1), 2)));
        assert_eq!(bench.driver.tracer_io_ctl(&bench.session, 1, 2), Err(unloading));
        thread::sleep(Duration::from_millis(20));
        assert!(!ended.load(Ordering::SeqCst), "it is still open");
        assert_eq!(bench.driver.tracer_close(&bench.session), Ok(()));
    });
    assert!(ended.load(Ordering::SeqCst));
    bench.driver.close_kernel_session(owner).unwrap();
    bench.close();
}

#[test]
fn no_failed_allocation_leaves_anything() {
    let bench = Bench::new();
    let (record, owner) = tracer(&bench);
    let session = kernel_session(&bench);
    let header = place(&bench.host, 0x900_0000);
    for successes in 0.. {
        let register = || bench.driver.tracer_register_driver(&session, header, "driver", 48);
        let (result, has_failed) = failing_after(successes, register);
        if !has_failed {
            assert_eq!(result, Ok(()));
            break;
        }
        assert_eq!(result, Err(Status::VERR_NO_MEMORY), "{successes}");
        assert!(bench.driver.tracing().registry.lock().providers.is_empty());
    }
    let events: Vec<_> = record.take();
    assert!(events.iter().filter(|event| event.starts_with("reg")).count() >= 2, "{events:?}");
    bench.driver.close_kernel_session(session).unwrap();
    bench.driver.close_kernel_session(owner).unwrap();
    bench.close();
}
