//! [`RingTracer`]: the client of the tracer in the box, `modules/ringtrace`.
//!
//! It lists where probes fire, switches them on and off, and reads the records of their hits from memory that
//! the tracer writes in ring 0: reading takes no call. When it is dropped, everything is switched off.
//!
//! Neighbours: `sup-ringtrace` has the rings and the packets. Invariant: the memory of the rings is mapped until
//! the tracer is closed, which is the drop alone: the session is this client's own.

use std::iter::Sum;
use std::path::Path;
use std::sync::atomic::AtomicU64;

use sup_abi::{SUPR0SERVICEREQHDR, SUPR0SERVICEREQHDR_MAGIC, Status};
use sup_ringtrace::packets::{
    ARGUMENTS_MAX, Buffers, COMMAND_BUFFERS, COOKIE, Counters, Location, OP_ADMIT, OP_BUFFERS,
    OP_COUNTERS, OP_LOCATION, OP_SWITCH, RINGS_MAX, SLOTS_MAX, Switch, buffers_argument,
};
use sup_ringtrace::{Reader, Ring, SLOTS_MIN, WORDS_PER_SLOT};
use zerocopy::FromZeros;

pub use sup_ringtrace::packets::{Comparison, HANDLER, MODULE};
pub use sup_ringtrace::{Kind as HitKind, Policy, Record};

use crate::ServiceModule;
use crate::backend::Kind;
use crate::error::{Error, Result};
use crate::session::Session;

const MAKE: &str = "RingTraceBuffers";

/// An argument of a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeArgument {
    /// The text of its type.
    pub type_text: String,
    /// `VTG_TYPE_` bits.
    pub flags: u32,
}

/// A place where a probe fires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeLocation {
    /// Its number: that of its records.
    pub id: u32,
    /// The provider's name, with the number of the process behind that of a process' provider.
    pub provider: String,
    /// The module's name.
    pub module: String,
    /// The function's name.
    pub function: String,
    /// The probe's name.
    pub probe: String,
    /// The line in its source.
    pub line: u32,
    /// The process that it is in; 0 in ring 0.
    pub process: u32,
    /// Whether it is switched on.
    pub is_on: bool,
    /// The probe's arguments.
    pub arguments: Vec<ProbeArgument>,
    /// Stability of the provider itself, its modules, functions, names and arguments: code, data, class.
    pub attributes: [[u8; 3]; 5],
}

/// A hit is recorded only if this holds of one of its first five arguments, compared as unsigned numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Condition {
    /// Which argument, 0 to 4.
    pub argument: u32,
    /// How it is compared.
    pub comparison: Comparison,
    /// With what.
    pub value: u64,
}

/// What became of the hits. Exact when everything is switched off.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TraceCounts {
    /// Records that were written.
    pub written: u64,
    /// Records that found no room in their ring.
    pub lost: u64,
    /// Records that were overwritten before they were read.
    pub overwritten: u64,
}

/// The rings, as the reader sees them.
#[derive(Debug)]
struct Rings {
    /// Where each one is.
    words: Vec<*const AtomicU64>,
    slots: usize,
    policy: Policy,
    readers: Vec<Reader>,
    /// Which ring is read next.
    turn: usize,
}

// SAFETY: the words are atomics, which any thread may use, and the driver keeps them mapped for the process until
// the tracer is closed, which only the drop of the `RingTracer` that has them does.
unsafe impl Send for Rings {}

/// The tracer in the box, opened. One at a time in a driver.
#[derive(Debug)]
pub struct RingTracer {
    // Dropped before the service and the session, which follow.
    rings: Option<Rings>,
    service: ServiceModule,
    session: Session,
}

fn header<T>() -> SUPR0SERVICEREQHDR {
    SUPR0SERVICEREQHDR { u32Magic: SUPR0SERVICEREQHDR_MAGIC, cbReq: size_of::<T>() as u32 }
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

impl RingTracer {
    /// Loads the tracer's module, `ringtrace.r0`, and opens the tracer.
    ///
    /// # Errors
    /// Those of [`Session::open_in`] and [`Session::load_service_module`]: in the kernel
    /// `VERR_PERMISSION_DENIED` or `VERR_ACCESS_DENIED` without CAP_SYS_MODULE or a trusted signature;
    /// `VERR_SUPDRV_TRACER_ALREADY_REGISTERED` if there is another tracer,
    /// `VERR_SUPDRV_TRACER_ALREADY_OPENED` if somebody else has this one.
    pub fn open_in(kind: Kind, file: impl AsRef<Path>) -> Result<Self> {
        let session = Session::open_in(kind)?;
        let service = session.load_service_module(file, MODULE, HANDLER)?;
        Self::with(session, service)
    }

    /// [`open_in`](Self::open_in) with the image in memory.
    ///
    /// # Errors
    /// Those of [`open_in`](Self::open_in).
    pub fn open_image(kind: Kind, image: &[u8]) -> Result<Self> {
        let session = Session::open_in(kind)?;
        let service = session.load_service_image(image, MODULE, HANDLER)?;
        Self::with(session, service)
    }

    fn with(session: Session, service: ServiceModule) -> Result<Self> {
        service.call(OP_ADMIT, 0).map(|_| ())?;
        session.tracer_open(COOKIE, 0)?;
        Ok(Self { rings: None, service, session })
    }

    /// All places where probes fire.
    ///
    /// # Errors
    /// The transport's.
    pub fn locations(&self) -> Result<Vec<ProbeLocation>> {
        let (mut found, mut next) = (Vec::new(), 0);
        loop {
            let mut packet = Location::new_zeroed();
            packet.header = header::<Location>();
            match self.service.call_with(OP_LOCATION, next, &mut packet) {
                Ok(_) => {}
                Err(error) if error.status() == Status::VERR_NOT_FOUND => return Ok(found),
                Err(error) => return Err(error),
            }
            next = u64::from(packet.id) + 1;
            let count = usize::from(packet.arg_count).min(ARGUMENTS_MAX);
            let arguments = packet.types.iter().zip(packet.flags).take(count);
            found.push(ProbeLocation {
                id: packet.id,
                provider: text(&packet.provider),
                module: text(&packet.module),
                function: text(&packet.function),
                probe: text(&packet.probe),
                line: packet.line,
                process: packet.process,
                is_on: packet.is_enabled != 0,
                arguments: arguments
                    .map(|(bytes, flags)| ProbeArgument { type_text: text(bytes), flags })
                    .collect(),
                attributes: packet.attributes.map(|of| [of.u8Code, of.u8Data, of.u8DataDep]),
            });
        }
    }

    /// Makes the rings, one for each processor, with room for so many records each: a power of two. Once.
    ///
    /// # Errors
    /// `VERR_INVALID_PARAMETER` for another number of records or more than 32 768,
    /// `VERR_WRONG_ORDER` the second time, `VERR_NO_MEMORY`.
    pub fn make_rings(&mut self, slots: u32, policy: Policy) -> Result<()> {
        if !(SLOTS_MIN as u32..=SLOTS_MAX).contains(&slots) || !slots.is_power_of_two() {
            let detail =
                format!("a ring has {SLOTS_MIN}, 4, 8, … {SLOTS_MAX} records, not {slots}");
            return Err(Error::new(MAKE, Status::VERR_INVALID_PARAMETER, detail));
        }
        // SAFETY: the C library takes a number, one of its own, and answers with another: no memory is passed.
        let processors = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_CONF) };
        let rings = u16::try_from(processors.clamp(1, RINGS_MAX.into())).unwrap_or(1);
        let argument = buffers_argument(rings, slots, policy);
        let reply = self.session.tracer_command(COMMAND_BUFFERS, argument)?;
        if reply.status.is_failure() {
            let detail = format!("{rings} rings of {slots} records");
            return Err(Error::new(MAKE, reply.status, detail));
        }
        let mut words = Vec::new();
        let mut packet = Buffers::new_zeroed();
        for index in 0..rings {
            packet.header = header::<Buffers>();
            self.service.call_with(OP_BUFFERS, index.into(), &mut packet).map(|_| ())?;
            words.push(std::ptr::with_exposed_provenance(packet.address as usize));
        }
        let readers = vec![Reader::default(); words.len()];
        self.rings = Some(Rings { words, slots: packet.slots as usize, policy, readers, turn: 0 });
        Ok(())
    }

    /// Switches a location on: its hits are recorded, as far as the condition holds.
    ///
    /// # Errors
    /// `VERR_NOT_FOUND` if it has gone, `VERR_INVALID_PARAMETER` for an argument above 4.
    pub fn switch_on(&self, id: u32, condition: Option<Condition>) -> Result<()> {
        let always = Condition { argument: 0, comparison: Comparison::Always, value: 0 };
        self.switch(id, 1, condition.unwrap_or(always))
    }

    /// Switches a location off.
    ///
    /// # Errors
    /// `VERR_NOT_FOUND` if it has gone.
    pub fn switch_off(&self, id: u32) -> Result<()> {
        self.switch(id, 0, Condition { argument: 0, comparison: Comparison::Always, value: 0 })
    }

    fn switch(&self, id: u32, is_on: u32, condition: Condition) -> Result<()> {
        let mut packet = Switch {
            header: header::<Switch>(),
            id,
            is_on,
            argument: condition.argument,
            comparison: condition.comparison as u32,
            value: condition.value,
        };
        self.service.call_with(OP_SWITCH, 0, &mut packet).map(|_| ())
    }

    /// Hands records to `take`, from each ring in turn and in its order, until all rings are empty or so many
    /// were handed over; returns how many. No call.
    pub fn read(&mut self, most: usize, mut take: impl FnMut(&Record)) -> usize {
        let Some(rings) = &mut self.rings else { return 0 };
        let (count, each) = (rings.readers.len(), rings.slots * WORDS_PER_SLOT);
        let mut taken = 0;
        for _ in 0..count {
            let index = rings.turn;
            // SAFETY: the tracer told of so many words there, mapped for this process until it is closed, which is
            // not before this value is dropped; both rings use them as atomics.
            let words = unsafe { std::slice::from_raw_parts(rings.words[index], each) };
            let ring = Ring::new(words, rings.policy);
            let (Some(ring), Some(reader)) = (ring, rings.readers.get_mut(index)) else { break };
            while taken < most {
                let Some(record) = reader.read(&ring) else { break };
                take(&record);
                taken += 1;
            }
            // Also if this one has more: others must not wait for one that is never empty.
            rings.turn = (index + 1) % count;
            if taken == most {
                break;
            }
        }
        taken
    }

    /// What became of the hits so far.
    ///
    /// # Errors
    /// The transport's.
    pub fn counts(&self) -> Result<TraceCounts> {
        Ok(self.ring_counts()?.into_iter().sum())
    }

    /// The same for each ring.
    ///
    /// # Errors
    /// The transport's.
    pub fn ring_counts(&self) -> Result<Vec<TraceCounts>> {
        let readers = self.rings.iter().flat_map(|rings| &rings.readers).enumerate();
        let counts = readers.map(|(index, reader)| {
            let mut packet = Counters::new_zeroed();
            packet.header = header::<Counters>();
            self.service.call_with(OP_COUNTERS, index as u64, &mut packet).map(|_| ())?;
            let Counters { written, lost, .. } = packet;
            Ok(TraceCounts { written, lost, overwritten: reader.overwritten() })
        });
        counts.collect()
    }
}

impl Sum for TraceCounts {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            written: sum.written + one.written,
            lost: sum.lost + one.lost,
            overwritten: sum.overwritten + one.overwritten,
        })
    }
}

/// A moment, as the records' clock and the system's have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchor {
    /// The time-stamp counter.
    pub tsc: u64,
    /// `CLOCK_REALTIME`.
    pub realtime_ns: u64,
    /// `CLOCK_MONOTONIC`.
    pub monotonic_ns: u64,
}

/// Now, by all three clocks, one after the other.
#[must_use]
pub fn anchor() -> Anchor {
    let ns = |id| {
        let time = rustix::time::clock_gettime(id);
        time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
    };
    let monotonic_ns = ns(rustix::time::ClockId::Monotonic);
    // SAFETY: the instruction is part of x86-64, which this library is compiled for; a process that was forbidden it
    // (PR_SET_TSC) ends with a signal, which is its own choice.
    let tsc = unsafe { std::arch::x86_64::_rdtsc() };
    Anchor { tsc, realtime_ns: ns(rustix::time::ClockId::Realtime), monotonic_ns }
}

impl Drop for RingTracer {
    fn drop(&mut self) {
        self.rings = None;
        // If it fails, the end of the session closes the tracer.
        let _ = self.session.tracer_close();
    }
}
