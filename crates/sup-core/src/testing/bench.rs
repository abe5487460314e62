//! [`Bench`]: a driver over a test host with one session, and packets to send to it.

extern crate std;

use std::sync::atomic::Ordering;
use std::vec;
use std::vec::Vec;

use sup_abi::request::{
    CallService, CallServiceIn, HEADER_BYTES, HEADER_FLAGS, Header, LoadModule, LoadModuleIn,
    LoadModuleOut, Request, padded,
};
use sup_abi::{R0Ptr, SUPDRVOBJTYPE, Status};
use sup_alloc::Arc;
use zerocopy::{FromBytes, IntoBytes};

use super::{TestDestructor, TestHost};
use crate::{Driver, ObjectHandle, PacketError, Session};

/// A driver over a test host, with a session.
pub(crate) struct Bench {
    pub(crate) host: TestHost,
    pub(crate) driver: Arc<Driver<TestHost>>,
    pub(crate) session: Arc<Session<TestHost>>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let host = TestHost::default();
        let driver = Driver::start(host.clone()).unwrap();
        let session = driver.open_session(()).unwrap();
        Self { host, driver, session }
    }

    pub(crate) fn header(&self, bytes_in: usize, bytes_out: usize) -> Header {
        Header {
            cookie: self.driver.cookie(),
            session_cookie: self.session.cookie(),
            bytes_in: bytes_in as u32,
            bytes_out: bytes_out as u32,
            flags: HEADER_FLAGS,
            rc: 0,
        }
    }

    /// Sends a request with a tail; returns the transport's result and what is for the client.
    pub(crate) fn send<R: Request>(
        &self,
        input: &R::In,
        tail: &[u8],
        tail_out: usize,
    ) -> Result<(Status, Vec<u8>), PacketError> {
        let (bytes_in, bytes_out) = (R::BYTES_IN + tail.len(), R::BYTES_OUT + tail_out);
        let mut packet = vec![0; bytes_in.max(bytes_out)];
        packet[..HEADER_BYTES].copy_from_slice(self.header(bytes_in, bytes_out).as_bytes());
        packet[HEADER_BYTES..R::BYTES_IN].copy_from_slice(input.as_bytes());
        packet[R::BYTES_IN..bytes_in].copy_from_slice(tail);
        self.dispatch(R::FUNCTION.into(), packet)
    }

    pub(crate) fn dispatch(
        &self,
        function: u32,
        packet: Vec<u8>,
    ) -> Result<(Status, Vec<u8>), PacketError> {
        // Words, because a packet starts at a multiple of 8 bytes.
        let mut words = vec![0_u64; packet.len().div_ceil(8)];
        let copy = &mut words.as_mut_bytes()[..packet.len()];
        copy.copy_from_slice(&packet);
        self.driver.dispatch(&self.session, function, copy)?;
        let header = Header::read_from_bytes(&copy[..HEADER_BYTES]).unwrap();
        Ok((Status::new(header.rc), copy[..header.bytes_out as usize].to_vec()))
    }

    pub(crate) fn succeed<R: Request>(&self, input: &R::In, tail_out: usize) {
        let (status, _) = self.send::<R>(input, &[], tail_out).unwrap();
        assert_eq!(status, Status::VINF_SUCCESS);
    }

    pub(crate) fn load(&self, name: &str, handler: &str, image: &[u8]) -> (Status, R0Ptr) {
        let input = LoadModuleIn {
            name: padded(name).unwrap(),
            handler: padded(handler).unwrap(),
            image_bytes: image.len() as u32,
            reserved: 0,
            reserved2: 0,
        };
        let (status, packet) = self.send::<LoadModule>(&input, image, 0).unwrap();
        let output = LoadModuleOut::read_from_bytes(&packet[HEADER_BYTES..]).unwrap();
        (status, output.base)
    }

    pub(crate) fn call(&self, name: &str, argument: u64) -> Status {
        let input = CallServiceIn { name: padded(name).unwrap(), operation: 9, argument };
        self.send::<CallService>(&input, &[], 0).unwrap().0
    }

    pub(crate) fn object(&self, tag: u64) -> ObjectHandle {
        let destructor = TestDestructor::recording(&self.host, 0x7000, tag);
        self.driver.object_register(&self.session, SUPDRVOBJTYPE::Vm, destructor).unwrap()
    }

    pub(crate) fn close(self) -> TestHost {
        let Self { host, driver, session } = self;
        driver.close_session(session);
        assert_eq!(driver.counts().as_bytes(), [0; size_of::<sup_abi::request::Counts>()]);
        drop(driver);
        assert_eq!(host.record.live.load(Ordering::Relaxed), 0);
        host
    }
}
