//! Integers with a meaning: addresses, counts, times and identifiers.
//!
//! Each is a transparent newtype, so it has the layout of the integer the header uses, but cannot
//! be mixed up with another one. Wire structures and the driver core both use them.
//!
//! Invariant: a type is ordered only if the order says something. Addresses, page counts and times
//! have one; identifiers have none, and compare for equality only.

#[cfg(test)]
mod tests;

use core::fmt;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Bytes in a page. The header knows no other size.
pub const PAGE_SIZE: usize = 1 << PAGE_SHIFT;

/// Binary logarithm of [`PAGE_SIZE`].
pub const PAGE_SHIFT: u32 = 12;

/// Declares an address type: ordered, printed in hexadecimal, with one value that means "none".
macro_rules! address {
    ($(#[$doc:meta])* $name:ident, nil = $nil:expr) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, FromBytes, IntoBytes, Immutable,
            KnownLayout,
        )]
        #[repr(transparent)]
        pub struct $name(u64);

        impl $name {
            /// No address.
            pub const NIL: Self = Self($nil);

            /// Makes an address of its number.
            #[must_use]
            pub const fn new(value: u64) -> Self {
                Self(value)
            }

            /// Returns the number.
            #[must_use]
            pub const fn get(self) -> u64 {
                self.0
            }

            /// Tells whether this is [`Self::NIL`].
            #[must_use]
            pub const fn is_nil(self) -> bool {
                self.0 == Self::NIL.0
            }

            /// Tells whether the address is the first of a page.
            #[must_use]
            pub const fn is_page_aligned(self) -> bool {
                self.0.trailing_zeros() >= PAGE_SHIFT
            }

            /// Returns the address `bytes` further up, or `None` if the address space ends before.
            #[must_use]
            pub const fn checked_add(self, bytes: u64) -> Option<Self> {
                match self.0.checked_add(bytes) {
                    Some(sum) => Some(Self(sum)),
                    None => None,
                }
            }
        }

        impl fmt::LowerHex for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::LowerHex::fmt(&self.0, f)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:#x}", self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({:#x})", stringify!($name), self.0)
            }
        }
    };
}

/// Declares an identifier type: unordered, with one value that means "none".
macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident, nil = $nil:expr) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout,
        )]
        #[repr(transparent)]
        pub struct $name(u32);

        impl $name {
            /// Nobody and nothing.
            pub const NIL: Self = Self($nil);

            /// Makes an identifier of its number.
            #[must_use]
            pub const fn new(value: u32) -> Self {
                Self(value)
            }

            /// Returns the number.
            #[must_use]
            pub const fn get(self) -> u32 {
                self.0
            }

            /// Tells whether this is [`Self::NIL`].
            #[must_use]
            pub const fn is_nil(self) -> bool {
                self.0 == Self::NIL.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                if self.is_nil() { f.write_str("nil") } else { fmt::Display::fmt(&self.0, f) }
            }
        }
    };
}

address! {
    /// A physical address of the host. Corresponds to `RTHCPHYS`.
    PhysAddr, nil = u64::MAX
}

address! {
    /// An address in the kernel, or in the part of the process that plays the kernel. Corresponds
    /// to `RTR0PTR`.
    ///
    /// It is a number, not a pointer: holding one proves nothing about what lies there.
    R0Ptr, nil = 0
}

impl R0Ptr {
    /// Tells whether a pointer could be this, where addresses have so many bits and the upper ones
    /// repeat the last: canonical, and neither in the first page nor in the last.
    #[must_use]
    pub const fn is_plausible(self, address_bits: u32) -> bool {
        const LAST_PAGE: u64 = u64::MAX << PAGE_SHIFT;
        let upper = match self.0.cast_signed().checked_shr(address_bits.saturating_sub(1)) {
            Some(upper) => upper,
            None => 0,
        };
        self.0 >= PAGE_SIZE as u64 && self.0 < LAST_PAGE && (upper == 0 || upper == -1)
    }
}

address! {
    /// An address in the calling process. Corresponds to `RTR3PTR`.
    ///
    /// It is a number, not a pointer: holding one proves nothing about what lies there.
    R3Ptr, nil = 0
}

identifier! {
    /// The number of a host processor. Corresponds to `RTCPUID`.
    CpuId, nil = u32::MAX
}

identifier! {
    /// The number of a virtual processor. Corresponds to `VMCPUID`.
    VirtualCpuId, nil = 0xffff_fffd
}

identifier! {
    /// A user of the host. Corresponds to `RTUID`.
    UserId, nil = u32::MAX
}

identifier! {
    /// A user group of the host. Corresponds to `RTGID`.
    GroupId, nil = u32::MAX
}

identifier! {
    /// A process of the host. Corresponds to `RTPROCESS`.
    ///
    /// A session whose process is [`ProcessId::NIL`] belongs to a kernel client.
    ProcessId, nil = u32::MAX
}

/// A time span or a point on the kernel's monotonic clock, in nanoseconds.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
)]
#[repr(transparent)]
pub struct Nanoseconds(u64);

impl Nanoseconds {
    /// A timeout that never ends.
    pub const INDEFINITE: Self = Self(u64::MAX);

    /// Makes a time of its number of nanoseconds.
    #[must_use]
    pub const fn new(value: u64) -> Self {
        Self(value)
    }

    /// Makes a time of milliseconds; every value fits.
    #[must_use]
    pub const fn from_millis(millis: u32) -> Self {
        Self(millis as u64 * 1_000_000)
    }

    /// Returns the number of nanoseconds.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Returns the later time, or `None` if the clock cannot show it.
    #[must_use]
    pub const fn checked_add(self, span: Self) -> Option<Self> {
        match self.0.checked_add(span.0) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }

    /// Returns the time from `earlier` to here, or zero if `earlier` is later.
    #[must_use]
    pub const fn saturating_sub(self, earlier: Self) -> Self {
        Self(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Nanoseconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ns", self.0)
    }
}

/// A number of pages.
///
/// ```
/// use sup_abi::Pages;
///
/// assert_eq!(Pages::new(3).bytes(), 12288);
/// assert_eq!(Pages::covering(4097), Some(Pages::new(2)));
/// ```
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
)]
#[repr(transparent)]
pub struct Pages(u32);

impl Pages {
    /// Makes a page count of its number.
    #[must_use]
    pub const fn new(value: u32) -> Self {
        Self(value)
    }

    /// Returns how many pages `bytes` touch when they start on a page, or `None` if the count does
    /// not fit.
    #[must_use]
    pub const fn covering(bytes: u64) -> Option<Self> {
        let pages = bytes.div_ceil(PAGE_SIZE as u64);
        if pages <= u32::MAX as u64 { Some(Self(pages as u32)) } else { None }
    }

    /// Returns the number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// Returns the size in bytes. The product of 32 and 12 bits cannot overflow 64.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        (self.0 as u64) << PAGE_SHIFT
    }
}

impl fmt::Display for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let noun = if self.0 == 1 { "page" } else { "pages" };
        write!(f, "{} {noun}", self.0)
    }
}
