//! [`NativeDestructor`]: the function in a module that ends the life of an object.

use core::ffi::c_void;

use sup_abi::{PFNSUPDRVDESTRUCTOR, R0Ptr};
use sup_core::ObjectHandle;
use sup_core::host::Destructor;

use crate::calls::{self, Calls};

/// A destructor with its two values, as a module passed them to `SUPR0ObjRegister`.
#[derive(Debug)]
pub struct NativeDestructor {
    function: unsafe extern "C" fn(*mut c_void, *mut c_void, *mut c_void),
    user1: *mut c_void,
    user2: *mut c_void,
    /// Calls `function` where the host notes calls.
    call: fn(&Self, ObjectHandle),
}

// SAFETY: the two pointers are never followed here, only handed back to the module that passed them,
// which the header tells that its destructor runs in the context of whoever drops the last reference.
unsafe impl Send for NativeDestructor {}

impl NativeDestructor {
    /// Takes what a module passed; `None` without a function.
    ///
    /// # Safety
    /// The function can be called with the two values from any thread, until the driver forgets it
    /// because its image is unloaded.
    pub unsafe fn new<C: Calls>(
        function: PFNSUPDRVDESTRUCTOR,
        user1: *mut c_void,
        user2: *mut c_void,
    ) -> Option<Self> {
        Some(Self { function: function?, user1, user2, call: Self::call::<C> })
    }

    fn call<C: Calls>(&self, object: ObjectHandle) {
        let (function, user1, user2) = (self.function, self.user1, self.user2);
        let object = object.0.get() as usize as *mut c_void;
        // A destructor that panics has told so, and there is nobody to answer to.
        let _ = calls::call::<C, _>(function as *const (), || {
            // SAFETY: `new` was promised that the function can be called with these values; the driver
            // runs a destructor once, and forgets it before the image that holds it is unmapped.
            unsafe { function(object, user1, user2) };
        });
    }
}

impl Destructor for NativeDestructor {
    fn address(&self) -> R0Ptr {
        R0Ptr::new(self.function as usize as u64)
    }

    fn first_value(&self) -> R0Ptr {
        R0Ptr::new(self.user1.addr() as u64)
    }

    fn run(self, object: ObjectHandle) {
        (self.call)(&self, object);
    }
}
