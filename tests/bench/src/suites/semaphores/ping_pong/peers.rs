//! What else two threads can wake each other with, each in the least code that it takes.

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use anyhow::{Result, ensure};
use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;
use rustix::thread::futex;

use super::Event;

/// One word, 1 if it is signalled, and the two futex calls.
#[derive(Debug, Default)]
pub(super) struct Futex(AtomicU32);

impl Event for Futex {
    fn signal(&self) -> Result<()> {
        // Release: pairs with the acquire in `wait`.
        self.0.store(1, Ordering::Release);
        futex::wake(&self.0, futex::Flags::PRIVATE, 1)?;
        Ok(())
    }

    fn wait(&self) -> Result<()> {
        // Acquire: pairs with the release in `signal`.
        while self.0.swap(0, Ordering::Acquire) == 0 {
            match futex::wait(&self.0, futex::Flags::PRIVATE, 0, None) {
                // Woken, or signalled just before.
                Ok(()) | Err(Errno::AGAIN | Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// A counter of the kernel's behind a file descriptor.
#[derive(Debug)]
pub(super) struct EventFd(OwnedFd);

impl EventFd {
    pub(super) fn new() -> Result<Self> {
        Ok(Self(eventfd(0, EventfdFlags::CLOEXEC)?))
    }
}

impl Event for EventFd {
    fn signal(&self) -> Result<()> {
        rustix::io::write(&self.0, &1_u64.to_ne_bytes())?;
        Ok(())
    }

    fn wait(&self) -> Result<()> {
        rustix::io::read(&self.0, &mut [0; 8])?;
        Ok(())
    }
}

/// A flag under a mutex, and a condition variable.
#[derive(Debug)]
pub(super) struct Condition {
    /// In a box: neither may move once it was used.
    parts: Box<Parts>,
    is_signalled: AtomicBool,
}

#[derive(Debug)]
struct Parts {
    mutex: UnsafeCell<libc::pthread_mutex_t>,
    condition: UnsafeCell<libc::pthread_cond_t>,
}

// SAFETY: both are made to be used by several threads at once, and nothing but their own functions
// touches them.
unsafe impl Sync for Parts {}

impl Default for Condition {
    fn default() -> Self {
        let parts = Parts {
            mutex: UnsafeCell::new(libc::PTHREAD_MUTEX_INITIALIZER),
            condition: UnsafeCell::new(libc::PTHREAD_COND_INITIALIZER),
        };
        Self { parts: Box::new(parts), is_signalled: AtomicBool::new(false) }
    }
}

impl Condition {
    fn lock(&self) -> Result<()> {
        // SAFETY: the mutex was initialised by its constant and does not move; no thread locks it
        // twice, as both users unlock it on their way out.
        succeeds(unsafe { libc::pthread_mutex_lock(self.parts.mutex.get()) })
    }

    fn unlock(&self) -> Result<()> {
        // SAFETY: the mutex is initialised, and locked by this thread: both callers locked it.
        succeeds(unsafe { libc::pthread_mutex_unlock(self.parts.mutex.get()) })
    }
}

impl Event for Condition {
    fn signal(&self) -> Result<()> {
        self.lock()?;
        // Relaxed, here and below: the mutex orders it.
        self.is_signalled.store(true, Ordering::Relaxed);
        self.unlock()?;
        // After the unlock, which is allowed and faster: the woken thread finds the mutex free.
        // SAFETY: the condition was initialised by its constant and does not move.
        succeeds(unsafe { libc::pthread_cond_signal(self.parts.condition.get()) })
    }

    fn wait(&self) -> Result<()> {
        self.lock()?;
        while !self.is_signalled.swap(false, Ordering::Relaxed) {
            let (condition, mutex) = (self.parts.condition.get(), self.parts.mutex.get());
            // SAFETY: both are initialised and do not move, the mutex is locked by this thread, and
            // every wait on this condition is with this mutex.
            succeeds(unsafe { libc::pthread_cond_wait(condition, mutex) })?;
        }
        self.unlock()
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        // SAFETY: initialised, not locked, and with `&mut` nobody waits; nothing uses it afterwards.
        unsafe { libc::pthread_cond_destroy(self.condition.get()) };
        // SAFETY: initialised, and both users unlocked it; nothing uses it afterwards.
        unsafe { libc::pthread_mutex_destroy(self.mutex.get()) };
    }
}

/// A semaphore of the C library.
#[derive(Debug)]
pub(super) struct PosixSemaphore(Box<Initialised>);

/// Initialised, in a box because it must not move.
#[derive(Debug)]
struct Initialised(UnsafeCell<MaybeUninit<libc::sem_t>>);

// SAFETY: it is made to be used by several threads at once, and nothing but its own functions
// touches it.
unsafe impl Sync for Initialised {}

impl PosixSemaphore {
    pub(super) fn new() -> Result<Self> {
        let semaphore = Box::new(Initialised(UnsafeCell::new(MaybeUninit::zeroed())));
        // SAFETY: the memory is of a `sem_t`'s size and alignment, and nobody else has it yet. If the
        // call fails, the destroy in `drop` gets a zeroed one, which Linux takes.
        let result = unsafe { libc::sem_init(semaphore.get(), 0, 0) };
        ensure!(result == 0, "sem_init: {}", std::io::Error::last_os_error());
        Ok(Self(semaphore))
    }
}

impl Initialised {
    fn get(&self) -> *mut libc::sem_t {
        self.0.get().cast()
    }
}

impl Event for PosixSemaphore {
    fn signal(&self) -> Result<()> {
        // SAFETY: `new` initialised it, and it does not move.
        let result = unsafe { libc::sem_post(self.0.get()) };
        ensure!(result == 0, "sem_post: {}", std::io::Error::last_os_error());
        Ok(())
    }

    fn wait(&self) -> Result<()> {
        loop {
            // SAFETY: `new` initialised it, and it does not move.
            if unsafe { libc::sem_wait(self.0.get()) } == 0 {
                return Ok(());
            }
            let error = std::io::Error::last_os_error();
            ensure!(error.raw_os_error() == Some(libc::EINTR), "sem_wait: {error}");
        }
    }
}

impl Drop for Initialised {
    fn drop(&mut self) {
        // SAFETY: `new` initialised it, and with `&mut` nobody waits; nothing uses it afterwards.
        unsafe { libc::sem_destroy(self.get()) };
    }
}

/// What functions of pthreads return: 0, or the error itself.
fn succeeds(result: i32) -> Result<()> {
    if result == 0 { Ok(()) } else { Err(Errno::from_raw_os_error(result).into()) }
}
