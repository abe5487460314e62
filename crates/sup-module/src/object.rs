//! [`Object`]: a reference-counted object of the driver's, and what ends its life.
//!
//! An object outlives the call that registers it: it lives until its last reference is gone, at the
//! latest with the last session that has one. Then its [`Destructor`] gets the two numbers it was
//! registered with.
//!
//! Neighbours: `session` makes them. Invariant: the handle is only handed to the driver, which looks it
//! up in its table; a stale one is answered with a status.

use core::ffi::c_void;

use sup_abi::{SUPDRVOBJTYPE, Status};

use crate::{Result, Session, raw};

/// What is done when the last reference to an object is gone.
pub trait Destructor {
    /// Gives back what the two numbers of the registration stand for. A module with a living object
    /// cannot be freed, so that this code is there.
    ///
    /// # Context
    /// In the thread that dropped the reference; may sleep.
    fn destroy(value: usize, value2: usize);
}

/// A reference to an object. It is a handle: dropping it drops nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Object(*mut c_void);

/// Whether a release was the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// Others refer to the object still.
    Shared,
    /// It is gone, and its destructor has run.
    Last,
}

/// The destructor that the driver is given.
unsafe extern "C" fn destroy<D: Destructor>(
    _: *mut c_void,
    user1: *mut c_void,
    user2: *mut c_void,
) {
    D::destroy(user1.addr(), user2.addr());
}

impl Session<'_> {
    /// Registers an object; the session has the first reference. Corresponds to `SUPR0ObjRegister`.
    ///
    /// # Errors
    /// `VERR_NO_MEMORY`: the driver says no more than that it failed.
    pub fn register<D: Destructor>(
        self,
        kind: SUPDRVOBJTYPE,
        value: usize,
        value2: usize,
    ) -> Result<Object> {
        let number = |value| core::ptr::without_provenance_mut(value);
        let destructor = Some(destroy::<D> as unsafe extern "C" fn(_, _, _));
        // SAFETY: the destructor makes numbers of its values, and can be called from any thread; the
        // driver looks the session up in its table.
        let object = unsafe {
            raw::SUPR0ObjRegister(
                self.as_raw(),
                kind.into(),
                destructor,
                number(value),
                number(value2),
            )
        };
        if object.is_null() { Err(Status::VERR_NO_MEMORY) } else { Ok(Object(object)) }
    }
}

impl Object {
    /// One more reference of `session`, without sleeping. Corresponds to `SUPR0ObjAddRefEx`.
    ///
    /// # Errors
    /// `VERR_INVALID_PARAMETER` if there never was such an object or session, `VERR_INVALID_POINTER` if it
    /// cannot be one, `VERR_WRONG_ORDER` if it is dead, `VERR_TRY_AGAIN` if there is no room for a record.
    pub fn add_ref(self, session: Session<'_>) -> Result<()> {
        // SAFETY: the driver looks both values up in its tables, and refuses what is not there.
        check(unsafe { raw::SUPR0ObjAddRefEx(self.0, session.as_raw(), true) }).map(|_| ())
    }

    /// Gives a reference of `session` back. Corresponds to `SUPR0ObjRelease`.
    ///
    /// # Errors
    /// `VERR_INVALID_PARAMETER` if the object is not alive or the session has none.
    ///
    /// # Context
    /// The destructor of the last reference runs here; may sleep if that may.
    pub fn release(self, session: Session<'_>) -> Result<Release> {
        // SAFETY: the driver looks both values up in its tables, and refuses what is not there.
        let status = check(unsafe { raw::SUPR0ObjRelease(self.0, session.as_raw()) })?;
        let is_last = status == Status::VINF_OBJECT_DESTROYED;
        Ok(if is_last { Release::Last } else { Release::Shared })
    }

    /// Whether `session` may use the object. Corresponds to `SUPR0ObjVerifyAccess`.
    ///
    /// # Errors
    /// `VERR_INVALID_PARAMETER` if the object is not alive, `VERR_PERMISSION_DENIED`.
    pub fn verify_access(self, session: Session<'_>) -> Result<()> {
        let no_name = core::ptr::null();
        // SAFETY: the driver looks both values up in its tables, and does not read a name.
        check(unsafe { raw::SUPR0ObjVerifyAccess(self.0, session.as_raw(), no_name) }).map(|_| ())
    }
}

/// A status of the driver's, as a result.
pub(crate) fn check(raw: i32) -> Result<Status> {
    let status = Status::new(raw);
    if status.is_failure() { Err(status) } else { Ok(status) }
}
