//! [`Kernel`]: the driver in the kernel, spoken to without the library's transport.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use sup::backend::{DEVICE, Kind};
use sup::{Session, Status};
use sup_abi::request::{HEADER_BYTES, Header, MAX_PACKET_BYTES, ioctl};
use zerocopy::FromBytes;

use crate::backend::{Backend, Feature, RawSession, Reply};

/// The driver in the kernel.
#[derive(Debug, Clone, Copy, Default)]
pub struct Kernel;

impl Backend for Kernel {
    fn kind(&self) -> Kind {
        Kind::Kernel
    }

    fn can(&self, feature: Feature) -> bool {
        match feature {
            Feature::PacketLength | Feature::Privilege => true,
            Feature::InProcess => false,
        }
    }

    fn open(&self) -> sup::Result<Session> {
        Session::open_in(Kind::Kernel)
    }

    fn raw(&self) -> Result<Box<dyn RawSession>, Status> {
        let device = File::options().read(true).write(true).open(DEVICE);
        Ok(Box::new(Descriptor(device.map_err(|error| status(&error))?)))
    }
}

/// An open device.
struct Descriptor(File);

/// Bytes behind the packet that the driver must leave alone.
const GUARD: [u8; 64] = [0x5c; 64];

impl RawSession for Descriptor {
    fn send(&self, function: u32, packet: &[u8]) -> Reply {
        let length = packet.len();
        let room = room(packet);
        let mut buffer = packet.to_vec();
        buffer.resize(room, 0);
        buffer.extend_from_slice(&GUARD);
        let number = ioctl::number(function, length);
        // SAFETY: the driver reads and writes a header and, behind it, no more than the length in the
        // number or, where that is not told, the sizes in the header; `room` made the buffer as long.
        let result = unsafe { libc::ioctl(self.0.as_raw_fd(), number.into(), buffer.as_mut_ptr()) };
        let transport = match result {
            0 => Status::VINF_SUCCESS,
            -1 => status(&io::Error::last_os_error()),
            _ => Status::VERR_INTERNAL_ERROR,
        };
        assert_eq!(buffer[room..], GUARD, "request {function} wrote behind its packet");
        buffer.truncate(length);
        Reply { transport, packet: buffer }
    }
}

/// Bytes that the driver may touch when it is sent `packet`: a whole header whatever the length, and all
/// that the header claims if the length is not told.
fn room(packet: &[u8]) -> usize {
    let length = packet.len().max(HEADER_BYTES);
    if packet.len() <= ioctl::BUFFER_BYTES_MAX {
        return length;
    }
    Header::read_from_prefix(packet).map_or(length, |(header, _)| {
        let claimed = header.bytes_in.max(header.bytes_out) as usize;
        // More is refused before it is touched.
        length.max(claimed.min(MAX_PACKET_BYTES))
    })
}

fn status(error: &io::Error) -> Status {
    ioctl::status_of(error.raw_os_error().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use sup_abi::request::Function;
    use zerocopy::IntoBytes;

    fn claiming(length: usize, bytes_in: u32, bytes_out: u32) -> Vec<u8> {
        let header = Header { cookie: 0, session_cookie: 0, bytes_in, bytes_out, flags: 0, rc: 0 };
        let mut packet = vec![0; length];
        packet[..HEADER_BYTES].copy_from_slice(header.as_bytes());
        packet
    }

    #[test]
    fn there_is_room_for_all_that_the_driver_may_touch() {
        const LONG: usize = ioctl::BUFFER_BYTES_MAX + 1;
        for (packet, expected) in [
            (Vec::new(), HEADER_BYTES),
            (vec![0xff; HEADER_BYTES - 1], HEADER_BYTES),
            (claiming(100, 1 << 20, 1 << 20), 100),
            (claiming(LONG, 24, 24), LONG),
            (claiming(LONG, 24, 1 << 20), 1 << 20),
            (claiming(LONG, u32::MAX, 24), MAX_PACKET_BYTES),
        ] {
            assert_eq!(room(&packet), expected, "{} bytes", packet.len());
        }
    }

    #[test]
    fn another_device_does_not_know_the_request() {
        let null = File::options().read(true).write(true).open("/dev/null").unwrap();
        let null = Descriptor(null);
        for packet in [Vec::new(), claiming(24, 24, 24), claiming(20_000, 24, 30_000)] {
            let reply = null.send(Function::Statistics.into(), &packet);
            assert_eq!(reply.transport, Status::VERR_GENERAL_FAILURE);
            assert_eq!(reply.packet, packet);
        }
    }
}
