//! A process that uses everything dies at any moment, and nothing is left of it.
//!
//! The victim goes through [`STEPS`] in a circle and tells each that it has done. The moment of each kill is
//! random within twice the time of a whole circle, which is measured first, so that kills meet every step
//! on slow machines as on fast ones.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Read, Write};
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::thread::{self, sleep};
use std::time::{Duration, Instant, SystemTime};

use rustix::io::Errno;
use rustix::process::{Signal, WaitOptions, wait};
use sup::backend::Kind;
use sup::{RingZeroView, Session, Status, Timeout};
use sup_modules::{HELLO, hello};
use sup_test_key::signed;

use crate::check::{Outcome, Report, Stop, Verdict, check, same};
use crate::observer::Observer;
use crate::process::{Child, End};
use crate::random::Random;

/// How often, and with which random numbers.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The number of processes to kill
    #[arg(long, default_value_t = 100, value_name = "N")]
    count: u32,
    /// Where the random numbers begin; that of a failed run repeats its moments
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

/// What a victim does, in its order; what it dies in is told by the last one that it had done.
const STEPS: [&str; 9] = [
    "open",
    "load a module",
    "call it",
    "allocate",
    "map the clock",
    "sleep in threads",
    "open a second session",
    "wake and wait",
    "give everything back",
];

/// Memory is looked at so often, at the least; the first third of the looks is compared with the last.
const LOOKS: u32 = 9;

/// What the whole machine may need more, at best, than it needed before at worst, for other reasons than ours.
const NOISE_KIB: u64 = 512;

/// A victim's life, until `note` has had enough of it.
fn live(mut note: impl FnMut(usize) -> ControlFlow<()>) -> Verdict {
    let mut done = |step: usize| note(step);
    loop {
        let session = Session::open_in(Kind::Kernel)?;
        let _ = done(0);
        let service = session.load_service_image(
            &signed(HELLO.image, HELLO.name),
            HELLO.name,
            hello::SERVICE_HANDLER,
        )?;
        let _ = done(1);
        same!(service.call(hello::OP_ECHO_ARG, 7)?.raw(), 7);
        for operation in [hello::OP_OBJECT, hello::OP_SEMAPHORE] {
            same!(service.call(operation, 0)?, Status::VINF_SUCCESS, "operation {operation}");
        }
        let _ = done(2);
        let low = session.low_memory(40)?;
        let contiguous = session.contiguous_memory(8)?;
        let shared = session.shared_pages(200, RingZeroView::Mapped)?;
        let unseen = session.shared_pages(100, RingZeroView::None)?;
        for words in [low.words(), contiguous.words(), shared.words(), unseen.words()] {
            // Relaxed: nobody else looks.
            words[words.len() - 1].store(1, std::sync::atomic::Ordering::Relaxed);
        }
        let _ = done(3);
        let gip = session.gip()?;
        check!(gip.now_ns() > 0);
        let _ = done(4);
        let (event, all) = (session.event()?, session.manual_reset_event()?);
        let ended = thread::scope(|scope| {
            let sleepers: Vec<_> = (0..4)
                .map(|number| {
                    let (event, all) = (&event, &all);
                    scope.spawn(move || match number % 2 {
                        0 => event.wait(Timeout::Never),
                        _ => all.wait(Timeout::Never),
                    })
                })
                .collect();
            let _ = done(5);
            let second = Session::open_in(Kind::Kernel)?;
            let other = second.event()?;
            let _memory = second.low_memory(2)?;
            let again = second.load_service_image(
                &signed(HELLO.image, HELLO.name),
                HELLO.name,
                hello::SERVICE_HANDLER,
            )?;
            same!(again.call(hello::OP_NOP, 0)?, Status::VINF_SUCCESS);
            let _ = done(6);
            other.signal()?;
            other.wait(Timeout::Never)?;
            all.signal()?;
            // Signals do not add up: as long as one sleeps, there may be one too few.
            while !sleepers.iter().all(thread::ScopedJoinHandle::is_finished) {
                event.signal()?;
                thread::yield_now();
            }
            for sleeper in sleepers {
                sleeper.join().map_err(|_| Stop::failed("a sleeper panicked"))??;
            }
            let _ = done(7);
            Ok::<(), Stop>(())
        });
        ended?;
        drop((event, all, gip, unseen, shared, contiguous, low));
        service.free()?;
        drop(session);
        if done(8).is_break() {
            return Ok(());
        }
    }
}

/// How many victims died in each step.
type Deaths = [u32; STEPS.len()];

/// Kills one victim after `moment`; returns the step in which it died.
fn kill_one(observer: &Observer, moment: Duration) -> Verdict<usize> {
    let before = observer.look()?;
    let (mut reader, mut writer) = io::pipe()?;
    let mut victim = Child::start(|| {
        live(|step| match writer.write_all(&[step as u8]) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        })
    })?;
    drop(writer);
    sleep(moment);
    if victim.try_end()?.is_some() {
        return victim.finish().and(Err(Stop::failed("the victim ended by itself")));
    }
    victim.send(Signal::KILL)?;
    same!(victim.wait()?, End::Killed(libc::SIGKILL));
    let mut steps = Vec::new();
    reader.read_to_end(&mut steps)?;
    observer.wait_for(&before)?;
    Ok(steps.last().map_or(0, |step| (usize::from(*step) + 1) % STEPS.len()))
}

/// The time of a whole circle.
fn circle() -> Verdict<Duration> {
    let begin = Instant::now();
    Child::start(|| {
        live(|step| {
            if step + 1 == STEPS.len() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
    })?
    .finish()?;
    Ok(begin.elapsed())
}

/// Memory of the machine in KiB.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    /// What nobody uses, or could be had by dropping caches.
    spare: u64,
    /// What the kernel's own objects take for good.
    slab: u64,
}

impl Memory {
    pub(crate) fn look() -> Verdict<Self> {
        empty_caches()?;
        let all = fs::read_to_string("/proc/meminfo")?;
        let field = |name: &str| -> Verdict<u64> {
            let line = all.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            let count = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
            count.ok_or_else(|| Stop::failed(format_args!("/proc/meminfo has no {name} in kB")))
        };
        let spare = field("MemAvailable")? + kept_by_processors()?;
        Ok(Self { spare, slab: field("SUnreclaim")? })
    }

    /// By how many KiB the kernel's objects grew.
    pub(crate) fn grown_since(&self, before: &Self) -> u64 {
        self.slab.saturating_sub(before.slab)
    }
}

/// Lets the kernel give back the objects that it has freed but keeps: each cache its empty pages, and a kernel
/// with KASAN the objects in quarantine, MiB of them, which look as used as if they had leaked.
fn empty_caches() -> Verdict {
    for cache in fs::read_dir("/sys/kernel/slab")? {
        let cache = cache?;
        // The others are links, further names of merged caches. One that is gone meanwhile keeps nothing.
        if cache.file_type()?.is_dir() {
            match fs::write(cache.path().join("shrink"), "1") {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
    }
    Ok(())
}

/// Free pages that the processors keep for themselves, in KiB. They come to many MiB, and no other count
/// of free memory has them.
fn kept_by_processors() -> Verdict<u64> {
    const KIB_PER_PAGE: u64 = 4;
    let zones = fs::read_to_string("/proc/zoneinfo")?;
    let counts = zones.lines().filter_map(|line| line.trim().strip_prefix("count:"));
    let pages = counts.map(|count| count.trim().parse::<u64>());
    Ok(pages.sum::<Result<u64, _>>()? * KIB_PER_PAGE)
}

/// Kills all of them; returns where they died, and the memory on the way.
fn kill_all(
    observer: &Observer,
    count: u32,
    random: &mut Random,
) -> Verdict<(Deaths, Vec<Memory>)> {
    // The first one pays for what the kernel makes once.
    circle()?;
    let range = 2 * circle()?.as_micros().max(1) as u64;
    let mut deaths = Deaths::default();
    let mut looks = Vec::new();
    for number in 0..count {
        if number.is_multiple_of(count.div_ceil(LOOKS)) {
            looks.push(Memory::look()?);
        }
        let moment = Duration::from_micros(random.next() % range);
        match kill_one(observer, moment) {
            Ok(step) => deaths[step] += 1,
            Err(Stop::Failed(why)) => {
                return Err(Stop::Failed(format!("kill {number}, after {moment:?}: {why}")));
            }
            Err(skipped) => return Err(skipped),
        }
    }
    looks.push(Memory::look()?);
    Ok((deaths, looks))
}

/// So few kills do not say anything about where they strike.
const ENOUGH_TO_STRIKE: u32 = 50;

fn struck_everywhere(deaths: &Deaths, count: u32) -> Verdict {
    if count < ENOUGH_TO_STRIKE {
        return Err(Stop::Skipped(format!("needs --count {ENOUGH_TO_STRIKE} or more")));
    }
    let steps = deaths.iter().filter(|deaths| **deaths > 0).count();
    check!(steps > STEPS.len() / 2, "only {steps} of {} steps were struck", STEPS.len());
    Ok(())
}

/// Memory goes up and down by MiB on a kernel that checks itself, and by what leaks it goes down alone: so the
/// best of the last third has to reach the worst of the first one.
fn does_not_grow(looks: &[Memory]) -> Verdict {
    let third = looks.len().div_ceil(3);
    let (first, last) = (looks.iter().take(third), looks.iter().rev().take(third));
    let worst = first.clone().map(|look| look.spare).min().unwrap_or_default();
    let best = last.clone().map(|look| look.spare).max().unwrap_or_default();
    let lost = worst.saturating_sub(best);
    let worst = first.map(|look| look.slab).max().unwrap_or_default();
    let best = last.map(|look| look.slab).min().unwrap_or_default();
    let grown = best.saturating_sub(worst);
    check!(lost < NOISE_KIB, "{lost} KiB of memory are gone, {NOISE_KIB} would be noise");
    check!(
        grown < NOISE_KIB,
        "the kernel's objects grew by {grown} KiB, {NOISE_KIB} would be noise"
    );
    Ok(())
}

/// Every victim was waited for, and none of them left a child.
fn leaves_no_zombie() -> Verdict {
    match wait(WaitOptions::NOHANG) {
        Err(Errno::CHILD) => Ok(()),
        other => Err(Stop::failed(format_args!("this process still has children: {other:?}"))),
    }
}

/// Kills, and reports what is left.
///
/// # Errors
/// There is no driver, or standard output is gone.
pub(crate) fn run(args: &Args) -> io::Result<ExitCode> {
    let observer = Observer::open()?;
    let mut report = Report::start()?;
    let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let seed = args.seed.unwrap_or(clock.as_nanos() as u64);
    writeln!(io::stdout(), "{} kills, --seed {seed}", args.count)?;

    let killed = kill_all(&observer, args.count, &mut Random::new(seed));
    let (left, found) = match killed {
        Ok(found) => (Outcome::Passed, Some(found)),
        Err(stop) => (Err(stop).into(), None),
    };
    report.note("kill::leaves_nothing_in_the_driver", &left)?;
    report.note("kill::leaves_no_zombie", &leaves_no_zombie().into())?;
    if let Some((deaths, looks)) = found {
        let mut line = String::new();
        for (step, deaths) in STEPS.iter().zip(deaths) {
            // Writing to a string does not fail.
            let _ = write!(line, "{}{step}: {deaths}", if line.is_empty() { "" } else { ", " });
        }
        writeln!(io::stdout(), "died in: {line}")?;
        writeln!(io::stdout(), "memory on the way: {looks:?}")?;
        report.note("kill::strikes_everywhere", &struck_everywhere(&deaths, args.count).into())?;
        report.note("kill::needs_no_more_memory_each_time", &does_not_grow(&looks).into())?;
    }
    report.end()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(spare: [u64; 9]) -> Vec<Memory> {
        spare.map(|spare| Memory { spare, slab: 2_000_000 - spare }).into()
    }

    #[test]
    fn memory_may_go_up_and_down() {
        let noise =
            [9000, 3000, 6000, 2000, 9000, 1000, 2000, 8000, 1500].map(|kib| 1_000_000 + kib);
        assert!(does_not_grow(&looks(noise)).is_ok());
    }

    #[test]
    fn cannot_lose_a_little_at_every_look() {
        let leak = [0, 130, 260, 390, 520, 650, 780, 910, 1040].map(|kib| 1_000_000 - kib);
        assert!(does_not_grow(&looks(leak)).is_err());
    }
}
