//! [`Device`]: a session with the kernel's driver, which is an open file of its device.
//!
//! A request is one `ioctl`, and so is a fast call, which has no packet; the numbers and the errors are those of [`sup_abi::request::ioctl`]. It is
//! never repeated by itself: after `EINTR` only the caller knows whether it still wants to wait.
//!
//! The file belongs to the process, not to the thread, and is not inherited by programs that the
//! process starts. Closing the last descriptor closes the session.

use std::ffi::c_void;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};
use rustix::ioctl::{Ioctl, IoctlOutput, Opcode};
use sup_abi::Status;
use sup_abi::request::{HEADER_BYTES, Header, ioctl};
use zerocopy::FromBytes;

/// An open device.
#[derive(Debug)]
pub(crate) struct Device(OwnedFd);

impl Device {
    /// Opens a session.
    ///
    /// # Errors
    /// Those of `open`.
    pub(crate) fn open(path: &str) -> Result<Self, Errno> {
        let flags = OFlags::RDWR | OFlags::CLOEXEC;
        retry_on_intr(|| rustix::fs::open(path, flags, Mode::empty())).map(Self)
    }

    /// The device that somebody has opened.
    pub(crate) fn of(descriptor: OwnedFd) -> Self {
        Self(descriptor)
    }

    /// Sends a packet, which the driver answers in place.
    ///
    /// # Errors
    /// The transport's status; the packet is unchanged then. `VERR_INTERRUPTED` means that nothing was
    /// done.
    #[inline]
    pub(crate) fn request(&self, function: u32, packet: &mut [u8]) -> Result<(), Status> {
        if packet.len() < HEADER_BYTES
            || packet.len() > ioctl::BUFFER_BYTES_MAX && !is_as_long_as_it_says(packet)
        {
            return Err(Status::VERR_INVALID_PARAMETER);
        }
        let number = ioctl::number(function, packet.len());
        // SAFETY: the driver reads and writes as many bytes as the number says, or as the header says
        // where the number does not, which was checked above; the packet is that long and borrowed
        // exclusively. Another device than ours refuses numbers of our type.
        unsafe { rustix::ioctl::ioctl(&self.0, Exchange { number, packet }) }
            .map_err(|errno| ioctl::status_of(errno.raw_os_error()))
    }
}

impl Device {
    /// Calls the fast entry of VMMR0: the only request without a packet. Its status comes back unchanged.
    #[inline]
    pub(crate) fn call_vmm_fast(&self, operation: u32, cpu: u32) -> Status {
        // SAFETY: the numbers of fast calls, and of what is none, take no pointer: nothing is read or
        // written. Another device than ours refuses them.
        match unsafe { rustix::ioctl::ioctl(&self.0, FastCall { operation, cpu }) } {
            Ok(()) => Status::VINF_SUCCESS,
            Err(errno) => Status::new(errno.raw_os_error().wrapping_neg()),
        }
    }
}

/// Whether neither size in the header goes beyond the packet.
fn is_as_long_as_it_says(packet: &[u8]) -> bool {
    Header::read_from_prefix(packet)
        .is_ok_and(|(header, _)| packet.len() >= header.bytes_in.max(header.bytes_out) as usize)
}

/// One request as rustix wants it.
struct Exchange<'a> {
    number: u32,
    packet: &'a mut [u8],
}

// SAFETY: 1. the number is one of ours, and says that the driver reads and writes; 2. the pointer is
// the packet's; 3. there is no output beside it, so the pointers that `output_from_ptr` gets are not
// used. Whoever makes an `Exchange` answers for the packet's length.
unsafe impl Ioctl for Exchange<'_> {
    type Output = ();

    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        Opcode::from(self.number)
    }

    fn as_ptr(&mut self) -> *mut c_void {
        self.packet.as_mut_ptr().cast()
    }

    unsafe fn output_from_ptr(_: IoctlOutput, _: *mut c_void) -> rustix::io::Result<()> {
        Ok(())
    }
}

/// One fast call as rustix wants it.
struct FastCall {
    operation: u32,
    cpu: u32,
}

// SAFETY: 1. the number says that there is no argument to be read or written; 2. the pointer is the number
// of a processor, which nobody follows; 3. there is no output beside success.
unsafe impl Ioctl for FastCall {
    type Output = ();

    const IS_MUTATING: bool = false;

    fn opcode(&self) -> Opcode {
        Opcode::from(ioctl::fast_number(self.operation))
    }

    fn as_ptr(&mut self) -> *mut c_void {
        std::ptr::without_provenance_mut(self.cpu as usize)
    }

    unsafe fn output_from_ptr(_: IoctlOutput, _: *mut c_void) -> rustix::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::{FdFlags, fcntl_getfd};
    use sup_abi::request::{Function, HEADER_FLAGS, MAX_PACKET_BYTES};
    use zerocopy::IntoBytes;

    fn packet(length: usize, bytes_in: u32, bytes_out: u32) -> Vec<u8> {
        let header = Header {
            cookie: 1,
            session_cookie: 2,
            bytes_in,
            bytes_out,
            flags: HEADER_FLAGS,
            rc: 0,
        };
        let mut packet = vec![0xaa; length];
        packet[..HEADER_BYTES].copy_from_slice(header.as_bytes());
        packet
    }

    #[test]
    fn other_devices_do_not_know_our_requests() {
        let null = Device::open("/dev/null").unwrap();
        let (pipe, _writer) = std::io::pipe().unwrap();
        for device in [null, Device(pipe.into())] {
            for length in [HEADER_BYTES, 120, 16_383, 16_384, MAX_PACKET_BYTES] {
                let mut sent = packet(length, 24, 24);
                let status = device.request(Function::Statistics.into(), &mut sent);
                assert_eq!(status, Err(Status::VERR_GENERAL_FAILURE), "{length} bytes");
                assert_eq!(sent, packet(length, 24, 24));
            }
        }
    }

    #[test]
    fn cannot_send_what_is_shorter_than_it_says() {
        let null = Device::open("/dev/null").unwrap();
        let status = |mut packet: Vec<u8>| null.request(Function::LoadModule.into(), &mut packet);
        let refused = Err(Status::VERR_INVALID_PARAMETER);
        assert_eq!(status(vec![0; HEADER_BYTES - 1]), refused);
        // The driver is told this length, and refuses by itself.
        assert_eq!(status(packet(16_383, 16_384, 24)), Err(Status::VERR_GENERAL_FAILURE));
        assert_eq!(status(packet(16_384, 16_385, 24)), refused);
        assert_eq!(status(packet(16_384, 24, u32::MAX)), refused);
        assert_eq!(status(packet(16_384, 24, 16_384)), Err(Status::VERR_GENERAL_FAILURE));
    }

    #[test]
    fn programs_that_are_started_do_not_inherit_it() {
        let null = Device::open("/dev/null").unwrap();
        assert!(fcntl_getfd(&null.0).unwrap().contains(FdFlags::CLOEXEC));
    }

    #[test]
    fn cannot_open_what_is_not_there() {
        assert_eq!(Device::open("/dev/supdrv-nobody").unwrap_err(), Errno::NOENT);
    }
}
