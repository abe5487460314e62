//! The dispatcher over the test host: malformed packets, random packets, and the end of a session.

extern crate std;

use super::*;
use crate::testing::bench::Bench;
use crate::testing::{Event, TestDestructor};
use proptest::prelude::*;
use std::sync::atomic::Ordering;
use std::sync::mpsc::channel;
use std::vec;
use std::vec::Vec;
use sup_abi::request::{
    ConnectIn, ContAlloc, FreeModule, GetSymbol, GetSymbolIn, ImageIn, LowAlloc, PageAllocEx,
    PageAllocExIn, PageCountIn, SemaphoreKind, SemaphoreOp, SemaphoreOpIn, TABLE, Tail, padded,
};
use sup_abi::{R0Ptr, SUPDRVOBJTYPE};

/// A packet of exactly the fixed sizes of a table row.
fn fixed_packet(bench: &Bench, row: &sup_abi::request::RequestInfo) -> Vec<u8> {
    let mut packet = vec![0; row.bytes_in.max(row.bytes_out)];
    let header = bench.header(row.bytes_in, row.bytes_out);
    packet[..HEADER_BYTES].copy_from_slice(header.as_bytes());
    packet
}

fn set_header(packet: &mut [u8], change: impl FnOnce(&mut Header)) {
    let mut header = Header::read_from_bytes(&packet[..HEADER_BYTES]).unwrap();
    change(&mut header);
    packet[..HEADER_BYTES].copy_from_slice(header.as_bytes());
}

#[test]
fn cannot_send_a_malformed_header() {
    let bench = Bench::new();
    type Change = fn(&mut Header);
    let changes: [Change; 8] = [
        |header| header.flags ^= 1,
        |header| header.flags ^= 1 << 31,
        |header| header.cookie ^= 1,
        |header| header.session_cookie ^= 1,
        |header| header.bytes_in = HEADER_BYTES as u32 - 1,
        |header| header.bytes_out = HEADER_BYTES as u32 - 1,
        |header| header.bytes_in = u32::MAX,
        |header| header.bytes_out += 1 << 20,
    ];
    for row in TABLE.iter().filter(|row| row.function != Function::Connect) {
        for change in changes {
            let mut packet = fixed_packet(&bench, row);
            set_header(&mut packet, change);
            let before = packet.clone();
            let result = bench.driver.dispatch(&bench.session, row.function.into(), &mut packet);
            assert_eq!(result, Err(MALFORMED), "{}", row.name);
            assert_eq!(packet, before, "{}: nothing is written", row.name);
        }
    }
    bench.close();
}

#[test]
fn cannot_send_a_request_with_another_size() {
    let bench = Bench::new();
    for row in TABLE.iter().filter(|row| (row.tail_in, row.tail_out) == (Tail::None, Tail::None)) {
        for (more_in, more_out) in [(1, 0), (0, 1), (8, 8)] {
            let mut packet = vec![0; row.bytes_in.max(row.bytes_out) + 8];
            let mut header = bench.header(row.bytes_in + more_in, row.bytes_out + more_out);
            if row.function == Function::Connect {
                header.cookie = INITIAL_COOKIE;
            }
            packet[..HEADER_BYTES].copy_from_slice(header.as_bytes());
            assert_eq!(bench.dispatch(row.function.into(), packet), Err(MALFORMED), "{}", row.name);
        }
    }
    bench.close();
}

#[test]
fn cannot_call_an_unknown_function() {
    let bench = Bench::new();
    let unknown = Err(PacketError(Status::VERR_GENERAL_FAILURE));
    for function in [0, 2, 3, 999, u32::MAX] {
        let mut packet = vec![0; 64];
        packet[..HEADER_BYTES].copy_from_slice(bench.header(24, 24).as_bytes());
        assert_eq!(bench.dispatch(function, packet), unknown);
    }
    bench.close();
}

#[test]
fn connect_agrees_on_a_version_or_says_its_own() {
    let bench = Bench::new();
    let connect = |magic: &[u8; 16], minimum_version| {
        let input =
            ConnectIn { magic: *magic, requested_version: PROTOCOL_VERSION, minimum_version };
        let mut packet = vec![0; Connect::BYTES_OUT];
        let mut header = bench.header(Connect::BYTES_IN, Connect::BYTES_OUT);
        header.cookie = INITIAL_COOKIE;
        packet[..HEADER_BYTES].copy_from_slice(header.as_bytes());
        packet[HEADER_BYTES..Connect::BYTES_IN].copy_from_slice(input.as_bytes());
        let (status, packet) = bench.dispatch(Function::Connect.into(), packet).unwrap();
        (status, ConnectOut::read_from_bytes(&packet[HEADER_BYTES..]).ok())
    };
    let (status, output) = connect(&CONNECT_MAGIC, PROTOCOL_VERSION);
    assert_eq!(status, Status::VINF_SUCCESS);
    assert_eq!(output.unwrap().session, bench.session.id());

    for minimum in [PROTOCOL_VERSION + 1, PROTOCOL_VERSION + 0x1_0000] {
        let (status, output) = connect(&CONNECT_MAGIC, minimum);
        let output = output.unwrap();
        assert_eq!(status, Status::VERR_VERSION_MISMATCH);
        assert_eq!((output.cookie, output.session_cookie), (u32::MAX, u32::MAX));
        assert_eq!(output.driver_version, PROTOCOL_VERSION);
        assert_eq!(output.session, SessionId(0));
    }
    let (status, output) = connect(b"The Tragic Word!", PROTOCOL_VERSION);
    assert_eq!(status, Status::VERR_INVALID_MAGIC);
    assert!(output.is_none());
    bench.close();
}

#[test]
fn cannot_answer_a_packet_that_lies_askew() {
    let bench = Bench::new();
    let row = TABLE.iter().find(|row| row.function == Function::FreeModule).unwrap();
    let packet = fixed_packet(&bench, row);
    for offset in 1..align_of::<Header>() {
        let mut words = vec![0_u64; 1 + packet.len().div_ceil(8)];
        let askew = &mut words.as_mut_bytes()[offset..][..packet.len()];
        askew.copy_from_slice(&packet);
        let result = bench.driver.dispatch(&bench.session, row.function.into(), askew);
        assert_eq!(result, Err(MALFORMED), "at {offset}");
        assert_eq!(askew, packet, "nothing is written");
    }
    bench.close();
}

#[test]
fn failed_request_answers_with_its_header_alone() {
    let bench = Bench::new();
    let input = PageCountIn { pages: 256, reserved: 0 };
    let (status, packet) = bench.send::<LowAlloc>(&input, &[], 256 * 8).unwrap();
    assert_eq!(status, Status::VERR_PAGE_COUNT_OUT_OF_RANGE);
    assert_eq!(packet.len(), HEADER_BYTES);
    bench.close();
}

#[test]
fn session_end_takes_everything_back_in_order() {
    let bench = Bench::new();
    for tag in 1..=3 {
        bench.object(tag);
    }
    let pages = PageAllocExIn { pages: 2, kernel_mapping: 1, user_mapping: 1, reserved: [0; 2] };
    bench.succeed::<PageAllocEx>(&pages, 16);
    bench.succeed::<LowAlloc>(&PageCountIn { pages: 1, reserved: 0 }, 8);
    bench.succeed::<ContAlloc>(&PageCountIn { pages: 4, reserved: 0 }, 0);
    assert_eq!(bench.load("service", "handler", b"image").0, Status::VINF_SUCCESS);
    bench.succeed::<GipMap>(&Empty {}, 0);
    for kind in [SemaphoreKind::Event, SemaphoreKind::EventMulti] {
        bench.driver.semaphore_create(&bench.session, kind).unwrap();
    }
    let counts = bench.driver.counts();
    assert_eq!((counts.objects, counts.handles, counts.image_references), (3, 2, 1));
    assert_eq!((counts.memory_blocks, counts.memory_pages), (3, 7));

    let host = bench.close();
    use Event::*;
    let expected = [Init, Destroyed(3), Destroyed(2), Destroyed(1), Term, Unmapped];
    assert_eq!(host.events(), expected);
}

#[test]
fn module_is_shared_by_name_and_contents() {
    let bench = Bench::new();
    let (_, base) = bench.load("service", "handler", b"image one");
    assert_eq!(bench.load("service", "", b"image one"), (Status::VINF_SUCCESS, base));
    assert_eq!(bench.load("service", "handler", b"image two").0, Status::VERR_ALREADY_EXISTS);
    assert_eq!(bench.load("service", "other", b"image one").0, Status::VERR_INVALID_PARAMETER);
    assert_eq!(bench.load("service", "missing", b"image one").0, Status::VERR_SYMBOL_NOT_FOUND);
    assert_eq!(bench.call("service", 0), Status::VINF_SUCCESS);
    assert_eq!(bench.call("service", 0xffff_ff00), Status::new(-256));
    assert_eq!(bench.call("Service", 0), Status::VERR_SUPDRV_SERVICE_NOT_FOUND);

    let free = |base| bench.send::<FreeModule>(&ImageIn { base }, &[], 0).unwrap().0;
    assert_eq!(free(base), Status::VINF_SUCCESS);
    assert_eq!(bench.call("service", 0), Status::VINF_SUCCESS);
    assert_eq!(free(base), Status::VINF_SUCCESS);
    assert_eq!(bench.call("service", 0), Status::VERR_SUPDRV_SERVICE_NOT_FOUND);
    assert_eq!(free(base), Status::VERR_INVALID_HANDLE);
    bench.close();
}

#[test]
fn module_whose_init_fails_leaves_nothing_and_can_be_loaded_again() {
    let bench = Bench::new();
    bench.host.record.init_status.store(-225_i32 as u32, Ordering::Relaxed);
    assert_eq!(bench.load("service", "handler", b"image").0, Status::VERR_INTERNAL_ERROR);
    assert_eq!(bench.host.events(), [Event::Init, Event::Unmapped], "no ModuleTerm");
    bench.host.record.init_status.store(0, Ordering::Relaxed);
    assert_eq!(bench.load("service", "handler", b"image").0, Status::VINF_SUCCESS);
    bench.close();
}

#[test]
fn module_with_a_living_objects_destructor_stays() {
    let bench = Bench::new();
    let (_, base) = bench.load("service", "handler", b"image");
    let destructor = TestDestructor::recording(&bench.host, base.get() + 8, 1);
    let object =
        bench.driver.object_register(&bench.session, SUPDRVOBJTYPE::Vm, destructor).unwrap();
    let free = || bench.send::<FreeModule>(&ImageIn { base }, &[], 0).unwrap().0;
    assert_eq!(free(), Status::VERR_DANGLING_OBJECTS);
    assert_eq!(bench.call("service", 0), Status::VINF_SUCCESS);
    let released = bench.driver.object_release(&bench.session, object);
    assert_eq!(released, Ok(Status::VINF_OBJECT_DESTROYED));
    assert_eq!(free(), Status::VINF_SUCCESS);
    bench.close();
}

#[test]
fn symbol_is_found_only_in_an_image_of_the_session() {
    let bench = Bench::new();
    let (_, base) = bench.load("service", "handler", b"image");
    let symbol = |base, name: &str| {
        let input = GetSymbolIn { base, name: padded(name).unwrap() };
        bench.send::<GetSymbol>(&input, &[], 0).unwrap().0
    };
    assert_eq!(symbol(base, "handler"), Status::VINF_SUCCESS);
    assert_eq!(symbol(base, "missing"), Status::VERR_SYMBOL_NOT_FOUND);
    assert_eq!(symbol(R0Ptr::new(4096), "handler"), Status::VERR_INVALID_HANDLE);
    bench.close();
}

/// With a reference of its own, a look-up kept the image mapped after its last free had returned, and
/// another one of that name could be loaded beside it.
#[test]
fn image_is_gone_when_its_last_free_returns_whoever_looks_a_symbol_up() {
    let bench = Bench::new();
    let (_, base) = bench.load("service", "handler", b"image");
    let (told, looking) = channel();
    let (freed, others) = channel();
    *bench.host.record.look_up.lock().unwrap() = Some((told, others));
    std::thread::scope(|scope| {
        let input = GetSymbolIn { base, name: padded("meanwhile").unwrap() };
        let bench = &bench;
        scope.spawn(move || bench.send::<GetSymbol>(&input, &[], 0).unwrap());
        looking.recv().unwrap();
        let status = bench.send::<FreeModule>(&ImageIn { base }, &[], 0).unwrap().0;
        let events = bench.host.record.events.lock().unwrap().clone();
        // The look-up may have given up waiting.
        let _ = freed.send(());
        assert_eq!((status, events.last()), (Status::VINF_SUCCESS, Some(&Event::Unmapped)));
    });
    bench.close();
}

/// An operation whose waits end at once, whatever it is.
fn random_semaphore_op() -> impl Strategy<Value = SemaphoreOpIn> {
    (0..4_u32, 0..6_u32, 0..8_u32, prop::sample::select(vec![0_u32, 1]), 0..2_u64).prop_map(
        |(kind, handle, operation, reserved, _)| SemaphoreOpIn {
            kind,
            handle,
            operation,
            reserved,
            timeout: 0,
        },
    )
}

proptest! {
    /// Whatever bytes come in: no panic, nothing but an answer, and a session that still works.
    #[test]
    fn random_packets_leave_the_session_as_it_was(
        packets in prop::collection::vec(
            (0..TABLE.len(), any::<bool>(), prop::collection::vec(any::<u8>(), 0..400)),
            1..40,
        ),
        operations in prop::collection::vec(random_semaphore_op(), 0..20),
    ) {
        let bench = Bench::new();
        for (row, is_sized, bytes) in packets {
            let row = &TABLE[row];
            if row.function == Function::SemaphoreOp {
                // Its waits could last; the operations below have their turn.
                continue;
            }
            let mut packet = vec![0; 24 + bytes.len().max(row.bytes_in.max(row.bytes_out))];
            packet[24..24 + bytes.len()].copy_from_slice(&bytes);
            let (bytes_in, bytes_out) =
                if is_sized { (row.bytes_in, row.bytes_out) } else { (packet.len(), packet.len()) };
            packet[..24].copy_from_slice(bench.header(bytes_in, bytes_out).as_bytes());
            let _ = bench.dispatch(row.function.into(), packet);
        }
        for kind in [SemaphoreKind::Event, SemaphoreKind::EventMulti] {
            bench.driver.semaphore_create(&bench.session, kind).unwrap();
        }
        for operation in operations {
            let _ = bench.send::<SemaphoreOp>(&operation, &[], 0);
        }
        let (status, _) = bench.send::<GetPagingMode>(&Empty {}, &[], 0).unwrap();
        prop_assert_eq!(status, Status::VINF_SUCCESS);
        bench.close();
    }
}
