//! [`Looks`]: whether a wait looks at the word for a moment before it goes to sleep.
//!
//! Going to sleep and being woken costs two requests and, on another processor, tens of microseconds.
//! A signal that comes sooner than that is cheaper to watch for. The watch yields the processor between
//! two looks: the one who will signal may be waiting for just this processor, and then a wait and its
//! signal are a switch of threads each and no request at all.
//!
//! Watching in vain costs the time and helps nobody, so each semaphore learns: after a failure it lets
//! one wait go to sleep without a look, after the next two, and so on up to [`PAUSE_MAX`]; a success
//! starts over. A yield that came back late, because others had the processor, counts as a failure too:
//! a sleeper that is woken gets it sooner.
//!
//! A POSIX signal that comes during the watch counts as one that came before the wait.

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::yield_now;
use std::time::{Duration, Instant};

/// How long a wait looks: about what it costs to be put to sleep and woken from another processor.
pub(super) const LOOK_MAX: Duration = Duration::from_micros(50);
/// The most waits in a row that do not look.
const PAUSE_MAX: u32 = 4096;

/// What a semaphore has learned about looking.
#[derive(Debug, Default)]
pub(super) struct Looks {
    /// Low half: waits that still go to sleep at once. High half: how many the last pause had.
    /// Advice for all threads that use the semaphore: a lost update is a look too many or too few, so
    /// every access is relaxed.
    pause: AtomicU32,
}

impl Looks {
    /// Watches until `look` finds something, if that is worth while. Returns what it found, and the
    /// time it took otherwise.
    pub(super) fn watch<T>(&self, mut look: impl FnMut() -> Option<T>) -> Result<T, Duration> {
        if !self.is_due() {
            return Err(Duration::ZERO);
        }
        let start = Instant::now();
        loop {
            yield_now();
            let found = look();
            let elapsed = start.elapsed();
            if elapsed > LOOK_MAX {
                self.failed();
                return found.ok_or(elapsed);
            }
            if let Some(found) = found {
                self.succeeded();
                return Ok(found);
            }
        }
    }

    fn is_due(&self) -> bool {
        let pause = self.pause.load(Ordering::Relaxed);
        let is_due = pause & 0xffff == 0;
        if !is_due {
            self.pause.store(pause - 1, Ordering::Relaxed);
        }
        is_due
    }

    fn succeeded(&self) {
        // Not written for nothing: the signaller reads the same line.
        if self.pause.load(Ordering::Relaxed) != 0 {
            self.pause.store(0, Ordering::Relaxed);
        }
    }

    fn failed(&self) {
        let last = self.pause.load(Ordering::Relaxed) >> 16;
        let next = (last * 2).clamp(1, PAUSE_MAX);
        self.pause.store(next << 16 | next, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread::sleep;

    /// The number of waits that do not look before the next one that does.
    fn pause(looks: &Looks) -> u32 {
        (0..).find(|_| looks.is_due()).unwrap()
    }

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
    fn watch_in_vain_takes_its_time_and_no_more_looks_follow_at_once() {
        let looks = Looks::default();
        let elapsed = looks.watch(|| None::<()>).unwrap_err();
        assert!(elapsed > LOOK_MAX);
        assert_eq!(looks.watch(|| Some(())), Err(Duration::ZERO));
    }

    #[test]
    fn what_is_found_late_is_taken_and_counts_as_a_failure() {
        let looks = Looks::default();
        let late = || {
            sleep(LOOK_MAX);
            Some(())
        };
        assert_eq!(looks.watch(late), Ok(()));
        assert_eq!(pause(&looks), 1);
    }

    #[test]
    fn pauses_double_until_a_success() {
        let looks = Looks::default();
        for expected in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 4096] {
            looks.failed();
            assert_eq!(pause(&looks), expected);
        }
        looks.succeeded();
        assert_eq!(pause(&looks), 0);
        looks.failed();
        assert_eq!(pause(&looks), 1);
    }
}
