//! Probes that the project's own macros make, from the place to the tracer.

use std::fs;

use sup::Status;
use sup_abi::VTGOBJHDR_MAGIC;

use super::{DISABLE, ENABLE, Tracer, free};
use crate::backend::Backend;
use crate::case::{Stop, Verdict, same};
use crate::client::Client;
use crate::probe::{PROBES, service_request};

sup_probe::provider! {
    /// Of this program.
    mod suite;
    probe answer(a: i32, b: u64, c: *const u8, d: u16, e: isize, f: i8, g: usize);
    probe silent(a: u32);
}

/// Fires what this program has; answers how many arguments were evaluated.
#[inline(never)]
fn fire_all() -> u32 {
    let mut evaluated = 0;
    let mut count = |value| {
        evaluated += 1;
        value
    };
    let pointer = std::ptr::without_provenance(3);
    sup_probe::probe!(suite, answer, -1, count(2), pointer, 4, -5, -6, 7);
    sup_probe::probe!(suite, silent, count(1) as u32);
    evaluated
}

pub(super) fn probes_in_rust_reach_the_tracer(backend: &dyn Backend) -> Verdict {
    let owner = Client::connect(backend)?;
    let tracer = Tracer::load(&owner)?;
    let session = backend.open().map_err(|error| Stop::failed(error.to_string()))?;
    let register = || {
        let registered = session.register_provider(suite::provider());
        registered.map_err(|error| Stop::failed(error.to_string()))
    };
    let registered = register()?;
    same!(tracer.state()?.names()[0], format!("suite{}", std::process::id()));
    same!(fire_all(), 0);
    same!(tracer.state()?.user_hits, 0);
    tracer.succeed(ENABLE, 0)?;
    tracer.succeed(ENABLE, 1)?;
    same!(fire_all(), 2);
    same!(tracer.state()?.user_hits, 2);
    // Which of the places has which number is the compiler's business.
    let silent = if tracer.state()?.last == 1001 { 1 } else { 0 };
    tracer.succeed(DISABLE, silent)?;
    same!(fire_all(), 1);
    let state = tracer.state()?;
    same!(state.user_hits, 3);
    same!(state.arguments[..7], [-1, 2, 3, 4, -5, -6, 7_i64].map(|value| value as u64));
    tracer.succeed(DISABLE, 1 - silent)?;
    same!(fire_all(), 0);
    // Once more, and then the tracer goes first.
    drop(registered);
    same!(tracer.state()?.deregistered, 1);
    let registered = register()?;
    tracer.succeed(ENABLE, 0)?;
    tracer.free()?;
    fire_all();
    drop(registered);
    owner.still_works()
}

pub(super) fn probes_in_c_reach_the_tracer(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let tracer = Tracer::load(&client)?;
    let module = client.load(PROBES, "probes", "probesServiceReqHandler")?.base;
    same!(tracer.state()?.names(), ["made", "probes"]);
    let fire = || client.call_service("probes", 1, 0x1_0000_0002, &mut []);
    same!(fire()?, Status::VINF_SUCCESS);
    for location in [0, 1] {
        tracer.succeed(ENABLE, location)?;
        let hits = tracer.state()?.kernel_hits;
        let evaluated = fire()?.raw();
        let state = tracer.state()?;
        same!(state.kernel_hits, hits + 1);
        // Two arguments say that they were evaluated.
        if evaluated == 2 {
            same!(state.arguments[..2], [1, 0x1_0000_0002]);
            same!(state.arguments[3..5], [-4_i64 as u64, 5]);
        } else {
            same!(evaluated, 0);
        }
        tracer.succeed(DISABLE, location)?;
        same!(fire()?, Status::VINF_SUCCESS);
    }
    tracer.free()?;
    free(&client, module)
}

/// Where guests have the module, and where it is built.
const ECHO: [&str; 2] =
    ["/lib/echo.r0", concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/r0/echo.r0")];

fn echo() -> Verdict<Vec<u8>> {
    let mut images = ECHO.into_iter().filter_map(|place| fs::read(place).ok());
    // One that was built before it had probes is none.
    let has_probes =
        |image: &Vec<u8>| image.windows(VTGOBJHDR_MAGIC.len()).any(|text| text == VTGOBJHDR_MAGIC);
    images.find(has_probes).ok_or_else(|| {
        Stop::Skipped("no echo.r0: `supctl module build modules/echo` makes it".to_owned())
    })
}

pub(super) fn probes_of_a_module_in_rust_reach_the_tracer(backend: &dyn Backend) -> Verdict {
    let image = echo()?;
    let client = Client::connect(backend)?;
    let tracer = Tracer::load(&client)?;
    let module = client.load(&image, "echo", "echoServiceReqHandler")?.base;
    same!(tracer.state()?.names(), ["echoes", "echo"]);
    // A header, the sum, and two numbers.
    let add = |numbers: [u64; 2]| {
        let mut request = service_request(32);
        for (place, number) in [16, 24].into_iter().zip(numbers) {
            request[place..place + 8].copy_from_slice(&number.to_le_bytes());
        }
        client.call_service("echo", 1, 0, &mut request)
    };
    same!(add([1, 1])?, Status::VINF_SUCCESS);
    same!(tracer.state()?.kernel_hits, 0);
    tracer.succeed(ENABLE, 0)?;
    tracer.succeed(ENABLE, 1)?;
    same!(add([40, 2])?, Status::VINF_SUCCESS);
    let state = tracer.state()?;
    same!(state.kernel_hits, 1);
    same!(state.arguments[..2], [2, 42]);
    tracer.succeed(DISABLE, 0)?;
    tracer.succeed(DISABLE, 1)?;
    same!(add([1, 1])?, Status::VINF_SUCCESS);
    same!(tracer.state()?.kernel_hits, 1);
    free(&client, module)?;
    tracer.free()
}
