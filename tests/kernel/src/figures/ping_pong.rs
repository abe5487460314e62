//! The figures of two who wake each other in turn, through events and through futexes.

use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};
use rustix::thread::futex;
use sup::backend::Kind;
use sup::{PAGE_SIZE, Session, Status, Timeout};
use sup_abi::request::SemaphoreOperation;

use super::figure::Figure;
use super::measure::cost_of;
use crate::check::{Stop, Verdict, same};
use crate::device::Device;
use crate::process::Child;

/// Rounds of a batch.
const ROUNDS: u64 = 50;

const IDLE: u32 = 0;
const CALLED: u32 = 1;
/// The other side is to end.
const OVER: u32 = 2;

/// The two words that a futex ping-pong goes through.
#[derive(Debug, Default)]
#[repr(C)]
struct Words {
    ping: AtomicU32,
    pong: AtomicU32,
}

/// Who may know the words.
#[derive(Debug, Clone, Copy)]
enum Reach {
    Threads,
    Processes,
}

impl Reach {
    fn flags(self) -> futex::Flags {
        match self {
            Self::Threads => futex::Flags::PRIVATE,
            Self::Processes => futex::Flags::empty(),
        }
    }

    fn call(self, word: &AtomicU32, value: u32) -> Verdict {
        // Pairs with the swap in `wait`, so that what one side did before is seen by the other.
        word.store(value, Ordering::Release);
        futex::wake(word, self.flags(), 1)?;
        Ok(())
    }

    /// Waits for a call; returns it.
    fn wait(self, word: &AtomicU32) -> Verdict<u32> {
        loop {
            // Pairs with the store in `call`.
            match word.swap(IDLE, Ordering::Acquire) {
                IDLE => match futex::wait(word, self.flags(), IDLE, None) {
                    Ok(()) | Err(Errno::AGAIN | Errno::INTR) => {}
                    Err(errno) => return Err(errno.into()),
                },
                called => return Ok(called),
            }
        }
    }

    fn answer(self, words: &Words) -> Verdict {
        while self.wait(&words.ping)? != OVER {
            self.call(&words.pong, CALLED)?;
        }
        Ok(())
    }

    fn round(self, words: &Words) -> Verdict {
        self.call(&words.ping, CALLED)?;
        self.wait(&words.pong).map(drop)
    }
}

fn futexes_of_threads() -> Verdict<u64> {
    let words = Words::default();
    thread::scope(|scope| {
        let other = scope.spawn(|| Reach::Threads.answer(&words));
        let cost = cost_of(ROUNDS, || Reach::Threads.round(&words));
        Reach::Threads.call(&words.ping, OVER)?;
        other.join().unwrap_or_else(|_| Err(Stop::failed("the other thread panicked")))?;
        cost
    })
}

fn events_of_threads() -> Verdict<u64> {
    let session = Session::open_in(Kind::Kernel)?;
    let (ping, pong) = (session.event()?, session.event()?);
    let is_over = AtomicU32::new(0);
    thread::scope(|scope| {
        let other = scope.spawn(|| {
            loop {
                ping.wait(Timeout::Never)?;
                // Pairs with the store below.
                if is_over.load(Ordering::Acquire) == OVER {
                    return Ok::<(), Stop>(());
                }
                pong.signal()?;
            }
        });
        let cost = cost_of(ROUNDS, || {
            ping.signal()?;
            Ok(pong.wait(Timeout::Never)?)
        });
        // Pairs with the load above; the signal comes after it.
        is_over.store(OVER, Ordering::Release);
        ping.signal()?;
        other.join().unwrap_or_else(|_| Err(Stop::failed("the other thread panicked")))?;
        cost
    })
}

fn futexes_of_processes() -> Verdict<u64> {
    let access = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: without an address and without MAP_FIXED the kernel chooses unused address space.
    let page = unsafe { mmap_anonymous(ptr::null_mut(), PAGE_SIZE, access, MapFlags::SHARED) }?;
    // SAFETY: the page is mapped until the end of this process and of its child, aligned, zeroed, which is
    // a value of both words, and changed as atomics only.
    let words: &Words = unsafe { &*page.cast() };
    let child = Child::start(|| Reach::Processes.answer(words))?;
    let cost = cost_of(ROUNDS, || Reach::Processes.round(words))?;
    Reach::Processes.call(&words.ping, OVER)?;
    child.finish()?;
    Ok(cost)
}

fn events_of_processes() -> Verdict<u64> {
    const FOR_EVER: u64 = u64::MAX;
    let device = Device::open()?;
    let (ping, pong) = (device.event()?, device.event()?);
    let child = Child::start(|| {
        while device.wait(ping, FOR_EVER)? == Status::VINF_SUCCESS {
            device.signal(pong)?;
        }
        Ok(())
    })?;
    let cost = cost_of(ROUNDS, || {
        device.signal(ping)?;
        same!(device.wait(pong, FOR_EVER)?, Status::VINF_SUCCESS);
        Ok(())
    })?;
    // Its wait is answered with the semaphore's end, or with its handle's.
    let closed = device.operate(ping, SemaphoreOperation::Close, 0)?;
    same!(closed.is_success(), true, "close: {closed}");
    child.finish()?;
    Ok(cost)
}

/// What a round costs, there and back.
pub(super) fn figures() -> Verdict<Vec<Figure>> {
    Ok(vec![
        Figure::new("ping-pong of threads, library", events_of_threads()?)
            .beside("futex", futexes_of_threads()?),
        Figure::new("ping-pong of processes, ioctl", events_of_processes()?)
            .beside("futex", futexes_of_processes()?),
    ])
}
