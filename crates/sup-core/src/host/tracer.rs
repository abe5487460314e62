//! [`Tracer`] and [`Provider`]: tracers in modules and other kernel drivers, and what they know of probes.
//!
//! Neighbours: the core's `tracer/` decides when each is called. Invariant: a tracer is called only between
//! its registration and its end, and never with a provider that was dropped.

use sup_abi::{ProcessId, R0Ptr, SUPDRVTRACERUSRCTX, Status};

use crate::SessionHandle;

/// A tracer. Source: specification 8.3.
pub trait Tracer: Send + Sync + 'static {
    /// How it knows a provider.
    type Provider: Provider;

    /// Opens it for a session; the word is the tracer's own.
    ///
    /// # Errors
    /// What it says.
    fn open(&self, session: SessionHandle, cookie: u32, argument: u64) -> Result<u64, Status>;
    /// Carries out a command; the number is for its client.
    fn io_ctl(
        &self,
        session: SessionHandle,
        word: u64,
        command: u64,
        argument: u64,
    ) -> (Status, i32);
    /// Closes it for a session.
    fn close(&self, session: SessionHandle, word: u64);
    /// Tells it of a provider.
    fn provider_register(&self, provider: &Self::Provider) -> Status;
    /// A provider goes; a failure makes it a zombie.
    fn provider_deregister(&self, provider: &Self::Provider) -> Status;
    /// A zombie is tried again.
    fn provider_deregister_zombie(&self, provider: &Self::Provider) -> Status;
    /// A probe in a process was hit: its state, with the tracer's number, the object's header and the
    /// location record. Never sleeps, as far as the tracer does not.
    fn fire_user(
        &self,
        session: SessionHandle,
        context: &SUPDRVTRACERUSRCTX,
        header: R0Ptr,
        location: R0Ptr,
    );
}

/// How a tracer knows a provider. It does not move, and its names stay for as long as it exists.
pub trait Provider: Sized + Send + Sync + 'static {
    /// Makes one.
    ///
    /// # Errors
    /// `VERR_NO_MEMORY`.
    fn try_new(description: &ProviderDescription<'_>) -> Result<Self, Status>;
    /// The object is about to go: nothing points there any more.
    fn forget_object(&self);
}

/// What a provider is, and where its object's parts are in ring 0.
#[derive(Debug, Clone, Copy)]
pub struct ProviderDescription<'a> {
    /// Its name.
    pub name: &'a str,
    /// The process whose it is; its number is appended to the name.
    pub process: Option<ProcessId>,
    /// Name of its module.
    pub module: &'a str,
    /// The object's header.
    pub header: R0Ptr,
    /// The provider's record.
    pub record: R0Ptr,
    /// The location records that describe.
    pub locations: R0Ptr,
    /// The location records with the bit that probes look at.
    pub enabled_locations: R0Ptr,
    /// Bytes of each of those.
    pub bytes_per_location: u8,
    /// Word width of the module, 32 or 64.
    pub bits: u8,
    /// The counts that probes look at.
    pub enabled_counts: R0Ptr,
    /// The driver's location records of a process' module, else NIL.
    pub own_locations: R0Ptr,
    /// The driver's counts of a process' module, else NIL.
    pub own_counts: R0Ptr,
}
