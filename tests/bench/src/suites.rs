//! [`SUITES`]: everything that can be measured, by suite.

mod capi;
mod exports;
mod gip;
mod hardened;
mod loader;
mod lttng;
mod memory;
mod raw;
mod ringtrace;
mod semaphores;
mod shared_object;
mod slice;
mod trace;
mod uprobe;

use std::hint::black_box;

use anyhow::{Context, Result, ensure};
use sup::Session;
use sup::backend::Kind;

use crate::figure::{Figure, Skip};

/// Figures that belong together.
#[derive(Debug)]
pub(crate) struct Suite {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) run: fn() -> Result<Vec<Figure>>,
    /// What cannot be measured on this machine.
    pub(crate) skips: fn() -> Vec<Skip>,
}

/// All suites, in the order in which they run.
pub(crate) const SUITES: [Suite; 8] = [
    Suite {
        name: "slice",
        about: "the main job: events, service calls, loading, closing a session",
        run: slice::run,
        skips: Vec::new,
    },
    Suite {
        name: "semaphores",
        about: "event semaphores: alone, in a crowd, between threads, against the clock",
        run: semaphores::run,
        skips: Vec::new,
    },
    Suite {
        name: "memory",
        about: "pages: given, found, freed, in a crowd, beside the system's own",
        run: memory::run,
        skips: memory::skips,
    },
    Suite {
        name: "gip",
        about: "the page that tells the time: what a read costs, how true it is; takes over a minute",
        run: gip::run,
        skips: Vec::new,
    },
    Suite {
        name: "loader",
        about: "modules: what lets them in, calls them and finds what is in them",
        run: loader::run,
        skips: Vec::new,
    },
    Suite {
        name: "hardened",
        about: "verifying who can write a file, and all files of a tree",
        run: hardened::run,
        skips: hardened::skips,
    },
    Suite {
        name: "capi",
        about: "calls of the C library beside the same ones in Rust",
        run: capi::run,
        skips: capi::skips,
    },
    Suite {
        name: "trace",
        about: "probes and the tracer in the box: what a hit costs, and how many a reader takes",
        run: trace::run,
        skips: ringtrace::skips,
    },
];

/// A session with the driver in this process: the goals are for that one.
fn open_session() -> Result<Session> {
    let session = Session::open()?;
    let backend = session.backend();
    ensure!(
        backend.kind() == Kind::Embedded,
        "the goals of this suite are for the embedded backend, and the session's is {backend}; set \
         SUP_BACKEND=embedded"
    );
    Ok(session)
}

/// The bytes that one of `count` such things adds to what the process has allocated.
fn bytes_each<T, E>(count: usize, make: impl Fn() -> Result<T, E>) -> Result<f64>
where
    anyhow::Error: From<E>,
{
    let before = bytes_in_use();
    let mut things = Vec::with_capacity(count);
    for _ in 0..count {
        things.push(make()?);
    }
    let bytes = bytes_in_use().checked_sub(before).context("the allocator counts backwards")?;
    drop(black_box(things));
    Ok(bytes as f64 / count as f64)
}

fn bytes_in_use() -> usize {
    // SAFETY: takes no argument and returns numbers.
    let info = unsafe { libc::mallinfo2() };
    info.uordblks + info.hblkhd
}
