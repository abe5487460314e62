//! Sessions with many objects: what one object costs must not depend on how many there are.
//!
//! The objects are made through the driver's ring-0 face, as modules make them, and left for the close
//! of the session: the owners of the ring-3 library would give each back before, and keep the session
//! open. Both kinds are taken: objects registered with a destructor, and event semaphores, of which
//! one session can have 32 768.

use std::ffi::c_void;
use std::ptr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sup_abi::SUPDRVOBJTYPE;
use sup_abi::request::SemaphoreKind;
use sup_alloc::Arc;
use sup_core::{Driver, Session};
use sup_embedded::{Client, EmbeddedHost};
use sup_ring0::Ring0;
use sup_ring0::destructor::NativeDestructor;

use crate::figure::{Figure, Goal};
use crate::measure::{Routine, compare};

/// What the larger sessions are compared to.
const FEW: u32 = 1_000;
/// The larger sessions. Semaphores have no room for much more.
const MANY: [u32; 2] = [10_000, 30_000];
/// An object of the larger session may cost this much more: it finds less in the caches.
pub(in crate::suites) const LINEAR: f64 = 1.5;

pub(in crate::suites) type Embedded = Driver<EmbeddedHost>;

/// What a session is filled with.
#[derive(Debug, Clone, Copy)]
pub(in crate::suites) enum Kind {
    Object,
    Semaphore,
}

/// The part of a session's life that is timed. The goal is for the whole: the close alone moves by half
/// with the state of the allocator's free lists, whatever the number of objects.
#[derive(Debug, Clone, Copy)]
pub(in crate::suites) enum Part {
    Whole,
    Close,
}

pub(super) fn figures() -> Result<Vec<Figure>> {
    // Keeps the driver running while sessions come and go.
    let _keeper = Client::open()?;
    let driver = EmbeddedHost::driver().context("the driver is not running")?;
    let mut figures = Vec::new();
    for kind in [Kind::Object, Kind::Semaphore] {
        check(&driver, kind)?;
        for many in MANY {
            for part in [Part::Whole, Part::Close] {
                figures.push(figure(&driver, kind, many, part)?);
            }
        }
    }
    Ok(figures)
}

fn figure(driver: &Arc<Embedded>, kind: Kind, many: u32, part: Part) -> Result<Figure> {
    let pair = compare(life(driver, kind, many, part), life(driver, kind, FEW, part))?;
    let things = match kind {
        Kind::Object => "objects",
        Kind::Semaphore => "semaphores",
    };
    let name = match part {
        Part::Whole => format!("session with {many} {things}"),
        Part::Close => format!("close of a session with {many} {things}"),
    };
    Ok(Figure {
        name,
        unit: "ns/object",
        compared_to: format!("the same with {FEW}"),
        pair: pair.scaled(1.0 / f64::from(many), 1.0 / f64::from(FEW)),
        goal: matches!(part, Part::Whole).then_some(Goal::Ratio(LINEAR)),
    })
}

/// Opens a session, fills it and closes it.
pub(in crate::suites) fn life(
    driver: &Arc<Embedded>,
    kind: Kind,
    count: u32,
    part: Part,
) -> impl Routine {
    move |iterations| {
        let mut total = Duration::ZERO;
        for _ in 0..iterations {
            let mut start = Instant::now();
            let session = driver.open_session(())?;
            fill(driver, &session, kind, count)?;
            if matches!(part, Part::Close) {
                start = Instant::now();
            }
            driver.close_session(session);
            total += start.elapsed();
        }
        Ok(total)
    }
}

fn fill(driver: &Embedded, session: &Session<EmbeddedHost>, kind: Kind, count: u32) -> Result<()> {
    for _ in 0..count {
        match kind {
            Kind::Object => {
                driver.object_register(session, SUPDRVOBJTYPE::Vm, destructor()?)?;
            }
            Kind::Semaphore => {
                driver.semaphore_create(session, SemaphoreKind::Event)?;
            }
        }
    }
    Ok(())
}

unsafe extern "C" fn destroy(_object: *mut c_void, _user1: *mut c_void, _user2: *mut c_void) {}

fn destructor() -> Result<NativeDestructor> {
    type Calls = <EmbeddedHost as Ring0>::Calls;
    // SAFETY: `destroy` takes any values on any thread, and is never unloaded.
    let destructor =
        unsafe { NativeDestructor::new::<Calls>(Some(destroy), ptr::null_mut(), ptr::null_mut()) };
    destructor.context("a destructor needs a function")
}

/// Makes sure that the objects are in the session, and that the close takes them back.
fn check(driver: &Arc<Embedded>, kind: Kind) -> Result<()> {
    let alive = || {
        let counts = driver.counts();
        match kind {
            Kind::Object => counts.objects,
            Kind::Semaphore => counts.handles,
        }
    };
    let session = driver.open_session(())?;
    fill(driver, &session, kind, FEW)?;
    ensure!(alive() == u64::from(FEW), "the session does not hold what was made in it");
    driver.close_session(session);
    ensure!(alive() == 0, "the close of the session leaves something behind");
    Ok(())
}
