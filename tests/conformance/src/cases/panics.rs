//! Modules that panic: the call ends with a status, and everything else goes on.

use std::thread::scope;

use sup::Status;

use crate::backend::Backend;
use crate::case::{Verdict, cases, check, same};
use crate::client::Client;
use crate::probe::{PANIC, PANIC_HANDLER, PANIC_INIT};

cases! { Panics {
    panic_ends_the_call:
        "SUPR0ModulePanic ends the service call with VERR_INTERNAL_ERROR, and the module goes on \
         serving (spec 6.1).",
    panic_in_a_destructor_ends_the_destructor_alone:
        "A destructor that panics is over, and whoever released the object gets the status (spec \
         2.3).",
    panic_leaves_to_the_session_what_it_owned:
        "What a panicking call made belongs to the session, whose end takes it back (spec 2.5).",
    panic_in_init_undoes_the_load:
        "A ModuleInit that panics has failed: the load is undone (spec 9.6).",
    panic_in_term_frees_the_module:
        "A ModuleTerm that panics is over, and the module is freed (spec 9.6).",
    threads_panic_at_once: "Calls of several threads panic at the same time (spec 6.1).",
}}

const OK: Status = Status::VINF_SUCCESS;
const ABANDONED: Status = Status::VERR_INTERNAL_ERROR;
const NAME: &str = "panic";

/// Operations of `modules/panic.c`.
const ECHO: u32 = 0;
const PANIC_NOW: u32 = 1;
const DESTRUCTOR: u32 = 2;
const WITH_OBJECT: u32 = 3;

fn call(client: &Client, operation: u32) -> Verdict<Status> {
    client.call_service(NAME, operation, 85, &mut [])
}

fn panic_ends_the_call(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let base = client.load(PANIC, NAME, PANIC_HANDLER)?.base;
    for _ in 0..3 {
        same!(call(&client, PANIC_NOW)?, ABANDONED);
        same!(call(&client, ECHO)?, Status::new(85), "it serves on");
    }
    same!(client.free_module(base)?, OK, "no call counts as running");
    Ok(())
}

fn panic_in_a_destructor_ends_the_destructor_alone(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    client.load(PANIC, NAME, PANIC_HANDLER)?;
    same!(call(&client, DESTRUCTOR)?, Status::VINF_OBJECT_DESTROYED);
    same!(client.statistics()?.driver.objects, 0);
    Ok(())
}

fn panic_leaves_to_the_session_what_it_owned(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let before = client.totals()?;
    {
        let other = Client::connect(backend)?;
        let base = other.load(PANIC, NAME, PANIC_HANDLER)?.base;
        same!(call(&other, WITH_OBJECT)?, ABANDONED);
        same!(other.statistics()?.session.objects, 1);
        same!(other.free_module(base)?, Status::VERR_DANGLING_OBJECTS);
    }
    same!(client.totals()?, before);
    Ok(())
}

fn panic_in_init_undoes_the_load(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let before = client.totals()?;
    let load = client.try_load(PANIC_INIT, NAME, PANIC_HANDLER)?;
    same!(load.status, ABANDONED);
    check!(load.message.contains("ModuleInit"), "{}", load.message);
    same!(client.totals()?, before);
    // The name is free for others.
    client.load(PANIC, NAME, PANIC_HANDLER)?;
    Ok(())
}

fn panic_in_term_frees_the_module(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let before = client.totals()?;
    let base = client.load(PANIC, NAME, PANIC_HANDLER)?.base;
    same!(client.free_module(base)?, OK);
    same!(client.totals()?, before);
    client.load(PANIC, NAME, PANIC_HANDLER)?;
    Ok(())
}

fn threads_panic_at_once(backend: &dyn Backend) -> Verdict {
    const THREADS: usize = 4;
    const ROUNDS: usize = 200;
    let client = Client::connect(backend)?;
    client.load(PANIC, NAME, PANIC_HANDLER)?;
    let work = || {
        for _ in 0..ROUNDS {
            same!(call(&client, PANIC_NOW)?, ABANDONED);
            same!(call(&client, DESTRUCTOR)?, Status::VINF_OBJECT_DESTROYED);
        }
        Ok(())
    };
    scope(|threads| {
        let running: Vec<_> = (0..THREADS).map(|_| threads.spawn(work)).collect();
        running.into_iter().try_for_each(|thread| match thread.join() {
            Ok(verdict) => verdict,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })
}
