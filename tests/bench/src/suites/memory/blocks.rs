//! Blocks of the driver, one at a time: allocated, zeroed, locked, with all physical addresses, freed.

use std::fs;
use std::time::Duration;

use anyhow::Result;
use sup::{PageMemory, RingZeroView, Session};

use super::system::{PageKind, Region};
use crate::figure::{Figure, Goal, Skip};
use crate::measure::{Pair, Routine, compare, compare_at_least, each, processor_time};
use crate::suites::open_session;
use crate::suites::slice::session::LINEAR;

/// 16 MiB.
const LARGE: u32 = 4096;
/// 2 MiB pages that make as much.
const HUGE: u64 = 8;
const HUGE_NAME: &str = "PageAllocEx beside a file of huge pages";

pub(super) fn figures() -> Result<Vec<Figure>> {
    let session = open_session()?;
    let mut figures = vec![
        shared(&session, RingZeroView::None)?,
        shared(&session, RingZeroView::Mapped)?,
        low(&session)?,
        contiguous(&session)?,
        lock(&session)?,
    ];
    if huge_pages_free() >= HUGE {
        figures.push(Figure {
            name: HUGE_NAME.into(),
            unit: "µs",
            compared_to: "memfd+MFD_HUGETLB+populate".into(),
            pair: large(&session, RingZeroView::None, PageKind::Huge)?,
            goal: None,
        });
    }
    figures.push(free(&session)?);
    Ok(figures)
}

/// Nothing is skipped but what the machine does not have.
pub(super) fn skips() -> Vec<Skip> {
    let free = huge_pages_free();
    if free >= HUGE {
        return Vec::new();
    }
    let reason = format!(
        "{free} huge pages are free and {HUGE} are needed; write that to \
         /proc/sys/vm/nr_hugepages, as root"
    );
    vec![Skip { name: HUGE_NAME, reason }]
}

/// 2 MiB pages that an administrator set aside and nobody uses.
fn huge_pages_free() -> u64 {
    let text = fs::read_to_string("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
    text.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

fn large(session: &Session, view: RingZeroView, kind: PageKind) -> Result<Pair> {
    let pair = compare(
        each(|| session.shared_pages(LARGE, view).map(drop)),
        each(|| Region::of_new_file(LARGE as usize, kind).map(drop)),
    )?;
    Ok(pair.scaled(1e-3, 1e-3))
}

fn shared(session: &Session, view: RingZeroView) -> Result<Figure> {
    let name = match view {
        RingZeroView::None => "PageAllocEx, 4096 pages, for ring 3 alone",
        RingZeroView::Mapped => "PageAllocEx, 4096 pages, for both rings",
    };
    Ok(Figure {
        name: name.into(),
        unit: "µs",
        compared_to: "memfd+mmap+populate".into(),
        pair: large(session, view, PageKind::Ordinary)?,
        goal: Some(Goal::Ratio(1.3)),
    })
}

fn low(session: &Session) -> Result<Figure> {
    let pair = compare(each(|| session.low_memory(16).map(drop)), locked(16))?;
    Ok(Figure {
        name: "LowAlloc, 16 pages".into(),
        unit: "ns",
        compared_to: "mmap+mlock+munmap".into(),
        pair,
        goal: None,
    })
}

fn contiguous(session: &Session) -> Result<Figure> {
    let pair = compare(each(|| session.contiguous_memory(64).map(drop)), locked(64))?;
    Ok(Figure {
        name: "ContAlloc, 64 pages".into(),
        unit: "ns",
        compared_to: "mmap+mlock+munmap".into(),
        pair,
        goal: None,
    })
}

fn lock(session: &Session) -> Result<Figure> {
    const PAGES: usize = 16;
    let mut buffer = PageMemory::new(PAGES)?;
    let region = Region::anonymous(PAGES)?;
    let pair = compare(
        each(move || session.lock_memory(&mut buffer).map(drop)),
        each(move || region.lock().and_then(|()| region.unlock())),
    )?;
    Ok(Figure {
        name: format!("locking {PAGES} pages of the process"),
        unit: "ns",
        compared_to: "mlock+munlock".into(),
        pair,
        goal: None,
    })
}

fn locked(pages: usize) -> impl Routine {
    each(move || Region::anonymous(pages)?.lock())
}

/// What freeing a page costs must not depend on how many there are in the block.
fn free(session: &Session) -> Result<Figure> {
    const MOST: u32 = 65_536;
    // So many pages take a while to come.
    const ROUNDS: usize = 7;
    let most = free_only(session, MOST);
    let pair = compare_at_least(ROUNDS, most, free_only(session, LARGE))?;
    Ok(Figure {
        name: format!("free of {MOST} pages"),
        unit: "ns/page",
        compared_to: format!("the same of {LARGE}"),
        pair: pair.scaled(1.0 / f64::from(MOST), 1.0 / f64::from(LARGE)),
        goal: Some(Goal::Ratio(LINEAR)),
    })
}

/// Frees blocks of so many pages, in processor time.
fn free_only(session: &Session, pages: u32) -> impl Routine {
    move |iterations| {
        let mut total = Duration::ZERO;
        for _ in 0..iterations {
            let memory = session.shared_pages(pages, RingZeroView::None)?;
            let start = processor_time()?;
            drop(memory);
            total += processor_time()? - start;
        }
        Ok(total)
    }
}
