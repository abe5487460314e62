//! When modules begin and end: with their last reference, their objects and the calls in them.

use std::thread::scope;

use sup::Status;
use sup_abi::request::{FreeModule, ImageIn, SemaphoreKind, SemaphoreOperation, terminated};
use sup_modules::{HELLO, VMMR0, hello};

use crate::backend::Backend;
use crate::case::{Stop, Verdict, cases, check, same};
use crate::client::Client;
use crate::probe::{
    Board, IMPORTING, IMPORTING_HANDLER, INIT_HANDLER, OWN, Probe, op, registering_init,
    waiting_init,
};
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
    objects_of_a_failed_init_die_quietly:
        "Objects that a failing ModuleInit registered lose their destructor with its image (spec 6.4).",
    threads_load_call_and_free_everything:
        "Eight threads that load, call and free the same and different modules in two sessions never \
         call what is gone, and leave nothing (spec 6.4).",
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
    let input = ImageIn { base: probe.base };
    let (_, output) = client.call::<FreeModule>(&input)?;
    let message = output.map(|output| output.message).unwrap_or([0; _]);
    let sentence = terminated(&message).unwrap_or_default();
    check!(sentence.contains(&format!("{object:#x}")), "it does not say which: '{sentence}'");
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

fn objects_of_a_failed_init_die_quietly(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let probe = Probe::load(&client)?;
    let image = registering_init(probe.ask(op::FACTS, &[])?.1[2])?;
    let load = client.try_load(&image, "init", INIT_HANDLER)?;
    same!(load.status, Status::VERR_INTERNAL_ERROR, "{}", load.message);
    let counts = client.statistics()?.session;
    same!((counts.objects, counts.image_references), (1, 1));
    // Its destructor traps, and is not even mapped any more.
    drop(client);
    same!(Client::connect(backend)?.totals()?, [1, 0, 0, 0, 0, 0]);
    Ok(())
}

/// What one thread of [`threads_load_call_and_free_everything`] does over and over.
fn load_call_and_free(client: &Client, thread: usize, round: usize) -> Verdict {
    // A name of its own, a name of all, and the module that others import from.
    let own = format!("own-{thread}");
    let names = [HELLO.name, &own, "shared"];
    let name = names[(thread + round) % names.len()];
    let base = client.load(HELLO.image, name, hello::SERVICE_HANDLER)?.base;
    let argument = (thread * 1_000 + round) as u64;
    let status = client.call_service(name, hello::OP_ECHO_ARG, argument, &mut [])?;
    same!(status, Status::new(argument as i32));

    let vmm = client.load(VMMR0.image, VMMR0.name, "")?.base;
    let user = client.load(IMPORTING, "importing", IMPORTING_HANDLER)?.base;
    let operation = sup_modules::vmmr0::OP_STATUS;
    // Freed first: what imports from it holds it.
    same!(client.free_module(vmm)?, OK);
    let status = client.call_service("importing", operation, argument, &mut [])?;
    same!(status, Status::new(argument as i32));
    same!(client.free_module(user)?, OK);
    same!(client.free_module(base)?, OK);
    Ok(())
}

fn threads_load_call_and_free_everything(backend: &dyn Backend) -> Verdict {
    /// For each thread; `SUP_STRESS_ROUNDS` makes it longer.
    const ROUNDS: usize = 15;
    let rounds = std::env::var("SUP_STRESS_ROUNDS").ok().and_then(|rounds| rounds.parse().ok());
    let rounds = rounds.unwrap_or(ROUNDS);
    let clients = [Client::connect(backend)?, Client::connect(backend)?];
    scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|thread| {
                let client = &clients[thread % 2];
                let work = move |round| load_call_and_free(client, thread, round);
                scope.spawn(move || (0..rounds).try_for_each(work))
            })
            .collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().map_err(|_| Stop::failed("a thread panicked"))?)
    })?;
    same!(clients[0].totals()?, [2, 0, 0, 0, 0, 0]);
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
