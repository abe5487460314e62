//! [`Call`] and [`Packet`]: a request to a service, and typed views of its packet.
//!
//! The driver promises that the packet is as long as its header says, and nothing else. A view is made
//! only if the size is right for it; what the fields hold is the module's to check.
//!
//! Neighbours: `entry` makes them. Invariant: no view reaches beyond the packet.

use sup_abi::{SUPR0SERVICEREQHDR, Status};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{Result, Session};

/// A request to a service.
#[derive(Debug)]
pub struct Call<'a> {
    /// The session that asks.
    pub session: Session<'a>,
    /// What it asks for: numbers that the module gives a meaning.
    pub operation: u32,
    /// The operation's argument.
    pub argument: u64,
    /// The packet that came with it; what is changed there goes back to the caller.
    pub packet: Packet<'a>,
}

/// The packet of a request, with its header; or none.
#[derive(Debug)]
pub struct Packet<'a>(&'a mut [u8]);

impl<'a> Packet<'a> {
    /// Takes the packet that the driver passes.
    ///
    /// # Safety
    /// `packet` is null, or `cbReq` bytes aligned to 8 that nobody else uses for `'a`.
    pub(crate) unsafe fn from_raw(packet: *mut SUPR0SERVICEREQHDR) -> Self {
        // SAFETY: by this function's contract it is null or a whole packet, which begins with its
        // header.
        let Some(header) = (unsafe { packet.as_ref() }) else { return Self(&mut []) };
        let bytes = header.cbReq as usize;
        // SAFETY: by this function's contract so many bytes are there and nobody else's; the header's
        // reference is not used any more.
        Self(unsafe { core::slice::from_raw_parts_mut(packet.cast(), bytes) })
    }

    /// A packet in memory of the caller's: for the tests of a module. The header's size is not looked at.
    pub fn new(bytes: &'a mut [u8]) -> Self {
        Self(bytes)
    }

    /// True if the request came without one.
    pub fn is_none(&self) -> bool {
        self.0.is_empty()
    }

    /// The packet as a `T`, which begins with a [`SUPR0SERVICEREQHDR`] and is exactly as long.
    ///
    /// # Errors
    /// `VERR_INVALID_PARAMETER` if there is none, or one of another size.
    pub fn view<T>(&mut self) -> Result<&mut T>
    where
        T: FromBytes + IntoBytes + KnownLayout,
    {
        T::mut_from_bytes(self.0).map_err(|_| Status::VERR_INVALID_PARAMETER)
    }

    /// The packet as a `T` and whole `U`s behind it, as many as fit.
    ///
    /// # Errors
    /// `VERR_INVALID_PARAMETER` if there is none, or it does not end with the last `U`.
    pub fn view_with_tail<T, U>(&mut self) -> Result<(&mut T, &mut [U])>
    where
        T: FromBytes + IntoBytes + KnownLayout + Immutable,
        U: FromBytes + IntoBytes + KnownLayout + Immutable,
    {
        let (head, tail) =
            T::mut_from_prefix(self.0).map_err(|_| Status::VERR_INVALID_PARAMETER)?;
        let tail = <[U]>::mut_from_bytes(tail).map_err(|_| Status::VERR_INVALID_PARAMETER)?;
        Ok((head, tail))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sup_abi::SUPR0SERVICEREQHDR_MAGIC;

    #[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
    #[repr(C)]
    struct Pair {
        header: SUPR0SERVICEREQHDR,
        left: u32,
        right: u32,
    }

    #[repr(align(8))]
    struct Aligned([u8; 32]);

    fn bytes(size: u32) -> Aligned {
        let header = SUPR0SERVICEREQHDR { u32Magic: SUPR0SERVICEREQHDR_MAGIC, cbReq: size };
        let mut bytes = Aligned([0; 32]);
        header.write_to_prefix(&mut bytes.0).expect("room for the header");
        bytes
    }

    #[test]
    fn a_view_has_exactly_the_size_of_its_type() {
        for (size, fits) in [(8, false), (15, false), (16, true), (17, false), (24, false)] {
            let mut aligned = bytes(size);
            // SAFETY: the header tells no more bytes than the array has, and it is aligned to 8.
            let mut packet = unsafe { Packet::from_raw(aligned.0.as_mut_ptr().cast()) };
            assert_eq!(packet.view::<Pair>().is_ok(), fits, "{size}");
        }
    }

    #[test]
    fn a_tail_has_whole_elements() {
        for (size, count) in [(8, None), (16, Some(0)), (20, Some(1)), (23, None), (32, Some(4))] {
            let mut aligned = bytes(size);
            // SAFETY: the header tells no more bytes than the array has, and it is aligned to 8.
            let mut packet = unsafe { Packet::from_raw(aligned.0.as_mut_ptr().cast()) };
            let found = packet.view_with_tail::<Pair, u32>().ok().map(|(_, tail)| tail.len());
            assert_eq!(found, count, "{size}");
        }
    }

    #[test]
    fn no_packet_has_no_view() {
        // SAFETY: a null packet is none.
        let mut packet = unsafe { Packet::from_raw(core::ptr::null_mut()) };
        assert!(packet.is_none());
        assert_eq!(packet.view::<Pair>().err(), Some(Status::VERR_INVALID_PARAMETER));
    }
}
