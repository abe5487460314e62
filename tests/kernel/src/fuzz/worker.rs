//! One process of the fuzzer: threads that share sessions, and replace them now and then.

use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use rustix::io::Errno;
use sup::Status;
use sup_abi::request::{Function, HEADER_BYTES, Header, SemaphoreOperation, ioctl};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::arena::Arena;
use super::memory::Answers;
use super::shot::{Place, Shot};
use crate::check::{Stop, Verdict, check, same};
use crate::device::Device;
use crate::random::Random;

pub(super) const THREADS: u32 = 4;

/// Sessions that all threads use.
const SESSIONS: usize = 3;

/// A session is replaced once in so many requests.
const REPLACE_EVERY: usize = 100;

/// Functions that a number can name.
const FUNCTIONS: usize = 256;

/// What became of the requests, by function.
#[derive(Debug, Clone, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct Tally {
    /// The transport succeeded, whatever the status.
    pub(super) carried_out: [u64; FUNCTIONS],
    pub(super) succeeded: [u64; FUNCTIONS],
    /// Packets that were refused.
    pub(super) refused: u64,
}

impl Default for Tally {
    fn default() -> Self {
        Self { carried_out: [0; FUNCTIONS], succeeded: [0; FUNCTIONS], refused: 0 }
    }
}

impl Tally {
    pub(super) fn add(&mut self, other: &Self) {
        let add = |sums: &mut [u64], more: &[u64]| {
            sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
        };
        add(&mut self.carried_out, &other.carried_out);
        add(&mut self.succeeded, &other.succeeded);
        self.refused += other.refused;
    }
}

/// A session that may be replaced while others use it, which then keep the old one until they are done.
type Shared = Mutex<Arc<Device>>;

fn lock(shared: &Shared) -> MutexGuard<'_, Arc<Device>> {
    // Replacing is one assignment, so a panic elsewhere leaves a good value.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sends `count` requests on each thread.
pub(super) fn run(random: &Random, count: u64) -> Verdict<Tally> {
    let mut sessions = Vec::new();
    for _ in 0..SESSIONS {
        sessions.push(Mutex::new(Arc::new(Device::open()?)));
    }
    let tally = thread::scope(|scope| {
        let sessions = &sessions;
        let threads: Vec<_> = (0..THREADS)
            .map(|number| {
                let random = random.branch(u64::from(number) + 1);
                scope.spawn(move || shoot(sessions, random, count))
            })
            .collect();
        let mut sum = Tally::default();
        for thread in threads {
            let one = thread.join().unwrap_or_else(|_| Err(Stop::failed("a thread panicked")))?;
            sum.add(&one);
        }
        Ok::<_, Stop>(sum)
    })?;
    sessions.iter().try_for_each(|session| works_on(&lock(session)))?;
    works_on(&Device::open()?)?;
    Ok(tally)
}

/// Whether a session does what it should, whatever was sent to it.
fn works_on(device: &Device) -> Verdict {
    same!(device.statistics()?.session.sessions, 1);
    let event = device.event()?;
    device.signal(event)?;
    same!(device.wait(event, 0)?, Status::VINF_SUCCESS);
    same!(device.wait(event, 0)?, Status::VERR_TIMEOUT);
    let closed = device.operate(event, SemaphoreOperation::Close, 0)?;
    check!(closed.is_success(), "close: {closed}");
    Ok(())
}

fn shoot(sessions: &[Shared], mut random: Random, count: u64) -> Verdict<Tally> {
    let arena = Arena::new(32)?;
    let mut tally = Tally::default();
    let mut answers: [Answers; SESSIONS] = Default::default();
    let mut after = Vec::new();
    for index in 0..count {
        let slot = random.below(SESSIONS);
        if random.is_one_in(REPLACE_EVERY) {
            let fresh = Arc::new(Device::open()?);
            *lock(&sessions[slot]) = fresh;
            answers[slot] = Answers::default();
        }
        let device = Arc::clone(&lock(&sessions[slot]));
        let shot = Shot::next(device.cookies(), &answers[slot], &mut random);
        let result = fire(&arena, &device, &shot, &mut after)
            .and_then(|result| judge(&shot, result, &after));
        match result {
            Ok(Some(status)) => {
                let function = shot.number as usize % FUNCTIONS;
                tally.carried_out[function] += 1;
                tally.succeeded[function] += u64::from(status.is_success());
                if let Ok(function) = Function::try_from(shot.number % FUNCTIONS as u32)
                    && status.is_success()
                {
                    answers[slot].note(function, &after);
                }
            }
            Ok(None) => tally.refused += 1,
            Err(Stop::Failed(why)) => {
                let head = &shot.packet[..shot.packet.len().min(HEADER_BYTES + 32)];
                return Err(Stop::Failed(format!(
                    "{why}; request {index} of its thread: number {:#x}, {:?}, {} bytes: {head:02x?}",
                    shot.number,
                    shot.place,
                    shot.packet.len()
                )));
            }
            Err(skipped) => return Err(skipped),
        }
    }
    Ok(tally)
}

/// Sends the packet and reads it back into `after`.
fn fire(
    arena: &Arena,
    device: &Device,
    shot: &Shot,
    after: &mut Vec<u8>,
) -> Verdict<Result<(), Errno>> {
    let bytes = shot.packet.len();
    check!(bytes <= arena.bytes(), "a packet of {bytes} bytes has no room in the arena");
    let offset = match shot.place {
        Place::Start | Place::ReadOnly | Place::Nothing(_) => 0,
        Place::End => arena.bytes() - bytes,
        Place::BeyondEnd(missing) => arena.bytes() - bytes + missing,
    };
    arena.put(offset, &shot.packet);
    let address = match shot.place {
        Place::Nothing(address) => address,
        _ => arena.address_of(offset),
    };
    let send = || arena.send(device.as_fd(), shot.number, address);
    let result = if shot.place == Place::ReadOnly { arena.while_read_only(send)? } else { send() };
    after.clear();
    after.extend_from_slice(&shot.packet);
    arena.get(offset, after);
    Ok(result)
}

/// What a call may answer; the status of a request that was carried out, none of a refused one.
fn judge(shot: &Shot, result: Result<(), Errno>, after: &[u8]) -> Verdict<Option<Status>> {
    let Err(errno) = result else {
        check!(!matches!(shot.place, Place::Nothing(_) | Place::ReadOnly), "succeeded nowhere");
        let header = Header::read_from_prefix(after);
        let (header, _) = header.map_err(|_| Stop::failed("carried out without a header"))?;
        let bytes_out = header.bytes_out as usize;
        // The number may tell no length; then the header's sizes were as good as true.
        if bytes_out <= after.len() {
            check!(bytes_out >= HEADER_BYTES, "an answer of {bytes_out} bytes");
            let missing = if let Place::BeyondEnd(missing) = shot.place { missing } else { 0 };
            let there = after.len() - missing;
            let end = bytes_out.min(there);
            check!(after[end..] == shot.packet[end..], "written behind the answer");
        }
        return Ok(Some(Status::new(header.rc)));
    };
    check!(
        matches!(
            errno,
            Errno::INVAL | Errno::NOTTY | Errno::FAULT | Errno::TOOBIG | Errno::PERM | Errno::INTR
        ),
        "transport {errno} ({:?})",
        ioctl::status_of(errno.raw_os_error())
    );
    // A fault may come in the middle of an answer; any other refusal comes before it.
    check!(errno == Errno::FAULT || after == shot.packet, "refused ({errno}), and written to");
    Ok(None)
}
