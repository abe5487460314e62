//! Calling services: the request packet, the status, and what ring 0 offers to a module.

use std::thread::scope;

use sup::Status;
use sup_abi::request::SemaphoreKind;
use sup_modules::{HELLO, hello};
use sup_test_key::signed;
use zerocopy::{FromBytes, IntoBytes};

use crate::backend::Backend;
use crate::case::{Stop, Verdict, cases, check, same};
use crate::client::Client;
use crate::probe::{NO_SESSION, OWN, PROBE_NAME, Probe, op, service_request};
use crate::threads::PATIENCE_NS;

cases! { Services {
    hello_does_what_it_says:
        "Each operation of the tutorial module works through the library (spec 6.1).",
    status_and_argument_pass_unchanged:
        "A service gets operation and argument, and its status comes back, whatever it is (spec \
         6.1).",
    packet_comes_back_as_the_service_left_it:
        "The packet comes back changed, on success and on failure (spec 6.1).",
    packets_have_up_to_4031_bytes:
        "A packet has up to 4031 bytes, with the driver as with the library (spec 6.1).",
    cannot_send_packet_without_its_header:
        "A packet shorter than its header is refused by the transport (spec 6.1).",
    cannot_send_packet_with_wrong_magic:
        "A wrong magic in the packet is refused by the transport, and VERR_INVALID_MAGIC of the \
         library (spec 6.1).",
    cannot_send_packet_of_another_size:
        "The size in the packet's header is the packet's (spec 6.1).",
    cannot_call_unknown_service:
        "A name that the session has not loaded is VERR_SUPDRV_SERVICE_NOT_FOUND, and so is \
         nearly the right one (spec 6.1).",
    cannot_call_service_of_another_session:
        "Only a session that loaded a service may call it (spec 6.1).",
    threads_call_at_once: "Two threads run in one service at the same time (spec 6.1).",
    ring_zero_semaphores_answer_like_ring_three:
        "The semaphore functions of ring 0 have the statuses of the requests (spec 3.1).",
    cannot_use_bad_session_in_ring_zero:
        "Every ring-0 function refuses what is not a session (spec 2.6, 3.1).",
    cannot_use_wide_handle_in_ring_zero:
        "A handle of more than 32 bits is VERR_INVALID_HANDLE (spec 3.1).",
    cannot_use_bad_output_pointer_in_ring_zero:
        "An output pointer that cannot be one is VERR_INVALID_POINTER (spec 3.1).",
    ring_zero_has_memory_functions: "memcpy, memmove, memset and memcmp are there (spec 6.3).",
}}

const OK: Status = Status::VINF_SUCCESS;
const NO_SERVICE: Status = Status::VERR_SUPDRV_SERVICE_NOT_FOUND;

fn hello_does_what_it_says(backend: &dyn Backend) -> Verdict {
    let session = backend.open()?;
    let service = session.load_service_image(
        &signed(HELLO.image, HELLO.name),
        HELLO.name,
        hello::SERVICE_HANDLER,
    )?;
    for operation in [hello::OP_NOP, hello::OP_OBJECT, hello::OP_SEMAPHORE] {
        same!(service.call(operation, 0)?, OK, "operation {operation}");
    }
    let mut greet = hello::Greet::new("Ada").ok_or_else(|| Stop::failed("no room"))?;
    same!(service.call_with(hello::OP_GREET, 0, &mut greet)?, OK);
    same!(greet.greeting(), "Hello, Ada! Nice to meet you in ring 0.");
    let sum = hello::Sum::new(3).ok_or_else(|| Stop::failed("no room"))?;
    let mut packet = [sum.as_bytes(), [1_u64, 2, u64::MAX].as_bytes()].concat();
    same!(service.call_with(hello::OP_SUM, 0, &mut packet[..])?, OK);
    same!(hello::Sum::read_from_prefix(&packet).map(|(sum, _)| sum.sum).ok(), Some(2));
    let refused = service.call(99, 0).map_err(|error| error.status());
    same!(refused, Err(Status::VERR_NOT_SUPPORTED));
    let refused = service.call(hello::OP_GREET, 0).map_err(|error| error.status());
    same!(refused, Err(Status::VERR_INVALID_PARAMETER));
    same!(session.statistics()?.session.objects, 0);
    same!(session.statistics()?.session.handles, 0);
    Ok(())
}

fn status_and_argument_pass_unchanged(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    client.load(HELLO.image, HELLO.name, hello::SERVICE_HANDLER)?;
    for value in [0, 1, 85, -1, -2, -3702, i32::MIN, i32::MAX] {
        // Only the low half of the argument becomes the status.
        for argument in [value as u32 as u64, 1 << 63 | value as u32 as u64] {
            let status = client.call_service(HELLO.name, hello::OP_ECHO_ARG, argument, &mut [])?;
            same!(status, Status::new(value));
        }
    }
    Ok(())
}

fn packet_comes_back_as_the_service_left_it(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    Probe::load(&client)?;
    for size in [8, 9, 24, 100, 4031] {
        for status in [0, 85, -1, -225] {
            let mut request = service_request(size);
            let argument = status as u32 as u64;
            let found = client.call_service(PROBE_NAME, op::INVERT, argument, &mut request)?;
            same!(found, Status::new(status));
            same!(request[..8], service_request(size)[..8], "the header");
            check!(request[8..].iter().all(|byte| *byte == 0xff), "{size} bytes, {found}");
        }
    }
    Ok(())
}

fn packets_have_up_to_4031_bytes(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    Probe::load(&client)?;
    let mut request = service_request(4031);
    same!(client.call_service(PROBE_NAME, op::INVERT, 0, &mut request)?, OK);
    let too_large = client.service_packet(PROBE_NAME, op::INVERT, 0, &service_request(4032))?;
    client.refused(&too_large, Status::VERR_INVALID_PARAMETER, "with a packet of 4032 bytes")?;

    let session = backend.open()?;
    let service = session.load_service_image(
        &signed(crate::probe::PROBE, PROBE_NAME),
        PROBE_NAME,
        crate::probe::PROBE_HANDLER,
    )?;
    let status = |size: usize| {
        let result = service.call_with(op::INVERT, 0, &mut service_request(size)[..]);
        result.map_err(|error| error.status())
    };
    same!(status(4031), Ok(OK));
    same!(status(4032), Err(Status::VERR_INTERNAL_ERROR));
    same!(status(7), Err(Status::VERR_INVALID_PARAMETER));
    Ok(())
}

/// The packet is refused before the service sees it.
#[track_caller]
fn cannot_send(client: &Client, request: &[u8], what: &str) -> Verdict {
    let packet = client.service_packet(PROBE_NAME, op::INVERT, 0, request)?;
    client.refused(&packet, Status::VERR_INVALID_PARAMETER, what)
}

fn cannot_send_packet_without_its_header(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    Probe::load(&client)?;
    for size in 1..8 {
        cannot_send(&client, &service_request(size), "with a packet too short")?;
    }
    same!(client.call_service(PROBE_NAME, op::INVERT, 0, &mut [])?, OK);
    Ok(())
}

fn cannot_send_packet_with_wrong_magic(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    Probe::load(&client)?;
    for position in 0..4 {
        let mut request = service_request(16);
        request[position] ^= 1;
        cannot_send(&client, &request, "with a wrong magic")?;
    }
    let session = backend.open()?;
    let service = session.load_service_image(
        &signed(HELLO.image, HELLO.name),
        HELLO.name,
        hello::SERVICE_HANDLER,
    )?;
    let mut request = service_request(16);
    request[0] ^= 1;
    let result = service.call_with(hello::OP_NOP, 0, &mut request[..]);
    same!(result.map_err(|error| error.status()), Err(Status::VERR_INVALID_MAGIC));
    Ok(())
}

fn cannot_send_packet_of_another_size(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    Probe::load(&client)?;
    for claimed in [0, 7, 8, 15, 17, 4096, u32::MAX] {
        let mut request = service_request(16);
        request[4..8].copy_from_slice(&claimed.to_le_bytes());
        cannot_send(&client, &request, "that lies about its size")?;
    }
    Ok(())
}

fn cannot_call_unknown_service(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    Probe::load(&client)?;
    for name in ["", "prob", "probee", "Probe", "probe ", "hello"] {
        let mut request = service_request(16);
        same!(client.call_service(name, op::INVERT, 0, &mut request)?, NO_SERVICE, "'{name}'");
        same!(request, service_request(16), "a packet that nobody got");
    }
    Ok(())
}

fn cannot_call_service_of_another_session(backend: &dyn Backend) -> Verdict {
    let (first, second) = (Client::connect(backend)?, Client::connect(backend)?);
    Probe::load(&first)?;
    same!(second.call_service(PROBE_NAME, op::INVERT, 0, &mut [])?, NO_SERVICE);
    same!(first.call_service(PROBE_NAME, op::INVERT, 0, &mut [])?, OK);
    Ok(())
}

fn threads_call_at_once(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let probe = Probe::load(&client)?;
    let (ping, pong) = (client.create(SemaphoreKind::Event)?, client.create(SemaphoreKind::Event)?);
    // Each call waits for what the other one signals, so both must be inside.
    let call = |wait: u32, signal: u32, signals_first: bool| -> Verdict {
        let wait = [OWN, 6, wait.into(), PATIENCE_NS];
        let signal = [OWN, 2, signal.into()];
        for step in if signals_first { [&signal[..], &wait[..]] } else { [&wait[..], &signal[..]] }
        {
            same!(probe.status(op::SEMAPHORE, step)?, OK);
        }
        Ok(())
    };
    scope(|scope| {
        let other = scope.spawn(|| (0..200).try_for_each(|_| call(ping, pong, false)));
        (0..200).try_for_each(|_| call(pong, ping, true))?;
        other.join().map_err(|_| Stop::failed("the thread panicked"))?
    })
}

fn ring_zero_semaphores_answer_like_ring_three(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let probe = Probe::load(&client)?;
    // Functions of the two kinds, see `modules/probe.c`.
    for base in [0, 10] {
        let is_multi = base == 10;
        let ask = |function: u64, handle: u64, timeout: u64| {
            probe.ask(op::SEMAPHORE, &[OWN, base + function, handle, timeout])
        };
        let (status, numbers) = ask(0, 0, 0)?;
        same!(status, OK);
        let handle = numbers[7];
        check!((1..=32768).contains(&handle), "{handle}");
        for wait in [3, 4, 5, 6] {
            same!(ask(wait, handle, 0)?.0, Status::VERR_TIMEOUT, "function {}", base + wait);
            same!(ask(2, handle, 0)?.0, OK);
            same!(ask(wait, handle, 0)?.0, OK);
            if is_multi {
                same!(ask(wait, handle, 0)?.0, OK);
                same!(probe.status(op::SEMAPHORE, &[OWN, 18, handle])?, OK);
            }
            same!(ask(wait, handle, 0)?.0, Status::VERR_TIMEOUT);
        }
        let other = [OWN, 12 - base, handle];
        same!(probe.status(op::SEMAPHORE, &other)?, Status::VERR_INVALID_HANDLE, "the other kind");
        same!(ask(1, handle, 0)?.0, Status::VINF_OBJECT_DESTROYED);
        for function in [1, 2, 3, 4, 5, 6] {
            same!(ask(function, handle, 0)?.0, Status::VERR_INVALID_HANDLE, "closed");
        }
        same!(ask(1, 0, 0)?.0, OK, "closing NIL");
    }
    same!(client.statistics()?.session.handles, 0);
    Ok(())
}

fn cannot_use_bad_session_in_ring_zero(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let probe = Probe::load(&client)?;
    let object = probe.register(1)?;
    let own = probe.ask(op::FACTS, &[])?.1[2];
    let gone = {
        let other = Client::connect(backend)?;
        let other_probe = Probe::load(&other)?;
        other_probe.ask(op::FACTS, &[])?.1[2]
    };
    check!(own != gone);
    let bad = Status::VERR_INVALID_PARAMETER;
    for session in [1, NO_SESSION, u64::MAX, own + 1, own ^ 1 << 40, gone, object] {
        for operation in [op::ADD_REF, op::ADD_REF_EX, op::RELEASE, op::VERIFY] {
            same!(probe.status(operation, &[session, object])?, bad, "session {session:#x}");
        }
        let registered = probe.ask(op::REGISTER, &[session, 1])?;
        same!((registered.0, registered.1[7]), (Status::VERR_GENERAL_FAILURE, 0));
        for function in [0, 1, 2, 3, 4, 5, 6, 10, 11, 12, 13, 14, 15, 16, 18] {
            let status = probe.status(op::SEMAPHORE, &[session, function, 1])?;
            same!(status, bad, "session {session:#x}, function {function}");
        }
        same!(probe.status(op::VT_CAPS, &[session, 0])?, bad);
    }
    same!(probe.status(op::RELEASE, &[OWN, object])?, Status::VINF_OBJECT_DESTROYED);
    Ok(())
}

fn cannot_use_wide_handle_in_ring_zero(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let probe = Probe::load(&client)?;
    for (kind, base) in [(SemaphoreKind::Event, 0), (SemaphoreKind::EventMulti, 10)] {
        let handle = u64::from(client.create(kind)?) | 1 << 32;
        for function in [1, 2, 3, 4, 5, 6] {
            let status = probe.status(op::SEMAPHORE, &[OWN, base + function, handle])?;
            same!(status, Status::VERR_INVALID_HANDLE, "function {}", base + function);
        }
    }
    same!(client.statistics()?.session.handles, 2);
    Ok(())
}

fn cannot_use_bad_output_pointer_in_ring_zero(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let probe = Probe::load(&client)?;
    for function in [0, 10] {
        let status = probe.status(op::SEMAPHORE, &[OWN, function, 0, 0, 1])?;
        same!(status, Status::VERR_INVALID_POINTER);
    }
    for pointer in [0, 8, 0xfff, 0x0100_0000_0000_0000, u64::MAX - 7] {
        let status = probe.status(op::VT_CAPS, &[OWN, pointer])?;
        same!(status, Status::VERR_INVALID_POINTER, "{pointer:#x}");
    }
    same!(client.statistics()?.session.handles, 0);
    Ok(())
}

fn ring_zero_has_memory_functions(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    same!(Probe::load(&client)?.status(op::STRINGS, &[])?, OK);
    Ok(())
}
