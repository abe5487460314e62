//! The driver's own probes: that each fires when its event happens, and with what.

use sup::Status;
use sup_abi::request::{
    AddressIn, ContAlloc, ContFree, Empty, Function, GetPagingMode, PageCountIn, SemaphoreKind,
    SemaphoreOperation,
};
use sup_modules::{HELLO, hello};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::{NAME, Tracer, free};
use crate::backend::Backend;
use crate::case::{Stop, Verdict, check, same};
use crate::client::Client;
use crate::probe::service_request;

const ENABLE_OWN: u32 = 12;
const DISABLE_OWN: u32 = 13;
const READ_OWN: u32 = 14;

// In the order in which docs/tracing.md has them.
const SESSION_OPEN: usize = 0;
const SESSION_CLOSE: usize = 1;
const REQUEST_BEGIN: usize = 2;
const REQUEST_END: usize = 3;
const OBJECT_CREATE: usize = 4;
const OBJECT_DESTROY: usize = 5;
const MEMORY_ALLOC: usize = 6;
const MEMORY_FREE: usize = 7;
const MODULE_LOAD: usize = 8;
const MODULE_UNLOAD: usize = 9;
const WAIT_BEGIN: usize = 10;
const WAIT_END: usize = 11;
const COUNT: usize = 12;

#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Place {
    hits: u64,
    last: [u64; 5],
}

/// What the tracer knows of the driver's probes.
#[derive(Debug, Clone, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Own {
    header: [u32; 2],
    is_known: u32,
    count: u32,
    places: [Place; 16],
}

#[track_caller]
fn look(tracer: &Tracer<'_>) -> Verdict<Own> {
    let mut request = service_request(size_of::<Own>());
    let status = tracer.client.call_service(NAME, READ_OWN, 0, &mut request)?;
    same!(status, Status::VINF_SUCCESS);
    Own::read_from_bytes(&request).map_err(|_| Stop::failed("another size"))
}

/// Does `work` with a probe switched on; the hits, and the arguments of the last.
#[track_caller]
fn while_on(tracer: &Tracer<'_>, place: usize, work: impl FnOnce() -> Verdict) -> Verdict<Place> {
    let before = look(tracer)?.places[place].hits;
    tracer.succeed(ENABLE_OWN, place as u64)?;
    work()?;
    tracer.succeed(DISABLE_OWN, place as u64)?;
    let Place { hits, last } = look(tracer)?.places[place];
    Ok(Place { hits: hits - before, last })
}

pub(super) fn the_driver_tells_of_itself(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let tracer = Tracer::load(&client)?;
    let own = look(&tracer)?;
    same!([own.is_known, own.count], [1, COUNT as u32]);

    let mut other = None;
    let open = while_on(&tracer, SESSION_OPEN, || {
        other = Some(Client::connect(backend)?);
        Ok(())
    })?;
    same!([open.hits, open.last[1]], [1, std::process::id().into()]);
    let session = open.last[0];
    let other = other.ok_or_else(|| Stop::failed("no session"))?;

    let nothing = || other.get::<GetPagingMode>(&Empty {}).map(|_| ());
    let number = Function::GetPagingMode as u64;
    // The last one but that which switches the probe off.
    let begin = while_on(&tracer, REQUEST_BEGIN, nothing)?;
    check!(begin.hits >= 2, "{begin:?}");
    same!(begin.last[1], Function::CallService as u64);
    let end = while_on(&tracer, REQUEST_END, nothing)?;
    same!(end.last[1..3], [number, Status::VINF_SUCCESS.raw() as u64]);
    same!(end.last[0], session);
    let end = while_on(&tracer, REQUEST_END, || {
        same!(other.free_module(sup_abi::R0Ptr::new(0x1000))?, Status::VERR_INVALID_HANDLE);
        Ok(())
    })?;
    same!(end.last[2], i64::from(Status::VERR_INVALID_HANDLE.raw()) as u64, "extended");

    memory(&tracer, &other, session)?;
    modules_and_objects(&tracer, &other, session)?;
    waits(&tracer, &other, session)?;

    let close = while_on(&tracer, SESSION_CLOSE, || {
        drop(other);
        Ok(())
    })?;
    same!((close.hits, close.last[0]), (1, session));
    let hits = |own: &Own| own.places.map(|place| place.hits);
    let before = hits(&look(&tracer)?);
    drop(Client::connect(backend)?);
    same!(hits(&look(&tracer)?), before, "all are switched off");
    tracer.free()
}

fn memory(tracer: &Tracer<'_>, other: &Client, session: u64) -> Verdict {
    const CONT: u64 = 2;
    let mut address = sup_abi::R3Ptr::NIL;
    let alloc = while_on(tracer, MEMORY_ALLOC, || {
        address = other.get::<ContAlloc>(&PageCountIn { pages: 3, reserved: 0 })?.r3;
        Ok(())
    })?;
    same!(alloc.hits, 1);
    same!(alloc.last[..4], [session, CONT, 3, address.get()]);
    let freed = while_on(tracer, MEMORY_FREE, || {
        other.get::<ContFree>(&AddressIn { r3: address })?;
        Ok(())
    })?;
    same!(freed.hits, 1);
    same!(freed.last[..3], [session, CONT, address.get()]);
    Ok(())
}

fn modules_and_objects(tracer: &Tracer<'_>, other: &Client, session: u64) -> Verdict {
    let mut base = sup_abi::R0Ptr::NIL;
    let load = while_on(tracer, MODULE_LOAD, || {
        base = other.load(HELLO.image, HELLO.name, hello::SERVICE_HANDLER)?.base;
        Ok(())
    })?;
    same!((load.hits, load.last[0]), (1, base.get()));
    let object = || {
        let status = other.call_service(HELLO.name, hello::OP_OBJECT, 0, &mut [])?;
        same!(status, Status::VINF_SUCCESS);
        Ok(())
    };
    let create = while_on(tracer, OBJECT_CREATE, object)?;
    same!((create.hits, create.last[0]), (1, session));
    let destroy = while_on(tracer, OBJECT_DESTROY, object)?;
    same!(destroy.hits, 1);
    check!(destroy.last[0] != 0, "{destroy:?}");
    let unload = while_on(tracer, MODULE_UNLOAD, || free(other, base))?;
    same!((unload.hits, unload.last[..2].to_vec()), (1, load.last[..2].to_vec()));
    Ok(())
}

fn waits(tracer: &Tracer<'_>, other: &Client, session: u64) -> Verdict {
    let kind = SemaphoreKind::EventMulti;
    let handle = other.create(kind)?;
    let wait = || {
        let operation = SemaphoreOperation::WaitNanos;
        same!(other.operate(kind, handle, operation, 1_000_000)?, Status::VERR_TIMEOUT);
        Ok(())
    };
    let named = [session, kind as u64, handle.into()];
    let begin = while_on(tracer, WAIT_BEGIN, wait)?;
    same!((begin.hits, begin.last[..3].to_vec()), (1, named.to_vec()));
    let end = while_on(tracer, WAIT_END, wait)?;
    same!((end.hits, end.last[..3].to_vec()), (1, named.to_vec()));
    same!(end.last[3], i64::from(Status::VERR_TIMEOUT.raw()) as u64);
    Ok(())
}

/// A tracer that goes while the driver's probes fire finds no hit afterwards, and the next one all of them off.
pub(super) fn the_drivers_probes_outlive_a_tracer(backend: &dyn Backend) -> Verdict {
    use std::sync::atomic::{AtomicBool, Ordering};
    let client = Client::connect(backend)?;
    let other = Client::connect(backend)?;
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let busy = scope.spawn(|| {
            // Relaxed: nothing else is told by it.
            while !is_over.load(Ordering::Relaxed) {
                other.get::<GetPagingMode>(&Empty {})?;
            }
            Verdict::Ok(())
        });
        let rounds = || {
            for _ in 0..20 {
                let tracer = Tracer::load(&client)?;
                let own = look(&tracer)?;
                same!(own.places.map(|place| place.hits), [0; 16], "a tracer that has just come");
                let begin = while_on(&tracer, REQUEST_BEGIN, || other.still_works())?;
                check!(begin.hits > 0, "no hit");
                tracer.succeed(ENABLE_OWN, REQUEST_BEGIN as u64)?;
                tracer.succeed(ENABLE_OWN, REQUEST_END as u64)?;
                tracer.succeed(DISABLE_OWN, REQUEST_BEGIN as u64)?;
                tracer.succeed(DISABLE_OWN, REQUEST_END as u64)?;
                tracer.free()?;
            }
            Verdict::Ok(())
        };
        let ended = rounds();
        is_over.store(true, Ordering::Relaxed);
        busy.join().map_err(|_| Stop::failed("a thread panicked"))??;
        ended
    })
}
