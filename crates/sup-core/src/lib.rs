//! The support driver, written once: safe Rust that knows no operating system.
//!
//! [`Driver`] is the whole of it, generic over a [`Host`](host::Host): what it needs from an
//! operating system. A backend implements `Host`, makes one `Driver`, opens a [`Session`] for each
//! client and passes the client's packets to [`Driver::dispatch`].
//!
//! | object | file | owner |
//! |---|---|---|
//! | driver | `driver.rs` | the backend |
//! | session | `session.rs` | the driver, until it is closed |
//! | registered object | `object.rs` | every session that references it |
//! | semaphore | `semaphore/` | the session that created it |
//! | memory block | `memory.rs`, `memory/` | the session that allocated it |
//! | mapping of words or of time | `views.rs` | the session, for one of its processes |
//! | module image | `image/` | every session that loaded it |
//! | component factory | `components.rs` | the kernel session that registered it |
//! | VM of the fast calls | `vm.rs` | the session |
//! | debug and release logger, budgets of what is printed | `logger/` | the driver |
//! | tracer, providers | `tracer/` | the module or session that registered them |
//! | Global Information Page | `gip/` | the driver |
//!
//! Invariant: nothing here can panic, and no allocation is assumed to succeed. A failure leaves the
//! session as it was. Everything belongs to a session, and the session's end takes it back.
//!
//! # Lock order
//! Outer first. A lock is never held while code of a module, a destructor or a wait runs, but for the
//! three callbacks by which a tracer is told of providers (`tracer/`).
//!
//! 0. the registry of tracing (sleeping); under it what is in 4 and 5, and a session's part of tracing
//!    (spinning);
//! 1. the driver's image table, its GIP users or its component factories (sleeping), one at a time;
//! 2. a session's views (sleeping); under them the GIP users and, alone, the semaphore table;
//! 3. a session's VM (sleeping);
//! 4. a session's image list, memory table or semaphore table (spinning), one at a time; or, with none of
//!    these, a memory block's further mappings (sleeping);
//! 5. the driver's session table, object registry, its loggers, or one semaphore's waiter count (spinning).

#![no_std]
#![forbid(unsafe_code)]
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]
#![cfg_attr(test, expect(clippy::arithmetic_side_effects, reason = "a test may fail by panicking"))]

mod address_map;
mod components;
mod dispatch;
mod driver;
pub mod gip;
pub mod host;
mod idc;
mod image;
pub mod logger;
#[cfg(all(test, loom))]
mod loom_queue;
pub mod memory;
mod object;
pub mod platform;
pub mod printf;
mod segments;
pub mod semaphore;
mod session;
mod slots;
pub mod sort;
mod sync;
mod time;
mod tracer;
mod views;
mod vm;
pub mod vtg;

#[cfg(test)]
#[cfg(not(loom))]
mod testing;
#[cfg(test)]
#[cfg(not(loom))]
mod tests;

pub use components::FactoryName;
pub use dispatch::PacketError;
pub use driver::Driver;
pub use idc::{accept_idc, negotiate_idc};
pub use image::policy::{ModulePolicy, Signer};
pub use image::table::ModulePlace;
pub use image::{LoadError, Message, ModuleName};
pub use object::{Blocking, Destroyed, ObjectHandle};
pub use session::{Session, SessionHandle};
pub use slots::HandleKind;
pub use time::Deadline;
pub use tracer::{TracerOwner, UserModuleRequest};

/// A mutual exclusion that spins or sleeps, as the host's `R` does.
pub(crate) type Lock<R, T> = lock_api::Mutex<R, T>;
