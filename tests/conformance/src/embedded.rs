//! [`Embedded`]: the driver in this process.

use sup::{Session, Status, backend::Kind};
use sup_abi::request::Header;
use sup_embedded::Client;
use zerocopy::{FromBytes, IntoBytes};

use crate::backend::{Backend, Feature, RawSession, Reply};

/// The driver in this process.
#[derive(Debug, Clone, Copy, Default)]
pub struct Embedded;

impl Backend for Embedded {
    fn kind(&self) -> Kind {
        Kind::Embedded
    }

    fn can(&self, feature: Feature) -> bool {
        match feature {
            Feature::PacketLength | Feature::InProcess => true,
            Feature::Privilege => false,
        }
    }

    fn open(&self) -> sup::Result<Session> {
        Session::open_in(Kind::Embedded)
    }

    fn raw(&self) -> Result<Box<dyn RawSession>, Status> {
        Ok(Box::new(Client::open()?))
    }
}

impl RawSession for Client {
    /// Does what the transport of a separate driver does: copies in what the header calls input, and
    /// out what it calls output then.
    fn send(&self, function: u32, packet: &[u8]) -> Reply {
        let bytes_in = Header::read_from_prefix(packet)
            .map_or(packet.len(), |(header, _)| packet.len().min(header.bytes_in as usize));
        // Words, because the driver's copy is aligned.
        let mut copy = vec![0_u64; packet.len().div_ceil(size_of::<u64>())];
        let copy = &mut copy.as_mut_bytes()[..packet.len()];
        copy[..bytes_in].copy_from_slice(&packet[..bytes_in]);

        let mut packet = packet.to_vec();
        let transport = match self.request(function, copy) {
            Ok(()) => {
                let header = Header::read_from_prefix(copy);
                let bytes_out = header.map_or(0, |(header, _)| header.bytes_out as usize);
                packet[..bytes_out].copy_from_slice(&copy[..bytes_out]);
                Status::VINF_SUCCESS
            }
            Err(error) => error.0,
        };
        Reply { transport, packet }
    }
}
