//! [`ServiceModule`]: a ring-0 module with a request handler, and [`ServiceName`], which its calls carry.
//!
//! ```text
//! header (24) │ name (28) │ operation (4) │ argument (8) │ the caller's packet
//! ```
//! A call without a packet is short, so it matters how its request is written. The name is kept as the words that
//! requests have, and these are stored one by one and read in no larger pieces: what is read in one piece but was
//! written in several can be had only when all of it has reached the cache, which takes as long as half a call.
//!
//! Neighbours: `module.rs` loads modules; `raw.rs` calls services of which it has no more than the name. Invariant:
//! a [`ServiceName`] ends with a NUL, and so do all names in requests.

use sup_abi::request::{CallService, CallServiceIn, HEADER_BYTES};
use sup_abi::{
    SERVICE_NAME_CHARS_MAX, SERVICE_PACKET_BYTES_LIMIT, SUPR0SERVICEREQHDR,
    SUPR0SERVICEREQHDR_MAGIC, Status,
};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::error::{Error, Result};
use crate::{Module, Session};

/// A service's name, as requests carry it: at most 27 bytes, none of them NUL, and zeros behind them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServiceName([u64; 4]);

impl ServiceName {
    /// `None` if there are too many bytes or a NUL is among them.
    #[inline(always)]
    pub fn new(name: &[u8]) -> Option<Self> {
        if name.len() > SERVICE_NAME_CHARS_MAX {
            return None;
        }
        let [first, second, third, last] =
            [0, 8, 16, 24].map(|offset| first_word(name.get(offset..).unwrap_or_default()));
        Some(Self([first?, second?, third?, last?]))
    }

    /// The fixed part of a request, as [`CallServiceIn`] lays it out.
    #[inline(always)]
    fn request(self, operation: u32, argument: u64) -> [u64; FIXED_WORDS] {
        let [first, second, third, last] = self.0;
        [first, second, third, last | u64::from(operation) << 32, argument]
    }
}

/// The first 8 bytes, or what there is, as a word with zeros behind them. `None` if a NUL is among them. Looking at
/// each byte would take longer than the rest of a call in the library.
#[inline(always)]
fn first_word(bytes: &[u8]) -> Option<u64> {
    let (word, absent) = match (bytes.first_chunk(), bytes.first_chunk(), bytes.last_chunk()) {
        (Some(all), _, _) => (u64::from_le_bytes(*all), 0),
        // The first and the last half of what is there overlap.
        (None, Some(first), Some(last)) => {
            let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
            let bits = 8 * bytes.len();
            (u64::from(first) | u64::from(last) << (bits - 32), u64::MAX << bits)
        }
        _ => match *bytes {
            [] => return Some(0),
            [a] => (u64::from(a), u64::MAX << 8),
            [a, b] => (u64::from_le_bytes([a, b, 0, 0, 0, 0, 0, 0]), u64::MAX << 16),
            [a, b, c, ..] => (u64::from_le_bytes([a, b, c, 0, 0, 0, 0, 0]), u64::MAX << 24),
        },
    };
    // Subtracting 1 from each byte carries into the top bit of a byte that was 0, and of no other first.
    const ONES: u64 = 0x0101_0101_0101_0101;
    let filled = word | absent;
    let has_nul = filled.wrapping_sub(ONES) & !filled & ONES << 7 != 0;
    (!has_nul).then_some(word)
}

const WORD: usize = size_of::<u64>();
const HEADER_WORDS: usize = HEADER_BYTES / WORD;
const FIXED_WORDS: usize = size_of::<CallServiceIn>() / WORD;
/// A request without a packet.
const BARE_WORDS: usize = HEADER_WORDS + FIXED_WORDS;
const BARE: usize = BARE_WORDS * WORD;
/// Requests up to this size are built on the stack.
const SMALL_WORDS: usize = 64;

/// A ring-0 module with a request handler. Dropping it gives the session's reference back.
#[derive(Debug)]
pub struct ServiceModule {
    module: Module,
    name: ServiceName,
}

impl ServiceModule {
    /// A module that was loaded under a service's name.
    pub(crate) fn new(module: Module, name: ServiceName) -> Self {
        Self { module, name }
    }

    /// The module itself.
    pub fn module(&self) -> &Module {
        &self.module
    }

    /// Gives the reference back and says how that went. Corresponds to `SUPR3FreeModule`.
    ///
    /// # Errors
    /// Those of [`Module::free`].
    pub fn free(self) -> Result<()> {
        self.module.free()
    }

    /// Calls the service without a packet, and returns its status unchanged.
    ///
    /// # Errors
    /// A negative status of the service; `VERR_SUPDRV_SERVICE_NOT_FOUND` if it was freed meanwhile.
    #[inline]
    pub fn call(&self, operation: u32, argument: u64) -> Result<Status> {
        self.exchange(operation, argument, &mut [])
    }

    /// Calls the service with a request packet, which it may change, and returns its status unchanged.
    ///
    /// The packet starts with its [`SUPR0SERVICEREQHDR`], whose size is the packet's.
    ///
    /// # Errors
    /// A negative status of the service, and the packet as it left it; `VERR_INVALID_MAGIC` or
    /// `VERR_INVALID_PARAMETER` if the packet's header is not right, `VERR_INTERNAL_ERROR` if the
    /// packet is too large: 4031 bytes are the most.
    #[inline]
    pub fn call_with<T>(&self, operation: u32, argument: u64, packet: &mut T) -> Result<Status>
    where
        T: FromBytes + IntoBytes + Immutable + KnownLayout + ?Sized,
    {
        let packet = packet.as_mut_bytes();
        check_packet(packet)?;
        self.exchange(operation, argument, packet)
    }

    #[inline]
    fn exchange(&self, operation: u32, argument: u64, packet: &mut [u8]) -> Result<Status> {
        let session = self.module.session();
        let status = session.exchange_with_service(self.name, operation, argument, packet)?;
        if status.is_failure() {
            return Err(Error::new("CallService", status, ""));
        }
        Ok(status)
    }
}

/// Checks the header of a request packet, as the driver will.
pub(crate) fn check_packet(packet: &[u8]) -> Result<()> {
    const LIMIT: usize =
        SERVICE_PACKET_BYTES_LIMIT as usize - HEADER_BYTES - size_of::<CallServiceIn>();
    if packet.len() >= LIMIT {
        return Err(Error::new(
            "CallService",
            Status::VERR_INTERNAL_ERROR,
            format!("the packet has {} bytes, {} are the most", packet.len(), LIMIT - 1),
        ));
    }
    let Ok((header, _)) = SUPR0SERVICEREQHDR::read_from_prefix(packet) else {
        return Session::refuse(
            "CallService",
            Status::VERR_INVALID_PARAMETER,
            "the packet is too short for its header",
        );
    };
    if header.u32Magic != SUPR0SERVICEREQHDR_MAGIC {
        return Session::refuse(
            "CallService",
            Status::VERR_INVALID_MAGIC,
            "the packet's header has another magic",
        );
    }
    if header.cbReq as usize != packet.len() {
        return Session::refuse(
            "CallService",
            Status::VERR_INVALID_PARAMETER,
            "the size in the packet's header is not the packet's",
        );
    }
    Ok(())
}

impl Session {
    /// Calls a service with a packet that [`check_packet`] passed or that is empty; returns its status.
    #[inline]
    pub(crate) fn exchange_with_service(
        &self,
        name: ServiceName,
        operation: u32,
        argument: u64,
        packet: &mut [u8],
    ) -> Result<Status> {
        let fixed = name.request(operation, argument);
        if packet.is_empty() {
            let [first, second, third, last, argument] = fixed;
            // Each word is written once: what is stored again can be read only later.
            let mut bare: [u64; BARE_WORDS] = [0, 0, 0, first, second, third, last, argument];
            let (status, _) =
                self.connection().send::<CallService>(bare.as_mut_bytes(), BARE, BARE)?;
            return Ok(status);
        }
        let words = BARE_WORDS + packet.len().div_ceil(WORD);
        if words <= SMALL_WORDS {
            return self.send_to_service(&fixed, packet, &mut [0; SMALL_WORDS]);
        }
        self.send_to_service(&fixed, packet, &mut vec![0; words])
    }

    /// Builds the request in `buffer`, which has room for it.
    fn send_to_service(
        &self,
        fixed: &[u64; FIXED_WORDS],
        packet: &mut [u8],
        buffer: &mut [u64],
    ) -> Result<Status> {
        buffer[HEADER_WORDS..BARE_WORDS].copy_from_slice(fixed);
        let buffer = &mut buffer.as_mut_bytes()[..BARE + packet.len()];
        buffer[BARE..].copy_from_slice(packet);
        let size = buffer.len();
        let (status, _) = self.connection().send::<CallService>(buffer, size, size)?;
        packet.copy_from_slice(&buffer[BARE..]);
        Ok(status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sup_abi::request::padded;

    #[test]
    fn requests_are_laid_out_as_the_driver_reads_them() {
        for bytes in 0..=SERVICE_NAME_CHARS_MAX {
            let name = &"abcdefghijklmnopqrstuvwxyz-\u{1}"[..bytes];
            let words = ServiceName::new(name.as_bytes()).unwrap().request(0x1234_5678, !1);
            let (name, operation, argument) = (padded(name).unwrap(), 0x1234_5678, !1);
            let input = CallServiceIn { name, operation, argument };
            assert_eq!(words.as_bytes(), input.as_bytes(), "{bytes} bytes");
        }
    }

    #[test]
    fn cannot_be_a_name_that_does_not_end_where_it_seems_to() {
        assert_eq!(ServiceName::new(&[b'x'; SERVICE_NAME_CHARS_MAX + 1]), None);
        for place in 0..SERVICE_NAME_CHARS_MAX {
            let mut name = [b'x'; SERVICE_NAME_CHARS_MAX];
            name[place] = 0;
            assert_eq!(ServiceName::new(&name), None, "{place}");
        }
    }
}
