//! [`GipTimer`]: the threads that update the Global Information Page.
//!
//! One thread, or one for each processor if each has its own entry. A thread sleeps to absolute
//! deadlines, so that ticks do not drift; what it misses it skips. Signals are blocked in these
//! threads: a signal to the process is for the program's own threads, whose waits it interrupts.

use std::mem::MaybeUninit;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use sup_abi::{Nanoseconds, Status};
use sup_core::Deadline;
use sup_core::gip::GipTicker;
use sup_core::host::{Interruption, Wait, WaitQueue};

use crate::wait::FutexQueue;
use crate::{EmbeddedHost, clock, cpu};

/// Lets the threads sleep until it is time, or until they shall end.
#[derive(Debug, Default)]
struct Stop {
    is_set: AtomicBool,
    queue: FutexQueue,
}

/// Running timer threads; dropping it stops them and waits for them.
#[derive(Debug)]
pub(crate) struct GipTimer {
    stop: Arc<Stop>,
    threads: Vec<JoinHandle<()>>,
}

impl GipTimer {
    /// Starts the threads.
    ///
    /// # Errors
    /// `VERR_NO_MEMORY` if the system has no thread to give; none is left.
    pub(crate) fn start(
        host: &EmbeddedHost,
        ticker: GipTicker<EmbeddedHost>,
        interval: Nanoseconds,
    ) -> Result<Self, Status> {
        let ticker = Arc::new(ticker);
        let mut processors = Vec::new();
        if ticker.is_per_cpu() {
            cpu::on_each(&mut |cpu| processors.push(Some(usize::from(cpu.index))));
        } else {
            processors.push(None);
        }
        let mut timer = Self { stop: Arc::default(), threads: Vec::new() };
        let _blocked = BlockedSignals::block();
        for processor in processors {
            let (stop, ticker, host) = (timer.stop.clone(), ticker.clone(), host.clone());
            let thread = std::thread::Builder::new()
                .name("supdrv-gip".into())
                .spawn(move || run(&stop, &ticker, &host, interval, processor))
                .map_err(|error| {
                    tracing::error!(target: "supdrv", %error, "cannot start a timer thread");
                    Status::VERR_NO_MEMORY
                })?;
            timer.threads.push(thread);
        }
        Ok(timer)
    }
}

impl Drop for GipTimer {
    fn drop(&mut self) {
        // Release: pairs with the acquire in `run`; the queue orders what its waiters see.
        self.stop.is_set.store(true, Ordering::Release);
        self.stop.queue.wake_all();
        for thread in self.threads.drain(..) {
            // A thread that panicked has nothing to say that its panic message did not.
            let _ = thread.join();
        }
    }
}

fn run(
    stop: &Stop,
    ticker: &GipTicker<EmbeddedHost>,
    host: &EmbeddedHost,
    interval: Nanoseconds,
    processor: Option<usize>,
) {
    if let Some(index) = processor {
        cpu::pin_to(index);
    }
    let step = interval.get().max(1);
    let mut next = clock::now().get();
    loop {
        let deadline = Deadline::at_nanos(next);
        let wait = Wait { deadline, interruption: Interruption::Ignored };
        // Acquire: pairs with the release in `drop`.
        let stopped = || stop.is_set.load(Ordering::Acquire).then_some(());
        if stop.queue.wait(wait, stopped).is_ok() {
            return;
        }
        ticker.tick(host);
        let missed = clock::now().get().saturating_sub(next) / step;
        next += step * (missed + 1);
    }
}

/// Blocks all signals in the current thread, and in those that it starts, until it is dropped.
struct BlockedSignals(libc::sigset_t);

impl BlockedSignals {
    fn block() -> Self {
        let mut all = MaybeUninit::<libc::sigset_t>::uninit();
        let mut before = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: the pointer is to a set of this function; the call initialises it.
        unsafe { libc::sigfillset(all.as_mut_ptr()) };
        // SAFETY: `all` was just initialised, and `before` is a set of this function that the call
        // writes; with these arguments it cannot fail.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr()) };
        // SAFETY: the call above wrote it.
        Self(unsafe { before.assume_init() })
    }
}

impl Drop for BlockedSignals {
    fn drop(&mut self) {
        // SAFETY: the set is the one that the thread had; nothing is written through the null pointer.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, std::ptr::null_mut())
        };
    }
}
