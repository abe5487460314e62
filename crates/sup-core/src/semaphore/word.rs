//! The state word of a semaphore: the path without a call.
//!
//! Every semaphore has one word in a page that its session's process shares with the driver. Signal,
//! reset and a wait that succeeds at once are one atomic operation on it, in ring 3 as well as in
//! ring 0. Only a wait that must sleep, and a signal that finds sleepers, enter the driver.
//!
//! ```text
//! bit 63         24 23          4 3  2     1        0
//!     generation     incarnation  kind  WAITERS  SIGNALLED
//! ```
//! * `SIGNALLED`: the semaphore is signalled. A wait on an event takes it away.
//! * `WAITERS`: somebody may be asleep, so a signal has to enter the driver.
//! * `kind`: 0 no semaphore has this word, 1 event, 2 manual-reset event. An operation with a stale
//!   handle, or one of the other kind, sees it and changes nothing.
//! * `incarnation`: counts the semaphores that had this word. A call of the driver that was on its way
//!   when its semaphore was closed, and the word given to another, changes nothing of the other's.
//! * `generation`: counts the signals of a manual-reset event, so that a thread which went to sleep
//!   before a signal is released by it even if a reset follows at once.
//!
//! # Timeline of a wait that sleeps
//! ```text
//! waiter (driver)                         signaller (any ring)
//! W1  word |= WAITERS
//! W2  enter the queue
//! W3  try to take: SIGNALLED? else sleep  S1  word |= SIGNALLED, returns the old word
//! W4  woken, deadline, signal: W3 again   S2  old word has WAITERS: enter the driver, wake
//! W5  last one out: word &= !WAITERS
//! ```
//! W1 and S1 change the same word, so one comes first. If W1 does, S1 sees `WAITERS` and wakes; the
//! waiter is in the queue before W3, so the wake-up finds it. If S1 does, W3 sees `SIGNALLED`. Either
//! way the signal is not lost. A thread that leaves for another reason tries W3 once more (the queue
//! promises that), so a signal that had chosen it is taken or stays in the word, and is not swallowed.
//! S2 wakes also when `SIGNALLED` was set before: the first signaller may not have come to its S2 yet.
//!
//! # Orderings
//! S1 is a release and W3 an acquire of the same word: what happened before a signal is visible after
//! the wait that it ends. A manual-reset signal changes the word even when it was signalled already,
//! so that it releases too. W1 and W5 need no more than the word's own order; they are made under the
//! semaphore's waiter lock, which orders them among each other.
//!
//! # Trust
//! The driver keeps the kind, the waiters and the handle itself, and reads the word as a hint: whatever
//! a process writes there can end its own waits early, or leave them asleep, and nothing else.

use core::sync::atomic::Ordering;

use sup_abi::request::SemaphoreKind;

use crate::sync::AtomicU64;

const SIGNALLED: u64 = 1 << 0;
const WAITERS: u64 = 1 << 1;
const KIND: u64 = 3 << 2;
const ONE_INCARNATION: u64 = 1 << 4;
const INCARNATION: u64 = ONE_GENERATION - ONE_INCARNATION;
const ONE_GENERATION: u64 = 1 << 24;
const GENERATION: u64 = !(ONE_GENERATION - 1);

/// The state word of a semaphore, wherever it lies.
#[derive(Debug, Clone, Copy)]
pub struct StateWord<'a>(&'a AtomicU64);

/// The word is not that of a semaphore of this kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotThatSemaphore;

/// Whether an operation is done, or has to go on in the driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fast {
    /// It is done.
    Done,
    /// A signal found sleepers that the driver must wake; a wait must sleep.
    EnterDriver,
}

/// The generation of a manual-reset event when a wait began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Generation(u64);

/// Which semaphores an operation means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meant {
    mask: u64,
    bits: u64,
}

impl Meant {
    /// Whichever semaphore of this kind has the word: what ring 3 knows by its handle.
    #[inline]
    pub const fn any(kind: SemaphoreKind) -> Self {
        let bits = match kind {
            SemaphoreKind::Event => 1 << 2,
            SemaphoreKind::EventMulti => 2 << 2,
        };
        Self { mask: KIND, bits }
    }

    const fn matches(self, word: u64) -> bool {
        word & self.mask == self.bits
    }
}

impl<'a> StateWord<'a> {
    /// The word at this place.
    pub const fn new(word: &'a AtomicU64) -> Self {
        Self(word)
    }

    /// Makes this the word of a new, unsignalled semaphore, and returns what means exactly that one.
    pub(crate) fn open(self, kind: SemaphoreKind) -> Meant {
        // Relaxed: the word is nobody's, and only its new owner is here. The generation goes on; only
        // its differences matter.
        let old = self.0.load(Ordering::Relaxed);
        let incarnation = old.wrapping_add(ONE_INCARNATION) & INCARNATION;
        let Meant { mask, bits } = Meant::any(kind);
        let bits = bits | incarnation;
        // Release: pairs with the acquire of whoever operates on the new handle.
        self.0.store(old & GENERATION | bits, Ordering::Release);
        Meant { mask: mask | INCARNATION, bits }
    }

    /// Makes this the word of no semaphore.
    pub(crate) fn close(self) {
        // Relaxed: nothing is published; the driver's own state decides.
        self.0.fetch_and(!(KIND | SIGNALLED | WAITERS), Ordering::Relaxed);
    }

    /// Signals.
    ///
    /// # Errors
    /// [`NotThatSemaphore`]; nothing changed.
    #[inline]
    pub fn signal(self, kind: SemaphoreKind, meant: Meant) -> Result<Fast, NotThatSemaphore> {
        let step = match kind {
            SemaphoreKind::Event => 0,
            SemaphoreKind::EventMulti => ONE_GENERATION,
        };
        // Release: see "Orderings".
        let old = self
            .change(meant, Ordering::Release, |word| Some(word.wrapping_add(step) | SIGNALLED))?;
        match old {
            Some(word) if word & WAITERS != 0 => Ok(Fast::EnterDriver),
            _ => Ok(Fast::Done),
        }
    }

    /// Takes the semaphore if it is signalled: clears an event, leaves a manual-reset event as it is.
    ///
    /// # Errors
    /// [`NotThatSemaphore`]; nothing changed.
    #[inline]
    pub fn try_take(self, kind: SemaphoreKind, meant: Meant) -> Result<Fast, NotThatSemaphore> {
        let is_taken = match kind {
            // Acquire: see "Orderings".
            SemaphoreKind::Event => self
                .change(meant, Ordering::Acquire, |word| {
                    (word & SIGNALLED != 0).then_some(word & !SIGNALLED)
                })?
                .is_some(),
            SemaphoreKind::EventMulti => {
                let word = self.0.load(Ordering::Acquire);
                if !meant.matches(word) {
                    return Err(NotThatSemaphore);
                }
                word & SIGNALLED != 0
            }
        };
        Ok(if is_taken { Fast::Done } else { Fast::EnterDriver })
    }

    /// Resets.
    ///
    /// # Errors
    /// [`NotThatSemaphore`]; nothing changed.
    #[inline]
    pub fn reset(self, meant: Meant) -> Result<(), NotThatSemaphore> {
        // Relaxed: a reset publishes nothing.
        self.change(meant, Ordering::Relaxed, |word| Some(word & !SIGNALLED)).map(|_| ())
    }

    /// Announces a sleeper, and says which generation it starts to wait in.
    pub(crate) fn announce_waiter(self) -> Generation {
        // Acquire: the wait may be over already, see W3.
        let old = self.0.fetch_or(WAITERS, Ordering::Acquire);
        Generation(old & GENERATION)
    }

    /// Nobody sleeps any more.
    pub(crate) fn no_waiters(self) {
        // Relaxed: see "Orderings".
        self.0.fetch_and(!WAITERS, Ordering::Relaxed);
    }

    /// The generation that a wait would begin in now.
    pub fn generation(self) -> Generation {
        // Relaxed: it is compared to later ones of the same word only.
        Generation(self.0.load(Ordering::Relaxed) & GENERATION)
    }

    /// True if a manual-reset event was signalled since `generation`. An event never is.
    pub fn has_passed(self, generation: Generation) -> bool {
        // Acquire: see "Orderings".
        self.0.load(Ordering::Acquire) & GENERATION != generation.0
    }

    /// Replaces the word by what `change` makes of it, or leaves it; returns the old word if replaced.
    #[inline]
    fn change(
        self,
        meant: Meant,
        success: Ordering,
        change: impl Fn(u64) -> Option<u64>,
    ) -> Result<Option<u64>, NotThatSemaphore> {
        // Relaxed: the compare-exchange orders, and a refusal publishes nothing. A wait that fails
        // here goes on in the driver, whose steps order themselves.
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            if !meant.matches(word) {
                return Err(NotThatSemaphore);
            }
            let Some(new) = change(word) else { return Ok(None) };
            match self.0.compare_exchange_weak(word, new, success, Ordering::Relaxed) {
                Ok(old) => return Ok(Some(old)),
                Err(current) => word = current,
            }
        }
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;
    use SemaphoreKind::{Event, EventMulti};

    const ANY_EVENT: Meant = Meant::any(Event);
    const ANY_MULTI: Meant = Meant::any(EventMulti);

    fn new_word(kind: SemaphoreKind) -> AtomicU64 {
        let word = AtomicU64::new(0);
        StateWord::new(&word).open(kind);
        word
    }

    #[test]
    fn two_signals_of_an_event_release_one_wait() {
        let memory = new_word(Event);
        let word = StateWord::new(&memory);
        assert_eq!(word.signal(Event, ANY_EVENT), Ok(Fast::Done));
        assert_eq!(word.signal(Event, ANY_EVENT), Ok(Fast::Done));
        assert_eq!(word.try_take(Event, ANY_EVENT), Ok(Fast::Done));
        assert_eq!(word.try_take(Event, ANY_EVENT), Ok(Fast::EnterDriver));
    }

    #[test]
    fn manual_reset_event_stays_signalled_until_reset() {
        let memory = new_word(EventMulti);
        let word = StateWord::new(&memory);
        word.signal(EventMulti, ANY_MULTI).unwrap();
        assert_eq!(word.try_take(EventMulti, ANY_MULTI), Ok(Fast::Done));
        assert_eq!(word.try_take(EventMulti, ANY_MULTI), Ok(Fast::Done));
        word.reset(ANY_MULTI).unwrap();
        assert_eq!(word.try_take(EventMulti, ANY_MULTI), Ok(Fast::EnterDriver));
    }

    #[test]
    fn signal_followed_by_reset_is_seen_by_who_waited_before() {
        let memory = new_word(EventMulti);
        let word = StateWord::new(&memory);
        let before = word.announce_waiter();
        assert_eq!(word.signal(EventMulti, ANY_MULTI), Ok(Fast::EnterDriver));
        word.reset(ANY_MULTI).unwrap();
        assert!(word.has_passed(before));
        let after = word.announce_waiter();
        assert!(!word.has_passed(after));
    }

    #[test]
    fn cannot_operate_on_a_closed_word_or_the_other_kind() {
        let memory = new_word(Event);
        let word = StateWord::new(&memory);
        assert_eq!(word.signal(EventMulti, ANY_MULTI), Err(NotThatSemaphore));
        assert_eq!(word.reset(ANY_MULTI), Err(NotThatSemaphore));
        assert_eq!(word.try_take(EventMulti, ANY_MULTI), Err(NotThatSemaphore));
        word.close();
        assert_eq!(word.signal(Event, ANY_EVENT), Err(NotThatSemaphore));
        assert_eq!(word.try_take(Event, ANY_EVENT), Err(NotThatSemaphore));
    }

    #[test]
    fn cannot_take_the_signal_of_the_words_next_owner() {
        let memory = AtomicU64::new(0);
        let word = StateWord::new(&memory);
        for kind in [Event, EventMulti] {
            let first = word.open(kind);
            word.close();
            let second = word.open(kind);
            word.signal(kind, second).unwrap();
            assert_eq!(word.try_take(kind, first), Err(NotThatSemaphore));
            assert_eq!(word.signal(kind, first), Err(NotThatSemaphore));
            assert_eq!(word.reset(first), Err(NotThatSemaphore));
            assert_eq!(word.try_take(kind, second), Ok(Fast::Done));
            word.close();
        }
    }
}
