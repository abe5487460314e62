//! VTG objects: whether what an image says about its probes can be believed.
//!
//! [`check_header`] judges a header, which says how large the rest is; when that is copied too,
//! [`Object::check`] judges all of it, and what it returns is read without further checks. The registry
//! of tracers asks for both before it tells anybody of an object. Layouts: [`sup_abi::vtg`]; the steps
//! and their statuses: specification 8.2, and docs/tracing.md.
//!
//! ```text
//! copy of the header ── check_header (1-9) ──▶ sizes ── copies of object and locations
//!                                                        └── Object::check (1-13) ──▶ Object
//! ```
//! Whoever can write to the original can do so at any time, so only copies are judged, and only what was
//! judged is used. Records are looked at last to first, as the specification has it: of an object with
//! two mistakes the statuses say the same as the original's.
//!
//! Invariant: nothing here follows an address. An [`Object`] exists only if it passed every step.

mod header;
mod locations;
mod object;
mod strings;

#[cfg(test)]
#[cfg(not(loom))]
pub(crate) mod testing;
#[cfg(test)]
#[cfg(not(loom))]
mod tests;

use sup_abi::R0Ptr;

pub use header::check_header;
pub use locations::Location;
pub use object::Object;

/// Whose object it is, and so what it may point to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Of a ring-0 image: its pointers lie in the image, or just behind it.
    Image {
        /// Where the image begins.
        base: R0Ptr,
        /// Bytes in the image.
        bytes: u64,
    },
    /// Of a kernel driver, whose bounds nobody knows: its pointers could be pointers.
    Driver {
        /// Bits in an address; the upper ones repeat the last.
        address_bits: u32,
    },
    /// Of a module of ring 3. Its pointers are its own business: they mean nothing to the driver.
    User,
}

impl Kind {
    /// Whether an object of this kind may point there. One past the end is inside.
    // Inlined into a loop, the bounds are compared before it is known that there are any, which memcheck takes
    // for a mistake.
    #[inline(never)]
    const fn contains(&self, address: u64) -> bool {
        match *self {
            Self::Image { base, bytes } => address.wrapping_sub(base.get()) <= bytes,
            Self::Driver { address_bits } => R0Ptr::new(address).is_plausible(address_bits),
            Self::User => true,
        }
    }
}
