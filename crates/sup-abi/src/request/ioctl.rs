//! The way of a request to the kernel's driver: `ioctl(device, number, packet)`.
//!
//! The number is made as Linux makes them (`_IOC` of `include/uapi/asm-generic/ioctl.h`): the function
//! in the table, the type [`TYPE`], both directions, and the length of the caller's buffer. So the
//! driver can hold a packet's header against its true length. What does not fit the 14 bits for it is
//! given as 0: the buffer is then as long as the larger of the two sizes in its header, and the caller
//! answers for that.
//!
//! The call returns 0 when the transport succeeded, whatever became of the request. Otherwise its error
//! is the transport's status: [`errno_of`] and [`status_of`] are the two directions of one table.
//!
//! Invariant: [`parse`] takes apart what [`number`] makes, and nothing else.

use crate::{SUP_VMMR0_DO_NOP, Status};

/// The device of the kernel's driver.
pub const DEVICE: &str = "/dev/supdrv";

/// The header's status of a device that cannot be opened, by the system's `errno`. Source: specification 2.1.
pub const fn open_status(errno: i32) -> Status {
    // Linux's numbers: `include/uapi/asm-generic/errno-base.h`.
    const EPERM: i32 = 1;
    const ENOENT: i32 = 2;
    const ENXIO: i32 = 6;
    const EACCES: i32 = 13;
    const ENODEV: i32 = 19;
    match errno {
        ENXIO | ENODEV => Status::VERR_VM_DRIVER_LOAD_ERROR,
        EPERM | EACCES => Status::VERR_VM_DRIVER_NOT_ACCESSIBLE,
        ENOENT => Status::VERR_VM_DRIVER_NOT_INSTALLED,
        _ => Status::VERR_VM_DRIVER_OPEN_ERROR,
    }
}

/// The type in the numbers of all requests.
pub const TYPE: u32 = b'S' as u32;

/// The longest buffer whose length a number can tell.
pub const BUFFER_BYTES_MAX: usize = SIZE_MASK as usize;

const FUNCTION_MASK: u32 = 0xff;
const TYPE_SHIFT: u32 = 8;
const SIZE_SHIFT: u32 = 16;
const SIZE_MASK: u32 = 0x3fff;
const DIRECTION_SHIFT: u32 = 30;
/// `_IOC_READ | _IOC_WRITE`.
const BOTH_WAYS: u32 = 3;
const _: () = assert!(TYPE == 0x53);

/// The number that sends `function` with a buffer of `buffer_bytes`.
///
/// A function above 255, which a number has no room for, becomes 0, which is no request.
///
/// ```
/// use sup_abi::request::{Function, ioctl};
/// let number = ioctl::number(Function::Statistics.into(), 120);
/// assert_eq!(number, 0xc078_5328);
/// assert_eq!(ioctl::parse(number), Some((40, 120)));
/// ```
#[must_use]
pub const fn number(function: u32, buffer_bytes: usize) -> u32 {
    let function = if function <= FUNCTION_MASK { function } else { 0 };
    let size = if buffer_bytes <= BUFFER_BYTES_MAX { buffer_bytes as u32 } else { 0 };
    BOTH_WAYS << DIRECTION_SHIFT | size << SIZE_SHIFT | TYPE << TYPE_SHIFT | function
}

/// The function in a number, and the length of the buffer, 0 if it is not told; `None` for a number
/// that is not one of ours.
#[must_use]
pub const fn parse(number: u32) -> Option<(u32, usize)> {
    let is_ours =
        number >> DIRECTION_SHIFT == BOTH_WAYS && number >> TYPE_SHIFT & FUNCTION_MASK == TYPE;
    if !is_ours {
        return None;
    }
    Some((number & FUNCTION_MASK, (number >> SIZE_SHIFT & SIZE_MASK) as usize))
}

/// The first of the numbers that are fast calls.
const FAST_CALLS: u32 = 0xc0;

/// The number of a fast call of VMMR0.r0 with `operation`, one of `SUP_VMMR0_DO_*`, above which it is no
/// number of ours.
///
/// The argument of the `ioctl` is the virtual processor, and no pointer: nothing is copied. What the call
/// returns is 0, or the request's status, which a failure's `errno` is but for the sign.
///
/// ```
/// use sup_abi::request::ioctl;
/// assert_eq!(ioctl::fast_number(2), 0x53c2);
/// assert_eq!(ioctl::parse_fast(0x53c2), Some(2));
/// assert_eq!(ioctl::parse_fast(0x53c3), None);
/// ```
#[must_use]
pub const fn fast_number(operation: u32) -> u32 {
    // No direction and no size: Linux says so of an argument that is no pointer.
    TYPE << TYPE_SHIFT | FAST_CALLS.saturating_add(operation)
}

/// The operation of a fast call, or `None` for any other number.
#[must_use]
#[inline]
pub const fn parse_fast(number: u32) -> Option<u32> {
    let operation = number.wrapping_sub(fast_number(0));
    if operation <= SUP_VMMR0_DO_NOP { Some(operation) } else { None }
}

/// Statuses and their errors, one to one.
const PAIRS: [(Status, i32); 12] = [
    (Status::VERR_INVALID_PARAMETER, 22), // EINVAL
    (Status::VERR_GENERAL_FAILURE, 25),   // ENOTTY: the function or the device is another
    (Status::VERR_INVALID_POINTER, 14),   // EFAULT
    (Status::VERR_NO_MEMORY, 12),         // ENOMEM
    (Status::VERR_TOO_MUCH_DATA, 7),      // E2BIG
    (Status::VERR_INTERRUPTED, 4),        // EINTR
    (Status::VERR_INVALID_HANDLE, 6),     // ENXIO
    (Status::VERR_PERMISSION_DENIED, 1),  // EPERM
    (Status::VERR_TRY_AGAIN, 11),         // EAGAIN
    (Status::VERR_TOO_MANY_CPUS, 75),     // EOVERFLOW
    (Status::VERR_NOT_SUPPORTED, 95),     // EOPNOTSUPP
    (Status::VERR_INTERNAL_ERROR, 5),     // EIO
];

/// What the system adds on the way, and the driver never answers.
const OF_THE_SYSTEM: [(i32, Status); 3] = [
    (9, Status::VERR_INVALID_HANDLE),  // EBADF
    (13, Status::VERR_ACCESS_DENIED),  // EACCES
    (19, Status::VERR_INVALID_HANDLE), // ENODEV
];

/// The positive `errno` value that a call answers when its transport fails with `status`; `EIO` for a
/// status without one.
///
/// The original answers `EPERM` for those, which sends the user after rights that are not missing.
///
/// # Context
/// Any.
#[must_use]
pub fn errno_of(status: Status) -> i32 {
    const EIO: i32 = 5;
    PAIRS.iter().find(|pair| pair.0 == status).map_or(EIO, |pair| pair.1)
}

/// The transport's status behind a positive `errno` value; `VERR_INTERNAL_ERROR` for one that nobody
/// answers.
pub fn status_of(errno: i32) -> Status {
    let of_the_system = OF_THE_SYSTEM.iter().map(|pair| (pair.1, pair.0));
    let mut all = PAIRS.iter().copied().chain(of_the_system);
    all.find(|pair| pair.1 == errno).map_or(Status::VERR_INTERNAL_ERROR, |pair| pair.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::TABLE;

    /// `_IOC` as Linux defines it.
    fn ioc(direction: u32, kind: u32, function: u32, size: u32) -> u32 {
        direction << (8 + 8 + 14) | size << (8 + 8) | kind << 8 | function
    }

    #[test]
    fn the_arithmetic_is_that_of_linux() {
        // Two of its own: FS_IOC_GETVERSION, _IOR('v', 1, long), and FIFREEZE, _IOWR('X', 119, int).
        assert_eq!(ioc(2, u32::from(b'v'), 1, 8), 0x8008_7601);
        assert_eq!(ioc(3, u32::from(b'X'), 119, 4), 0xc004_5877);
        for row in TABLE {
            for bytes in [24, 25, 120, 16_383] {
                let function = row.function.into();
                let expected = ioc(3, 0x53, function, bytes);
                assert_eq!(number(function, bytes as usize), expected, "{}", row.name);
            }
        }
    }

    #[test]
    fn every_request_has_a_number_and_0_has_no_request() {
        for row in TABLE {
            let function = row.function.into();
            assert_eq!(parse(number(function, 24)), Some((function, 24)), "{}", row.name);
            assert_ne!(function, 0, "{}", row.name);
        }
        assert_eq!(parse(number(256 + 1, 24)), Some((0, 24)));
        assert_eq!(parse(number(u32::MAX, 24)), Some((0, 24)));
    }

    #[test]
    fn fast_calls_and_requests_are_told_apart() {
        for operation in 0..=SUP_VMMR0_DO_NOP {
            let number = fast_number(operation);
            assert_eq!((parse_fast(number), parse(number)), (Some(operation), None));
        }
        for row in TABLE {
            assert_eq!(parse_fast(number(row.function.into(), 0)), None, "{}", row.name);
        }
        for other in [0, fast_number(0) - 1, fast_number(3), fast_number(u32::MAX), 0xc000_53c0] {
            assert_eq!(parse_fast(other), None, "{other:#x}");
        }
    }

    #[test]
    fn lengths_that_do_not_fit_are_not_told() {
        assert_eq!(BUFFER_BYTES_MAX, 16_383);
        for (bytes, told) in [(0, 0), (1, 1), (16_383, 16_383), (16_384, 0), (usize::MAX, 0)] {
            assert_eq!(parse(number(40, bytes)), Some((40, told)), "{bytes} bytes");
        }
    }

    #[test]
    fn cannot_parse_numbers_of_others() {
        let ours = number(40, 120);
        for bit in (8..16).chain(30..32) {
            assert_eq!(parse(ours ^ 1 << bit), None, "bit {bit}");
        }
        // TCGETS and FIONREAD, which every terminal gets, and FIFREEZE.
        for other in [0, 0x5401, 0x541b, 0xc004_5877, u32::MAX] {
            assert_eq!(parse(other), None, "{other:#x}");
        }
    }

    #[test]
    fn errors_and_statuses_lead_to_each_other() {
        for (status, errno) in PAIRS {
            assert_eq!(errno_of(status), errno, "{status}");
            assert_eq!(status_of(errno), status, "errno {errno}");
        }
        for (errno, status) in OF_THE_SYSTEM {
            assert_eq!(status_of(errno), status, "errno {errno}");
            assert!(PAIRS.iter().all(|pair| pair.1 != errno), "errno {errno} is there twice");
        }
    }

    #[test]
    fn every_status_has_an_error_and_none_is_success() {
        for (status, name, _) in Status::ALL {
            assert!((1..4096).contains(&errno_of(*status)), "{name}");
        }
        assert_eq!(errno_of(Status::VERR_SEM_DESTROYED), 5);
        for errno in [0, 3, 84, 1000, -22, i32::MIN] {
            assert_eq!(status_of(errno), Status::VERR_INTERNAL_ERROR, "errno {errno}");
        }
    }
}
