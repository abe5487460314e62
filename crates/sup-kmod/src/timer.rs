//! [`GipTimer`]: the ticks of the Global Information Page.

use core::ffi::c_void;
use core::ptr::NonNull;

use sup_abi::{Nanoseconds, Status};
use sup_alloc::Arc;
use sup_core::gip::GipTicker;

use crate::host::KernelHost;
use crate::shim::raw;

/// What a tick needs.
struct Context {
    ticker: GipTicker<KernelHost>,
    host: KernelHost,
}

/// A running timer. Dropping it stops it, and returns when no tick runs.
pub(crate) struct GipTimer {
    timer: NonNull<raw::Timer>,
    /// What the kernel's timer points to.
    _context: Arc<Context>,
}

// SAFETY: the timer is the kernel's and may be stopped by any task.
unsafe impl Send for GipTimer {}

impl GipTimer {
    /// Starts to tick at once, on whatever processor, or on each if the ticker is per processor.
    ///
    /// # Errors
    /// `VERR_NO_MEMORY`.
    ///
    /// # Context
    /// May sleep.
    pub(crate) fn start(
        host: &KernelHost,
        ticker: GipTicker<KernelHost>,
        interval: Nanoseconds,
    ) -> Result<Self, Status> {
        let per_cpu = ticker.is_per_cpu();
        let context = Arc::try_new(Context { ticker, host: host.clone() })?;
        let pointer = core::ptr::from_ref(&*context).cast_mut().cast::<c_void>();
        // SAFETY: the context lives in the owner that is returned, which stops the timer before it goes;
        // `tick` takes exactly this pointer.
        let timer = unsafe { raw::supdrv_timer_start(tick, pointer, interval.get(), per_cpu) };
        let timer = NonNull::new(timer).ok_or(Status::VERR_NO_MEMORY)?;
        Ok(Self { timer, _context: context })
    }
}

impl Drop for GipTimer {
    fn drop(&mut self) {
        // SAFETY: the timer is this owner's, stopped once; owners are dropped where sleeping is allowed.
        unsafe { raw::supdrv_timer_stop(self.timer.as_ptr()) };
    }
}

/// One tick, with interrupts off.
unsafe extern "C" fn tick(context: *mut c_void) {
    // SAFETY: `start` passed a context that lives until the timer is stopped, shared with other ticks.
    let context = unsafe { &*context.cast_const().cast::<Context>() };
    context.ticker.tick(&context.host);
}
