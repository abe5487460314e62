//! The tracer, providers in both rings, clients, and hits.

mod made;
mod own;

use std::sync::Arc;
use std::thread;

use sup::{R3Ptr, Status};
use sup_abi::request::{
    Empty, TracerClose, TracerDeregisterUserModule, TracerDeregisterUserModuleIn, TracerFire,
    TracerIoCtl, TracerIoCtlIn, TracerOpen, TracerOpenIn, TracerRegisterUserModule,
    TracerRegisterUserModuleIn,
};
use sup_abi::{R0Ptr, SUPDRVTRACERUSRCTX};
use sup_test_vtg::Module;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::backend::Backend;
use crate::case::{Verdict, cases, check, same};
use crate::client::Client;
use crate::probe::{TRACER, service_request};
use crate::traced::{
    TRACED, TRACED_HANDLER, TRACED_OP_FIRE, TRACED_OP_REGISTER, TRACED_OUTSIDE, TRACED_TWICE,
    with_header,
};

use made::{
    probes_in_c_reach_the_tracer, probes_in_rust_reach_the_tracer,
    probes_of_a_module_in_rust_reach_the_tracer,
};
use own::{the_driver_tells_of_itself, the_drivers_probes_outlive_a_tracer};

cases! { Tracing {
    a_tracer_registers_in_its_init:
        "Each argument of SUPR0TracerRegisterImpl has its status, and there is one tracer (spec 8.3).",
    cannot_register_a_tracer_outside_of_init:
        "After ModuleInit registering is too late (spec 8.3).",
    the_tracer_is_told_of_providers:
        "Those that were there, and those that come and go (spec 8.3, 8.4).",
    a_probe_in_ring_zero_fires:
        "A location that is switched on hits the tracer with its arguments (spec 8.6).",
    objects_in_ring_zero_are_checked:
        "A module whose object is broken, lies elsewhere or is registered twice does not load (spec \
         8.2, 8.4).",
    another_driver_registers_its_object:
        "By SUPR0TracerRegisterDrv, once; it goes by DeregisterDrv or with its session (spec 8.4).",
    what_the_tracer_refuses_does_not_load:
        "A tracer's failure is the registration's (spec 8.4).",
    a_provider_that_is_kept_is_a_zombie:
        "The module goes, and the tracer is asked again at the next occasion (spec 8.4).",
    a_client_opens_commands_and_closes:
        "Open, IoCtl and Close with each status of their order (spec 8.7).",
    the_end_of_a_session_closes_the_tracer:
        "A session that ends without closing is closed (spec 8.7).",
    a_tracer_that_goes_is_closed_for_its_clients:
        "Its clients find it gone, once (spec 8.7).",
    a_process_registers_its_probes:
        "Locations get numbers, hits arrive with their arguments, and deregistering takes all back \
         (spec 8.5, 8.6).",
    probes_in_rust_reach_the_tracer:
        "What `sup_probe::provider` makes is registered, and hits arrive with all arguments; those of a probe \
         that nobody wants are not evaluated (spec 8.6, 8.11).",
    probes_in_c_reach_the_tracer:
        "The same for a ring-0 module and `supdrv/probe.h` (spec 8.6, 8.11).",
    probes_of_a_module_in_rust_reach_the_tracer:
        "The same for `modules/echo`, as `supctl module build` makes it (spec 8.6, 8.11).",
    a_hit_with_a_wrong_number_is_ignored:
        "Slots, indices and widths that do not fit change nothing (spec 8.6).",
    what_a_process_writes_decides_nothing:
        "A bit that the process sets by itself makes no hit (spec 8.5).",
    cannot_register_what_is_no_module:
        "Flags, limits, unreadable memory and broken objects have their statuses (spec 8.5).",
    the_end_of_a_session_takes_its_probes:
        "Providers and pinned memory of a session go with it (spec 8.9).",
    the_driver_tells_of_itself:
        "The driver has a provider like any other, and each of its probes fires with its arguments (spec 8.4, \
         8.6).",
    the_drivers_probes_outlive_a_tracer:
        "Tracers come and go while the driver's own probes fire (spec 8.3, 8.6).",
    a_tracer_goes_under_fire:
        "Hits while the tracer is loaded and unloaded find it or nobody (spec 8.6).",
}}

/// What `modules/tracer.c` answers with.
#[derive(Debug, Clone, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct State {
    header: [u32; 2],
    registered: u32,
    deregistered: u32,
    zombies: u32,
    opens: u32,
    commands: u32,
    closes: u32,
    kernel_hits: u32,
    user_hits: u32,
    last: u32,
    cookie: u32,
    arguments: [u64; 8],
    name: [u8; 32],
    module: [u8; 32],
    register: [i32; 12],
}

impl State {
    fn names(&self) -> [&str; 2] {
        [&self.name, &self.module]
            .map(|name| sup_abi::request::terminated(name).unwrap_or("not terminated"))
    }
}

const NAME: &str = "tracer";
const HANDLER: &str = "tracerServiceReqHandler";

/// Operations of the service.
const READ: u32 = 1;
const ENABLE: u32 = 2;
const DISABLE: u32 = 3;
const REFUSE: u32 = 4;
const OPEN_STATUS: u32 = 5;
const PROVIDER_STATUS: u32 = 6;
const DEREGISTER: u32 = 7;
const REGISTER_LATE: u32 = 8;
const DEREGISTER_NOBODY: u32 = 9;
const DRIVER: u32 = 10;
const REPORT: u32 = 11;

/// The tracer's module, loaded by a client.
struct Tracer<'a> {
    client: &'a Client,
    base: R0Ptr,
}

impl<'a> Tracer<'a> {
    #[track_caller]
    fn load(client: &'a Client) -> Verdict<Self> {
        Ok(Self { client, base: client.load(TRACER, NAME, HANDLER)?.base })
    }

    #[track_caller]
    fn ask(&self, operation: u32, argument: u64) -> Verdict<Status> {
        self.client.call_service(NAME, operation, argument, &mut [])
    }

    #[track_caller]
    fn succeed(&self, operation: u32, argument: u64) -> Verdict {
        same!(self.ask(operation, argument)?, Status::VINF_SUCCESS);
        Ok(())
    }

    #[track_caller]
    fn state(&self) -> Verdict<State> {
        let mut request = service_request(size_of::<State>());
        let status = self.client.call_service(NAME, READ, 0, &mut request)?;
        same!(status, Status::VINF_SUCCESS);
        State::read_from_bytes(&request).map_err(|_| crate::case::Stop::failed("another size"))
    }

    #[track_caller]
    fn free(self) -> Verdict {
        same!(self.client.free_module(self.base)?, Status::VINF_SUCCESS);
        Ok(())
    }
}

/// A module with two providers, `alpha` and `beta`.
#[track_caller]
fn load_traced(client: &Client) -> Verdict<R0Ptr> {
    Ok(client.load(TRACED, "traced", TRACED_HANDLER)?.base)
}

#[track_caller]
fn free(client: &Client, base: R0Ptr) -> Verdict {
    same!(client.free_module(base)?, Status::VINF_SUCCESS);
    Ok(())
}

fn a_tracer_registers_in_its_init(backend: &dyn Backend) -> Verdict {
    use Status as S;
    let client = Client::connect(backend)?;
    let tracer = Tracer::load(&client)?;
    let expected = [
        S::VERR_INVALID_POINTER,
        S::VERR_INVALID_HANDLE,
        S::VERR_INVALID_POINTER,
        S::VERR_INVALID_PARAMETER,
        S::VERR_INVALID_PARAMETER,
        S::VERR_INVALID_MAGIC,
        S::VERR_VERSION_MISMATCH,
        S::VERR_VERSION_MISMATCH,
        S::VERR_INVALID_POINTER,
        // No helper was given out.
        S::VINF_SUCCESS,
        S::VINF_SUCCESS,
        S::VERR_SUPDRV_TRACER_ALREADY_REGISTERED,
    ];
    same!(tracer.state()?.register.map(Status::new), expected);
    let again = client.try_load(TRACER, "another", HANDLER)?;
    same!(again.status, S::VERR_SUPDRV_TRACER_ALREADY_REGISTERED);
    tracer.free()?;
    // And again, now that it is gone.
    Tracer::load(&client)?.free()
}

fn cannot_register_a_tracer_outside_of_init(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let tracer = Tracer::load(&client)?;
    same!(tracer.ask(DEREGISTER_NOBODY, 0)?, Status::VERR_INVALID_PARAMETER);
    tracer.succeed(DEREGISTER, 0)?;
    same!(tracer.ask(DEREGISTER, 0)?, Status::VERR_SUPDRV_TRACER_NOT_REGISTERED);
    same!(tracer.ask(REGISTER_LATE, 0)?, Status::VERR_WRONG_ORDER);
    tracer.free()
}

fn the_tracer_is_told_of_providers(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let before = load_traced(&client)?;
    let tracer = Tracer::load(&client)?;
    let state = tracer.state()?;
    same!(state.registered, 2);
    // In the order of registration, which is last to first.
    same!(state.names(), ["alpha", "traced"]);
    free(&client, before)?;
    same!(tracer.state()?.deregistered, 2);
    let after = load_traced(&client)?;
    same!(tracer.state()?.registered, 4);
    tracer.succeed(DEREGISTER, 0)?;
    same!(tracer.state()?.deregistered, 4);
    free(&client, after)?;
    same!(tracer.state()?.deregistered, 4);
    tracer.free()
}

fn a_probe_in_ring_zero_fires(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let module = load_traced(&client)?;
    let fire = |location: u64| {
        let status = client.call_service("traced", TRACED_OP_FIRE, location, &mut [])?;
        same!(status, Status::VINF_SUCCESS);
        Verdict::Ok(())
    };
    fire(1)?;
    let tracer = Tracer::load(&client)?;
    fire(1)?;
    same!(tracer.state()?.kernel_hits, 0);
    tracer.succeed(ENABLE, 1)?;
    fire(0)?;
    fire(1)?;
    let state = tracer.state()?;
    same!([state.kernel_hits, state.last], [1, 1001]);
    same!(state.arguments[0], 1);
    same!(state.arguments[2..5], [2, 3, 4]);
    tracer.succeed(DISABLE, 1)?;
    fire(1)?;
    same!(tracer.state()?.kernel_hits, 1);
    // Left switched on, with nobody there.
    tracer.succeed(ENABLE, 1)?;
    tracer.free()?;
    fire(1)?;
    free(&client, module)
}

fn objects_in_ring_zero_are_checked(backend: &dyn Backend) -> Verdict {
    use Status as S;
    let client = Client::connect(backend)?;
    let status = |image: &[u8]| -> Verdict<Status> {
        Ok(client.try_load(image, "traced", TRACED_HANDLER)?.status)
    };
    same!(status(TRACED_TWICE)?, S::VERR_SUPDRV_VTG_ALREADY_REGISTERED);
    same!(status(TRACED_OUTSIDE)?, S::VERR_INVALID_PARAMETER);
    same!(
        status(&with_header(TRACED, |header| header.szMagic[0] = b'v'))?,
        S::VERR_SUPDRV_VTG_MAGIC
    );
    same!(status(&with_header(TRACED, |header| header.cBits = 32))?, S::VERR_SUPDRV_VTG_BITS);
    let module = load_traced(&client)?;
    let late = client.call_service("traced", TRACED_OP_REGISTER, 0, &mut [])?;
    same!(late, S::VERR_WRONG_ORDER);
    free(&client, module)?;
    client.still_works()
}

fn another_driver_registers_its_object(backend: &dyn Backend) -> Verdict {
    use Status as S;
    let client = Client::connect(backend)?;
    let tracer = Tracer::load(&client)?;
    let driver = |what: u64| tracer.ask(DRIVER, what);
    same!(driver(1)?, S::VERR_INVALID_PARAMETER);
    same!(driver(0)?, S::VINF_SUCCESS);
    same!(driver(4)?, S::VERR_INVALID_POINTER);
    same!(driver(5)?, S::VERR_SUPDRV_VTG_BAD_HDR_PTR);
    same!(driver(1)?, S::VINF_SUCCESS);
    same!(driver(1)?, S::VERR_SUPDRV_VTG_ALREADY_REGISTERED);
    let state = tracer.state()?;
    same!(state.registered, 2);
    same!(state.names(), ["alpha", "driver"]);
    same!(driver(2)?, S::VINF_SUCCESS);
    same!(tracer.state()?.deregistered, 2);
    same!(driver(1)?, S::VINF_SUCCESS);
    same!(driver(3)?, S::VINF_SUCCESS);
    same!(tracer.state()?.deregistered, 4);
    tracer.free()
}

fn what_the_tracer_refuses_does_not_load(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let tracer = Tracer::load(&client)?;
    tracer.succeed(PROVIDER_STATUS, Status::VERR_INTERNAL_ERROR.raw() as u32 as u64)?;
    let load = client.try_load(TRACED, "traced", TRACED_HANDLER)?;
    same!(load.status, Status::VERR_INTERNAL_ERROR);
    same!(tracer.state()?.registered, 0);
    tracer.free()
}

fn a_provider_that_is_kept_is_a_zombie(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let tracer = Tracer::load(&client)?;
    let module = load_traced(&client)?;
    tracer.succeed(REFUSE, 4)?;
    // Each is refused when it goes, and once more at the end of the unload.
    free(&client, module)?;
    let state = tracer.state()?;
    same!([state.deregistered, state.zombies], [2, 2]);
    let module = load_traced(&client)?;
    same!(tracer.state()?.zombies, 4);
    free(&client, module)?;
    same!(tracer.state()?.deregistered, 4);
    tracer.free()
}

fn open(client: &Client, cookie: u32, argument: u64) -> Verdict<Status> {
    let input = TracerOpenIn { cookie, reserved: 0, argument };
    client.call::<TracerOpen>(&input).map(|(status, _)| status)
}

fn close(client: &Client) -> Verdict<Status> {
    client.call::<TracerClose>(&Empty {}).map(|(status, _)| status)
}

fn command(client: &Client, command: Status, argument: u64) -> Verdict<(Status, Option<i32>)> {
    let input = TracerIoCtlIn { command: command.raw() as u32 as u64, argument };
    let (status, output) = client.call::<TracerIoCtl>(&input)?;
    Ok((status, output.map(|output| output.value)))
}

fn a_client_opens_commands_and_closes(backend: &dyn Backend) -> Verdict {
    use Status as S;
    let [client, owner] = [Client::connect(backend)?, Client::connect(backend)?];
    same!(open(&client, 7, 8)?, S::VERR_SUPDRV_TRACER_NOT_PRESENT);
    same!(close(&client)?, S::VERR_SUPDRV_TRACER_NOT_OPENED);
    same!(command(&client, S::VINF_SUCCESS, 0)?, (S::VERR_SUPDRV_TRACER_NOT_OPENED, None));
    let tracer = Tracer::load(&owner)?;
    tracer.succeed(OPEN_STATUS, S::VERR_NO_MEMORY.raw() as u32 as u64)?;
    same!(open(&client, 7, 8)?, S::VERR_NO_MEMORY);
    tracer.succeed(OPEN_STATUS, 0)?;
    same!(open(&client, 7, 8)?, S::VINF_SUCCESS);
    same!(open(&client, 7, 8)?, S::VERR_SUPDRV_TRACER_ALREADY_OPENED);
    same!(command(&client, S::VINF_SUCCESS, 34)?, (S::VINF_SUCCESS, Some(42)));
    // Its own status comes with its number.
    same!(command(&client, S::VERR_NOT_FOUND, 1)?, (S::VERR_NOT_FOUND, Some(9)));
    same!(close(&client)?, S::VINF_SUCCESS);
    same!(close(&client)?, S::VERR_SUPDRV_TRACER_NOT_OPENED);
    // 0 is a word like any other.
    same!(open(&client, 1, 0)?, S::VINF_SUCCESS);
    same!(command(&client, S::VINF_SUCCESS, 5)?, (S::VINF_SUCCESS, Some(5)));
    same!(close(&client)?, S::VINF_SUCCESS);
    let state = tracer.state()?;
    same!([state.opens, state.commands, state.closes, state.cookie], [3, 3, 2, 1]);
    tracer.free()
}

fn the_end_of_a_session_closes_the_tracer(backend: &dyn Backend) -> Verdict {
    let owner = Client::connect(backend)?;
    let tracer = Tracer::load(&owner)?;
    let client = Client::connect(backend)?;
    same!(open(&client, 7, 8)?, Status::VINF_SUCCESS);
    drop(client);
    same!(tracer.state()?.closes, 1);
    tracer.free()
}

fn a_tracer_that_goes_is_closed_for_its_clients(backend: &dyn Backend) -> Verdict {
    use Status as S;
    let [client, owner] = [Client::connect(backend)?, Client::connect(backend)?];
    let tracer = Tracer::load(&owner)?;
    same!(open(&client, 7, 8)?, S::VINF_SUCCESS);
    tracer.free()?;
    same!(command(&client, S::VINF_SUCCESS, 0)?, (S::VERR_SUPDRV_TRACER_NOT_PRESENT, None));
    same!(close(&client)?, S::VERR_SUPDRV_TRACER_NOT_PRESENT);
    same!(close(&client)?, S::VERR_SUPDRV_TRACER_NOT_OPENED);
    client.still_works()
}

fn register(client: &Client, input: &TracerRegisterUserModuleIn) -> Verdict<Status> {
    client.call::<TracerRegisterUserModule>(input).map(|(status, _)| status)
}

fn deregister(client: &Client, module: &Module) -> Verdict<Status> {
    let input = TracerDeregisterUserModuleIn { header: R3Ptr::new(module.address() as u64) };
    client.call::<TracerDeregisterUserModule>(&input).map(|(status, _)| status)
}

fn hit(client: &Client, id: u32, bits: u8) -> Verdict {
    let mut context = SUPDRVTRACERUSRCTX { idProbe: id, cBits: bits, ..Default::default() };
    context.u.amd64_mut().aArgs = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
    same!(client.call::<TracerFire>(&context)?.0, Status::VINF_SUCCESS);
    Ok(())
}

fn a_process_registers_its_probes(backend: &dyn Backend) -> Verdict {
    let [client, owner] = [Client::connect(backend)?, Client::connect(backend)?];
    let tracer = Tracer::load(&owner)?;
    let mut module = Module::new(1);
    let input = module.request();
    same!(register(&client, &input)?, Status::VINF_SUCCESS);
    same!(module.numbers(), [0, 1, 2]);
    let state = tracer.state()?;
    let name = format!("tests{}", std::process::id());
    same!(state.names(), [&*name, "tests"]);
    hit(&client, 1, 64)?;
    same!(tracer.state()?.user_hits, 0);
    tracer.succeed(ENABLE, 1)?;
    check!(module.is_enabled(1) && !module.is_enabled(0), "the process' records are not told");
    same!(module.counts(), [1, 0]);
    hit(&client, 1, 64)?;
    let state = tracer.state()?;
    same!([state.user_hits, state.last], [1, 1001]);
    same!(state.arguments, [1, 2, 3, 4, 5, 6, 7, 100]);
    // The same from ring 0: of the tracer's session, which has no such module.
    tracer.succeed(REPORT, 1)?;
    same!(tracer.state()?.user_hits, 1);
    tracer.succeed(DISABLE, 1)?;
    same!(module.counts(), [0, 0]);
    hit(&client, 1, 64)?;
    same!(tracer.state()?.user_hits, 1);
    same!(deregister(&client, &module)?, Status::VINF_SUCCESS);
    same!(module.numbers(), [0; 3]);
    same!(tracer.state()?.deregistered, 1);
    same!(deregister(&client, &module)?, Status::VERR_NOT_FOUND);
    same!(register(&client, &input)?, Status::VINF_SUCCESS);
    same!(deregister(&client, &module)?, Status::VINF_SUCCESS);
    // In the tracer's own session ring 0 may report, too.
    same!(register(&owner, &input)?, Status::VINF_SUCCESS);
    tracer.succeed(ENABLE, 2)?;
    tracer.succeed(REPORT, 2)?;
    let state = tracer.state()?;
    same!((state.user_hits, state.last, state.arguments[0]), (2, 1002, 77));
    same!(deregister(&owner, &module)?, Status::VINF_SUCCESS);
    tracer.free()
}

fn a_hit_with_a_wrong_number_is_ignored(backend: &dyn Backend) -> Verdict {
    let [client, owner] = [Client::connect(backend)?, Client::connect(backend)?];
    hit(&client, 0, 64)?;
    let tracer = Tracer::load(&owner)?;
    let mut module = Module::new(1);
    same!(register(&client, &module.request())?, Status::VINF_SUCCESS);
    tracer.succeed(ENABLE, 0)?;
    for (id, bits) in [(3, 64), (1 << 24, 64), (32 << 24, 64), (u32::MAX, 64), (0, 32), (0, 0)] {
        hit(&client, id, bits)?;
    }
    hit(&owner, 0, 64)?;
    same!(tracer.state()?.user_hits, 0);
    hit(&client, 0, 64)?;
    same!(tracer.state()?.user_hits, 1);
    same!(deregister(&client, &module)?, Status::VINF_SUCCESS);
    tracer.free()
}

fn what_a_process_writes_decides_nothing(backend: &dyn Backend) -> Verdict {
    use std::sync::atomic::Ordering;
    let [client, owner] = [Client::connect(backend)?, Client::connect(backend)?];
    let tracer = Tracer::load(&owner)?;
    let mut module = Module::new(1);
    same!(register(&client, &module.request())?, Status::VINF_SUCCESS);
    if let Some(location) = module.location(0) {
        location.uLineAndEnabled.store(u32::MAX, Ordering::Relaxed);
        location.idProbe.store(u32::MAX, Ordering::Relaxed);
    }
    hit(&client, 0, 64)?;
    same!(tracer.state()?.user_hits, 0);
    same!(deregister(&client, &module)?, Status::VINF_SUCCESS);
    tracer.free()
}

fn cannot_register_what_is_no_module(backend: &dyn Backend) -> Verdict {
    use Status as S;
    let client = Client::connect(backend)?;
    let status = |change: &dyn Fn(&mut Module),
                  request: &dyn Fn(&mut TracerRegisterUserModuleIn)| {
        let mut module = Module::new(1);
        change(&mut module);
        let mut input = module.request();
        request(&mut input);
        let status = register(&client, &input)?;
        if status == S::VINF_SUCCESS {
            same!(deregister(&client, &module)?, S::VINF_SUCCESS);
        }
        Verdict::Ok(status)
    };
    let plain = |_: &mut Module| {};
    let same_request = |_: &mut TracerRegisterUserModuleIn| {};
    same!(status(&plain, &same_request)?, S::VINF_SUCCESS);
    same!(status(&plain, &|input| input.flags = 3)?, S::VERR_INVALID_PARAMETER);
    for bytes in [1, (1 << 20) + 1] {
        let size = status(&plain, &|input| input.name_bytes = bytes)?;
        same!(size, S::VERR_SUPDRV_TRACER_UMOD_STRTAB_TOO_BIG);
    }
    let nowhere = R3Ptr::new(4096);
    same!(status(&plain, &|input| input.header = nowhere)?, S::VERR_ACCESS_DENIED);
    same!(status(&plain, &|input| input.names = nowhere)?, S::VERR_ACCESS_DENIED);
    // The module believes to be elsewhere: its pointers do not fit.
    let elsewhere = status(&plain, &|input| input.believed_header += 4096)?;
    same!(elsewhere, S::VERR_SUPDRV_TRACER_UMOD_NOT_ADJACENT);
    let magic = status(&|module| module.header_mut().szMagic[0] = 0, &same_request)?;
    same!(magic, S::VERR_SUPDRV_VTG_MAGIC);
    let bits = status(&|module| module.header_mut().cBits = 16, &same_request)?;
    same!(bits, S::VERR_SUPDRV_VTG_BITS);
    let uuid = status(&|module| module.header_mut().Uuid = [0; 16], &same_request)?;
    same!(uuid, S::VERR_SUPDRV_VTG_BAD_HDR_MISC);
    // Twice in one session: the driver's copy is the same.
    let [mut first, mut second] = [Module::new(1), Module::new(1)];
    same!(register(&client, &first.request())?, S::VINF_SUCCESS);
    let twice = register(&client, &second.request())?;
    same!(twice, S::VERR_SUPDRV_VTG_ALREADY_REGISTERED);
    // The same memory, whose records keep their numbers.
    same!(register(&client, &first.request())?, S::VERR_SUPDRV_VTG_ALREADY_REGISTERED);
    same!(first.numbers(), [0, 1, 2]);
    same!(deregister(&client, &first)?, S::VINF_SUCCESS);
    client.still_works()
}

fn the_end_of_a_session_takes_its_probes(backend: &dyn Backend) -> Verdict {
    let owner = Client::connect(backend)?;
    let tracer = Tracer::load(&owner)?;
    let mut modules = [Module::new(1), Module::new(2)];
    let client = Client::connect(backend)?;
    for module in &mut modules {
        same!(register(&client, &module.request())?, Status::VINF_SUCCESS);
    }
    same!(modules[1].numbers(), [1 << 24, 1 << 24 | 1, 1 << 24 | 2]);
    drop(client);
    same!(tracer.state()?.deregistered, 2);
    tracer.free()
}

fn a_tracer_goes_under_fire(backend: &dyn Backend) -> Verdict {
    use std::sync::atomic::{AtomicBool, Ordering};
    const ROUNDS: u32 = 8;
    let owner = Client::connect(backend)?;
    let module = load_traced(&owner)?;
    let is_over = Arc::new(AtomicBool::new(false));
    thread::scope(|scope| {
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let is_over = is_over.clone();
                let client = &owner;
                scope.spawn(move || -> Verdict {
                    while !is_over.load(Ordering::Relaxed) {
                        let status = client.call_service("traced", TRACED_OP_FIRE, 1, &mut [])?;
                        same!(status, Status::VINF_SUCCESS);
                    }
                    Ok(())
                })
            })
            .collect();
        let rounds = (0..ROUNDS).try_for_each(|_| {
            let tracer = Tracer::load(&owner)?;
            tracer.succeed(ENABLE, 1)?;
            tracer.succeed(DISABLE, 1)?;
            tracer.succeed(ENABLE, 1)?;
            tracer.free()
        });
        is_over.store(true, Ordering::Relaxed);
        let mut fired = threads.into_iter().map(|thread| thread.join().unwrap_or(Ok(())));
        rounds.and_then(|()| fired.try_for_each(|result| result))
    })?;
    free(&owner, module)
}
