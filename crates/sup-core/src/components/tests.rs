//! Factories of the test host: order, owners, and queries that run while their factory goes.

extern crate std;

use std::boxed::Box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;
use std::vec::Vec;

use sup_abi::request::SemaphoreKind;
use sup_abi::{R0Ptr, Status};
use sup_alloc::Arc;
use sup_alloc::faults::failing_after;

use super::FactoryName;
use crate::host::{Interruption, Wait};
use crate::testing::bench::Bench;
use crate::testing::{TestFactory, TestHost};
use crate::{Deadline, Driver, Session};

type KernelSession = Arc<Session<TestHost>>;

fn name(text: &str) -> FactoryName {
    let mut name = [0; 56];
    name[..text.len()].copy_from_slice(text.as_bytes());
    name
}

fn kernel_session(driver: &Driver<TestHost>) -> KernelSession {
    driver.open_kernel_session((), R0Ptr::NIL).unwrap()
}

/// A factory with one interface, its address.
fn factory(address: u64, uuid: &'static std::ffi::CStr) -> TestFactory {
    let answer = Box::new(move |asked: &std::ffi::CStr| if asked == uuid { address } else { 0 });
    TestFactory { address, answer }
}

fn register(bench: &Bench, session: &KernelSession, factory: TestFactory) -> Result<(), Status> {
    bench.driver.component_register(session, name("name"), factory)
}

fn query(bench: &Bench, uuid: &std::ffi::CStr) -> Result<u64, Status> {
    bench.driver.component_query(&bench.session, &name("name"), uuid).map(R0Ptr::get)
}

#[test]
fn factories_of_a_name_are_asked_in_order_and_by_whole_name() {
    let bench = Bench::new();
    let session = kernel_session(&bench.driver);
    assert_eq!(query(&bench, c"a"), Err(Status::VERR_SUPDRV_COMPONENT_NOT_FOUND));
    register(&bench, &session, factory(1, c"a")).unwrap();
    register(&bench, &session, factory(2, c"b")).unwrap();
    register(&bench, &session, factory(3, c"a")).unwrap();
    assert_eq!(query(&bench, c"a"), Ok(1));
    assert_eq!(query(&bench, c"b"), Ok(2));
    assert_eq!(query(&bench, c"A"), Err(Status::VERR_SUPDRV_INTERFACE_NOT_SUPPORTED));
    let asked = bench.driver.component_query(&bench.session, &name("nam"), c"a");
    assert_eq!(asked, Err(Status::VERR_SUPDRV_COMPONENT_NOT_FOUND));
    bench.driver.component_deregister(&session, R0Ptr::new(1)).unwrap();
    assert_eq!(query(&bench, c"a"), Ok(3));
    bench.driver.close_kernel_session(session).unwrap();
    assert_eq!(query(&bench, c"a"), Err(Status::VERR_SUPDRV_COMPONENT_NOT_FOUND));
    bench.close();
}

#[test]
fn cannot_deregister_what_another_session_registered() {
    let bench = Bench::new();
    let [session, other] = [(); 2].map(|()| kernel_session(&bench.driver));
    register(&bench, &session, factory(1, c"a")).unwrap();
    let again = register(&bench, &other, factory(1, c"a"));
    assert_eq!(again, Err(Status::VERR_ALREADY_EXISTS));
    let deregister =
        |session: &KernelSession| bench.driver.component_deregister(session, R0Ptr::new(1));
    assert_eq!(deregister(&other), Err(Status::VERR_NOT_FOUND));
    assert_eq!(query(&bench, c"a"), Ok(1));
    assert_eq!(deregister(&session), Ok(()));
    assert_eq!(deregister(&session), Err(Status::VERR_NOT_FOUND));
    bench.driver.close_kernel_sessions();
    bench.close();
}

#[test]
fn cannot_register_in_the_session_of_a_process() {
    let bench = Bench::new();
    let denied = Err(Status::VERR_ACCESS_DENIED);
    let session = &bench.session;
    assert_eq!(bench.driver.component_register(session, name("name"), factory(1, c"a")), denied);
    assert_eq!(bench.driver.component_deregister(session, R0Ptr::new(1)), denied);
    let closed = bench.driver.close_kernel_session(session.clone());
    assert_eq!(closed, Err(Status::VERR_INVALID_HANDLE));
    bench.close();
}

#[test]
fn registering_without_memory_leaves_nothing() {
    let bench = Bench::new();
    let session = kernel_session(&bench.driver);
    for successes in 0.. {
        let (result, has_failed) =
            failing_after(successes, || register(&bench, &session, factory(1, c"a")));
        if !has_failed {
            assert_eq!(result, Ok(()));
            assert!(successes > 0, "it allocates nothing");
            break;
        }
        assert_eq!(result, Err(Status::VERR_NO_MEMORY));
        assert_eq!(query(&bench, c"a"), Err(Status::VERR_SUPDRV_COMPONENT_NOT_FOUND));
    }
    bench.driver.close_kernel_session(session).unwrap();
    bench.close();
}

/// A query stays in a factory while `end` takes it back; `end` returns only after the query.
fn end_waits_for_the_query(end: impl FnOnce(&Driver<TestHost>, KernelSession) + Send) {
    static HAS_LEFT: AtomicBool = AtomicBool::new(false);
    static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _alone = ALONE.lock();
    HAS_LEFT.store(false, Ordering::SeqCst);
    let bench = Bench::new();
    let session = kernel_session(&bench.driver);
    let (entered, wait_entered) = channel();
    let (leave, wait_leave) = channel::<()>();
    let wait_leave = std::sync::Mutex::new(wait_leave);
    let answer = move |_: &std::ffi::CStr| {
        entered.send(()).unwrap();
        wait_leave.lock().unwrap().recv().unwrap();
        HAS_LEFT.store(true, Ordering::SeqCst);
        5
    };
    register(&bench, &session, TestFactory { address: 5, answer: Box::new(answer) }).unwrap();
    thread::scope(|scope| {
        let asking = scope.spawn(|| query(&bench, c"a"));
        wait_entered.recv().unwrap();
        let ending = scope.spawn(|| {
            end(&bench.driver, session);
            assert!(HAS_LEFT.load(Ordering::SeqCst), "it did not wait for the query");
        });
        // Nobody finds it any more, long before it is gone; the lock is free meanwhile.
        while !bench.driver.components().lock().components.is_empty() {
            thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(query(&bench, c"a"), Err(Status::VERR_SUPDRV_COMPONENT_NOT_FOUND));
        assert!(!ending.is_finished());
        leave.send(()).unwrap();
        ending.join().unwrap();
        assert_eq!(asking.join().unwrap(), Ok(5));
    });
    bench.driver.close_kernel_sessions();
    bench.close();
}

#[test]
fn deregistering_waits_for_queries() {
    end_waits_for_the_query(|driver, session| {
        driver.component_deregister(&session, R0Ptr::new(5)).unwrap();
    });
}

#[test]
fn closing_the_session_waits_for_queries() {
    end_waits_for_the_query(|driver, session| driver.close_kernel_session(session).unwrap());
}

#[test]
fn the_end_of_the_image_waits_for_queries() {
    end_waits_for_the_query(|driver, _| driver.remove_components_in(R0Ptr::new(4), 2));
}

/// Threads that register, query and take back at once: never a factory that is gone.
#[test]
fn queries_never_enter_a_factory_that_is_gone() {
    let bench = Bench::new();
    thread::scope(|scope| {
        for number in 1..=2_u64 {
            let bench = &bench;
            scope.spawn(move || {
                for _ in 0..300 {
                    let session = kernel_session(&bench.driver);
                    let alive = std::sync::Arc::new(AtomicBool::new(true));
                    let seen = alive.clone();
                    let answer = move |_: &std::ffi::CStr| {
                        thread::yield_now();
                        assert!(seen.load(Ordering::SeqCst), "it was called when it was gone");
                        number
                    };
                    let factory = TestFactory { address: number, answer: Box::new(answer) };
                    register(bench, &session, factory).unwrap();
                    assert!(query(bench, c"a").is_ok());
                    bench.driver.close_kernel_session(session).unwrap();
                    alive.store(false, Ordering::SeqCst);
                }
            });
        }
        for _ in 0..2_000 {
            let found = query(&bench, c"a");
            let none = Err(Status::VERR_SUPDRV_COMPONENT_NOT_FOUND);
            assert!(matches!(found, Ok(1 | 2)) || found == none, "{found:?}");
        }
    });
    bench.close();
}

#[test]
fn a_session_kept_in_an_image_ends_with_it() {
    let bench = Bench::new();
    let (_, base) = bench.load("module", "handler", b"image");
    let kept_at = base.checked_add(64).unwrap();
    let session = bench.driver.open_kernel_session((), kept_at).unwrap();
    register(&bench, &session, factory(1, c"a")).unwrap();
    assert_eq!(bench.driver.counts().sessions, 2);
    // Closes the loading session, and with it the image.
    drop(session);
    bench.close();
}

/// A registration that came too late would be nobody's, and its module gone.
#[test]
fn cannot_register_in_a_session_that_was_closed_meanwhile() {
    let bench = Bench::new();
    let session = kernel_session(&bench.driver);
    bench.driver.close_kernel_session(session.clone()).unwrap();
    assert_eq!(register(&bench, &session, factory(1, c"a")), Err(Status::VERR_INVALID_PARAMETER));
    drop(session);
    bench.close();
}

/// Whatever order they come in, nothing is left of a session that was closed.
#[test]
fn registering_while_the_session_is_closed_leaves_nothing() {
    let bench = Bench::new();
    for _ in 0..300 {
        let session = kernel_session(&bench.driver);
        let other = session.clone();
        let registered = thread::scope(|scope| {
            let registering = scope.spawn(|| register(&bench, &other, factory(1, c"a")));
            bench.driver.close_kernel_session(session).unwrap();
            registering.join().unwrap()
        });
        assert!(matches!(registered, Ok(()) | Err(Status::VERR_INVALID_PARAMETER)));
        assert!(bench.driver.components().lock().components.is_empty());
    }
    bench.close();
}

/// It would wait for its own end.
#[test]
fn cannot_take_a_factory_back_from_inside() {
    let bench = Bench::new();
    let session = kernel_session(&bench.driver);
    let (driver, own_session) = (bench.driver.clone(), session.clone());
    let answer = move |_: &std::ffi::CStr| {
        let refused = Err(Status::VERR_WRONG_ORDER);
        assert_eq!(driver.component_deregister(&own_session, R0Ptr::new(5)), refused);
        assert_eq!(driver.close_kernel_session(own_session.clone()), refused);
        // Another factory and another session are nobody's end.
        assert_eq!(driver.component_deregister(&own_session, R0Ptr::new(6)), Ok(()));
        let other = kernel_session(&driver);
        assert_eq!(driver.close_kernel_session(other), Ok(()));
        7
    };
    register(&bench, &session, TestFactory { address: 5, answer: Box::new(answer) }).unwrap();
    let other = TestFactory { address: 6, answer: Box::new(|_| 0) };
    bench.driver.component_register(&session, name("other"), other).unwrap();
    assert_eq!(query(&bench, c"a"), Ok(7));
    // The notes are taken back, and so is the factory, by whoever is outside.
    assert!(bench.driver.components().lock().queries.is_empty());
    assert_eq!(bench.driver.component_deregister(&session, R0Ptr::new(5)), Ok(()));
    bench.driver.close_kernel_session(session).unwrap();
    bench.close();
}

#[test]
fn asking_without_memory_leaves_nothing() {
    let bench = Bench::new();
    let session = kernel_session(&bench.driver);
    register(&bench, &session, factory(1, c"a")).unwrap();
    let (result, has_failed) = failing_after(0, || query(&bench, c"a"));
    assert!(has_failed);
    assert_eq!(result, Err(Status::VERR_NO_MEMORY));
    assert_eq!(query(&bench, c"a"), Ok(1));
    bench.driver.close_kernel_session(session).unwrap();
    bench.close();
}

/// Threads in a ring, each inside a factory from which it takes the next one's back, all at once: one is
/// refused, and the others come to an end.
fn ring_comes_to_an_end(
    count: u64,
    take: fn(&Driver<TestHost>, KernelSession, u64) -> Result<(), Status>,
) {
    let bench = Bench::new();
    let all_inside = std::sync::Arc::new(std::sync::Barrier::new(count as usize));
    let sessions: Vec<KernelSession> = (0..count).map(|_| kernel_session(&bench.driver)).collect();
    let (told, results) = channel();
    for number in 0..count {
        let next = (number + 1) % count;
        let (driver, session) = (bench.driver.clone(), sessions[next as usize].clone());
        let (all_inside, told) = (all_inside.clone(), told.clone());
        let told = std::sync::Mutex::new(told);
        let answer = move |_: &std::ffi::CStr| {
            all_inside.wait();
            let result = take(&driver, session.clone(), next + 1);
            told.lock().unwrap().send(result).unwrap();
            1
        };
        let factory = TestFactory { address: number + 1, answer: Box::new(answer) };
        let name = name(&std::format!("{number}"));
        bench.driver.component_register(&sessions[number as usize], name, factory).unwrap();
    }
    thread::scope(|scope| {
        for number in 0..count {
            let bench = &bench;
            scope.spawn(move || {
                let name = name(&std::format!("{number}"));
                bench.driver.component_query(&bench.session, &name, c"a").unwrap();
            });
        }
    });
    let refused = results.try_iter().filter(|result| *result == Err(Status::VERR_WRONG_ORDER));
    assert_eq!(refused.count(), 1);
    assert!(bench.driver.components().lock().queries.is_empty());
    drop(sessions);
    bench.driver.close_kernel_sessions();
    bench.close();
}

#[test]
fn cannot_take_each_other_back_in_a_ring() {
    for count in 2..=4 {
        ring_comes_to_an_end(count, |driver, session, address| {
            driver.component_deregister(&session, R0Ptr::new(address))
        });
    }
}

#[test]
fn cannot_close_each_others_sessions_in_a_ring() {
    for count in 2..=4 {
        ring_comes_to_an_end(count, |driver, session, _| driver.close_kernel_session(session));
    }
}

/// A query may sleep in a semaphore of the session that is closed: it is woken before it is waited for.
#[test]
fn closing_the_session_wakes_queries_that_sleep_in_its_semaphores() {
    let bench = Bench::new();
    let session = kernel_session(&bench.driver);
    let kind = SemaphoreKind::Event;
    let handle = bench.driver.semaphore_create(&session, kind).unwrap();
    let (driver, own_session) = (bench.driver.clone(), session.clone());
    let (entered, wait_entered) = channel();
    let entered = std::sync::Mutex::new(entered);
    let answer = move |_: &std::ffi::CStr| {
        entered.lock().unwrap().send(()).unwrap();
        let wait = Wait { deadline: Deadline::Never, interruption: Interruption::Ignored };
        assert!(driver.semaphore_wait(&own_session, kind, handle, wait).is_err());
        5
    };
    register(&bench, &session, TestFactory { address: 5, answer: Box::new(answer) }).unwrap();
    thread::scope(|scope| {
        let asking = scope.spawn(|| query(&bench, c"a"));
        wait_entered.recv().unwrap();
        bench.driver.close_kernel_session(session).unwrap();
        assert_eq!(asking.join().unwrap(), Ok(5));
    });
    bench.close();
}
