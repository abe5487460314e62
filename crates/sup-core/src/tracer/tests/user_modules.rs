//! Modules of processes: limits, numbers, hits, and what is shared.

extern crate std;

use std::sync::atomic::Ordering;
use std::vec::Vec;

use sup_abi::{R3Ptr, SUP_TRACER_UMOD_FLAGS_SHARED, SUPDRVTRACERUSRCTX, Status};
use sup_alloc::Arc;
use sup_alloc::faults::failing_after;

use super::{Bench, TestHost, hold, thread, tracer, until};
use crate::vtg::testing::{Parts, Shape};
use crate::{Session, UserModuleRequest};

const HEADER: u64 = 0x7000_0040;
const NAMES: u64 = 0x7100_0000_0000;
const NAME_BYTES: u32 = 9;

/// A module in the memory of a process.
struct Module {
    parts: Parts,
    header: u64,
}

impl Module {
    /// A module as the library hands it over: offsets for the names of functions.
    fn new(shape: &Shape, header: u64) -> Self {
        let mut parts = shape.build(header);
        parts.records.iter_mut().for_each(|record| record.function = 0);
        Self { parts, header }
    }

    fn place(&self, host: &TestHost) {
        let mut memory = host.record.memory.lock().unwrap();
        memory.retain(|(start, _)| ![self.header, NAMES].contains(start));
        let locations = self.parts.header.offProbeLocs as usize;
        let mut region = std::vec![0; locations + self.parts.locations().len()];
        let object = self.parts.object();
        region[..object.bytes().len()].copy_from_slice(object.bytes());
        region[locations..].copy_from_slice(&self.parts.locations());
        memory.push((self.header, region));
        memory.push((NAMES, b"function\0".to_vec()));
    }

    fn register(&self, bench: &Bench, session: &Session<TestHost>) -> Result<(), Status> {
        self.place(&bench.host);
        bench.driver.tracer_register_user_module(session, &self.request())
    }

    fn request(&self) -> UserModuleRequest<'static> {
        UserModuleRequest {
            name: "module.so",
            flags: SUP_TRACER_UMOD_FLAGS_SHARED,
            header: R3Ptr::new(self.header),
            believed: self.header,
            names: R3Ptr::new(NAMES),
            name_bytes: NAME_BYTES,
        }
    }

    fn deregister(&self, bench: &Bench, session: &Session<TestHost>) -> Result<(), Status> {
        bench.driver.tracer_deregister_user_module(session, R3Ptr::new(self.header))
    }

    /// The numbers that the process finds in its records.
    fn numbers(&self, host: &TestHost) -> Vec<u32> {
        let bytes = if self.parts.header.cBits == 32 { 16 } else { 32 };
        let start = self.header + self.parts.header.offProbeLocs as u64;
        let number = |index: usize| {
            let at = start + (index * bytes) as u64 + 4;
            host.record.at(at, 4, |word| u32::from_le_bytes(word.try_into().unwrap())).unwrap()
        };
        (0..self.parts.records.len()).map(number).collect()
    }
}

fn of_bits(bits: u32) -> Module {
    Module::new(&Shape { bits, ..Shape::sample() }, HEADER)
}

/// Switches a location on, as the tracer does.
fn enable(session: &Arc<Session<TestHost>>, id: u32, number: u32) {
    let module = session.tracing().lock().modules.at(id).unwrap();
    let (_, own) = module.location(id).unwrap();
    own.idProbe.store(number, Ordering::Relaxed);
    own.fEnabled.store(1, Ordering::Release);
}

fn hit(bench: &Bench, id: u32, bits: u8) {
    let mut context = SUPDRVTRACERUSRCTX { idProbe: id, cBits: bits, ..Default::default() };
    bench.driver.tracer_fire_user(&bench.session, &mut context);
}

#[test]
fn a_module_gets_numbers_and_its_hits_arrive() {
    for bits in [32, 64] {
        let bench = Bench::new();
        let (record, owner) = tracer(&bench);
        let module = of_bits(bits);
        assert_eq!(module.register(&bench, &bench.session), Ok(()));
        assert_eq!(record.take(), ["register user beta7", "register user alpha7"]);
        assert_eq!(module.numbers(&bench.host), [0, 1, 2, 3, 4]);
        let bits = bits as u8;
        hit(&bench, 1, bits);
        enable(&bench.session, 1, 77);
        // Another location, index, slot and width: nothing.
        for id in [0, 5, 1 << 24, 32 << 24, u32::MAX] {
            hit(&bench, id, bits);
        }
        hit(&bench, 1, 96 - bits);
        assert_eq!(record.take(), [""; 0]);
        hit(&bench, 1, bits);
        assert_eq!(record.take(), ["hit 77"]);
        assert_eq!(module.deregister(&bench, &bench.session), Ok(()));
        assert_eq!(record.take(), ["deregister beta7", "deregister alpha7"]);
        assert_eq!(module.numbers(&bench.host), [0; 5]);
        hit(&bench, 1, bits);
        assert_eq!(record.take(), [""; 0]);
        let again = module.deregister(&bench, &bench.session);
        assert_eq!(again, Err(Status::VERR_NOT_FOUND));
        bench.driver.close_kernel_session(owner).unwrap();
        bench.close();
    }
}

#[test]
fn slots_are_used_again_and_the_32nd_provider_is_the_last() {
    let bench = Bench::new();
    let modules: Vec<_> = (0..17_u64)
        .map(|index| {
            let mut shape = Shape::sample();
            shape.providers[0].name.push((b'a' + index as u8) as char);
            Module::new(&shape, HEADER + (index << 20))
        })
        .collect();
    for (index, module) in modules.iter().enumerate() {
        let result = module.register(&bench, &bench.session);
        let expected = Err(Status::VERR_SUPDRV_TRACER_TOO_MANY_PROVIDERS);
        assert_eq!(result, if index < 16 { Ok(()) } else { expected });
    }
    modules[3].deregister(&bench, &bench.session).unwrap();
    modules[16].register(&bench, &bench.session).unwrap();
    assert_eq!(modules[16].numbers(&bench.host)[0], 3 << 24);
    bench.close();
}

#[test]
fn one_build_is_shared_by_sessions_and_refused_twice_in_one() {
    let bench = Bench::new();
    let other = bench.driver.open_session(()).unwrap();
    let (module, elsewhere) = (of_bits(64), Module::new(&Shape::sample(), HEADER + (1 << 30)));
    let shared = || bench.driver.tracing().registry.lock().shared.len();
    module.register(&bench, &bench.session).unwrap();
    elsewhere.register(&bench, &other).unwrap();
    assert_eq!(shared(), 1);
    let twice = Module::new(&Shape::sample(), HEADER + (2 << 30));
    let result = twice.register(&bench, &bench.session);
    assert_eq!(result, Err(Status::VERR_SUPDRV_VTG_ALREADY_REGISTERED));
    // Not even its own numbers are taken from one that is registered.
    let again = bench.driver.tracer_register_user_module(&bench.session, &module.request());
    assert_eq!(again, Err(Status::VERR_SUPDRV_VTG_ALREADY_REGISTERED));
    assert_eq!(module.numbers(&bench.host), [0, 1, 2, 3, 4]);
    // The same UUID on something else is something else.
    let mut shape = Shape::sample();
    shape.providers[1].name = "bets".into();
    let liar = Module::new(&shape, HEADER + (3 << 30));
    liar.register(&bench, &bench.session).unwrap();
    assert_eq!(shared(), 2);
    bench.driver.close_session(other);
    assert_eq!(shared(), 2);
    module.deregister(&bench, &bench.session).unwrap();
    assert_eq!(shared(), 1);
    let driver = bench.driver.clone();
    bench.driver.close_session(bench.session.clone());
    assert!(driver.tracing().registry.lock().shared.is_empty());
    drop(driver);
    bench.close();
}

#[test]
fn each_limit_has_its_status() {
    use Status as S;
    let bench = Bench::new();
    let result = |change: &dyn Fn(&mut Module, &mut UserModuleRequest<'static>)| {
        let mut module = of_bits(64);
        let mut request = module.request();
        change(&mut module, &mut request);
        module.place(&bench.host);
        let result = bench.driver.tracer_register_user_module(&bench.session, &request);
        if result.is_ok() {
            module.deregister(&bench, &bench.session).unwrap();
        }
        result
    };
    assert_eq!(result(&|_, _| ()), Ok(()));
    assert_eq!(result(&|_, request| request.flags = 3), Err(S::VERR_INVALID_PARAMETER));
    for bytes in [0, 1, (1 << 20) + 1] {
        let limit = result(&|_, request| request.name_bytes = bytes);
        assert_eq!(limit, Err(S::VERR_SUPDRV_TRACER_UMOD_STRTAB_TOO_BIG));
    }
    let nowhere = |_: &mut Module, request: &mut UserModuleRequest<'static>| {
        request.header = R3Ptr::new(4096);
    };
    assert_eq!(result(&nowhere), Err(S::VERR_ACCESS_DENIED));
    // The table's size is allowed as an offset: there is the terminator. What is above is not.
    let name = |offset: u64| result(&|module, _| module.parts.records[4].function = offset);
    assert_eq!(name(9), Ok(()));
    assert_eq!(name(10), Err(S::VERR_SUPDRV_TRACER_UMOD_STRTAB_OFF_BAD));
    let numbered = result(&|module, _| module.parts.records[0].id = 1);
    assert_eq!(numbered, Err(S::VERR_SUPDRV_VTG_BAD_PROBE_LOC));
    let three = result(&|module, _| {
        let mut shape = Shape::sample();
        shape.providers.push(shape.providers[1].clone());
        *module = Module::new(&shape, HEADER);
    });
    assert_eq!(three, Err(S::VERR_SUPDRV_TRACER_TOO_MANY_PROVIDERS));
    let kernel = bench.driver.open_kernel_session((), sup_abi::R0Ptr::NIL).unwrap();
    let request = of_bits(64).request();
    let in_kernel = bench.driver.tracer_register_user_module(&kernel, &request);
    assert_eq!(in_kernel, Err(S::VERR_INVALID_CONTEXT));
    bench.driver.close_kernel_session(kernel).unwrap();
    bench.close();
}

#[test]
fn the_gap_and_the_span_have_limits() {
    use Status as S;
    let bench = Bench::new();
    let with_gap = |gap: i32| {
        let mut module = of_bits(64);
        let header = &mut module.parts.header;
        let end = header.ProbeEnabled.off + header.ProbeEnabled.cb;
        header.offProbeLocs = end as i32 + gap;
        header.uProbeLocs = HEADER + u64::from(end) + gap as u64;
        header.uProbeLocsEnd = header.uProbeLocs + u64::from(header.cbProbeLocs);
        let result = module.register(&bench, &bench.session);
        if result.is_ok() {
            module.deregister(&bench, &bench.session).unwrap();
        }
        result
    };
    assert_eq!(with_gap(0), Ok(()));
    assert_eq!(with_gap(128), Ok(()));
    assert_eq!(with_gap(132), Err(S::VERR_SUPDRV_TRACER_UMOD_NOT_ADJACENT));
    let with_locations = |locations: u32| {
        let mut shape = Shape::sample();
        shape.providers[1].probes[0].locations = locations;
        Module::new(&shape, HEADER).register(&bench, &bench.session)
    };
    let too_many = Err(S::VERR_SUPDRV_TRACER_UMOD_TOO_MANY_PROBES);
    assert_eq!(with_locations(2048), too_many);
    assert_eq!(with_locations(2000), Ok(()));
    bench.close();
}

#[test]
fn a_module_leaves_when_its_hits_have_left() {
    let bench = Bench::new();
    let (record, owner) = tracer(&bench);
    let module = of_bits(64);
    module.register(&bench, &bench.session).unwrap();
    enable(&bench.session, 2, 5);
    let (release, entered) = hold(&record);
    thread::scope(|scope| {
        scope.spawn(|| hit(&bench, 2, 64));
        until(|| entered.load(Ordering::SeqCst) == 1);
        let leave = scope.spawn(|| module.deregister(&bench, &bench.session));
        until(|| bench.session.tracing().lock().modules.at(0).is_none());
        thread::sleep(std::time::Duration::from_millis(20));
        assert!(!leave.is_finished());
        assert_eq!(record.take()[2..], [""; 0]);
        drop(release);
        assert_eq!(leave.join().unwrap(), Ok(()));
    });
    assert_eq!(record.take()[0], "hit 5");
    bench.driver.close_kernel_session(owner).unwrap();
    bench.close();
}

#[test]
fn no_failed_allocation_leaves_a_module() {
    let bench = Bench::new();
    let module = of_bits(64);
    let live = bench.host.record.live.load(Ordering::Relaxed);
    for successes in 0.. {
        let (result, has_failed) =
            failing_after(successes, || module.register(&bench, &bench.session));
        if !has_failed {
            assert_eq!(result, Ok(()));
            break;
        }
        assert_eq!(result, Err(Status::VERR_NO_MEMORY), "{successes}");
        assert_eq!(module.numbers(&bench.host), [0; 5]);
        assert_eq!(bench.host.record.live.load(Ordering::Relaxed), live, "{successes}");
        assert!(bench.driver.tracing().registry.lock().shared.is_empty());
    }
    bench.close();
}
