//! The ring-3 library: sessions, memory, semaphores, time and ring-0 modules, as safe Rust.
//!
//! ```
//! use sup::{Session, Timeout};
//!
//! let session = Session::open()?;
//! println!("backend: {}", session.backend());
//!
//! // Sixteen locked pages below 4 GiB, seen by both rings.
//! let memory = session.low_memory(16)?;
//! assert!(memory.pages().all(|page| page.get() < 1 << 32));
//!
//! // An event: signal and wait take no call while nobody sleeps.
//! let event = session.event()?;
//! event.signal()?;
//! event.wait(Timeout::Poll)?;
//!
//! // The time, from a page that the driver keeps.
//! let gip = session.gip()?;
//! assert!(gip.now_ns() > 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A [`Session`] is the way to a driver, in this process or in the kernel ([`backend`]). Everything
//! that a session gives out is an owner that gives its thing back when it is dropped, and keeps the
//! session open as long as it lives.
//!
//! Failures are [`Error`]s: the driver's status, unchanged, with the call and what it was about.
//!
//! This is one of the crates that contain `unsafe`: it sends packets to the kernel's driver, and turns
//! addresses that a driver mapped for this process into views. Invariant: an owner's mapping lives as long as the owner, and memory that the
//! other ring can write is only ever seen through atomics.

pub mod backend;
mod clock;
mod connection;
mod device;
mod error;
mod gip;
mod image_file;
mod loaded;
mod logger;
mod memory;
mod module;
mod platform;
mod policy;
mod privilege;
pub mod raw;
pub mod ringtrace;
mod semaphore;
mod service;
mod session;
mod tracer;
mod vmm;

pub use backend::Backend;
pub use clock::{Clock, ManualClock};
pub use error::{Error, Result};
pub use gip::{CpuEntry, Gip};
pub use loaded::{LoadedModule, ModuleUse};
pub use logger::{LoggerKind, LoggerState, LoggerTexts};
pub use memory::{
    ContiguousMemory, LockedMemory, LowMemory, Memory, PageMemory, Protection, RingZeroView,
    SharedPages, SharedRegion, SharedView,
};
pub use module::Module;
pub use platform::{VirtualisationOwner, virtualisation_owner, vtx_supported};
pub use policy::{ModulePolicy, read_signed};
pub use semaphore::{EventSemaphore, ManualResetEvent, Timeout, WaitError};
pub use service::ServiceModule;
pub use session::Session;
pub use tracer::{ProbeModuleKind, RegisteredProvider, TracerReply};

pub use sup_abi::request::{Counts, ModuleDemand, SessionId, StatisticsOut};
pub use sup_abi::{
    PAGE_SIZE, PhysAddr, R0Ptr, R3Ptr, SUPGIPMODE, SUPPAGINGMODE, SUPVTCAPS_AMD_V,
    SUPVTCAPS_NESTED_PAGING, SUPVTCAPS_VT_X, Status, VMM_MODULE_NAME,
};
pub use sup_core::Signer;
pub use sup_core::host::AddressSource;
pub use sup_embedded::trust;

/// The program in README.md compiles.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
