//! ringtrace: the tracer in the box. Hits of probes become records in rings that a process reads without a call.
//!
//! `supctl module build modules/ringtrace` compiles it for ring 0, into `target/r0/ringtrace.r0`, and
//! `supctl trace` uses it. One session at a time has it open; that one decides what is switched on, and
//! gets the records. When it goes, also because its process was killed, everything is switched off.
//!
//! * A hit looks the location up ([`Known`]), checks its condition, takes the time and the processor's
//!   number by RDTSCP, and writes a record into the ring of that processor: no lock, no wait.
//! * Requests are those of [`sup_ringtrace::packets`].
//!
//! Neighbours: `sup-ringtrace` has the rings, `sup-module` what the driver shows. Invariant: only the session that
//! was admitted by the service opens the tracer, and only a caller that may load modules reaches the service.

#![no_std]
#![forbid(unsafe_code)]

use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

use sup_abi::{SUPDRVSESSION, VTG_TYPE_FIXED_SIZED, VTG_TYPE_SIZE_MASK};
use sup_module::nap::Nap;
use sup_module::provider::{self, Providers};
use sup_module::shelf::Shelf;
use sup_module::time;
use sup_module::tracer::{self, Client, HIT_ARGUMENTS, Tracer, UserArguments};
use sup_module::{Call, Module, Result, Session, Status, log, ring0_module};
use sup_ringtrace::packets::{
    ARGUMENTS_MAX, Buffers, COMMAND_BUFFERS, COOKIE, Comparison, Counters, LOCATIONS_MAX, Location,
    OP_ADMIT, OP_BUFFERS, OP_COUNTERS, OP_LOCATION, OP_SWITCH, RINGS_MAX, SLOTS_MAX, Switch,
    buffers_of,
};
use sup_ringtrace::{Head, Kind, Policy, Record, Ring, SLOTS_MIN, WORDS_PER_SLOT};

ring0_module! {
    init: start,
    service: ringtraceServiceReqHandler => serve,
}

/// What a hit has to know of its location.
struct Known {
    /// Arguments in the low byte; above, a bit for each that takes two words of 32-bit code.
    arguments: AtomicU32,
    process: AtomicU32,
    /// The number of a [`Comparison`], and which argument it is about from bit 8 on.
    condition: AtomicU32,
    value: AtomicU64,
}

static KNOWN: [Known; LOCATIONS_MAX as usize] = [const {
    Known {
        arguments: AtomicU32::new(0),
        process: AtomicU32::new(0),
        condition: AtomicU32::new(0),
        value: AtomicU64::new(0),
    }
}; LOCATIONS_MAX as usize];

static HEADS: [Head; RINGS_MAX as usize] = [const { Head::new() }; RINGS_MAX as usize];
/// How the rings on the shelf are laid out: slots of each, how many, and 1 if they overwrite.
static SLOTS: AtomicU32 = AtomicU32::new(0);
static RINGS: AtomicU32 = AtomicU32::new(0);
static OVERWRITES: AtomicU32 = AtomicU32::new(0);

static PROVIDERS: Providers = Providers::new();
static SHELF: Shelf = Shelf::new();
static NAP: Nap = Nap::new();
/// The session that may open the tracer.
static ADMITTED: AtomicPtr<SUPDRVSESSION> = AtomicPtr::new(core::ptr::null_mut());
/// The session that has it open.
static OWNER: AtomicPtr<SUPDRVSESSION> = AtomicPtr::new(core::ptr::null_mut());

fn start(module: Module) -> Result<()> {
    if !time::has_moments() {
        log!("ringtrace: the processor has no RDTSCP");
        return Err(Status::VERR_NOT_SUPPORTED);
    }
    NAP.start()?;
    tracer::register::<RingTrace>(module)
}

struct RingTrace;

impl Tracer for RingTrace {
    fn providers() -> &'static Providers {
        &PROVIDERS
    }

    fn shelf() -> &'static Shelf {
        &SHELF
    }

    fn nap() -> &'static Nap {
        &NAP
    }

    fn fire_kernel(id: u32, arguments: [u64; HIT_ARGUMENTS]) {
        if let Some(known) = KNOWN.get(id as usize) {
            record(id, known, Kind::Kernel, arguments);
        }
    }

    fn fire_user(id: u32, arguments: UserArguments<'_>) {
        let Some(known) = KNOWN.get(id as usize) else { return };
        let mut words = [0; HIT_ARGUMENTS];
        match arguments {
            UserArguments::Wide(wide) => {
                words.iter_mut().zip(wide).for_each(|(word, argument)| *word = *argument);
            }
            UserArguments::Narrow(narrow) => {
                let large = known.arguments.load(Ordering::Relaxed) >> 8;
                widen(&mut words, narrow, large);
            }
        }
        record(id, known, Kind::User, words);
    }

    fn open(client: &Client<'_>, cookie: u32, _argument: u64) -> Result<()> {
        let session = client.session().as_raw();
        if cookie != COOKIE {
            return Err(Status::VERR_INVALID_MAGIC);
        }
        // Acquire and Release, here and in `close`: who opens finds what the last one left behind.
        if ADMITTED.load(Ordering::Acquire) != session {
            return Err(Status::VERR_PERMISSION_DENIED);
        }
        let nobody = core::ptr::null_mut();
        OWNER
            .compare_exchange(nobody, session, Ordering::Acquire, Ordering::Relaxed)
            .map(|_| ())
            .map_err(|_| Status::VERR_SUPDRV_TRACER_ALREADY_OPENED)
    }

    fn command(client: &Client<'_>, command: u64, argument: u64) -> Result<i32> {
        match command {
            COMMAND_BUFFERS => make_buffers(client, argument).map(|()| 0),
            _ => Err(Status::VERR_NOT_SUPPORTED),
        }
    }

    fn close(_client: &Client<'_>) {
        PROVIDERS.for_each(&NAP, |location| location.switch_off());
        // Release: pairs with the exchange in `open`. The kit takes the memory away next; who opens before
        // that is over is refused when it makes its own.
        OWNER.store(core::ptr::null_mut(), Ordering::Release);
    }

    fn introduce(location: &provider::Location<'_>) {
        let Some(known) = KNOWN.get(location.id() as usize) else { return };
        let (mut count, mut large) = (0_u32, 0_u32);
        for argument in location.arguments() {
            let is_large = argument.flags & VTG_TYPE_FIXED_SIZED != 0
                && argument.flags & VTG_TYPE_SIZE_MASK > 4;
            if is_large {
                large |= 1 << count;
            }
            count = count.wrapping_add(1);
        }
        // Relaxed: the location is switched on later, which orders it.
        known.arguments.store(count | large << 8, Ordering::Relaxed);
        known.process.store(location.process(), Ordering::Relaxed);
        known.condition.store(0, Ordering::Relaxed);
    }
}

/// Joins the arguments of 32-bit code that take two words.
fn widen(words: &mut [u64; HIT_ARGUMENTS], narrow: &[u32], large: u32) {
    let mut next = narrow.iter();
    let mut take = || u64::from(*next.next().unwrap_or(&0));
    for (index, word) in (0_u32..).zip(words) {
        *word = take();
        if large & 1 << index != 0 {
            *word |= take() << 32;
        }
    }
}

/// Writes a record of a hit. In any context.
#[inline]
fn record(id: u32, known: &Known, kind: Kind, mut args: [u64; HIT_ARGUMENTS]) {
    // Relaxed, here and below: changed while the location is off, or a little too early or late.
    let condition = known.condition.load(Ordering::Relaxed);
    if condition != 0 {
        let argument = args.get((condition >> 8) as usize).copied().unwrap_or(0);
        let comparison = Comparison::from_number(condition & 0xff).unwrap_or(Comparison::Always);
        if !comparison.holds(argument, known.value.load(Ordering::Relaxed)) {
            return;
        }
    }
    let arg_count = known.arguments.load(Ordering::Relaxed) as u8;
    // What is behind the arguments is what the registers had by chance: nobody's business.
    args.iter_mut().skip(usize::from(arg_count)).for_each(|word| *word = 0);
    let now = time::moment();
    let who = u64::from(known.process.load(Ordering::Relaxed)) << 32;
    let record =
        Record { time_tsc: now.tsc, id, cpu: now.cpu, kind: kind as u8, arg_count, who, args };
    SHELF.with(now.cpu, |index, words| write(index, words, &record));
}

/// Writes into the ring with this number.
#[inline]
fn write(index: usize, words: &[AtomicU64], record: &Record) {
    // Relaxed: written before the ring was put on the shelf.
    let overwrites = OVERWRITES.load(Ordering::Relaxed) != 0;
    let policy = if overwrites { Policy::Overwrite } else { Policy::Drop };
    if let (Some(ring), Some(head)) = (Ring::new(words, policy), HEADS.get(index)) {
        ring.write(head, record);
    }
}

/// Makes the rings in memory of the client's session.
fn make_buffers(client: &Client<'_>, argument: u64) -> Result<()> {
    let (rings, slots, policy) = buffers_of(argument).ok_or(Status::VERR_INVALID_PARAMETER)?;
    let is_valid = (1..=RINGS_MAX).contains(&u32::from(rings))
        && (SLOTS_MIN as u32..=SLOTS_MAX).contains(&slots)
        && slots.is_power_of_two();
    let words = slots.checked_mul(WORDS_PER_SLOT as u32).filter(|_| is_valid);
    let words = words.ok_or(Status::VERR_INVALID_PARAMETER)?;
    let begin = || {
        // Relaxed: the shelf publishes all of it.
        SLOTS.store(slots, Ordering::Relaxed);
        RINGS.store(rings.into(), Ordering::Relaxed);
        OVERWRITES.store(u32::from(policy == Policy::Overwrite), Ordering::Relaxed);
        HEADS.iter().for_each(Head::reset);
    };
    SHELF.put(client, (rings.into(), words), &NAP, begin, |words| {
        if let Some(ring) = Ring::new(words, policy) {
            ring.reset();
        }
    })
}

fn serve(mut call: Call<'_>) -> Result<Status> {
    match call.operation {
        // Release: pairs with the load in `open`.
        OP_ADMIT => ADMITTED.store(call.session.as_raw(), Ordering::Release),
        OP_LOCATION => describe(call.packet.view()?, call.argument)?,
        OP_SWITCH => {
            require_owner(call.session)?;
            switch(call.packet.view()?)?;
        }
        OP_BUFFERS => {
            require_owner(call.session)?;
            let buffers: &mut Buffers = call.packet.view()?;
            if !SHELF.is_of(call.session) {
                return Err(Status::VERR_WRONG_ORDER);
            }
            let index = usize::try_from(call.argument).unwrap_or(usize::MAX);
            buffers.address = SHELF.r3_address(index).get();
            // Relaxed: written by a call of this session.
            buffers.slots = SLOTS.load(Ordering::Relaxed);
            buffers.rings = RINGS.load(Ordering::Relaxed);
        }
        OP_COUNTERS => {
            let counters: &mut Counters = call.packet.view()?;
            let head = usize::try_from(call.argument).ok().and_then(|index| HEADS.get(index));
            let head = head.ok_or(Status::VERR_INVALID_PARAMETER)?;
            counters.written = head.written();
            counters.lost = head.lost();
        }
        _ => return Err(Status::VERR_NOT_SUPPORTED),
    }
    Ok(Status::VINF_SUCCESS)
}

fn require_owner(session: Session<'_>) -> Result<()> {
    // Relaxed: the caller's own open came before, or it is not the owner.
    let is_owner = OWNER.load(Ordering::Relaxed) == session.as_raw();
    if is_owner { Ok(()) } else { Err(Status::VERR_PERMISSION_DENIED) }
}

/// Cuts a text to the room there is, and terminates it.
fn copy(to: &mut [u8], from: &[u8]) {
    let room = to.len().saturating_sub(1);
    to.fill(0);
    to.iter_mut().take(room).zip(from).for_each(|(to, from)| *to = *from);
}

fn describe(packet: &mut Location, from: u64) -> Result<()> {
    let from = u32::try_from(from).map_err(|_| Status::VERR_NOT_FOUND)?;
    let found = PROVIDERS.first_from(from, &NAP, |location| {
        packet.id = location.id();
        packet.line = location.line();
        packet.process = location.process();
        packet.is_enabled = u8::from(location.is_on());
        packet.bits = location.bits();
        packet.attributes = location.attributes();
        copy(&mut packet.provider, location.provider_name());
        copy(&mut packet.module, location.module_name());
        copy(&mut packet.probe, location.probe_name());
        copy(&mut packet.function, location.function());
        packet.arg_count = 0;
        for (place, argument) in location.arguments().take(ARGUMENTS_MAX).enumerate() {
            packet.arg_count = packet.arg_count.wrapping_add(1);
            if let Some(flags) = packet.flags.get_mut(place) {
                *flags = argument.flags;
            }
            if let Some(text) = packet.types.get_mut(place) {
                copy(text, argument.type_text);
            }
        }
    });
    found.ok_or(Status::VERR_NOT_FOUND)
}

fn switch(packet: &Switch) -> Result<()> {
    let comparison = Comparison::from_number(packet.comparison);
    let comparison = comparison.ok_or(Status::VERR_INVALID_PARAMETER)?;
    if packet.argument as usize >= HIT_ARGUMENTS || packet.is_on > 1 {
        return Err(Status::VERR_INVALID_PARAMETER);
    }
    let known = KNOWN.get(packet.id as usize).ok_or(Status::VERR_NOT_FOUND)?;
    let found = PROVIDERS.first_from(packet.id, &NAP, |location| {
        if location.id() != packet.id {
            return false;
        }
        // Off first: no hit sees half of a condition.
        location.switch_off();
        if packet.is_on == 1 {
            let condition = match comparison {
                Comparison::Always => 0,
                other => other as u32 | packet.argument << 8,
            };
            // Relaxed: switching on orders it.
            known.value.store(packet.value, Ordering::Relaxed);
            known.condition.store(condition, Ordering::Relaxed);
            location.switch_on();
        }
        true
    });
    if found == Some(true) { Ok(()) } else { Err(Status::VERR_NOT_FOUND) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_arguments_of_narrow_code_take_two_words() {
        let mut words = [0; HIT_ARGUMENTS];
        widen(&mut words, &[1, 2, 3, 4, 5, 6, 7], 0b00010);
        assert_eq!(words, [1, 3 << 32 | 2, 4, 5, 6]);
        widen(&mut words, &[1, 2], 0b00001);
        assert_eq!(words, [2 << 32 | 1, 0, 0, 0, 0]);
    }

    #[test]
    fn texts_are_cut_and_terminated() {
        let mut place = [b'x'; 4];
        copy(&mut place, b"abcdef");
        assert_eq!(&place, b"abc\0");
        copy(&mut place, b"a");
        assert_eq!(&place, b"a\0\0\0");
    }
}
