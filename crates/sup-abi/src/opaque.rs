//! Types that the interface only points at.
//!
//! C code on either side passes their addresses around; what is behind an address is known to its
//! owner alone: the session to the driver, the provider records to the tracer.
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
    /// The head of a trace provider object. Corresponds to `VTGOBJHDR`.
    VTGOBJHDR;
    /// A place in the code where a probe may fire. Corresponds to `VTGPROBELOC`.
    VTGPROBELOC;
    /// The description of one trace provider. Corresponds to `VTGDESCPROVIDER`.
    VTGDESCPROVIDER;
}
