//! [`GipTimer`]: the threads that update the Global Information Page.
//!
//! One thread, or one for each processor if each has its own entry. A thread sleeps to absolute
//! deadlines, so that ticks do not drift; what it misses it skips. Signals are blocked in these
//! threads: a signal to the process is for the program's own threads, whose waits it interrupts.
//!
//! The first thread also watches for processors that come and go. The kernel moves a thread away from a
//! processor that goes; it does not tick for another one, and tries to get back now and then.

use std::mem::MaybeUninit;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use sup_abi::{Nanoseconds, Status};
use sup_core::Deadline;
use sup_core::gip::GipTicker;
use sup_core::gip::read::Counter;
use sup_core::host::{Interruption, Wait, WaitQueue};

use crate::clock::Tsc;
use crate::hotplug::{self, Watch};
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
            let here = cpu::summary().table_size;
            let allowed = cpu::allowed().unwrap_or_default();
            processors
                .extend(allowed.into_iter().flatten().filter(|index| *index < here).map(Some));
        }
        if processors.is_empty() {
            processors.push(None);
        }
        let mut timer = Self { stop: Arc::default(), threads: Vec::new() };
        let mut watch = Watch::new();
        let _blocked = BlockedSignals::block();
        for processor in processors {
            let (stop, ticker, host) = (timer.stop.clone(), ticker.clone(), host.clone());
            let watch = watch.take();
            let thread = std::thread::Builder::new()
                .name("supdrv-gip".into())
                .spawn(move || run(&stop, &ticker, &host, interval, processor, watch))
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
    processor: Option<u16>,
    mut watch: Option<Watch>,
) {
    let period = u64::try_from(hotplug::PERIOD.as_nanos()).unwrap_or(u64::MAX);
    let step = interval.get().max(1);
    let mut next = clock::now().get();
    let mut next_look = next;
    loop {
        let deadline = Deadline::at_nanos(next);
        let wait = Wait { deadline, interruption: Interruption::Ignored };
        // Acquire: pairs with the release in `drop`.
        let stopped = || stop.is_set.load(Ordering::Acquire).then_some(());
        if stop.queue.wait(wait, stopped).is_ok() {
            return;
        }
        if let Some(watch) = watch.as_mut().filter(|_| next >= next_look) {
            next_look = next + period;
            watch.look(ticker, host);
        }
        if processor.is_some_and(|index| Tsc.current_cpu() != index && !cpu::pin_to(index)) {
            next += period;
            continue;
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
