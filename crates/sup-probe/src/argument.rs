//! [`ProbeArgument`]: the types that a probe may pass, and how each is described.
//!
//! Neighbours: `object` writes flags and names into the object, `fire` passes the words. Invariant: the
//! flags are those of the specification (8.11) for the type's counterpart in C, and a word has the value in
//! its low bytes, extended as its type is.

#[cfg(target_os = "none")]
use sup_abi::VTG_TYPE_POINTER;
#[cfg(not(target_os = "none"))]
use sup_abi::{VTG_TYPE_CTX_POINTER, VTG_TYPE_CTX_R3};
use sup_abi::{VTG_TYPE_FIXED_SIZED, VTG_TYPE_HC_ARCH, VTG_TYPE_SIGNED, VTG_TYPE_UNSIGNED};

/// The names of all types, each terminated; `TYPE_NAME` is an offset into it. Objects begin their string
/// table with it.
pub const TYPE_NAMES: &str = "int8_t\0uint8_t\0int16_t\0uint16_t\0int32_t\0uint32_t\0int64_t\0\
                              uint64_t\0intptr_t\0uintptr_t\0void *\0";

/// What a pointer of the image's own ring is.
#[cfg(target_os = "none")]
const POINTER: u32 = VTG_TYPE_POINTER;
/// What a pointer of the image's own ring is.
#[cfg(not(target_os = "none"))]
const POINTER: u32 = VTG_TYPE_CTX_POINTER | VTG_TYPE_CTX_R3 | VTG_TYPE_FIXED_SIZED | 8;

mod sealed {
    pub trait Sealed {}
}

/// A value that a probe may pass: an integer of up to 64 bits, or a thin pointer.
///
/// `char`, `bool` and floating point are refused, as by other makers of such objects: tracers could not
/// tell them from numbers.
#[diagnostic::on_unimplemented(
    message = "a probe cannot pass a `{Self}`",
    note = "probes pass integers of up to 64 bits, and thin pointers"
)]
pub trait ProbeArgument: Copy + sealed::Sealed {
    /// `VTG_TYPE_` bits, with the size in the low byte.
    const FLAGS: u32;
    /// Where the name of the type in C is in [`TYPE_NAMES`].
    const TYPE_NAME: u32;
    /// Bytes, negative if it is signed: what notes of user-space probes say.
    const NOTE_BYTES: i32;

    /// The value as it is passed.
    fn word(self) -> u64;
}

/// The place of the name that is `index` names behind the first.
const fn type_name(index: usize) -> u32 {
    let names = TYPE_NAMES.as_bytes();
    let (mut place, mut seen) = (0, 0);
    while seen < index {
        if names[place] == 0 {
            seen += 1;
        }
        place += 1;
    }
    place as u32
}

macro_rules! integers {
    ($($type:ty, $index:literal, $kind:expr, $sign:ident, $note_bytes:literal;)*) => {$(
        impl sealed::Sealed for $type {}
        impl ProbeArgument for $type {
            const FLAGS: u32 = $kind | $sign;
            const TYPE_NAME: u32 = type_name($index);
            const NOTE_BYTES: i32 = $note_bytes;

            #[inline]
            fn word(self) -> u64 {
                self as u64
            }
        }
    )*};
}

integers! {
    i8, 0, VTG_TYPE_FIXED_SIZED | 1, VTG_TYPE_SIGNED, -1;
    u8, 1, VTG_TYPE_FIXED_SIZED | 1, VTG_TYPE_UNSIGNED, 1;
    i16, 2, VTG_TYPE_FIXED_SIZED | 2, VTG_TYPE_SIGNED, -2;
    u16, 3, VTG_TYPE_FIXED_SIZED | 2, VTG_TYPE_UNSIGNED, 2;
    i32, 4, VTG_TYPE_FIXED_SIZED | 4, VTG_TYPE_SIGNED, -4;
    u32, 5, VTG_TYPE_FIXED_SIZED | 4, VTG_TYPE_UNSIGNED, 4;
    i64, 6, VTG_TYPE_FIXED_SIZED | 8, VTG_TYPE_SIGNED, -8;
    u64, 7, VTG_TYPE_FIXED_SIZED | 8, VTG_TYPE_UNSIGNED, 8;
    isize, 8, VTG_TYPE_HC_ARCH, VTG_TYPE_SIGNED, -8;
    usize, 9, VTG_TYPE_HC_ARCH, VTG_TYPE_UNSIGNED, 8;
}

macro_rules! pointers {
    ($($type:ty),*) => {$(
        impl<T> sealed::Sealed for $type {}
        impl<T> ProbeArgument for $type {
            const FLAGS: u32 = POINTER;
            const TYPE_NAME: u32 = type_name(10);
            const NOTE_BYTES: i32 = 8;

            #[inline]
            fn word(self) -> u64 {
                self.expose_provenance() as u64
            }
        }
    )*};
}

pointers!(*const T, *mut T);

/// Whether a 32-bit tracer needs two words for it: fixed, and of more than four bytes.
#[must_use]
pub const fn is_large(flags: u32) -> bool {
    flags & VTG_TYPE_FIXED_SIZED != 0 && flags & sup_abi::VTG_TYPE_SIZE_MASK > 4
}
