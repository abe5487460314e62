//! [`EventSemaphore`] and [`ManualResetEvent`]: the event semaphores.
//!
//! Each has a state word in a page that ring 3 shares with the driver. A signal and a wait that
//! succeeds at once are one atomic operation on it, and so is finding out that a poll has to fail; only
//! a wait that sleeps, and a signal that finds sleepers, is a request. Before it sleeps, a wait may
//! watch the word for a moment ([`look`]). The protocol, with its proof, is
//! [`sup_core::semaphore::word`].

pub(crate) mod look;

use std::fmt;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use sup_abi::Status;
use sup_abi::request::{
    SemaphoreCreate, SemaphoreCreateIn, SemaphoreKind, SemaphoreOp, SemaphoreOpIn,
    SemaphoreOperation, SemaphoreQuery,
};
use sup_core::semaphore::word::{Fast, Meant, NotThatSemaphore, StateWord};

use self::look::{LOOK_MAX, Looks};
use crate::Session;
use crate::connection::Connection;
use crate::error::{Error, Result};

/// How long a wait may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timeout {
    /// For ever.
    Never,
    /// Not at all: succeed now or not.
    Poll,
    /// So many milliseconds; rounded to nothing. `u32::MAX` is for ever, as in the header.
    Millis(u32),
    /// So long.
    After(Duration),
    /// Until then; a point in the past polls.
    Until(Instant),
    /// Until `CLOCK_MONOTONIC` shows so many nanoseconds, which is also what a [`Gip`](crate::Gip)
    /// counts.
    Deadline(u64),
}

impl Timeout {
    /// True if there is time to watch for a signal, as far as that is known without a clock.
    fn is_long(self) -> bool {
        match self {
            Self::Never => true,
            Self::Millis(millis) => millis > 0,
            Self::After(duration) => duration > 2 * LOOK_MAX,
            Self::Deadline(nanos) => nanos == u64::MAX,
            Self::Poll | Self::Until(_) => false,
        }
    }

    /// The request's operation and timeout, after some of the time is `spent`.
    fn request(self, spent: Duration) -> (SemaphoreOperation, u64) {
        use SemaphoreOperation::{WaitDeadline, WaitMillis, WaitNanos};
        let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let rest = |duration: Duration| (WaitNanos, nanos(duration.saturating_sub(spent)));
        match self {
            Self::Never => (WaitNanos, u64::MAX),
            Self::Poll => (WaitNanos, 0),
            Self::Millis(millis) if spent.is_zero() || millis == u32::MAX => {
                (WaitMillis, millis.into())
            }
            Self::Millis(millis) => rest(Duration::from_millis(millis.into())),
            Self::After(duration) => rest(duration),
            Self::Until(then) => (WaitNanos, nanos(then.saturating_duration_since(Instant::now()))),
            Self::Deadline(nanos) => (WaitDeadline, nanos),
        }
    }
}

/// Why a wait ended without the semaphore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WaitError {
    /// The time is over.
    TimedOut,
    /// A POSIX signal came in; the semaphore is as it was.
    Interrupted,
    /// The semaphore was closed.
    Destroyed,
    /// The request failed otherwise.
    Failed(Error),
}

impl WaitError {
    /// The status behind it.
    pub fn status(&self) -> Status {
        match self {
            Self::TimedOut => Status::VERR_TIMEOUT,
            Self::Interrupted => Status::VERR_INTERRUPTED,
            Self::Destroyed => Status::VERR_SEM_DESTROYED,
            Self::Failed(error) => error.status(),
        }
    }
}

impl fmt::Display for WaitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => error.fmt(f),
            _ => write!(f, "wait: {}", self.status()),
        }
    }
}

impl std::error::Error for WaitError {}

/// What both kinds have: a handle, and the place of its state word.
struct Handle {
    session: Session,
    kind: SemaphoreKind,
    handle: u32,
    /// Mapped for as long as `session` is open.
    word: NonNull<AtomicU64>,
    looks: Looks,
}

impl Handle {
    fn create(session: &Session, kind: SemaphoreKind) -> Result<Self> {
        let (handle, word) = create(session, kind)?;
        Ok(Self { session: session.clone(), kind, handle, word, looks: Looks::default() })
    }

    #[inline]
    fn place(&self) -> Place<'_> {
        let connection = self.session.connection();
        // SAFETY: `Connection::word` found it in a page that stays mapped until the session is closed,
        // which `self.session` prevents; everybody accesses it by atomic operations only.
        let word = StateWord::new(unsafe { self.word.as_ref() });
        Place { connection, kind: self.kind, handle: self.handle, word, looks: &self.looks }
    }
}

/// Creates a semaphore, and finds its state word.
fn create(session: &Session, kind: SemaphoreKind) -> Result<(u32, NonNull<AtomicU64>)> {
    let input = SemaphoreCreateIn {
        kind: kind.into(),
        handle: 0,
        operation: SemaphoreQuery::Create.into(),
        reserved: 0,
        reserved2: 0,
    };
    let connection = session.connection();
    let handle = connection.call::<SemaphoreCreate>(&input)?.value;
    match connection.word(handle) {
        Ok(word) => Ok((handle, word)),
        Err(error) => {
            // Nobody would ever close it.
            let _ = operate(connection, kind, handle, SemaphoreOperation::Close, 0);
            Err(error)
        }
    }
}

/// A semaphore for the length of an operation: its number, its state word, and what its waits learned.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    connection: &'a Connection,
    kind: SemaphoreKind,
    handle: u32,
    word: StateWord<'a>,
    looks: &'a Looks,
}

impl<'a> Place<'a> {
    /// The semaphore that has that number, if any, and whoever created it.
    ///
    /// # Errors
    /// `VERR_INVALID_HANDLE` if none can have it; `VERR_NO_MEMORY`, `VERR_MAP_FAILED`.
    #[inline]
    pub(crate) fn of(session: &'a Session, kind: SemaphoreKind, handle: u32) -> Result<Self> {
        let connection = session.connection();
        let word = connection.word(handle).map_err(no_such_handle)?;
        // SAFETY: `Connection::word` found it in a page that stays mapped until the session is closed,
        // which its borrow prevents; everybody accesses it by atomic operations only.
        let word = StateWord::new(unsafe { word.as_ref() });
        Ok(Self { connection, kind, handle, word, looks: connection.looks(handle) })
    }

    #[inline]
    pub(crate) fn signal(self) -> Result<()> {
        match self.word.signal(self.kind, Meant::any(self.kind)) {
            Ok(Fast::Done) => Ok(()),
            Ok(Fast::EnterDriver) => self.operate(SemaphoreOperation::Wake, 0).map(|_| ()),
            Err(NotThatSemaphore) => self.invalid(),
        }
    }

    #[inline]
    pub(crate) fn reset(self) -> Result<()> {
        self.word.reset(Meant::any(self.kind)).or_else(|NotThatSemaphore| self.invalid())
    }

    #[inline]
    pub(crate) fn wait(self, timeout: Timeout) -> Result<(), WaitError> {
        match self.word.try_take(self.kind, Meant::any(self.kind)) {
            Ok(Fast::Done) => Ok(()),
            Ok(Fast::EnterDriver) if timeout == Timeout::Poll => Err(WaitError::TimedOut),
            Ok(Fast::EnterDriver) => self.sleep(timeout),
            Err(NotThatSemaphore) => self.invalid().map_err(WaitError::Failed),
        }
    }

    /// Watches the word for a moment if that is worth while, and sleeps.
    #[cold]
    fn sleep(self, timeout: Timeout) -> Result<(), WaitError> {
        let mut spent = Duration::ZERO;
        if timeout.is_long() {
            match self.watch() {
                Ok(Fast::Done) => return Ok(()),
                // Closed meanwhile: the driver says what that means.
                Ok(Fast::EnterDriver) => {}
                Err(elapsed) => spent = elapsed,
            }
        }
        let (operation, timeout) = timeout.request(spent);
        match self.operate(operation, timeout) {
            Ok(_) => Ok(()),
            Err(error) => Err(match error.status() {
                Status::VERR_TIMEOUT => WaitError::TimedOut,
                Status::VERR_INTERRUPTED => WaitError::Interrupted,
                Status::VERR_SEM_DESTROYED => WaitError::Destroyed,
                _ => WaitError::Failed(error),
            }),
        }
    }

    /// Watches until the wait is over, or the semaphore is not there any more.
    ///
    /// # Errors
    /// Nothing happened for so long.
    fn watch(self) -> Result<Fast, Duration> {
        let word = self.word;
        let begin = word.generation();
        self.looks.watch(|| match word.try_take(self.kind, Meant::any(self.kind)) {
            Ok(Fast::Done) => Some(Fast::Done),
            // A signal that a reset followed at once.
            Ok(Fast::EnterDriver) if word.has_passed(begin) => Some(Fast::Done),
            Ok(Fast::EnterDriver) => None,
            Err(NotThatSemaphore) => Some(Fast::EnterDriver),
        })
    }

    /// Closes it, and says whether a wait was in it.
    pub(crate) fn close(self) -> Result<Status> {
        self.operate(SemaphoreOperation::Close, 0)
    }

    #[cold]
    fn operate(self, operation: SemaphoreOperation, timeout: u64) -> Result<Status> {
        operate(self.connection, self.kind, self.handle, operation, timeout)
    }

    #[cold]
    fn invalid(self) -> Result<()> {
        Session::refuse("SemaphoreOp", Status::VERR_INVALID_HANDLE, "the semaphore is not open")
    }
}

/// The driver has no page of words for numbers that no semaphore ever had.
#[cold]
fn no_such_handle(error: Error) -> Error {
    match error.status() {
        Status::VERR_INVALID_PARAMETER | Status::VERR_INVALID_HANDLE => {
            Error::new("SemaphoreOp", Status::VERR_INVALID_HANDLE, "no semaphore has that handle")
        }
        _ => error,
    }
}

/// Asks the driver for an operation on a semaphore.
fn operate(
    connection: &Connection,
    kind: SemaphoreKind,
    handle: u32,
    operation: SemaphoreOperation,
    timeout: u64,
) -> Result<Status> {
    let (kind, operation) = (kind.into(), operation.into());
    let input = SemaphoreOpIn { kind, handle, operation, reserved: 0, timeout };
    let reply = connection.exchange::<SemaphoreOp>(&input)?;
    if reply.status.is_failure() {
        return Err(Error::new("SemaphoreOp", reply.status, ""));
    }
    Ok(reply.status)
}

// SAFETY: the word is memory that all threads of the process see, accessed by atomic operations only;
// the rest of a handle is `Send` by itself.
unsafe impl Send for Handle {}
// SAFETY: through a shared handle there are only atomic operations on the word, and requests of a
// session, which is `Sync`.
unsafe impl Sync for Handle {}

impl Drop for Handle {
    fn drop(&mut self) {
        if let Err(error) = self.place().close() {
            tracing::error!(target: "supdrv", %error, "cannot close a semaphore");
        }
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Handle").field(&self.kind).field(&self.handle).finish()
    }
}

/// An event that resets itself: each signal releases one wait. Corresponds to `SUPSEMEVENT`.
///
/// Signals do not add up: two signals before a wait release one. Dropping it closes it.
///
/// ```
/// use sup::{Session, Timeout, WaitError};
///
/// let event = Session::open()?.event()?;
/// assert_eq!(event.wait(Timeout::Poll), Err(WaitError::TimedOut));
/// std::thread::scope(|scope| {
///     let waiter = scope.spawn(|| event.wait(Timeout::Never));
///     event.signal()?;
///     waiter.join().unwrap()?;
///     Ok(())
/// })
/// # .map_err(|error: Box<dyn std::error::Error>| error)
/// # .unwrap();
/// # Ok::<(), sup::Error>(())
/// ```
#[derive(Debug)]
pub struct EventSemaphore(Handle);

impl EventSemaphore {
    /// Signals. Corresponds to `SUPSemEventSignal`.
    ///
    /// # Errors
    /// `VERR_INVALID_HANDLE` if somebody closed it behind this owner's back.
    #[inline]
    pub fn signal(&self) -> Result<()> {
        self.0.place().signal()
    }

    /// Waits for a signal and takes it. Corresponds to `SUPSemEventWait*`.
    ///
    /// # Errors
    /// [`WaitError`].
    #[inline]
    pub fn wait(&self, timeout: Timeout) -> Result<(), WaitError> {
        self.0.place().wait(timeout)
    }

    /// The handle's number in its session, for request packets to ring-0 modules.
    pub fn handle(&self) -> u32 {
        self.0.handle
    }
}

/// An event that stays signalled until it is reset, and releases every wait. Corresponds to
/// `SUPSEMEVENTMULTI`.
///
/// A thread that was waiting at a signal is released by it even if a reset follows at once. Dropping
/// it closes it.
#[derive(Debug)]
pub struct ManualResetEvent(Handle);

impl ManualResetEvent {
    /// Signals. Corresponds to `SUPSemEventMultiSignal`.
    ///
    /// # Errors
    /// `VERR_INVALID_HANDLE` if somebody closed it behind this owner's back.
    #[inline]
    pub fn signal(&self) -> Result<()> {
        self.0.place().signal()
    }

    /// Resets. Corresponds to `SUPSemEventMultiReset`.
    ///
    /// # Errors
    /// `VERR_INVALID_HANDLE` if somebody closed it behind this owner's back.
    #[inline]
    pub fn reset(&self) -> Result<()> {
        self.0.place().reset()
    }

    /// Waits until it is signalled. Corresponds to `SUPSemEventMultiWait*`.
    ///
    /// # Errors
    /// [`WaitError`].
    #[inline]
    pub fn wait(&self, timeout: Timeout) -> Result<(), WaitError> {
        self.0.place().wait(timeout)
    }

    /// The handle's number in its session, for request packets to ring-0 modules.
    pub fn handle(&self) -> u32 {
        self.0.handle
    }
}

impl Session {
    /// A new semaphore's number, with no owner.
    pub(crate) fn create_semaphore(&self, kind: SemaphoreKind) -> Result<u32> {
        create(self, kind).map(|(handle, _)| handle)
    }

    /// Creates an event that resets itself. Corresponds to `SUPSemEventCreate`.
    ///
    /// # Errors
    /// `VERR_NO_MEMORY`, `VERR_NO_MORE_HANDLES`.
    pub fn event(&self) -> Result<EventSemaphore> {
        Handle::create(self, SemaphoreKind::Event).map(EventSemaphore)
    }

    /// Creates an event that stays signalled until it is reset. Corresponds to
    /// `SUPSemEventMultiCreate`.
    ///
    /// # Errors
    /// `VERR_NO_MEMORY`, `VERR_NO_MORE_HANDLES`.
    pub fn manual_reset_event(&self) -> Result<ManualResetEvent> {
        Handle::create(self, SemaphoreKind::EventMulti).map(ManualResetEvent)
    }

    /// The resolution of waits in nanoseconds. Corresponds to `SUPSemEventGetResolution`.
    ///
    /// # Errors
    /// Only those of the transport.
    pub fn wait_resolution_ns(&self) -> Result<u32> {
        let input = SemaphoreCreateIn {
            kind: SemaphoreKind::Event.into(),
            handle: 0,
            operation: SemaphoreQuery::Resolution.into(),
            reserved: 0,
            reserved2: 0,
        };
        Ok(self.connection().call::<SemaphoreCreate>(&input)?.value)
    }
}
