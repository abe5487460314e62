//! Out of memory: every allocation of every operation fails once, and nothing is lost or left.

extern crate std;

use std::sync::atomic::Ordering;

use sup_abi::request::{
    ContAlloc, LowAlloc, PageAllocEx, PageAllocExIn, PageCountIn, Request, SemaphoreKind,
};
use sup_abi::{PAGE_SIZE, Pages, R0Ptr, R3Ptr, SUPDRVOBJTYPE, Status};
use sup_alloc::faults::failing_after;

use crate::host::{Interruption, Memory, Views, Wait};
use crate::memory::{Range, Service};
use crate::testing::bench::Bench;
use crate::testing::{TestDestructor, TestHost};
use crate::{Blocking, Deadline, Driver};

/// Lets allocation after allocation of `operation` fail, until it has none left to fail.
fn exhaust(name: &str, operation: impl Fn(&Bench) -> Status) {
    for successes in 0.. {
        let bench = Bench::new();
        let before = bench.driver.counts();
        let (status, has_failed) = failing_after(successes, || operation(&bench));
        if !has_failed {
            assert!(status.is_success(), "{name}: {status}");
            assert!(successes > 0, "{name} allocates nothing");
            bench.close();
            return;
        }
        assert_eq!(status, Status::VERR_NO_MEMORY, "{name}, allocation {successes}");
        let after = bench.driver.counts();
        assert_eq!(after, before, "{name}, allocation {successes}");
        assert!(operation(&bench).is_success(), "{name} after allocation {successes} failed");
        bench.close();
    }
}

fn status_of<T>(result: Result<T, Status>) -> Status {
    result.map_or_else(|status| status, |_| Status::VINF_SUCCESS)
}

fn send<R: Request>(bench: &Bench, input: &R::In, tail_out: usize) -> Status {
    bench.send::<R>(input, &[], tail_out).unwrap().0
}

#[test]
fn memory_services_leave_nothing_when_memory_runs_out() {
    exhaust("LowAlloc", |bench| {
        send::<LowAlloc>(bench, &PageCountIn { pages: 2, reserved: 0 }, 16)
    });
    exhaust("ContAlloc", |bench| {
        send::<ContAlloc>(bench, &PageCountIn { pages: 2, reserved: 0 }, 0)
    });
    for kernel_mapping in [0, 1] {
        let input = PageAllocExIn { pages: 2, kernel_mapping, user_mapping: 1, reserved: [0; 2] };
        exhaust("PageAllocEx", |bench| send::<PageAllocEx>(bench, &input, 16));
    }
    let allocate = |bench: &Bench, service, views| {
        status_of(bench.driver.memory_allocate(&bench.session, service, Pages::new(2), views))
    };
    exhaust("SUPR0MemAlloc", |bench| allocate(bench, Service::Mem, Views::UserAndKernel));
    exhaust("SUPR0PageAllocEx for ring 0", |bench| allocate(bench, Service::Page, Views::Kernel));
    exhaust("LockPages", |bench| {
        let (start, pages) = (R3Ptr::new(1 << 40), Pages::new(2));
        status_of(bench.driver.memory_lock(&bench.session, start, pages))
    });
}

/// Those memory calls that are not in the list above.
#[test]
fn finding_protecting_and_freeing_memory_allocates_nothing() {
    let bench = Bench::new();
    let (driver, session) = (&bench.driver, &bench.session);
    let views = Views::UserAndKernel;
    for service in [Service::Page, Service::Low, Service::Cont, Service::Mem] {
        let block = driver.memory_allocate(session, service, Pages::new(2), views).unwrap();
        let start = block.memory().user_address();
        drop(block);
        let (freed, has_failed) = failing_after(0, || {
            driver.memory_block(session, service, start.get()).unwrap();
            if service == Service::Page {
                let part = Range { offset: 0, bytes: PAGE_SIZE as u32 };
                driver.memory_protect(session, start, R0Ptr::NIL, part, 1).unwrap();
            }
            driver.memory_free(session, service, start.get())
        });
        assert_eq!((freed, has_failed), (Ok(()), false), "{service:?}");
    }
    let start = R3Ptr::new(1 << 40);
    driver.memory_lock(session, start, Pages::new(2)).unwrap();
    let unlock = || driver.memory_free(session, Service::Lock, start.get());
    assert_eq!(failing_after(0, unlock), (Ok(()), false));
    bench.close();
}

#[test]
fn modules_leave_nothing_when_memory_runs_out() {
    exhaust("LoadModule", |bench| bench.load("service", "handler", b"image").0);
}

#[test]
fn second_session_of_a_module_leaves_nothing_when_memory_runs_out() {
    for successes in 0.. {
        let first = Bench::new();
        assert!(first.load("service", "handler", b"image").0.is_success());
        let second = Bench {
            host: first.host.clone(),
            driver: first.driver.clone(),
            session: first.driver.open_session(()).unwrap(),
        };
        let (status, has_failed) =
            failing_after(successes, || second.load("service", "handler", b"image").0);
        let references = first.driver.counts().image_references;
        if !has_failed {
            assert_eq!((status, references), (Status::VINF_SUCCESS, 2));
            break;
        }
        assert_eq!((status, references), (Status::VERR_NO_MEMORY, 1));
        first.driver.close_session(second.session);
        first.close();
    }
}

#[test]
fn semaphores_leave_nothing_when_memory_runs_out() {
    for kind in [SemaphoreKind::Event, SemaphoreKind::EventMulti] {
        exhaust("SemaphoreCreate", |bench| {
            status_of(bench.driver.semaphore_create(&bench.session, kind))
        });
    }
}

#[test]
fn creating_after_a_close_allocates_nothing_and_makes_a_new_semaphore() {
    let bench = Bench::new();
    let (driver, session) = (&bench.driver, &bench.session);
    let create = |kind| driver.semaphore_create(session, kind).unwrap();
    let poll = Wait { deadline: Deadline::at_nanos(0), interruption: Interruption::Allowed };
    for old in [SemaphoreKind::Event, SemaphoreKind::EventMulti] {
        for new in [SemaphoreKind::Event, SemaphoreKind::EventMulti] {
            let closed = create(old);
            driver.semaphore_signal(session, old, closed).unwrap();
            assert!(driver.semaphore_close(session, old, closed).is_ok());
            let (created, has_failed) = failing_after(0, || create(new));
            assert!(!has_failed && created != closed);
            let wait = |kind, handle| driver.semaphore_wait(session, kind, handle, poll);
            assert_eq!(wait(new, created), Err(Status::VERR_TIMEOUT));
            assert_eq!(wait(old, closed), Err(Status::VERR_INVALID_HANDLE));
            driver.semaphore_signal(session, new, created).unwrap();
            assert_eq!(wait(new, created), Ok(()));
            let closed = driver.semaphore_close(session, new, created);
            assert_eq!(closed, Ok(Status::VINF_OBJECT_DESTROYED));
        }
    }
    bench.close();
}

#[test]
fn views_leave_nothing_when_memory_runs_out() {
    exhaust("SemaphoreWords", |bench| {
        let (driver, kind) = (&bench.driver, SemaphoreKind::Event);
        let status = driver.semaphore_create(&bench.session, kind).and_then(|handle| {
            let mapped = driver.map_words(&bench.session, 0);
            driver.semaphore_close(&bench.session, kind, handle).and(mapped)
        });
        status_of(status)
    });
    exhaust("GipMap", |bench| status_of(bench.driver.map_gip(&bench.session)));
}

#[test]
fn every_process_of_a_session_has_views_of_its_own() {
    let bench = Bench::new();
    let (driver, session) = (&bench.driver, &bench.session);
    driver.semaphore_create(session, SemaphoreKind::Event).unwrap();
    let map = || (driver.map_words(session, 0).unwrap(), driver.map_gip(session).unwrap());
    let mine = map();
    assert_eq!(map(), mine);
    bench.host.record.address_space.store(1, Ordering::Relaxed);
    let theirs = map();
    assert!(theirs.0 != mine.0 && theirs.1 != mine.1);
    // What one process gives back is still there for the other.
    driver.unmap_gip(session);
    assert_ne!(driver.map_gip(session).unwrap(), theirs.1);
    bench.host.record.address_space.store(0, Ordering::Relaxed);
    assert_eq!(map(), mine);
    bench.close();
}

#[test]
fn objects_leave_nothing_when_memory_runs_out() {
    exhaust("SUPR0ObjRegister", |bench| {
        // The tables have room for a while; a session of its own makes them grow at once.
        let destructor = || TestDestructor::recording(&bench.host, 0x7000, 0);
        let register =
            || bench.driver.object_register(&bench.session, SUPDRVOBJTYPE::Vm, destructor());
        let mut made = std::vec::Vec::new();
        let status = loop {
            match register() {
                Ok(object) => made.push(object),
                Err(status) => break status,
            }
            if made.len() == 200 {
                break Status::VINF_SUCCESS;
            }
        };
        for object in made {
            assert!(bench.driver.object_release(&bench.session, object).is_ok());
        }
        status
    });
}

#[test]
fn reference_without_blocking_never_allocates() {
    let bench = Bench::new();
    let object = bench.object(1);
    let (result, has_failed) =
        failing_after(0, || bench.driver.object_add_ref(&bench.session, object, Blocking::Never));
    assert_eq!((result, has_failed), (Ok(()), false));
    bench.close();
}

#[test]
fn opening_a_session_leaves_nothing_when_memory_runs_out() {
    for successes in 0.. {
        let host = TestHost::default();
        let driver = Driver::start(host.clone()).unwrap();
        let (session, has_failed) = failing_after(successes, || driver.open_session(()));
        match session {
            Ok(session) => driver.close_session(session),
            Err(status) => assert_eq!(status, Status::VERR_NO_MEMORY),
        }
        assert_eq!(driver.counts().sessions, 0);
        if !has_failed {
            return;
        }
    }
}

#[test]
fn driver_that_cannot_start_leaves_nothing() {
    for successes in 0.. {
        let host = TestHost::default();
        let (driver, has_failed) = failing_after(successes, || Driver::start(host.clone()));
        match driver {
            Ok(_) => assert!(!has_failed),
            Err(status) => assert_eq!(status, Status::VERR_NO_MEMORY),
        }
        assert_eq!(host.record.live.load(Ordering::Relaxed), 0);
        if !has_failed {
            return;
        }
    }
}
