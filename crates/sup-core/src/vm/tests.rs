//! The VMM over the test host: who may call it with what, and what keeps it loaded.

extern crate std;

use std::sync::atomic::Ordering as StdOrdering;
use std::thread;
use std::time::Duration;

use sup_abi::request::{
    CallVmmFast, CallVmmFastIn, Counts, FreeModule, ImageIn, PageAllocEx, PageAllocExIn, SetVm,
    SetVmIn,
};
use sup_abi::{R0Ptr, SUP_VMMR0_DO_NOP, SUPDRVOBJTYPE, Status};

use crate::SessionHandle;
use crate::testing::bench::Bench;
use crate::testing::{Event, LAST_FAST_CALL, TestDestructor};

const OK: Status = Status::VINF_SUCCESS;
const VMM: &str = sup_abi::VMM_MODULE_NAME;

fn set(bench: &Bench, vm: u64) -> Status {
    bench.send::<SetVm>(&SetVmIn { vm: R0Ptr::new(vm) }, &[], 0).unwrap().0
}

fn fast(bench: &Bench, operation: u32, cpu: u32) -> Status {
    bench.send::<CallVmmFast>(&CallVmmFastIn { operation, cpu }, &[], 0).unwrap().0
}

fn free(bench: &Bench, base: R0Ptr) -> Status {
    bench.send::<FreeModule>(&ImageIn { base }, &[], 0).unwrap().0
}

fn load_vmm(bench: &Bench) -> R0Ptr {
    let (status, base) = bench.load(VMM, "", b"image");
    assert_eq!(status, OK);
    base
}

/// A session beside the bench's, in the same driver.
fn another(bench: &Bench) -> Bench {
    Bench {
        host: bench.host.clone(),
        driver: bench.driver.clone(),
        session: bench.driver.open_session(()).unwrap(),
    }
}

fn register(bench: &Bench, kind: SUPDRVOBJTYPE, tag: u64) -> u64 {
    let destructor = TestDestructor::recording(&bench.host, 0x7000, tag);
    bench.driver.object_register(&bench.session, kind, destructor).unwrap().0.get()
}

#[test]
fn fast_calls_reach_the_vm_that_was_set() {
    let bench = Bench::new();
    assert_eq!(fast(&bench, 0, 0), Status::VERR_INTERNAL_ERROR);
    load_vmm(&bench);
    let vm = register(&bench, SUPDRVOBJTYPE::Vm, 0x1234_5000);
    assert_eq!(fast(&bench, 0, 0), Status::VERR_INTERNAL_ERROR, "no VM is set");
    for name in [vm, 0x1234_5000] {
        assert_eq!(set(&bench, name), OK);
        for operation in 0..=SUP_VMMR0_DO_NOP {
            assert_eq!(fast(&bench, operation, 7), OK);
            assert_eq!(LAST_FAST_CALL.get(), (name, 7, operation));
        }
        assert_eq!(fast(&bench, SUP_VMMR0_DO_NOP + 1, 7), Status::VERR_INTERNAL_ERROR);
        assert_eq!(set(&bench, name), Status::VERR_ALREADY_EXISTS);
        assert_eq!(set(&bench, 0), OK);
        assert_eq!(fast(&bench, 0, 0), Status::VERR_INTERNAL_ERROR);
    }
    bench.close();
}

#[test]
fn cannot_set_what_is_not_the_sessions_vm() {
    let bench = Bench::new();
    let vm = register(&bench, SUPDRVOBJTYPE::Vm, 0x1234_5000);
    assert_eq!(set(&bench, vm), Status::VERR_WRONG_ORDER, "no VMM is loaded");
    load_vmm(&bench);
    let other = another(&bench);
    let network = register(&bench, SUPDRVOBJTYPE::InternalNetwork, 0x5000_0000);
    let SessionHandle(session) = bench.session.handle();
    for wrong in [0x1000, network, 0x5000_0000, session.get(), vm + 16, !0x1000] {
        assert_eq!(set(&bench, wrong), Status::VERR_ACCESS_DENIED, "{wrong:#x}");
    }
    for foreign in [vm, 0x1234_5000] {
        assert_eq!(set(&other, foreign), Status::VERR_ACCESS_DENIED);
    }
    assert_eq!(set(&bench, vm), OK);
    other.driver.close_session(other.session);
    bench.close();
}

#[test]
fn memory_of_the_session_can_be_the_vm_and_outlives_its_free() {
    let bench = Bench::new();
    load_vmm(&bench);
    let pages = PageAllocExIn { pages: 1, kernel_mapping: 1, user_mapping: 1, reserved: [0; 2] };
    let (_, packet) = bench.send::<PageAllocEx>(&pages, &[], 8).unwrap();
    let word = |at: usize| u64::from_le_bytes(packet[at..at + 8].try_into().unwrap());
    let (r3, r0) = (word(24), word(32));
    assert_eq!(set(&bench, r3), Status::VERR_ACCESS_DENIED, "an address of ring 3");
    assert_eq!(set(&bench, r0 + 8), Status::VERR_ACCESS_DENIED, "an interior address");
    assert_eq!(set(&bench, r0), OK);
    let live = bench.host.record.live.load(StdOrdering::Relaxed);
    let input = sup_abi::request::AddressIn { r3: sup_abi::R3Ptr::new(r3) };
    bench.succeed::<sup_abi::request::PageFree>(&input, 0);
    assert_eq!(bench.host.record.live.load(StdOrdering::Relaxed), live, "kept for the VM");
    assert_eq!(fast(&bench, 0, 0), OK);
    assert_eq!(set(&bench, 0), OK);
    assert_eq!(bench.host.record.live.load(StdOrdering::Relaxed), live - 1);
    bench.close();
}

#[test]
fn object_that_is_set_lives_until_it_is_cleared() {
    let bench = Bench::new();
    load_vmm(&bench);
    let vm = register(&bench, SUPDRVOBJTYPE::Vm, 9);
    assert_eq!(set(&bench, vm), OK);
    bench.host.events();
    let handle = crate::ObjectHandle(R0Ptr::new(vm));
    let release = || bench.driver.object_release(&bench.session, handle);
    assert_eq!(release(), Ok(OK), "it lives on");
    assert_eq!(release(), Err(Status::VERR_INVALID_PARAMETER), "the pin is nobody's to give");
    assert_eq!(fast(&bench, 0, 0), OK);
    assert_eq!(bench.host.events(), []);
    assert_eq!(set(&bench, 0), OK);
    assert_eq!(bench.host.events(), [Event::Destroyed(9)]);
    bench.close();
}

#[test]
fn vmm_stays_while_a_vm_is_set_or_a_module_imports_from_it() {
    let bench = Bench::new();
    assert_eq!(bench.load("user", "", b"image imports").0, Status::VERR_SYMBOL_NOT_FOUND);
    let vmm = load_vmm(&bench);
    let other = another(&bench);
    let (status, _) = other.load("user", "", b"image imports");
    assert_eq!(status, Status::VERR_SYMBOL_NOT_FOUND, "a session that has not loaded it");
    let (status, user) = bench.load("user", "", b"image imports");
    assert_eq!(status, OK);
    let vm = register(&bench, SUPDRVOBJTYPE::Vm, 0x1234_5000);
    assert_eq!(set(&bench, vm), OK);
    assert_eq!(bench.driver.counts().image_references, 4);
    bench.host.events();

    assert_eq!(free(&bench, vmm), OK);
    assert_eq!(free(&bench, vmm), Status::VERR_INVALID_HANDLE);
    assert_eq!(fast(&bench, 0, 1), OK);
    assert_eq!(free(&bench, user), OK);
    assert_eq!(bench.host.events(), [Event::Term, Event::Unmapped], "the importer alone");
    assert_eq!(fast(&bench, 0, 1), OK);
    assert_eq!(set(&bench, 0), OK);
    assert_eq!(bench.host.events(), [Event::Term, Event::Unmapped]);
    assert_eq!(set(&bench, vm), Status::VERR_WRONG_ORDER);
    other.driver.close_session(other.session);
    bench.close();
}

#[test]
fn importer_that_fails_holds_nothing() {
    let bench = Bench::new();
    load_vmm(&bench);
    bench.host.record.init_status.store((-225_i32).cast_unsigned(), StdOrdering::Relaxed);
    let (status, _) = bench.load("user", "", b"image imports");
    assert_eq!(status, Status::VERR_INTERNAL_ERROR);
    assert_eq!(bench.driver.counts().image_references, 1);
    bench.close();
}

#[test]
fn end_of_the_session_takes_the_vm_back_first() {
    let bench = Bench::new();
    load_vmm(&bench);
    let vm = register(&bench, SUPDRVOBJTYPE::Vm, 3);
    assert_eq!(set(&bench, vm), OK);
    let host = bench.close();
    assert_eq!(host.events(), [Event::Init, Event::Destroyed(3), Event::Term, Event::Unmapped]);
}

#[test]
fn setting_a_vm_that_fails_holds_nothing() {
    let bench = Bench::new();
    let vmm = load_vmm(&bench);
    assert_eq!(set(&bench, 0x1000), Status::VERR_ACCESS_DENIED);
    assert_eq!(bench.driver.counts().image_references, 1);
    assert_eq!(free(&bench, vmm), OK);
    assert_eq!(bench.driver.counts(), Counts { sessions: 1, ..zerocopy::FromZeros::new_zeroed() });
    bench.close();
}

#[test]
fn vm_that_comes_and_goes_under_calls_ends_with_none_running() {
    let bench = Bench::new();
    load_vmm(&bench);
    let vm = register(&bench, SUPDRVOBJTYPE::Vm, 0x1234_5000);
    thread::scope(|scope| {
        let call = || {
            let begin = std::time::Instant::now();
            while begin.elapsed() < Duration::from_millis(50) {
                LAST_FAST_CALL.set((0, 0, 0));
                let status = bench.session.call_vmm_fast(1, 5);
                let seen = LAST_FAST_CALL.get();
                match status {
                    OK => assert_eq!(seen, (vm, 5, 1)),
                    _ => assert_eq!((status, seen), (Status::VERR_INTERNAL_ERROR, (0, 0, 0))),
                }
            }
        };
        let callers = [scope.spawn(call), scope.spawn(call)];
        while !callers.iter().all(thread::ScopedJoinHandle::is_finished) {
            assert_eq!(set(&bench, vm), OK);
            assert_eq!(set(&bench, 0), OK);
        }
    });
    bench.close();
}
