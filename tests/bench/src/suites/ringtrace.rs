//! The part of the suite `trace` about the tracer in the box: what a hit costs, and how many a reader can take.
//!
//! The probes are those of the conformance suite's module, which fires as often as it is told. Its file and the
//! tracer's are ring-0 code, as everybody's are: a hit passes the driver's gate.

use std::fs;
use std::path::Path;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::thread::{CpuSet, sched_setaffinity};
use sup::ServiceModule;
use sup::backend::Kind;
use sup::ringtrace::{MODULE, Policy, RingTracer};
use sup_conformance::traced::{TRACED, TRACED_HANDLER, TRACED_OP_FIRE_MANY};
use sup_test_key::signed;

use crate::figure::{Figure, Goal, Skip};
use crate::measure::{Pair, compare};
use crate::suites::lttng::{self, Lttng};
use crate::suites::open_session;
use crate::suites::uprobe::{self, Uprobe};

const TRACER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/r0/ringtrace.r0");
/// Records in the ring of each processor: 2 MiB and a quarter.
const RECORDS: u32 = 32_768;
const LINE: u32 = 100;
const LOCATION: u64 = 0;

/// What a thread fires at once: less than a ring holds.
const BURST: u64 = 30_000;
/// What two threads fire before the reader's count is taken.
const HITS_EACH: u64 = 500_000;
const ROUNDS: usize = 15;

pub(super) fn run() -> Result<Vec<Figure>> {
    if !Path::new(TRACER).is_file() {
        return Ok(Vec::new());
    }
    let session = open_session()?;
    let traced = session.load_service_image(&signed(TRACED, "traced"), "traced", TRACED_HANDLER)?;
    let mut figures = vec![alone(&traced)?];
    if lttng::missing().is_none() {
        figures.push(beside_lttng(&traced)?);
    }
    if Uprobe::take().is_ok() {
        figures.push(beside_uprobe(&traced)?);
    }
    figures.extend(bursts(&traced)?);
    figures.extend(crowd(&traced)?);
    Ok(figures)
}

pub(super) fn skips() -> Vec<Skip> {
    let mut skips = Vec::new();
    if let Err(error) = Uprobe::take() {
        let reason = format!("not measured: {error:#}");
        skips.push(Skip { name: "the same probe through uprobes", reason });
    }
    if let Some(reason) = lttng::missing() {
        skips.push(Skip { name: "the same probe of LTTng-UST", reason });
    }
    if !Path::new(TRACER).is_file() {
        let reason =
            "no target/r0/ringtrace.r0: `supctl module build modules/ringtrace` could not make it";
        skips.push(Skip { name: "hits into rings", reason: reason.to_owned() });
    }
    skips
}

fn open(policy: Policy) -> Result<(RingTracer, u32)> {
    let image = fs::read(TRACER).with_context(|| format!("cannot read {TRACER}"))?;
    let mut tracer = RingTracer::open_image(Kind::Embedded, &signed(&image, MODULE))?;
    tracer.make_rings(RECORDS, policy)?;
    let locations = tracer.locations()?;
    let found = locations.iter().find(|location| location.line == LINE).context("no location")?;
    let id = found.id;
    Ok((tracer, id))
}

fn fire(traced: &ServiceModule, count: u64) -> Result<Duration> {
    let start = Instant::now();
    traced.call(TRACED_OP_FIRE_MANY, count << 8 | LOCATION).map(|_| ())?;
    Ok(start.elapsed())
}

/// One thread, into a ring that overwrites: always the whole way.
fn alone(traced: &ServiceModule) -> Result<Figure> {
    let (tracer, id) = open(Policy::Overwrite)?;
    let pair = compare(
        |iterations| {
            tracer.switch_on(id, None)?;
            fire(traced, iterations)
        },
        |iterations| {
            tracer.switch_off(id)?;
            fire(traced, iterations)
        },
    )?;
    Ok(Figure {
        name: "hit into the ring, five words".to_owned(),
        unit: "ns",
        compared_to: "the probe switched off".to_owned(),
        pair,
        goal: Some(Goal::Median(60.0)),
    })
}

/// The same, beside a probe of LTTng-UST with as many arguments.
fn beside_lttng(traced: &ServiceModule) -> Result<Figure> {
    let (tracer, id) = open(Policy::Overwrite)?;
    tracer.switch_on(id, None)?;
    let mut lttng = Lttng::start()?;
    let pair = compare(|iterations| fire(traced, iterations), |iterations| lttng.fire(iterations))?;
    Ok(Figure {
        name: "hit into the ring, five words".to_owned(),
        unit: "ns",
        compared_to: "LTTng-UST, five words".to_owned(),
        pair,
        goal: Some(Goal::Ratio(1.0)),
    })
}

/// The same, beside a probe of a program that the kernel takes.
fn beside_uprobe(traced: &ServiceModule) -> Result<Figure> {
    let (tracer, id) = open(Policy::Overwrite)?;
    tracer.switch_on(id, None)?;
    let taken = Uprobe::take()?;
    let pair =
        compare(|iterations| fire(traced, iterations), |iterations| Ok(uprobe::fire(iterations)))?;
    ensure!(taken.written() > 0, "the kernel wrote nothing of the hits");
    Ok(Figure {
        name: "hit into the ring, five words".to_owned(),
        unit: "ns",
        compared_to: "a USDT probe, a uprobe".to_owned(),
        pair,
        goal: Some(Goal::Ratio(0.05)),
    })
}

/// Two threads, each on a processor of its own, fire as much as the rings hold, which are read afterwards.
fn bursts(traced: &ServiceModule) -> Result<[Figure; 2]> {
    let (mut tracer, id) = open(Policy::Drop)?;
    let (mut times, mut losses, mut off, mut none) = (vec![], vec![], vec![], vec![]);
    let round = || -> Result<f64> {
        let barrier = Barrier::new(2);
        let fire_on = |cpu| -> Result<Duration> {
            let mut only = CpuSet::new();
            only.set(cpu);
            sched_setaffinity(None, &only)?;
            barrier.wait();
            fire(traced, BURST)
        };
        let slowest = thread::scope(|scope| {
            let fire_on = &fire_on;
            let threads = [0, 1].map(|cpu| scope.spawn(move || fire_on(cpu)));
            threads.into_iter().try_fold(Duration::ZERO, |slowest, thread| -> Result<_> {
                Ok(slowest.max(thread.join().ok().context("a thread panicked")??))
            })
        })?;
        Ok(slowest.as_nanos() as f64 / (2 * BURST) as f64)
    };
    for _ in 0..ROUNDS {
        tracer.switch_on(id, None)?;
        let before = tracer.counts()?.lost;
        times.push(round()?);
        let read = tracer.read(usize::MAX >> 1, |record| {
            std::hint::black_box(record);
        });
        let lost = tracer.counts()?.lost - before;
        ensure!(read as u64 + lost == 2 * BURST, "{read} records and {lost} losses");
        losses.push(lost as f64 * 1000.0 / (2 * BURST) as f64);
        tracer.switch_off(id)?;
        off.push(round()?);
        none.push(1.0);
    }
    Ok([
        Figure {
            name: "two threads fire 30 000 each, a record".to_owned(),
            unit: "ns",
            compared_to: "the probe switched off".to_owned(),
            pair: Pair::of_neighbours(times, off)?,
            goal: Some(Goal::Median(100.0)),
        },
        Figure {
            name: "hits lost thereby, rings of 32 768".to_owned(),
            unit: "of 1000",
            compared_to: "one".to_owned(),
            pair: Pair::of_neighbours(losses, none)?,
            goal: Some(Goal::Median(0.0)),
        },
    ])
}

/// Two threads fire without an end, and one reads at the same time: more than there are processors.
fn crowd(traced: &ServiceModule) -> Result<[Figure; 2]> {
    let (mut tracer, id) = open(Policy::Drop)?;
    tracer.switch_on(id, None)?;
    let (mut times, mut losses, mut off, mut none) = (vec![], vec![], vec![], vec![]);
    for _ in 0..ROUNDS {
        let before = tracer.counts()?.lost;
        let is_over = AtomicBool::new(false);
        let start = Instant::now();
        let read = thread::scope(|scope| -> Result<usize> {
            let reader = scope.spawn(|| {
                let mut read = 0;
                loop {
                    let was_over = is_over.load(Ordering::Acquire);
                    read += tracer.read(usize::MAX >> 1, |record| {
                        std::hint::black_box(record);
                    });
                    if was_over {
                        return read;
                    }
                }
            });
            let threads: Vec<_> =
                (0..2).map(|_| scope.spawn(|| fire(traced, HITS_EACH).map(|_| ()))).collect();
            let fired: Result<()> = threads
                .into_iter()
                .try_for_each(|thread| thread.join().unwrap_or_else(|_| anyhow::bail!("panicked")));
            is_over.store(true, Ordering::Release);
            let read = reader.join().ok().context("the reader panicked")?;
            fired.map(|()| read)
        })?;
        let elapsed = start.elapsed().as_nanos() as f64;
        times.push(elapsed / read.max(1) as f64);
        losses.push((tracer.counts()?.lost - before) as f64 * 1000.0 / (2 * HITS_EACH) as f64);
        tracer.switch_off(id)?;
        off.push(fire(traced, HITS_EACH)?.as_nanos() as f64 / HITS_EACH as f64);
        tracer.switch_on(id, None)?;
        none.push(1.0);
    }
    let figure = |name: &str, unit, compared_to: &str, pair| Figure {
        name: name.to_owned(),
        unit,
        compared_to: compared_to.to_owned(),
        pair,
        goal: None,
    };
    Ok([
        figure(
            "two threads fire, one reads, a record",
            "ns",
            "the probe switched off, one thread",
            Pair::of_neighbours(times, off)?,
        ),
        figure(
            "hits lost meanwhile, rings of 32 768",
            "of 1000",
            "one",
            Pair::of_neighbours(losses, none)?,
        ),
    ])
}
