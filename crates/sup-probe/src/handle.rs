//! [`Provider`]: what [`provider!`](crate::provider!) made, to be registered; and where ring 3's hits go.
//!
//! Neighbours: `object` makes the only ones there are; `sup` and `sup-module` register them. Invariant: a
//! [`Provider`] leads to an object that is in the image for as long as its code is.

use core::ptr::NonNull;

use sup_abi::VTGOBJHDR;

/// A provider of this image, whose object the driver can be told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Provider {
    header: NonNull<VTGOBJHDR>,
    name: &'static str,
}

// SAFETY: the object is a static of the image; who follows the pointer answers for what it does there.
unsafe impl Send for Provider {}
// SAFETY: an address and a name, neither of which is ever changed; who follows the pointer answers for what it does
// there.
unsafe impl Sync for Provider {}

impl Provider {
    /// For [`provider!`](crate::provider!) only.
    ///
    /// # Safety
    /// A valid object is there, with location records that nobody else writes, for as long as the image.
    #[doc(hidden)]
    #[must_use]
    pub const unsafe fn from_header(header: NonNull<VTGOBJHDR>, name: &'static str) -> Self {
        Self { header, name }
    }

    /// The object's header.
    #[must_use]
    pub const fn header(self) -> NonNull<VTGOBJHDR> {
        self.header
    }

    /// The provider's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.name
    }
}

/// Where the stubs of ring 3 go with a hit whose location is switched on: `SUPTracerFireProbe` of the library
/// that registers this image's objects.
#[cfg(not(target_os = "none"))]
#[doc(hidden)]
pub static FIRE: core::sync::atomic::AtomicPtr<core::ffi::c_void> =
    core::sync::atomic::AtomicPtr::new(nobody as *mut core::ffi::c_void);

#[cfg(target_os = "none")]
unsafe extern "C" {
    /// The driver's. Called by the stubs only, with a location and its arguments.
    #[doc(hidden)]
    #[link_name = "SUPR0TracerFireProbe"]
    pub fn FIRE();
}

/// Sends hits of this image's probes to a function.
///
/// # Safety
/// The function is called as `SUPTracerFireProbe` is: with a location and up to ten arguments. It is there
/// for as long as this image.
#[cfg(not(target_os = "none"))]
pub unsafe fn set_fire(function: unsafe extern "C" fn()) {
    // Relaxed: the stubs read it without an order; the function is code, which was there before.
    FIRE.store(function as *mut _, core::sync::atomic::Ordering::Relaxed);
}

/// Before anything is registered.
#[cfg(not(target_os = "none"))]
extern "C" fn nobody() {}
