//! The hypervisor's module: loading it, calling its entries, and the VM of the fast calls.

use std::thread::scope;

use sup::{R0Ptr, RingZeroView, Status};
use sup_abi::request::{
    CallVmm, CallVmmBig, CallVmmFast, CallVmmFastIn, CallVmmIn, HEADER_BYTES, Request, SetVm,
    SetVmIn,
};
use sup_abi::{SUP_VMMR0_DO_NOP, SUPVMMR0REQHDR, SUPVMMR0REQHDR_MAGIC};
use sup_modules::{HELLO, VMMR0, hello, vmmr0};
use zerocopy::IntoBytes;

use crate::backend::Backend;
use crate::case::{Stop, Verdict, cases, check, same};
use crate::client::{Client, Packet};
use crate::probe::{IMPORTING, IMPORTING_HANDLER, Probe};
use crate::threads::{PATIENCE_NS, QuietSignal, Sleeper};

cases! { Vmm {
    vmm_life:
        "VMMR0.r0 is loaded, called and unloaded, and leaves nothing (spec 6.2).",
    vmm_needs_its_three_entries:
        "A module without one of the three entries is no VMMR0.r0: VERR_SYMBOL_NOT_FOUND (spec 6.2).",
    cannot_call_before_it_is_loaded: "Without VMMR0.r0 a call is VERR_WRONG_ORDER (spec 6.1).",
    every_session_calls_it: "Whoever loaded VMMR0.r0, every session calls it (spec 6.1).",
    status_passes_unchanged: "What VMMR0.r0 returns comes back, whatever it is (spec 6.1).",
    packet_comes_back_as_vmmr0_left_it:
        "Packets of both sizes come back changed, on success and on failure (spec 6.1).",
    packets_have_their_limits:
        "Small packets have up to 4047 bytes, big ones up to 512 KiB (spec 6.1).",
    cannot_send_a_wrong_packet:
        "A packet with a wrong magic or size is refused before anything is read (spec 6.1).",
    library_checks_packets_itself:
        "The library answers VERR_INVALID_MAGIC, VERR_OUT_OF_RANGE and, for the fast operations, \
         VERR_INTERNAL_ERROR (spec 6.1).",
    long_call_is_interrupted: "A call that lasts ends with a POSIX signal (spec 6.1).",
    fast_calls_reach_the_vm:
        "A fast call reaches the entry with VM, processor and operation (spec 6.1).",
    cannot_call_fast_without_a_vm:
        "Without a VM, or with another operation, a fast call is VERR_INTERNAL_ERROR (spec 6.1).",
    cannot_set_a_vm_of_nobody:
        "A value that is no VM of the session is VERR_ACCESS_DENIED (spec 6.1).",
    cannot_set_what_is_no_address:
        "A value in the first page or the last is no VM, whoever asks and whatever is loaded (spec 6.1).",
    vm_is_set_once: "A second VM is VERR_ALREADY_EXISTS until the first is cleared (spec 6.1).",
    memory_can_be_the_vm:
        "The ring-0 address of a memory block of the session is accepted (spec 6.1, issue 7).",
    vm_that_is_set_lives_on:
        "An object whose last reference goes while it is the VM lives until it is cleared (spec \
         6.1, our own).",
    vmm_outlives_its_free_while_it_is_needed:
        "VMMR0.r0 stays as long as a VM is set or a module imports from it (spec 6.3).",
    only_who_loaded_it_imports_from_it:
        "Imports come from VMMR0.r0 if the session has loaded it (spec 6.3).",
    vm_is_cleared_while_calls_run: "Clearing the VM waits for fast calls that run (spec 6.1, our own).",
    symbols_have_no_ordinals: "A symbol by its number is VERR_SYMBOL_NOT_FOUND (spec 6.2).",
}}

const OK: Status = Status::VINF_SUCCESS;

#[track_caller]
fn load_vmm(client: &Client) -> Verdict<R0Ptr> {
    Ok(client.load(VMMR0.image, VMMR0.name, "")?.base)
}

fn input(operation: u32, argument: u64) -> CallVmmIn {
    CallVmmIn { vm: R0Ptr::NIL, cpu: 0, operation, argument }
}

/// A request of so many bytes: the header, and zeros.
fn request(bytes: usize) -> Vec<u8> {
    let header = SUPVMMR0REQHDR { u32Magic: SUPVMMR0REQHDR_MAGIC, cbReq: bytes as u32 };
    let mut request = vec![0; bytes];
    let start = bytes.min(size_of::<SUPVMMR0REQHDR>());
    request[..start].copy_from_slice(&header.as_bytes()[..start]);
    request
}

/// The packet that calls VMMR0; as much comes back as goes in.
fn packet<R: Request<In = CallVmmIn>>(client: &Client, input: &CallVmmIn, tail: &[u8]) -> Packet {
    client.packet_with_tail::<R>(input, tail).with_bytes_out(R::BYTES_OUT + tail.len())
}

/// Calls VMMR0; `tail` is what it left of it.
#[track_caller]
fn call<R: Request<In = CallVmmIn>>(
    client: &Client,
    input: &CallVmmIn,
    tail: &mut [u8],
) -> Verdict<Status> {
    let answer = client.exchange(&packet::<R>(client, input, tail))?;
    let back = answer.body.get(R::BYTES_OUT - HEADER_BYTES..).unwrap_or_default();
    check!(back.len() == tail.len(), "{} bytes of the packet came back", back.len());
    tail.copy_from_slice(back);
    Ok(answer.status())
}

#[track_caller]
fn status_of(client: &Client, operation: u32, argument: u64) -> Verdict<Status> {
    call::<CallVmm>(client, &input(operation, argument), &mut [])
}

/// Makes a VM.
#[track_caller]
fn create_vm(client: &Client) -> Verdict<vmmr0::Vm> {
    let mut vm = vmmr0::Vm::new();
    same!(call::<CallVmm>(client, &input(vmmr0::OP_CREATE_VM, 0), vm.as_mut_bytes())?, OK);
    Ok(vm)
}

#[track_caller]
fn destroy_vm(client: &Client, mut vm: vmmr0::Vm) -> Verdict<Status> {
    call::<CallVmm>(client, &input(vmmr0::OP_DESTROY_VM, 0), vm.as_mut_bytes())
}

/// What the fast entry saw.
#[track_caller]
fn seen(client: &Client) -> Verdict<vmmr0::Seen> {
    let mut seen = vmmr0::Seen::new();
    same!(call::<CallVmm>(client, &input(vmmr0::OP_COUNTS, 0), seen.as_mut_bytes())?, OK);
    Ok(seen)
}

#[track_caller]
fn set_vm(client: &Client, vm: u64) -> Verdict<Status> {
    client.call::<SetVm>(&SetVmIn { vm: R0Ptr::new(vm) }).map(|(status, _)| status)
}

#[track_caller]
fn call_fast(client: &Client, operation: u32, cpu: u32) -> Verdict<Status> {
    client.call::<CallVmmFast>(&CallVmmFastIn { operation, cpu }).map(|(status, _)| status)
}

fn vmm_life(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let before = client.totals()?;
    let base = load_vmm(&client)?;
    same!(status_of(&client, vmmr0::OP_NOP, 0)?, OK);
    let vm = create_vm(&client)?;
    same!(client.free_module(base)?, Status::VERR_DANGLING_OBJECTS);
    same!(destroy_vm(&client, vm)?, Status::VINF_OBJECT_DESTROYED);
    same!(client.free_module(base)?, OK);
    same!(client.totals()?, before);
    Ok(())
}

fn vmm_needs_its_three_entries(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let before = client.totals()?;
    let mut images = vec![("VMMR0EntryInt", HELLO.image.to_vec())];
    for entry in ["VMMR0EntryInt", "VMMR0EntryFast", "VMMR0EntryEx"] {
        // The name is in the string table once; with another end it is another symbol.
        let mut image = VMMR0.image.to_vec();
        let name = [entry.as_bytes(), &[0]].concat();
        let places: Vec<_> =
            (0..image.len()).filter(|at| image[*at..].starts_with(&name)).collect();
        for place in places {
            image[place + entry.len() - 1] = b'_';
        }
        images.push((entry, image));
    }
    for (entry, image) in images {
        let load = client.try_load(&image, VMMR0.name, "")?;
        same!(load.status, Status::VERR_SYMBOL_NOT_FOUND, "without {entry}");
        check!(load.message.contains(entry), "no '{entry}' in: {}", load.message);
        same!(client.totals()?, before);
    }
    load_vmm(&client)?;
    let service = client.try_load(VMMR0.image, VMMR0.name, "VMMR0EntryEx")?;
    same!(service.status, Status::VERR_INTERNAL_ERROR, "it is no service");
    Ok(())
}

fn cannot_call_before_it_is_loaded(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let wrong = Status::VERR_WRONG_ORDER;
    // Its bits under another name are not it.
    client.load(VMMR0.image, "VMMR0.R0", "")?;
    same!(status_of(&client, vmmr0::OP_NOP, 0)?, wrong);
    let mut tail = request(16);
    same!(call::<CallVmm>(&client, &input(vmmr0::OP_INVERT, 0), &mut tail)?, wrong);
    same!(call::<CallVmmBig>(&client, &input(vmmr0::OP_INVERT, 0), &mut tail)?, wrong);
    same!(tail, request(16), "a packet that nobody got");
    same!(set_vm(&client, 0x1000)?, wrong);
    let base = load_vmm(&client)?;
    same!(status_of(&client, vmmr0::OP_NOP, 0)?, OK);
    same!(client.free_module(base)?, OK);
    same!(status_of(&client, vmmr0::OP_NOP, 0)?, wrong);
    Ok(())
}

fn every_session_calls_it(backend: &dyn Backend) -> Verdict {
    let (first, second) = (Client::connect(backend)?, Client::connect(backend)?);
    load_vmm(&first)?;
    same!(status_of(&second, vmmr0::OP_STATUS, 7)?, Status::new(7));
    let vm = create_vm(&second)?;
    same!(set_vm(&second, vm.object)?, OK);
    same!(call_fast(&second, SUP_VMMR0_DO_NOP, 0)?, OK);
    // It is the other session's: this one closes over a VMM that only its VM holds.
    drop(first);
    same!(call_fast(&second, SUP_VMMR0_DO_NOP, 0)?, OK);
    drop(second);
    same!(Client::connect(backend)?.totals()?, [1, 0, 0, 0, 0, 0]);
    Ok(())
}

fn status_passes_unchanged(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    load_vmm(&client)?;
    for status in [0, 1, 85, 4711, i32::MAX, -1, -2, -22, -225, -3702, -70_000, i32::MIN] {
        let argument = status as u32 as u64 | 0xdead_0000_0000_0000;
        same!(status_of(&client, vmmr0::OP_STATUS, argument)?, Status::new(status));
    }
    same!(status_of(&client, 4711, 0)?, Status::VERR_NOT_SUPPORTED);
    // The driver leaves the numbers of the fast operations to VMMR0, too.
    same!(status_of(&client, 0, 0)?, Status::VERR_NOT_SUPPORTED);
    let session = backend.open()?;
    same!(session.call_vmm(R0Ptr::NIL, 0, vmmr0::OP_STATUS, 4711)?, Status::new(4711));
    let failed = session.call_vmm(R0Ptr::NIL, 0, vmmr0::OP_STATUS, u64::from(u32::MAX - 21));
    same!(failed.map_err(|error| error.status()), Err(Status::VERR_WRONG_ORDER));
    Ok(())
}

fn packet_comes_back_as_vmmr0_left_it(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    load_vmm(&client)?;
    let session = backend.open()?;
    for size in [8, 9, 16, 100, 4000, 4047, 4048, 4096, 100_001, 512 << 10] {
        for status in [0, 85, -225] {
            let inverted = |tail: &[u8]| {
                tail[..8] == request(size)[..8] && tail[8..].iter().all(|b| *b == 0xff)
            };
            let input = input(vmmr0::OP_INVERT, status as u32 as u64);
            let mut tail = request(size);
            if size <= 4047 {
                same!(call::<CallVmm>(&client, &input, &mut tail)?, Status::new(status));
                check!(inverted(&tail), "{size} bytes, small");
                tail = request(size);
            }
            same!(call::<CallVmmBig>(&client, &input, &mut tail)?, Status::new(status));
            check!(inverted(&tail), "{size} bytes, big");
            let mut tail = request(size);
            let argument = input.argument;
            let (vm, operation) = (R0Ptr::NIL, vmmr0::OP_INVERT);
            let result = session.call_vmm_with(vm, 0, operation, argument, &mut tail[..]);
            let found = result.unwrap_or_else(|error| error.status());
            same!(found, Status::new(status));
            check!(inverted(&tail), "{size} bytes, library");
        }
    }
    Ok(())
}

fn packets_have_their_limits(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    load_vmm(&client)?;
    let bad = Status::VERR_INVALID_PARAMETER;
    let input = input(vmmr0::OP_INVERT, 0);
    let large = packet::<CallVmm>(&client, &input, &request(4048));
    client.refused(&large, bad, "with a small packet of 4048 bytes")?;
    let huge = packet::<CallVmmBig>(&client, &input, &request((512 << 10) + 1));
    client.refused(&huge, bad, "with more than 512 KiB")?;
    client.refused(&packet::<CallVmmBig>(&client, &input, &[]), bad, "big, without a packet")
}

fn cannot_send_a_wrong_packet(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    load_vmm(&client)?;
    let input = input(vmmr0::OP_INVERT, 0);
    let refuse = |tail: &[u8], what: &str| {
        let bad = Status::VERR_INVALID_PARAMETER;
        client.refused(&packet::<CallVmm>(&client, &input, tail), bad, what)?;
        client.refused(&packet::<CallVmmBig>(&client, &input, tail), bad, what)
    };
    for size in 1..8 {
        refuse(&request(size), "with a packet too short")?;
    }
    for position in 0..4 {
        let mut tail = request(16);
        tail[position] ^= 1;
        refuse(&tail, "with a wrong magic")?;
    }
    for claimed in [0, 7, 8, 15, 17, 4096, u32::MAX] {
        let mut tail = request(16);
        tail[4..8].copy_from_slice(&claimed.to_le_bytes());
        refuse(&tail, "that lies about its size")?;
    }
    let bad = Status::VERR_INVALID_PARAMETER;
    for (more_in, more_out) in [(0, 1), (1, 0), (8, 0)] {
        let one_sided = packet::<CallVmm>(&client, &input, &request(16));
        let bytes = CallVmm::BYTES_IN + 16;
        let one_sided = one_sided.with_bytes_in(bytes + more_in).with_bytes_out(bytes + more_out);
        client.refused(&one_sided, bad, "with two sizes")?;
    }
    let fast = client.packet::<CallVmmFast>(&CallVmmFastIn { operation: 0, cpu: 0 });
    client.refused(&fast.with_bytes_in(CallVmmFast::BYTES_IN + 8), bad, "with a tail")?;
    let set = client.packet::<SetVm>(&SetVmIn { vm: R0Ptr::NIL });
    client.refused(&set.with_bytes_in(SetVm::BYTES_IN + 8), bad, "with a tail")?;
    same!(status_of(&client, vmmr0::OP_NOP, 0)?, OK);
    Ok(())
}

fn library_checks_packets_itself(backend: &dyn Backend) -> Verdict {
    let session = backend.open()?;
    let call = |operation: u32, mut tail: Vec<u8>| {
        let result = session.call_vmm_with(R0Ptr::NIL, 0, operation, 0, &mut tail[..]);
        result.map_err(|error| error.status())
    };
    let mut wrong_magic = request(16);
    wrong_magic[0] ^= 1;
    same!(call(vmmr0::OP_INVERT, wrong_magic), Err(Status::VERR_INVALID_MAGIC));
    let too_large = request((512 << 10) + 1);
    same!(call(0, too_large), Err(Status::VERR_OUT_OF_RANGE), "the size comes first");
    same!(call(vmmr0::OP_INVERT, request(7)), Err(Status::VERR_INVALID_PARAMETER));
    for operation in 0..=SUP_VMMR0_DO_NOP {
        same!(call(operation, request(16)), Err(Status::VERR_INTERNAL_ERROR));
        let bare = session.call_vmm(R0Ptr::NIL, 0, operation, 0);
        same!(bare.map_err(|error| error.status()), Err(Status::VERR_INTERNAL_ERROR));
    }
    same!(call(vmmr0::OP_INVERT, request(16)), Err(Status::VERR_WRONG_ORDER), "none is loaded");
    Ok(())
}

fn long_call_is_interrupted(backend: &dyn Backend) -> Verdict {
    let _handler = QuietSignal::install(0);
    let client = Client::connect(backend)?;
    load_vmm(&client)?;
    same!(status_of(&client, vmmr0::OP_SLEEP, 1_000)?, Status::VERR_TIMEOUT);
    scope(|scope| {
        let call = Sleeper::start(scope, || status_of(&client, vmmr0::OP_SLEEP, PATIENCE_NS))?;
        call.wait_until_asleep()?;
        check!(call.poke_until_over(), "it sleeps on");
        same!(call.join()??, Status::VERR_INTERRUPTED);
        Verdict::Ok(())
    })?;
    same!(client.statistics()?.session.handles, 0);
    Ok(())
}

fn fast_calls_reach_the_vm(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let base = load_vmm(&client)?;
    let vm = create_vm(&client)?;
    for name in [vm.object, vm.vm] {
        same!(set_vm(&client, name)?, OK);
        for operation in 0..=SUP_VMMR0_DO_NOP {
            let before = seen(&client)?;
            for cpu in [0, 3, u32::MAX] {
                same!(call_fast(&client, operation, cpu)?, OK);
                let after = seen(&client)?;
                same!((after.last_vm, after.last_cpu), (name, cpu));
            }
            let mut expected = before.calls;
            expected[operation as usize] += 3;
            same!(seen(&client)?.calls, expected);
        }
        same!(set_vm(&client, 0)?, OK);
    }
    // The same through the library, which has a shorter way.
    let session = backend.open()?;
    let mut own = vmmr0::Vm::new();
    let created = session.call_vmm_with(R0Ptr::NIL, 0, vmmr0::OP_CREATE_VM, 0, &mut own)?;
    same!(created, OK);
    session.set_vm_for_fast_calls(Some(R0Ptr::new(own.vm)))?;
    let before = seen(&client)?;
    for operation in 0..=SUP_VMMR0_DO_NOP {
        session.call_vmm_fast(operation, 40 + operation)?;
        let after = seen(&client)?;
        same!((after.last_vm, after.last_cpu), (own.vm, 40 + operation));
    }
    same!(seen(&client)?.calls, before.calls.map(|calls| calls + 1));
    drop(session);
    same!(seen(&client)?.vms, 1, "the session's VM went with it");
    same!(destroy_vm(&client, vm)?, Status::VINF_OBJECT_DESTROYED);
    same!(client.free_module(base)?, OK);
    Ok(())
}

fn cannot_call_fast_without_a_vm(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let bad = Status::VERR_INTERNAL_ERROR;
    same!(call_fast(&client, SUP_VMMR0_DO_NOP, 0)?, bad, "nothing is loaded");
    load_vmm(&client)?;
    same!(call_fast(&client, SUP_VMMR0_DO_NOP, 0)?, bad, "no VM is set");
    let vm = create_vm(&client)?;
    same!(set_vm(&client, vm.object)?, OK);
    for operation in [SUP_VMMR0_DO_NOP + 1, 255, u32::MAX] {
        same!(call_fast(&client, operation, 0)?, bad, "operation {operation}");
    }
    let session = backend.open()?;
    for operation in [0, SUP_VMMR0_DO_NOP, SUP_VMMR0_DO_NOP + 1, u32::MAX] {
        let status = session.call_vmm_fast(operation, 0).map_err(|error| error.status());
        same!(status, Err(bad), "library, operation {operation}");
    }
    same!(seen(&client)?.calls, [0; 3]);
    Ok(())
}

fn cannot_set_a_vm_of_nobody(backend: &dyn Backend) -> Verdict {
    let (client, other) = (Client::connect(backend)?, Client::connect(backend)?);
    load_vmm(&client)?;
    let vm = create_vm(&client)?;
    let probe = Probe::load(&client)?;
    // Type 2 is a network.
    let network = probe.ask(crate::probe::op::REGISTER, &[0, 2, 0x7777_0000])?.1[7];
    let session = probe.ask(crate::probe::op::FACTS, &[])?.1[2];
    let block = backend.open()?;
    let block = block.shared_pages(1, RingZeroView::Mapped)?;
    let foreign = block.r0_address().get();
    let wrong =
        [0x1000, network, 0x7777_0000, session, vm.vm + 8, vm.object + 16, foreign, !0x1000];
    for value in wrong {
        same!(set_vm(&client, value)?, Status::VERR_ACCESS_DENIED, "{value:#x}");
        same!(call_fast(&client, 0, 0)?, Status::VERR_INTERNAL_ERROR);
    }
    for value in [vm.vm, vm.object] {
        same!(set_vm(&other, value)?, Status::VERR_ACCESS_DENIED, "another session's");
    }
    same!(set_vm(&client, vm.vm)?, OK);
    Ok(())
}

fn cannot_set_what_is_no_address(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    for is_loaded in [false, true] {
        if is_loaded {
            load_vmm(&client)?;
        }
        for value in [1, 8, 0xfff, !0xfff, u64::MAX] {
            let packet = client.packet::<SetVm>(&SetVmIn { vm: R0Ptr::new(value) });
            client.refused(&packet, Status::VERR_INVALID_PARAMETER, "with what is no address")?;
        }
        same!(set_vm(&client, 0)?, OK);
    }
    Ok(())
}

fn vm_is_set_once(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    load_vmm(&client)?;
    let (one, two) = (create_vm(&client)?, create_vm(&client)?);
    same!(set_vm(&client, 0)?, OK, "nothing to clear");
    same!(set_vm(&client, one.vm)?, OK);
    for again in [one.vm, one.object, two.vm, 0x1000] {
        same!(set_vm(&client, again)?, Status::VERR_ALREADY_EXISTS);
    }
    same!(call_fast(&client, 1, 0)?, OK);
    same!(seen(&client)?.last_vm, one.vm);
    same!(set_vm(&client, 0)?, OK);
    same!(set_vm(&client, two.vm)?, OK);
    same!(call_fast(&client, 1, 0)?, OK);
    same!(seen(&client)?.last_vm, two.vm);
    Ok(())
}

fn memory_can_be_the_vm(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    load_vmm(&client)?;
    let session = backend.open()?;
    let block = session.shared_pages(2, RingZeroView::Mapped)?;
    let set = |address: u64| {
        let result = session.set_vm_for_fast_calls(Some(R0Ptr::new(address)));
        result.map_err(|error| error.status())
    };
    let address = block.r0_address().get();
    for wrong in [address + 8, address + 4096, address - 4096] {
        same!(set(wrong), Err(Status::VERR_ACCESS_DENIED), "{wrong:#x}");
    }
    same!(set(address), Ok(()));
    session.call_vmm_fast(SUP_VMMR0_DO_NOP, 2)?;
    same!(seen(&client)?.last_vm, address);
    // The driver keeps it for VMMR0, whatever ring 3 does.
    drop(block);
    session.call_vmm_fast(SUP_VMMR0_DO_NOP, 2)?;
    session.set_vm_for_fast_calls(None)?;
    same!(set(address), Err(Status::VERR_ACCESS_DENIED), "it is gone");
    Ok(())
}

fn vm_that_is_set_lives_on(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    load_vmm(&client)?;
    let vm = create_vm(&client)?;
    same!(set_vm(&client, vm.vm)?, OK);
    same!(destroy_vm(&client, vm)?, OK, "the object lives on");
    same!(destroy_vm(&client, vm)?, Status::VERR_INVALID_PARAMETER, "that was the session's last");
    same!(seen(&client)?.vms, 1);
    same!(call_fast(&client, 0, 0)?, OK);
    same!(set_vm(&client, 0)?, OK);
    same!(seen(&client)?.vms, 0);
    same!(set_vm(&client, vm.vm)?, Status::VERR_ACCESS_DENIED);
    Ok(())
}

fn vmm_outlives_its_free_while_it_is_needed(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let vmm = load_vmm(&client)?;
    let user = client.load(IMPORTING, "importing", IMPORTING_HANDLER)?.base;
    same!(client.free_module(vmm)?, OK);
    let call = || client.call_service("importing", vmmr0::OP_STATUS, 4711, &mut []);
    same!(call()?, Status::new(4711), "through the import");
    check!(client.call_service("importing", 0, 0, &mut [])?.is_success(), "SUPR0$ is dropped");
    let session = backend.open()?;
    let block = session.shared_pages(1, RingZeroView::Mapped)?;
    session.set_vm_for_fast_calls(Some(block.r0_address()))?;
    same!(client.free_module(user)?, OK);
    session.call_vmm_fast(0, 0)?;
    session.set_vm_for_fast_calls(None)?;
    same!(status_of(&client, vmmr0::OP_NOP, 0)?, Status::VERR_WRONG_ORDER);
    same!(client.statistics()?.driver.image_references, 0);
    Ok(())
}

fn only_who_loaded_it_imports_from_it(backend: &dyn Backend) -> Verdict {
    let (first, second) = (Client::connect(backend)?, Client::connect(backend)?);
    load_vmm(&first)?;
    let load = second.try_load(IMPORTING, "importing", IMPORTING_HANDLER)?;
    same!(load.status, Status::VERR_SYMBOL_NOT_FOUND);
    check!(load.message.contains("VMMR0EntryEx"), "{}", load.message);
    load_vmm(&second)?;
    second.load(IMPORTING, "importing", IMPORTING_HANDLER)?;
    // Whoever shares the module later needs no more than it.
    check!(Client::connect(backend)?.load(IMPORTING, "importing", IMPORTING_HANDLER)?.was_loaded);
    Ok(())
}

fn vm_is_cleared_while_calls_run(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    load_vmm(&client)?;
    let vm = create_vm(&client)?;
    scope(|scope| {
        let work = || -> Verdict<u64> {
            let mut reached = 0;
            for _ in 0..2_000 {
                match call_fast(&client, 2, 1)? {
                    OK => reached += 1,
                    status => same!(status, Status::VERR_INTERNAL_ERROR),
                }
            }
            Ok(reached)
        };
        let callers = [scope.spawn(work), scope.spawn(work)];
        while !callers.iter().all(|caller| caller.is_finished()) {
            same!(set_vm(&client, vm.vm)?, OK);
            std::thread::yield_now();
            same!(set_vm(&client, 0)?, OK);
        }
        let mut reached = 0;
        for caller in callers {
            reached += caller.join().map_err(|_| Stop::failed("the thread panicked"))??;
        }
        same!(seen(&client)?.calls[2], reached, "calls that the entry saw");
        Verdict::Ok(())
    })
}

fn symbols_have_no_ordinals(backend: &dyn Backend) -> Verdict {
    let session = backend.open()?;
    let module = session.load_image(
        &sup_test_key::signed(HELLO.image, HELLO.name),
        HELLO.name,
        hello::SERVICE_HANDLER,
    )?;
    for ordinal in [0, 1, 2, u16::MAX] {
        let status = module.symbol_by_ordinal(ordinal).map_err(|error| error.status());
        same!(status, Err(Status::VERR_SYMBOL_NOT_FOUND), "{ordinal}");
    }
    Ok(())
}
