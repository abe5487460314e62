//! [`Call`]: a call that runs in an image and keeps it mapped; [`Code`]: what it keeps.
//!
//! ```text
//! LoadedImage ──▶ Code ◀── Call, Call, ...        owners of the code = 1 + calls that run
//! ```
//! A call is short, and each counter that all processors change costs it a fifth of its time. So there is one: the
//! count of the code's owners, which keeps it mapped, and tells whoever takes the image down how many calls run.
//! What the last call wakes is not in the image, which may be gone by then, but in the driver ([`Ended`]).
//!
//! A call whose thread dies in it never returns. The kernel goes on after that, so its image stays, with a reference
//! that nobody gives back ([`Drained::Lost`]).
//!
//! Invariant: code is owned by its [`LoadedImage`] and by calls, and by nobody else.

use core::ops::Deref;
use core::sync::atomic::{AtomicUsize, Ordering};

use sup_abi::Status;
use sup_alloc::{Arc, OutOfMemory};

use super::LoadedImage;
use crate::Deadline;
use crate::host::{EntryPoint, Host, Image, Interruption, ServiceCall, VmmCall, Wait, WaitQueue};

/// An image's code and data, mapped.
pub(crate) struct Code<H: Host>(Arc<H::Image>);

impl<H: Host> Code<H> {
    pub(super) fn try_new(image: H::Image) -> Result<Self, OutOfMemory> {
        Ok(Self(Arc::try_new(image)?))
    }

    /// How many calls run in it.
    pub(super) fn running(&self) -> usize {
        Arc::strong_count(&self.0).saturating_sub(1)
    }

    /// Waits until no call runs in it, or one has died in it; none can begin any more.
    pub(super) fn drain(&self, host: &H, ended: &Ended<H>) -> Drained {
        /// Who dies wakes nobody.
        const LOOK_NS: u64 = 250_000_000;
        let end = || match self.running() {
            _ if self.is_lost() => Some(Drained::Lost),
            0 => Some(Drained::Idle),
            _ => None,
        };
        // SeqCst: see `Ended`.
        ended.waiting.fetch_add(1, Ordering::SeqCst);
        let drained = loop {
            let deadline = Deadline::after_nanos(host.now(), LOOK_NS);
            let wait = Wait { deadline, interruption: Interruption::Ignored };
            if let Ok(drained) = ended.queue.wait(wait, end) {
                break drained;
            }
        };
        // Relaxed: who sees the old count wakes nobody.
        ended.waiting.fetch_sub(1, Ordering::Relaxed);
        drained
    }
}

impl<H: Host> Deref for Code<H> {
    type Target = H::Image;

    fn deref(&self) -> &H::Image {
        &self.0
    }
}

/// How the calls in an image ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Drained {
    /// All returned.
    Idle,
    /// One never will.
    Lost,
}

/// Who waits for calls to end, of all images of a driver.
///
/// A call gives its code back and then looks whether anybody waits; who waits says so and then looks at the code's
/// owners. All four are in one order (sequentially consistent), so that one of the two sees the other.
pub(crate) struct Ended<H: Host> {
    waiting: AtomicUsize,
    queue: H::WaitQueue,
}

impl<H: Host> Ended<H> {
    pub(crate) fn new() -> Self {
        Self { waiting: AtomicUsize::new(0), queue: H::WaitQueue::default() }
    }
}

/// A call that runs in an image, and keeps it mapped.
pub(crate) struct Call<'a, H: Host> {
    entry: EntryPoint,
    // Dropped in this order.
    code: Arc<H::Image>,
    _left: Left<'a, H>,
}

impl<'a, H: Host> Call<'a, H> {
    /// Announces a call of the image's service. The caller holds the lock of the session's list, from
    /// which the image is removed before it is drained.
    pub(super) fn begin(loaded: &LoadedImage<H>, ended: &'a Ended<H>) -> Option<Self> {
        Some(Self::of(loaded, loaded.handler()?, ended))
    }

    /// Announces a call of the VMM. The caller holds the lock of the table, in which the image stops being
    /// live before it is drained.
    pub(super) fn begin_vmm(loaded: &LoadedImage<H>, ended: &'a Ended<H>) -> Option<Self> {
        Some(Self::of(loaded, loaded.vmm?.ex, ended))
    }

    fn of(loaded: &LoadedImage<H>, entry: EntryPoint, ended: &'a Ended<H>) -> Self {
        // The lock that the caller holds orders it before `drain`.
        Self { entry, code: loaded.image.0.clone(), _left: Left(ended) }
    }

    /// Calls the VMM.
    pub(crate) fn run_vmm(&self, call: VmmCall<'_>) -> Status {
        self.code.call_vmm(self.entry, call)
    }

    /// Calls the service.
    pub(crate) fn run(&self, call: ServiceCall<'_>) -> Status {
        self.code.call_service(self.entry, call)
    }
}

/// The end of a call, when it has given its code back.
struct Left<'a, H: Host>(&'a Ended<H>);

impl<H: Host> Drop for Left<'_, H> {
    fn drop(&mut self) {
        // SeqCst: see `Ended`.
        if self.0.waiting.load(Ordering::SeqCst) != 0 {
            self.0.queue.wake_all();
        }
    }
}
