//! [`Looks`]: whether a wait looks at the word for a moment before it goes to sleep.
//!
//! Going to sleep and being woken costs two requests and, on another processor, tens of microseconds.
//! A signal that comes sooner than that is cheaper to watch for. The watch yields the processor between
//! two looks: the one who will signal may be waiting for just this processor, and then a wait and its
//! signal are a switch of threads each and no request at all.
//!
//! Watching in vain helps nobody, so it is kept to a small part of the time: a watch that failed is
//! followed by a pause many times as long, in which waits sleep at once. A yield that came back late
//! counts as a failure, and can be a dear one: others wanted the processor, and a sleeper that is woken
//! gets it sooner than a thread that gave it away. One thread watches at a time, as a crowd of them
//! would pass the processor round among themselves.
//!
//! A POSIX signal that comes during the watch counts as one that came before the wait.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::yield_now;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// How long a wait looks: about what it costs to be put to sleep and woken from another processor.
pub(super) const LOOK_MAX: Duration = Duration::from_micros(50);
/// A pause, in times of the watch that failed before it.
const PAUSE: u64 = 16;
/// Somebody watches.
const BUSY: u64 = u64::MAX;

/// What a semaphore has learned about looking.
#[derive(Debug, Default)]
pub(crate) struct Looks {
    /// When the pause is over, in nanoseconds of [`now`], or [`BUSY`].
    /// It publishes nothing and a look too many or too few does no harm, so every access is relaxed.
    resume_ns: AtomicU64,
}

/// A right to watch, from this moment on.
struct Watch {
    start_ns: u64,
}

impl Looks {
    /// Watches until `look` finds something, if that is worth while. Returns what it found, and the
    /// time it took otherwise.
    pub(super) fn watch<T>(&self, mut look: impl FnMut() -> Option<T>) -> Result<T, Duration> {
        let Some(watch) = self.begin(now()) else { return Err(Duration::ZERO) };
        loop {
            yield_now();
            let found = look();
            let elapsed_ns = now() - watch.start_ns;
            if found.is_some() || elapsed_ns > LOOK_MAX.as_nanos() as u64 {
                self.end(&watch, elapsed_ns);
                return found.ok_or(Duration::from_nanos(elapsed_ns));
            }
        }
    }

    /// Begins to watch, unless there is a pause or somebody watches.
    fn begin(&self, start_ns: u64) -> Option<Watch> {
        let resume = self.resume_ns.load(Ordering::Relaxed);
        let is_due = resume <= start_ns;
        let claim =
            || self.resume_ns.compare_exchange(resume, BUSY, Ordering::Relaxed, Ordering::Relaxed);
        (is_due && claim().is_ok()).then_some(Watch { start_ns })
    }

    fn end(&self, watch: &Watch, elapsed_ns: u64) {
        let is_late = elapsed_ns > LOOK_MAX.as_nanos() as u64;
        let pause = if is_late { (1 + PAUSE).saturating_mul(elapsed_ns) } else { 0 };
        self.resume_ns.store(watch.start_ns.saturating_add(pause), Ordering::Relaxed);
    }
}

/// Nanoseconds of `CLOCK_MONOTONIC`.
fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    // The clock starts at zero with the machine, so neither part is negative.
    now.tv_sec.cast_unsigned() * 1_000_000_000 + now.tv_nsec.cast_unsigned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread::sleep;
    use std::time::Instant;

    const LOOK_MAX_NS: u64 = LOOK_MAX.as_nanos() as u64;

    #[test]
    fn watch_returns_what_it_finds() {
        let looks = Looks::default();
        let mut count = 0;
        let found = looks.watch(|| {
            count += 1;
            (count == 3).then_some(count)
        });
        // On a machine that took the processor away, the third look was never due.
        assert!(found == Ok(3) || found.is_err_and(|elapsed| elapsed > LOOK_MAX));
    }

    #[test]
    fn watch_in_vain_says_how_long_it_took() {
        let before = Instant::now();
        let elapsed = Looks::default().watch(|| None::<()>).unwrap_err();
        assert!(elapsed > LOOK_MAX && elapsed <= before.elapsed());
    }

    #[test]
    fn what_is_found_late_is_taken_and_counts_as_a_failure() {
        let looks = Looks::default();
        let late = || {
            sleep(LOOK_MAX);
            Some(())
        };
        assert_eq!(looks.watch(late), Ok(()));
        assert!(looks.resume_ns.load(Ordering::Relaxed) > PAUSE * LOOK_MAX_NS);
    }

    #[test]
    fn pause_is_as_long_as_the_failure_was_dear() {
        for elapsed_ns in [LOOK_MAX_NS + 1, 3_000_000] {
            let looks = Looks::default();
            let watch = looks.begin(1_000).unwrap();
            looks.end(&watch, elapsed_ns);
            let over = 1_000 + elapsed_ns + PAUSE * elapsed_ns;
            assert!(looks.begin(over - 1).is_none());
            assert!(looks.begin(over).is_some());
        }
    }

    #[test]
    fn no_pause_follows_a_success() {
        let looks = Looks::default();
        let watch = looks.begin(1_000).unwrap();
        looks.end(&watch, LOOK_MAX_NS);
        assert!(looks.begin(1_000).is_some());
    }

    #[test]
    fn one_watches_at_a_time() {
        let looks = Looks::default();
        let watch = looks.begin(1_000).unwrap();
        assert!(looks.begin(1_000_000_000).is_none());
        looks.end(&watch, 0);
        assert!(looks.begin(1_000_000_000).is_some());
    }
}
