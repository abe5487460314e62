//! When modules begin and end: with their last reference, their objects and the calls in them.

use std::thread::scope;

use sup::Status;
use sup_abi::request::{SemaphoreKind, SemaphoreOperation};
use sup_modules::{HELLO, hello};

use crate::backend::Backend;
use crate::case::{Stop, Verdict, cases, check, same};
use crate::client::Client;
use crate::probe::{Board, INIT_HANDLER, OWN, Probe, op, waiting_init};
use crate::threads::{PATIENCE, QuietSignal, Sleeper};

cases! { Modules {
    init_and_term_run_once:
        "ModuleInit runs at the first load and ModuleTerm at the last free, with the same module \
         handle (spec 6.4).",
    cannot_free_while_destructors_are_needed:
        "A module is kept with VERR_DANGLING_OBJECTS while objects need its destructor (spec 6.4).",
    other_sessions_objects_keep_no_reference_of_mine:
        "A reference that is not the last is free to go if the session uses no object of the \
         module (spec 6.4).",
    closing_frees_dangling_modules:
        "Closing the session runs the destructors, then ModuleTerm (spec 2.5).",
    free_waits_for_calls:
        "A module that a thread runs in is freed when the call has ended, and takes no new ones \
         (spec 6.1).",
    threads_load_and_free_at_once:
        "A name that comes and goes in many threads stays one module (spec 6.4).",
    waiting_for_a_load_is_interrupted:
        "A thread that waits for another one's load is interrupted by a POSIX signal (spec 6.4).",
}}

const OK: Status = Status::VINF_SUCCESS;

fn init_and_term_run_once(backend: &dyn Backend) -> Verdict {
    let board = Board::new(backend)?;
    let (first, second) = (Client::connect(backend)?, Client::connect(backend)?);
    let probe = Probe::load(&first)?;
    let shared = Probe::load(&second)?;
    board.give_to(&probe)?;
    let (_, facts) = shared.ask(op::FACTS, &[])?;
    check!(facts[0] != 0, "ModuleInit got no handle");
    same!(facts[1], 1, "calls of ModuleInit");
    same!(probe.free()?, OK);
    same!(board.notes(), []);
    same!(shared.free()?, OK);
    same!(board.notes(), [Board::TERM]);
    // The next one is new: it knows no board, and its variables are as in the file.
    let again = Probe::load(&first)?;
    same!(again.ask(op::FACTS, &[])?.1[1], 1);
    same!(again.free()?, OK);
    same!(board.notes(), [Board::TERM]);
    Ok(())
}

fn cannot_free_while_destructors_are_needed(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let probe = Probe::load(&client)?;
    let object = probe.register(1)?;
    let before = client.totals()?;
    for _ in 0..3 {
        same!(probe.free()?, Status::VERR_DANGLING_OBJECTS);
        same!(client.totals()?, before);
    }
    Probe::load(&client)?;
    same!(probe.free()?, OK, "a reference that is not the session's last");
    same!(probe.free()?, Status::VERR_DANGLING_OBJECTS);
    same!(probe.status(op::RELEASE, &[OWN, object])?, Status::VINF_OBJECT_DESTROYED);
    same!(probe.free()?, OK);
    Ok(())
}

fn other_sessions_objects_keep_no_reference_of_mine(backend: &dyn Backend) -> Verdict {
    let (first, second) = (Client::connect(backend)?, Client::connect(backend)?);
    let (owner, guest) = (Probe::load(&first)?, Probe::load(&second)?);
    let object = owner.register(1)?;
    same!(guest.status(op::ADD_REF, &[OWN, object])?, OK);
    same!(guest.free()?, Status::VERR_DANGLING_OBJECTS);
    same!(guest.status(op::RELEASE, &[OWN, object])?, OK);
    same!(guest.free()?, OK);
    same!(owner.free()?, Status::VERR_DANGLING_OBJECTS);
    // The last reference in the system looks at the objects of all.
    let guest = Probe::load(&second)?;
    same!(guest.status(op::ADD_REF, &[OWN, object])?, OK);
    same!(owner.status(op::RELEASE, &[OWN, object])?, OK);
    same!(owner.free()?, OK);
    same!(guest.free()?, Status::VERR_DANGLING_OBJECTS);
    Ok(())
}

fn closing_frees_dangling_modules(backend: &dyn Backend) -> Verdict {
    let board = Board::new(backend)?;
    let client = Client::connect(backend)?;
    let probe = Probe::load(&client)?;
    board.give_to(&probe)?;
    for number in [1, 2, 3] {
        probe.register(number)?;
    }
    same!(probe.free()?, Status::VERR_DANGLING_OBJECTS);
    drop(client);
    same!(board.notes(), [3, 2, 1, Board::TERM]);
    let counts = Client::connect(backend)?.statistics()?.driver;
    same!((counts.objects, counts.image_references), (0, 0));
    Ok(())
}

fn free_waits_for_calls(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let probe = Probe::load(&client)?;
    let event = client.create(SemaphoreKind::Event)?;
    let signal = || client.operate(SemaphoreKind::Event, event, SemaphoreOperation::Signal, 0);
    let numbers = [OWN, 3, event.into(), PATIENCE.as_millis() as u64];
    scope(|scope| {
        let call = Sleeper::start(scope, || probe.status(op::SEMAPHORE, &numbers))?;
        call.wait_until_asleep()?;
        let free = Sleeper::start(scope, || probe.free())?;
        free.wait_until_asleep()?;
        check!(!free.is_over() && !call.is_over());
        let late = probe.status(op::FACTS, &[])?;
        same!(late, Status::VERR_SUPDRV_SERVICE_NOT_FOUND, "a call after the free began");
        same!(signal()?, OK);
        same!((call.join()??, free.join()??), (OK, OK));
        Verdict::Ok(())
    })?;
    same!(client.statistics()?.session.image_references, 0);
    Ok(())
}

fn threads_load_and_free_at_once(backend: &dyn Backend) -> Verdict {
    let clients: Verdict<Vec<_>> = (0..4).map(|_| Client::connect(backend)).collect();
    let clients = clients?;
    scope(|scope| {
        let work = |client: &Client| -> Verdict {
            for _ in 0..25 {
                let base = client.load(HELLO.image, HELLO.name, hello::SERVICE_HANDLER)?.base;
                same!(client.call_service(HELLO.name, hello::OP_NOP, 0, &mut [])?, OK);
                same!(client.free_module(base)?, OK);
            }
            Ok(())
        };
        let threads: Vec<_> = clients
            .iter()
            .flat_map(|client| [client, client])
            .map(|client| scope.spawn(move || work(client)))
            .collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().map_err(|_| Stop::failed("a thread panicked"))?)
    })?;
    same!(clients[0].totals()?, [4, 0, 0, 0, 0, 0]);
    Ok(())
}

fn waiting_for_a_load_is_interrupted(backend: &dyn Backend) -> Verdict {
    let _handler = QuietSignal::install(0);
    let owner = Client::connect(backend)?;
    let session = Probe::load(&owner)?.ask(op::FACTS, &[])?.1[2];
    let event = owner.create(SemaphoreKind::Event)?;
    let image = waiting_init(session, event)?;
    let (first, second) = (Client::connect(backend)?, Client::connect(backend)?);
    scope(|scope| {
        let loader = Sleeper::start(scope, || first.try_load(&image, "slow", INIT_HANDLER))?;
        loader.wait_until_asleep()?;
        let waiter = Sleeper::start(scope, || second.try_load(&image, "slow", INIT_HANDLER))?;
        waiter.wait_until_asleep()?;
        check!(waiter.poke_until_over(), "it goes on waiting");
        same!(waiter.join()??.status, Status::VERR_INTERRUPTED);
        check!(!loader.is_over(), "ModuleInit ended before its event");
        let signal = SemaphoreOperation::Signal;
        same!(owner.operate(SemaphoreKind::Event, event, signal, 0)?, OK);
        same!(loader.join()??.status, OK);
        Verdict::Ok(())
    })?;
    check!(second.load(&image, "slow", INIT_HANDLER)?.was_loaded);
    Ok(())
}
