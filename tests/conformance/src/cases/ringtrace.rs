//! The tracer in the box: `modules/ringtrace`, as it is built for ring 0, and its client.
//!
//! The module's file is looked for in the guest and in the target folder; without it the cases count as skipped.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::{fs, io};

use sup::Status;
use sup::backend::Kind;
use sup::ringtrace::{Comparison, Condition, HitKind, Policy, ProbeLocation, Record, RingTracer};
use sup_abi::SUPDRVTRACERUSRCTX;
use sup_abi::request::{
    TracerDeregisterUserModule, TracerDeregisterUserModuleIn, TracerFire, TracerRegisterUserModule,
};
use sup_abi::{DRIVER_PROVIDER, R3Ptr, VTG_TYPE_FIXED_SIZED, VTG_TYPE_UNSIGNED};
use sup_test_key::signed;
use sup_test_vtg::Module;

use crate::backend::Backend;
use crate::case::{Stop, Verdict, cases, check, same};
use crate::client::Client;
use crate::traced::{TRACED, TRACED_HANDLER, TRACED_OP_FIRE, TRACED_OP_FIRE_MANY};

cases! { Tracing {
    the_ring_tracer_lists_where_probes_fire:
        "Names, lines, types and stability are those of the object (spec 8.1, 8.3).",
    hits_become_records:
        "A hit is a record of its location, with the probe's arguments and nothing else (spec 8.6).",
    every_hit_is_a_record_or_counted:
        "Full rings drop or overwrite, and each loss is counted (spec 8.6; the rings are ours).",
    a_condition_keeps_hits_out:
        "It is judged in ring 0, on one argument (spec 8.6; conditions are ours).",
    hits_of_a_process_become_records:
        "With the number of the process (spec 8.6).",
    one_client_has_the_ring_tracer:
        "Another is refused, and what a client switched on goes off with it (spec 8.7).",
    the_ring_tracer_goes_under_fire:
        "Eight threads fire while it is loaded and unloaded (spec 8.6).",
    the_ring_tracer_goes_while_the_driver_fires:
        "All of the driver's own probes are on while four threads open sessions (spec 8.6).",
}}

const PLACES: [&str; 2] =
    ["/lib/ringtrace.r0", concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/r0/ringtrace.r0")];

fn image() -> Verdict<Vec<u8>> {
    for place in PLACES {
        match fs::read(Path::new(place)) {
            Ok(image) => return Ok(signed(&image, "ringtrace")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Stop::Skipped(
        "no ringtrace.r0: `supctl module build modules/ringtrace` makes it".to_owned(),
    ))
}

fn open(backend: &dyn Backend) -> Verdict<RingTracer> {
    Ok(RingTracer::open_image(backend.kind(), &image()?)?)
}

/// The module with two providers, loaded.
struct Traced(Client);

impl Traced {
    fn load(backend: &dyn Backend) -> Verdict<Self> {
        let client = Client::connect(backend)?;
        client.load(TRACED, "traced", TRACED_HANDLER)?;
        Ok(Self(client))
    }

    /// Fires a location so often.
    fn fire(&self, location: u64, count: u64) -> Verdict {
        let argument = count << 8 | location;
        let status = self.0.call_service("traced", TRACED_OP_FIRE_MANY, argument, &mut [])?;
        same!(status, Status::VINF_SUCCESS);
        Ok(())
    }
}

/// The location at a line of the module.
fn at_line(tracer: &RingTracer, line: u32) -> Verdict<ProbeLocation> {
    let found = tracer.locations()?.into_iter().find(|location| location.line == line);
    found.ok_or_else(|| Stop::failed(format_args!("no location at line {line}")))
}

fn read_all(tracer: &mut RingTracer) -> Vec<Record> {
    let mut records = Vec::new();
    tracer.read(usize::MAX, |record| records.push(*record));
    records
}

fn the_ring_tracer_lists_where_probes_fire(backend: &dyn Backend) -> Verdict {
    let traced = Traced::load(backend)?;
    let tracer = open(backend)?;
    let mut found = tracer.locations()?;
    found.retain(|location| location.module == "traced");
    found.sort_by_key(|location| location.line);
    let names: Vec<_> = found
        .iter()
        .map(|at| (at.line, &*at.provider, &*at.probe, &*at.function, at.arguments.len()))
        .collect();
    let function = "vtgFunction";
    let expected = [
        (100, "alpha", "open", function, 2),
        (101, "alpha", "open", function, 2),
        (102, "alpha", "close", function, 0),
        (103, "beta", "tick-tock", function, 1),
        (104, "beta", "tick-tock", function, 1),
    ];
    same!(names, expected);
    let types: Vec<_> = found[0].arguments.iter().map(|found| &*found.type_text).collect();
    same!(types, ["int", "uint64_t"]);
    same!(found[0].arguments[1].flags, VTG_TYPE_FIXED_SIZED | VTG_TYPE_UNSIGNED | 8);
    same!(found[0].attributes, [[6, 6, 5]; 5]);
    check!(found.iter().all(|at| at.process == 0 && !at.is_on), "of ring 0, and off");
    drop(traced);
    check!(tracer.locations()?.iter().all(|at| at.module != "traced"), "it has gone");
    Ok(())
}

fn hits_become_records(backend: &dyn Backend) -> Verdict {
    let traced = Traced::load(backend)?;
    let mut tracer = open(backend)?;
    tracer.make_rings(16, Policy::Drop)?;
    let location = at_line(&tracer, 101)?;
    traced.fire(1, 1)?;
    tracer.switch_on(location.id, None)?;
    check!(at_line(&tracer, 101)?.is_on && !at_line(&tracer, 100)?.is_on, "it alone is on");
    traced.fire(0, 3)?;
    traced.fire(1, 3)?;
    let records = read_all(&mut tracer);
    same!(records.len(), 3);
    for (count, record) in (0..).zip(&records) {
        same!((record.id, record.arg_count, record.who), (location.id, 2, 0));
        same!(record.kind, HitKind::Kernel as u8);
        same!(record.args, [1, count, 0, 0, 0]);
        check!(record.time_tsc != 0, "no time");
    }
    tracer.switch_off(location.id)?;
    traced.fire(1, 3)?;
    same!(read_all(&mut tracer).len(), 0);
    same!(tracer.switch_on(4095, None).map_err(Status::from), Err(Status::VERR_NOT_FOUND));
    Ok(())
}

fn every_hit_is_a_record_or_counted(backend: &dyn Backend) -> Verdict {
    const HITS: u64 = 5_000;
    let traced = Traced::load(backend)?;
    for policy in [Policy::Drop, Policy::Overwrite] {
        let mut tracer = open(backend)?;
        tracer.make_rings(64, policy)?;
        tracer.switch_on(at_line(&tracer, 103)?.id, None)?;
        // Not read meanwhile: the rings overflow.
        traced.fire(3, HITS)?;
        let first = read_all(&mut tracer).len() as u64;
        // Read by one thread while two others fire.
        let is_over = AtomicBool::new(false);
        let (results, second) = thread::scope(|scope| {
            let firing: Vec<_> = (0..2)
                .map(|_| scope.spawn(|| (0..HITS / 50).try_for_each(|_| traced.fire(3, 50))))
                .collect();
            let reading = scope.spawn(|| {
                let mut count = 0;
                while !is_over.load(Ordering::Acquire) {
                    count += tracer.read(usize::MAX, |_| {}) as u64;
                    thread::yield_now();
                }
                count + tracer.read(usize::MAX, |_| {}) as u64
            });
            let results: Vec<_> = firing.into_iter().map(thread::ScopedJoinHandle::join).collect();
            is_over.store(true, Ordering::Release);
            (results, reading.join())
        });
        for result in results {
            result.map_err(|_| Stop::failed("a thread panicked"))??;
        }
        let second = second.map_err(|_| Stop::failed("the reader panicked"))?;
        let counts = tracer.counts()?;
        same!(counts.written + counts.lost, 3 * HITS);
        same!(first + second + counts.overwritten, counts.written);
        check!(first >= 64, "{first} records of a ring of 64");
        check!(counts.lost + counts.overwritten > 0, "so many hits have no room");
        check!(policy == Policy::Overwrite || counts.overwritten == 0, "nothing is overwritten");
    }
    Ok(())
}

fn a_condition_keeps_hits_out(backend: &dyn Backend) -> Verdict {
    let traced = Traced::load(backend)?;
    let mut tracer = open(backend)?;
    tracer.make_rings(64, Policy::Drop)?;
    let id = at_line(&tracer, 100)?.id;
    // The second argument counts from 0.
    let rows: [(_, _, &[u64]); 5] = [
        (Comparison::Equal, 3, &[3]),
        (Comparison::NotEqual, 0, &[1, 2, 3, 4]),
        (Comparison::Less, 2, &[0, 1]),
        (Comparison::Greater, 3, &[4]),
        (Comparison::Always, 9, &[0, 1, 2, 3, 4]),
    ];
    for (comparison, value, expected) in rows {
        tracer.switch_on(id, Some(Condition { argument: 1, comparison, value }))?;
        traced.fire(0, 5)?;
        let found: Vec<_> = read_all(&mut tracer).iter().map(|record| record.args[1]).collect();
        same!(&found[..], expected);
    }
    let wrong = Condition { argument: 5, comparison: Comparison::Equal, value: 0 };
    let refused = tracer.switch_on(id, Some(wrong)).map_err(Status::from);
    same!(refused, Err(Status::VERR_INVALID_PARAMETER));
    Ok(())
}

fn hits_of_a_process_become_records(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let mut tracer = open(backend)?;
    tracer.make_rings(16, Policy::Drop)?;
    let mut module = Module::new(1);
    same!(client.call::<TracerRegisterUserModule>(&module.request())?.0, Status::VINF_SUCCESS);
    let location = at_line(&tracer, 101)?;
    same!(location.process, std::process::id());
    same!(location.provider, format!("tests{}", std::process::id()));
    tracer.switch_on(location.id, None)?;
    let slot_and_index = 2;
    check!(module.is_enabled(slot_and_index), "the process is not told");
    let mut context =
        SUPDRVTRACERUSRCTX { idProbe: slot_and_index as u32, cBits: 64, ..Default::default() };
    context.u.amd64_mut().aArgs = [11, 12, 13, 14, 15, 16, 17, 18, 19, 20];
    same!(client.call::<TracerFire>(&context)?.0, Status::VINF_SUCCESS);
    let records = read_all(&mut tracer);
    same!(records.len(), 1);
    let record = records[0];
    same!((record.id, record.kind), (location.id, HitKind::User as u8));
    same!(record.who >> 32, u64::from(std::process::id()));
    // This probe has no arguments.
    same!((record.arg_count, record.args), (0, [0; 5]));
    let first = at_line(&tracer, 100)?;
    tracer.switch_on(first.id, None)?;
    context.idProbe = 0;
    same!(client.call::<TracerFire>(&context)?.0, Status::VINF_SUCCESS);
    let record = read_all(&mut tracer);
    same!(
        record.first().map(|record| (record.arg_count, record.args)),
        Some((1, [11, 0, 0, 0, 0]))
    );
    drop(tracer);
    check!(!module.is_enabled(slot_and_index) && !module.is_enabled(0), "left switched on");
    same!(module.counts(), [0, 0]);
    let input = TracerDeregisterUserModuleIn { header: R3Ptr::new(module.address() as u64) };
    same!(client.call::<TracerDeregisterUserModule>(&input)?.0, Status::VINF_SUCCESS);
    Ok(())
}

fn one_client_has_the_ring_tracer(backend: &dyn Backend) -> Verdict {
    let traced = Traced::load(backend)?;
    let mut tracer = open(backend)?;
    let second = RingTracer::open_image(backend.kind(), &image()?);
    let busy = Status::VERR_SUPDRV_TRACER_ALREADY_OPENED;
    same!(second.map(|_| ()).map_err(Status::from), Err(busy));
    tracer.make_rings(4, Policy::Drop)?;
    let again = tracer.make_rings(4, Policy::Drop).map_err(Status::from);
    same!(again, Err(Status::VERR_WRONG_ORDER));
    for slots in [0, 1, 3] {
        let wrong = tracer.make_rings(slots, Policy::Drop).map_err(Status::from);
        same!(wrong, Err(Status::VERR_INVALID_PARAMETER));
    }
    tracer.switch_on(at_line(&tracer, 100)?.id, None)?;
    // So that the module stays, with what it knows.
    let keeper = Client::connect(backend)?;
    let packet = keeper.load_file_packet(&image()?, "ringtrace", sup::ringtrace::HANDLER)?;
    same!(keeper.try_load_packet(&packet)?.status, Status::VINF_SUCCESS);
    drop(tracer);
    let next = open(backend)?;
    check!(next.locations()?.iter().all(|location| !location.is_on), "left switched on");
    traced.fire(0, 1)
}

fn the_ring_tracer_goes_under_fire(backend: &dyn Backend) -> Verdict {
    // A guest takes a hundred times as long.
    let is_slow = backend.kind() == Kind::Kernel || std::env::var_os("CHECK_FEW").is_some();
    let rounds = if is_slow { 50 } else { 1000 };
    let traced = Traced::load(backend)?;
    let image = image()?;
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| -> Verdict {
                    while !is_over.load(Ordering::Relaxed) {
                        traced.fire(4, 20)?;
                        same!(
                            traced.0.call_service("traced", TRACED_OP_FIRE, 4, &mut [])?,
                            Status::VINF_SUCCESS
                        );
                    }
                    Ok(())
                })
            })
            .collect();
        let results = (0..rounds).try_for_each(|round| -> Verdict {
            let mut tracer = RingTracer::open_image(backend.kind(), &image)?;
            let policy = if round % 2 == 0 { Policy::Drop } else { Policy::Overwrite };
            tracer.make_rings(16, policy)?;
            let id = at_line(&tracer, 104)?.id;
            tracer.switch_on(id, None)?;
            tracer.read(100, |_| {});
            Ok(())
        });
        is_over.store(true, Ordering::Relaxed);
        let mut fired = threads.into_iter().map(|thread| thread.join().unwrap_or(Ok(())));
        results.and_then(|()| fired.try_for_each(|result| result))
    })
}

fn the_ring_tracer_goes_while_the_driver_fires(backend: &dyn Backend) -> Verdict {
    let is_slow = backend.kind() == Kind::Kernel || std::env::var_os("CHECK_FEW").is_some();
    let rounds = if is_slow { 20 } else { 300 };
    let image = image()?;
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| -> Verdict {
                    while !is_over.load(Ordering::Relaxed) {
                        Client::connect(backend)?.still_works()?;
                    }
                    Ok(())
                })
            })
            .collect();
        let results = (0..rounds).try_for_each(|_| -> Verdict {
            let mut tracer = RingTracer::open_image(backend.kind(), &image)?;
            tracer.make_rings(16, Policy::Overwrite)?;
            let mut own = tracer.locations()?;
            own.retain(|location| location.provider == DRIVER_PROVIDER);
            check!(!own.is_empty(), "the driver has no probes");
            check!(own.iter().all(|location| !location.is_on), "left switched on");
            own.iter().try_for_each(|location| tracer.switch_on(location.id, None))?;
            tracer.read(100, |_| {});
            Ok(())
        });
        is_over.store(true, Ordering::Relaxed);
        let mut ended = threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err(Stop::failed("a thread panicked"))));
        results.and_then(|()| ended.try_for_each(|result| result))
    })
}
