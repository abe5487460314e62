//! Random packets, from well-formed to noise: the driver never panics, the session that sent them works
//! on, and nothing is left when it is closed.
//!
//! Waits only poll, so that nobody sleeps for ever; sizes are small.

use proptest::prelude::*;
use sup_abi::Status;
use sup_abi::request::{
    CONNECT_MAGIC, Connect, ConnectIn, ConnectOut, Empty, Function, HEADER_BYTES, Header,
    INITIAL_COOKIE, LoadModuleIn, PROTOCOL_VERSION, Request, SemaphoreOpIn, Statistics,
    StatisticsOut, TABLE, padded,
};
use sup_conformance::{Backend, Embedded, Packet, RawSession};
use sup_modules::{HELLO, hello};
use zerocopy::{FromBytes, IntoBytes};

/// One packet, without the cookies, which only a session has.
#[derive(Debug, Clone)]
struct Shot {
    function: u32,
    input: Vec<u8>,
    bytes_out: usize,
    /// XORed into a word of the header: which, and what.
    spoil: Option<(usize, u32)>,
}

/// Makes every wait a poll.
fn without_sleep(mut shot: Shot) -> Shot {
    let timeout = std::mem::offset_of!(SemaphoreOpIn, timeout);
    if shot.function == Function::SemaphoreOp.into() {
        shot.input.iter_mut().skip(timeout).for_each(|byte| *byte = 0);
    }
    shot
}

/// Numbers that mean something to some field, and others.
fn word() -> impl Strategy<Value = u32> {
    prop_oneof![4 => 0..8_u32, 1 => 254..258_u32, 1 => 32_766..32_770_u32, 1 => any::<u32>()]
}

/// A request of the table with numbers in its input, and about as much output as it asks for.
fn structured() -> impl Strategy<Value = Shot> {
    let input = prop::collection::vec(word(), 40);
    (prop::sample::select(TABLE), input, 0..4_usize, 0..3_usize).prop_map(
        |(row, words, tail_out, tail_in)| Shot {
            function: row.function.into(),
            input: words.as_bytes()[..(row.bytes_in - HEADER_BYTES + tail_in * 8).min(160)]
                .to_vec(),
            bytes_out: row.bytes_out + tail_out * 8,
            spoil: None,
        },
    )
}

/// The tutorial module, perhaps with one byte changed that its loading can notice but not run into.
fn load() -> impl Strategy<Value = Shot> {
    let change = prop::option::of((0..0x300_usize, 1..=u8::MAX));
    (change, prop::sample::select(&["hello", "h", ""][..])).prop_map(|(change, name)| {
        let mut image = HELLO.image.to_vec();
        let mut handler = hello::SERVICE_HANDLER;
        if let Some((position, bits)) = change {
            image[position] ^= bits;
            handler = "nobody";
        }
        let image = sup_test_key::signed(&image, name);
        let input = LoadModuleIn {
            name: padded(name).unwrap(),
            handler: padded(handler).unwrap(),
            image_bytes: image.len() as u32,
            reserved: 0,
            reserved2: 0,
        };
        let bytes_out = sup_abi::request::LoadModule::BYTES_OUT;
        let input = [input.as_bytes(), &image].concat();
        Shot { function: Function::LoadModule.into(), input, bytes_out, spoil: None }
    })
}

fn noise() -> impl Strategy<Value = Shot> {
    let bytes = prop::collection::vec(any::<u8>(), 0..300);
    (0..64_u32, bytes, 0..400_usize).prop_map(|(function, input, bytes_out)| Shot {
        function,
        input,
        bytes_out,
        spoil: None,
    })
}

fn shot() -> impl Strategy<Value = Shot> {
    let spoil = prop::option::weighted(0.2, (0..HEADER_BYTES / 4, word()));
    let shot = prop_oneof![8 => structured(), 1 => load(), 1 => noise()];
    (shot, spoil).prop_map(|(shot, spoil)| without_sleep(Shot { spoil, ..shot }))
}

struct Session {
    raw: Box<dyn RawSession>,
    cookies: [u32; 2],
}

impl Session {
    fn open() -> Self {
        let raw = Embedded.raw().unwrap();
        let input = ConnectIn {
            magic: CONNECT_MAGIC,
            requested_version: PROTOCOL_VERSION,
            minimum_version: PROTOCOL_VERSION,
        };
        let function = Function::Connect;
        let cookies = [INITIAL_COOKIE, 0];
        let packet = Packet::new(function, cookies, input.as_bytes(), Connect::BYTES_OUT);
        let reply = raw.send(packet.function, &packet.bytes);
        let (output, _) = ConnectOut::read_from_prefix(&reply.packet[HEADER_BYTES..]).unwrap();
        Self { raw, cookies: [output.cookie, output.session_cookie] }
    }

    fn fire(&self, shot: &Shot) {
        let mut packet =
            Packet::new(Function::Statistics, self.cookies, &shot.input, shot.bytes_out);
        packet.function = shot.function;
        if let Some((index, change)) = shot.spoil {
            let word = packet.bytes[4 * index..].iter_mut();
            word.zip(change.to_le_bytes()).for_each(|(byte, bits)| *byte ^= bits);
        }
        let reply = self.raw.send(packet.function, &packet.bytes);
        if reply.transport == Status::VINF_SUCCESS {
            let (header, _) = Header::read_from_prefix(&reply.packet).unwrap();
            let bytes_out = header.bytes_out as usize;
            assert!((HEADER_BYTES..=packet.bytes.len()).contains(&bytes_out));
            assert_eq!(reply.packet[bytes_out..], packet.bytes[bytes_out..]);
        } else {
            assert_eq!(reply.packet, packet.bytes, "a refused packet came back changed");
        }
    }

    fn statistics(&self) -> StatisticsOut {
        let input = Empty {};
        let packet = Packet::new(
            Statistics::FUNCTION,
            self.cookies,
            input.as_bytes(),
            Statistics::BYTES_OUT,
        );
        let reply = self.raw.send(packet.function, &packet.bytes);
        assert_eq!(reply.transport, Status::VINF_SUCCESS, "the session does not work any more");
        StatisticsOut::read_from_bytes(&reply.packet[HEADER_BYTES..]).unwrap()
    }
}

proptest! {
    #[test]
    fn random_packets_do_no_harm(shots in prop::collection::vec(shot(), 1..40)) {
        let observer = Session::open();
        let before = observer.statistics().driver;
        let session = Session::open();
        shots.iter().for_each(|shot| session.fire(shot));
        prop_assert_eq!(session.statistics().session.sessions, 1);
        drop(session);
        let after = observer.statistics().driver;
        prop_assert_eq!(after.as_bytes(), before.as_bytes());
    }
}
