//! Types that the interface only points at.
//!
//! C code on either side passes their addresses around; what is behind an address is known to its
//! owner alone.
//!
//! Invariant: none of them can be made, moved or shared between threads by Rust code.

use core::marker::{PhantomData, PhantomPinned};

macro_rules! opaque {
    ($($(#[$doc:meta])* $name:ident;)+) => {
        $(
            $(#[$doc])*
            #[derive(Debug)]
            #[repr(C)]
            pub struct $name {
                _bytes: [u8; 0],
                _neither_send_nor_unpin: PhantomData<(*mut u8, PhantomPinned)>,
            }
        )+
    };
}

opaque! {
    /// An open connection to the driver. Corresponds to `SUPDRVSESSION`.
    SUPDRVSESSION;
}
